//! How functions are described.

use pve_model::{Type, Value};

use super::{Context, FunctionError};

/// A function of the language.
pub(super) struct Function {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
    /// Takes all further arguments.
    pub variadic: Option<Parameter>,
    pub returns: Returns,
    pub run: fn(&Call<'_>) -> Outcome,
    /// Whether the result is known not to be null while an argument is unknown.
    pub never_null: bool,
}

pub(super) type Outcome = Result<Value, FunctionError>;

/// One call, with arguments that fit the parameters.
pub(super) struct Call<'a> {
    pub arguments: &'a [Value],
    /// What [`Returns`] gave.
    pub ty: &'a Type,
    pub context: &'a Context,
}

/// The type of the result.
pub(super) enum Returns {
    Text,
    Number,
    Flag,
    Texts,
    Numbers,
    Any,
    Of(fn(&[Value]) -> Result<Type, FunctionError>),
}

/// What a parameter takes.
pub(super) struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    /// The function sees null.
    pub null: bool,
    /// The function sees unknown values.
    pub unknown: bool,
    /// The function sees values whose type is not known.
    pub dynamic: bool,
    /// The function sees marks, and puts them on the result itself.
    pub marked: bool,
}

/// The type of a parameter.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Any,
    Text,
    Number,
    Texts,
    List,
    Set,
    TextsMap,
    Flags,
}

impl Kind {
    pub fn to_type(self) -> Type {
        match self {
            Kind::Any => Type::Dynamic,
            Kind::Text => Type::String,
            Kind::Number => Type::Number,
            Kind::Texts => Type::list(Type::String),
            Kind::List => Type::list(Type::Dynamic),
            Kind::Set => Type::set(Type::Dynamic),
            Kind::TextsMap => Type::map(Type::list(Type::String)),
            Kind::Flags => Type::list(Type::Bool),
        }
    }
}

impl Returns {
    pub fn type_for(&self, arguments: &[Value]) -> Result<Type, FunctionError> {
        Ok(match self {
            Returns::Text => Type::String,
            Returns::Number => Type::Number,
            Returns::Flag => Type::Bool,
            Returns::Texts => Type::list(Type::String),
            Returns::Numbers => Type::list(Type::Number),
            Returns::Any => Type::Dynamic,
            Returns::Of(find) => return find(arguments),
        })
    }
}

impl Function {
    pub const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        returns: Returns,
        run: fn(&Call<'_>) -> Outcome,
    ) -> Function {
        Function { name, parameters, variadic: None, returns, run, never_null: true }
    }

    pub const fn and_more(mut self, variadic: Parameter) -> Function {
        self.variadic = Some(variadic);
        self
    }

    pub const fn may_be_null(mut self) -> Function {
        self.never_null = false;
        self
    }

    /// The parameter for the argument of this index.
    pub fn parameter(&self, index: usize) -> Option<&Parameter> {
        self.parameters.get(index).or(self.variadic.as_ref())
    }
}

impl Parameter {
    pub const fn new(name: &'static str, kind: Kind) -> Parameter {
        Parameter { name, kind, null: false, unknown: false, dynamic: false, marked: false }
    }

    pub const fn null(mut self) -> Parameter {
        self.null = true;
        self
    }

    pub const fn unknown(mut self) -> Parameter {
        self.unknown = true;
        self
    }

    pub const fn dynamic(mut self) -> Parameter {
        self.dynamic = true;
        self
    }

    pub const fn marked(mut self) -> Parameter {
        self.marked = true;
        self
    }
}

/// A parameter that takes a string.
pub(super) const fn text(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text)
}

/// A parameter that takes a number.
pub(super) const fn number(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Number)
}

/// A parameter that takes anything.
pub(super) const fn any(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Any)
}

impl Call<'_> {
    /// A string argument; empty if it is none, which the parameter rules out.
    pub fn text(&self, index: usize) -> &str {
        self.arguments.get(index).and_then(Value::as_str).unwrap_or_default()
    }

    /// A whole number that fits an `i64`.
    pub fn whole(&self, index: usize) -> Result<i64, FunctionError> {
        self.arguments
            .get(index)
            .and_then(Value::as_i64)
            .ok_or_else(|| FunctionError::argument(index, "a whole number is required"))
    }

    /// A whole number that is not negative.
    pub fn size(&self, index: usize) -> Result<usize, FunctionError> {
        usize::try_from(self.whole(index)?)
            .map_err(|_| FunctionError::argument(index, "a number that is not negative is required"))
    }

    /// The elements of an argument, none if it has none.
    pub fn elements(&self, index: usize) -> &[Value] {
        self.arguments.get(index).and_then(Value::elements).unwrap_or_default()
    }
}
