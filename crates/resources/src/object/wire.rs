//! How an attribute travels: the name of its parameter and the form of its value.

use pve_model::{Type, Value};

/// One attribute or block with its way.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) wire: Wire,
    pub(crate) ty: Type,
    pub(crate) default: Option<Value>,
    /// What is inside of an object or block.
    pub(crate) inner: Vec<Field>,
    /// It cannot be set.
    pub(crate) fixed: bool,
    pub(crate) required: bool,
    pub(crate) write_only: bool,
}

/// How an attribute travels.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// The parameter; named like the attribute where there is none.
    pub(crate) param: Option<&'static str>,
    /// The key inside of a property string that several attributes share.
    pub(crate) key: Option<&'static str>,
    pub(crate) form: Form,
    /// Whether it is sent when the object is made.
    pub(crate) create: bool,
    /// Whether it is sent when the object is changed.
    pub(crate) update: bool,
    /// Whether the API tells it.
    pub(crate) read: bool,
    /// What the API means where it leaves it out.
    pub(crate) absent: Option<Value>,
    /// Whether two texts mean the same.
    pub(crate) same: Option<fn(&str, &str) -> bool>,
    /// Whether it may change with any other attribute.
    pub(crate) follows: bool,
}

/// The form of a value in a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// As its type says: bools as 0 and 1, lists and sets joined by commas, objects as property strings, lists and sets
    /// of objects as several property strings.
    Plain,
    /// A bool that is sent as 1, and that is false by its absence.
    Switch,
    /// An object whose attributes have parameters of their own.
    Flat,
    /// A list joined by this.
    Joined(char),
    /// A list with one parameter an element.
    Several,
    /// A date as seconds since 1970; 0 for none.
    Seconds,
    /// A map from names to numbers: `a:1,b`.
    Priorities,
    /// A list with a numbered parameter an element, from this number: `dns1`, `dns2`.
    Numbered(u32),
    /// The keys of an object of the answer, those with a true value.
    Keys,
    /// A map as a property string.
    Map,
    /// A map as lines of `NAME=VALUE`, sent in base64.
    Lines,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire {
            param: None,
            key: None,
            form: Form::Plain,
            create: true,
            update: true,
            read: true,
            absent: None,
            same: None,
            follows: false,
        }
    }
}

impl Field {
    /// The name of the parameter.
    pub(crate) fn param(&self) -> &'static str {
        self.wire.param.unwrap_or(self.name)
    }

    /// What an absent value means: the stated one, the default, or false for bools.
    pub(crate) fn absent(&self) -> Option<Value> {
        let stated = self.wire.absent.clone().or_else(|| self.default.clone());
        stated.or_else(|| (self.ty == Type::Bool).then(|| Value::bool(false)))
    }
}
