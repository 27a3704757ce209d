//! The functions of the language. A table says what each takes; null, unknown and marked arguments are dealt with here.

mod collections;
mod encoding;
mod filesystem;
mod format;
mod hash;
mod network;
mod numbers;
mod sets;
mod strings;
mod time;
mod types;
mod yaml;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use pve_model::{Marks, Type, Value};

use crate::convert::convert;

/// Reads files and folders: from disk, or from a recorded configuration.
pub trait Files: Send + Sync {
    /// The content of a file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The entries of a folder: names, and whether each is a folder.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>>;

    /// Whether there is a file (not a folder).
    fn is_file(&self, path: &Path) -> bool;
}

/// What functions need to know of their surroundings.
#[derive(Clone)]
pub struct Context {
    /// Where relative paths start.
    pub base_directory: PathBuf,
    /// `plantimestamp()`, RFC 3339. Empty before there is a plan: the function is unknown then.
    pub plan_timestamp: String,
    /// Whether functions whose results differ from call to call are unknown, as they are while planning.
    pub pure: bool,
    /// Files.
    pub files: Arc<dyn Files>,
}

impl Context {
    /// Whether there is a function of this name.
    pub fn is_offered(&self, name: &str) -> bool {
        TABLE.contains_key(name)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base_directory.join(filesystem::expand_home(path))
    }
}

/// Why a function has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// The argument at fault, from 0.
    pub argument: Option<usize>,
    /// What is wrong, without full stop.
    pub message: String,
}

pub(crate) type Outcome = Result<Value, FunctionError>;

pub(crate) fn fail<T>(message: impl Into<String>) -> Result<T, FunctionError> {
    Err(FunctionError { argument: None, message: message.into() })
}

pub(crate) fn fail_at<T>(argument: usize, message: impl Into<String>) -> Result<T, FunctionError> {
    Err(FunctionError { argument: Some(argument), message: message.into() })
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Bool,
    Number,
    String,
    ListAny,
    ListString,
    ListNumber,
    ListBool,
    SetAny,
    SetString,
    MapAny,
}

impl Kind {
    fn ty(self) -> Type {
        match self {
            Kind::Any => Type::Dynamic,
            Kind::Bool => Type::Bool,
            Kind::Number => Type::Number,
            Kind::String => Type::String,
            Kind::ListAny => Type::list(Type::Dynamic),
            Kind::ListString => Type::list(Type::String),
            Kind::ListNumber => Type::list(Type::Number),
            Kind::ListBool => Type::list(Type::Bool),
            Kind::SetAny => Type::set(Type::Dynamic),
            Kind::SetString => Type::set(Type::String),
            Kind::MapAny => Type::map(Type::Dynamic),
        }
    }
}

/// What a function does with one argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    /// Takes null.
    pub null: bool,
    /// Takes unknown values; else the result is unknown.
    pub unknown: bool,
    /// Takes marked values; else marks are taken off and put on the result.
    pub marked: bool,
}

pub(crate) const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, null: false, unknown: false, marked: false }
}

impl Parameter {
    pub(crate) const fn null(mut self) -> Parameter {
        self.null = true;
        self
    }

    pub(crate) const fn unknown(mut self) -> Parameter {
        self.unknown = true;
        self
    }

    pub(crate) const fn marked(mut self) -> Parameter {
        self.marked = true;
        self
    }
}

/// One function.
pub(crate) struct Function {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
    /// Any number of further arguments.
    pub variadic: Option<Parameter>,
    /// How many of `parameters` may be left out at the end.
    pub optional: usize,
    /// The type of the result when it is not known.
    pub returns: fn(&[Value]) -> Type,
    pub run: fn(&[Value], &Context) -> Outcome,
}

static TABLE: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    let families: [&'static [Function]; 10] = [
        strings::FUNCTIONS,
        format::FUNCTIONS,
        collections::FUNCTIONS,
        sets::FUNCTIONS,
        encoding::FUNCTIONS,
        numbers::FUNCTIONS,
        types::FUNCTIONS,
        filesystem::FUNCTIONS,
        network::FUNCTIONS,
        hash::FUNCTIONS,
    ];
    let all = families.into_iter().flatten().chain(time::FUNCTIONS).chain(yaml::FUNCTIONS);
    all.map(|function| (function.name, function)).collect()
});

/// The names of all functions, with `try` and `can`, which the evaluator knows itself.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = TABLE.keys().copied().chain(["try", "can"]).collect();
    names.sort_unstable();
    names
}

/// Calls a function.
///
/// # Errors
/// When there is no such function, an argument does not fit, or the function has no result for the arguments.
pub fn call(name: &str, arguments: &[Value], context: &Context) -> Outcome {
    let Some(function) = TABLE.get(name) else {
        return fail(format!("there is no function named \"{name}\""));
    };
    check_count(function, arguments.len())?;
    let mut values = Vec::with_capacity(arguments.len());
    let mut marks = Marks::NONE;
    let mut unknown = false;
    for (i, argument) in arguments.iter().enumerate() {
        let Some(parameter) = function.parameters.get(i).or(function.variadic.as_ref()) else { continue };
        let mut value = argument.clone();
        if !parameter.marked {
            let (plain, found) = value.unmark_deep();
            marks = marks.union(found);
            value = plain;
        }
        if value.is_null() && !parameter.null {
            return fail_at(i, format!("`{}` must not be null", parameter.name));
        }
        let untyped = value.ty() == Type::Dynamic;
        if !untyped || value.is_null() {
            value = convert(&value, &parameter.kind.ty()).map_err(|error| FunctionError {
                argument: Some(i),
                message: format!("`{}`: {error}", parameter.name),
            })?;
        }
        unknown |= !value.is_known() && !parameter.unknown;
        values.push(value);
    }
    let result =
        if unknown { not_null((function.returns)(&values)) } else { (function.run)(&values, context)? };
    Ok(result.with_marks(marks))
}

/// Functions never give null unless they say so; a result that is open could be null only if its type is.
fn not_null(ty: Type) -> Value {
    Value::unknown(ty)
}

fn check_count(function: &Function, given: usize) -> Result<(), FunctionError> {
    let most = function.parameters.len();
    let least = most - function.optional;
    if given < least {
        let missing = function.parameters[given].name;
        return fail(format!("argument `{missing}` is missing: {least} needed, {given} given"));
    }
    if given > most && function.variadic.is_none() {
        return fail_at(most, format!("too many arguments: {most} at most, {given} given"));
    }
    Ok(())
}

/// Shorthand for the tables of the families.
macro_rules! function {
    ($name:literal, [$($parameter:expr),* $(,)?], $returns:expr, $run:expr) => {
        $crate::functions::Function {
            name: $name, parameters: &[$($parameter),*], variadic: None, optional: 0, returns: $returns, run: $run,
        }
    };
    ($name:literal, [$($parameter:expr),* $(,)?], ..$variadic:expr, $returns:expr, $run:expr) => {
        $crate::functions::Function {
            name: $name, parameters: &[$($parameter),*], variadic: Some($variadic), optional: 0, returns: $returns,
            run: $run,
        }
    };
}
pub(crate) use function;

pub(crate) fn string_type(_: &[Value]) -> Type {
    Type::String
}

pub(crate) fn number_type(_: &[Value]) -> Type {
    Type::Number
}

pub(crate) fn bool_type(_: &[Value]) -> Type {
    Type::Bool
}

pub(crate) fn list_string_type(_: &[Value]) -> Type {
    Type::list(Type::String)
}

pub(crate) fn any_type(_: &[Value]) -> Type {
    Type::Dynamic
}

pub(crate) fn first_type(arguments: &[Value]) -> Type {
    arguments.first().map_or(Type::Dynamic, Value::ty)
}

/// The text of an argument that the table says is a string.
pub(crate) fn text(arguments: &[Value], at: usize) -> &str {
    arguments.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number.
pub(crate) fn whole(arguments: &[Value], at: usize) -> Result<i64, FunctionError> {
    match arguments.get(at).and_then(Value::as_i64) {
        Some(number) => Ok(number),
        None => fail_at(at, "a whole number is needed"),
    }
}

/// The strings of a list; an unknown or null element has none.
pub(crate) fn strings_of(value: &Value) -> Option<Vec<&str>> {
    value.elements()?.iter().map(Value::as_str).collect()
}

pub(crate) fn list_of_strings<S: Into<Arc<str>>>(texts: impl IntoIterator<Item = S>) -> Value {
    Value::list(Type::String, texts.into_iter().map(Value::string).collect())
}
