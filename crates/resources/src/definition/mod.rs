//! The compact notation in which kinds are defined: one line an attribute, with its type, default, limits and, where the
//! kind is a plain object of the API, its parameter.

mod build;

use pve_model::schema::{Attribute, Nesting};
use pve_model::{Type, Value};

pub(crate) use build::{Definition, empty_texts, problem, split_tags, warning};

use crate::object::{Form, Wire};

/// The attributes and blocks of one level, by name.
pub(crate) type Fields = Vec<(&'static str, Item)>;

/// One attribute or nested block.
pub(crate) struct Item {
    attribute: Attribute,
    nested: Option<Nested>,
    check: Option<Check>,
    wire: Wire,
}

struct Nested {
    nesting: Nesting,
    /// Whether it is assigned with `=`.
    assigned: bool,
    /// Whether it is a map from names to these.
    mapped: bool,
    fields: Fields,
    least: u64,
    most: u64,
}

/// A limit on a single value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A number from the first to the second, both included.
    Range(i64, i64),
    /// A rule of its own: what is wrong with the text.
    Text(fn(&str) -> Option<String>),
    /// A list, set or map with something in it.
    Filled,
}

/// A value that a default is made from.
pub(crate) trait Literal {
    fn value(self) -> Value;
}

impl Literal for bool {
    fn value(self) -> Value {
        Value::bool(self)
    }
}

impl Literal for i64 {
    fn value(self) -> Value {
        Value::number(self)
    }
}

impl Literal for &'static str {
    fn value(self) -> Value {
        Value::string(self)
    }
}

fn attribute(ty: Type) -> Item {
    Item {
        attribute: Attribute { ty, optional: true, ..Attribute::default() },
        nested: None,
        check: None,
        wire: Wire::default(),
    }
}

/// An optional string.
pub(crate) fn text() -> Item {
    attribute(Type::String)
}

/// An optional number.
pub(crate) fn number() -> Item {
    attribute(Type::Number)
}

/// An optional bool.
pub(crate) fn flag() -> Item {
    attribute(Type::Bool)
}

/// An optional list of strings.
pub(crate) fn texts() -> Item {
    attribute(Type::list(Type::String))
}

/// An optional attribute of any type.
pub(crate) fn of_type(ty: Type) -> Item {
    attribute(ty)
}

/// An optional set of strings.
pub(crate) fn text_set() -> Item {
    attribute(Type::set(Type::String))
}

/// A list of nested blocks.
pub(crate) fn blocks(fields: Fields) -> Item {
    nested(Nesting::List, false, fields)
}

/// A set of nested blocks.
pub(crate) fn block_set(fields: Fields) -> Item {
    nested(Nesting::Set, false, fields)
}

/// A nested block that may stand once; its value is an object or null.
pub(crate) fn block_one(fields: Fields) -> Item {
    nested(Nesting::Single, false, fields)
}

/// An object, assigned with `=`.
pub(crate) fn object(fields: Fields) -> Item {
    nested(Nesting::Single, true, fields)
}

/// A map of objects, assigned with `=`.
pub(crate) fn object_map(fields: Fields) -> Item {
    let mut item = nested(Nesting::Single, true, fields);
    if let Some(nested) = &mut item.nested {
        nested.mapped = true;
    }
    item
}

/// A list of objects, assigned with `=`.
pub(crate) fn object_list(fields: Fields) -> Item {
    nested(Nesting::List, true, fields)
}

/// A set of objects, assigned with `=`.
pub(crate) fn object_set(fields: Fields) -> Item {
    nested(Nesting::Set, true, fields)
}

fn nested(nesting: Nesting, assigned: bool, fields: Fields) -> Item {
    let nested = Nested { nesting, assigned, mapped: false, fields, least: 0, most: 0 };
    Item { nested: Some(nested), ..attribute(Type::String) }
}

impl Item {
    /// It must be set.
    pub(crate) fn required(mut self) -> Item {
        self.attribute.required = true;
        self.attribute.optional = false;
        self
    }

    /// It may be set; the cluster decides it otherwise.
    pub(crate) fn computed(mut self) -> Item {
        self.attribute.computed = true;
        self
    }

    /// It cannot be set.
    pub(crate) fn read_only(mut self) -> Item {
        self.attribute.computed = true;
        self.attribute.optional = false;
        self
    }

    /// The attribute of a data source that tells what a resource has; one that names the object must be set.
    pub(crate) fn told(mut self, needed: bool) -> Item {
        let sensitive = self.attribute.sensitive;
        let (ty, description) = (self.attribute.ty, self.attribute.description);
        let (required, computed) = (needed, !needed);
        self.attribute = Attribute { ty, required, computed, sensitive, description, ..Attribute::default() };
        if let Some(nested) = &mut self.nested {
            nested.fields = std::mem::take(&mut nested.fields)
                .into_iter()
                .map(|(name, item)| (name, item.told(false)))
                .collect();
        }
        if !needed {
            self.check = None;
        }
        self
    }

    /// It is never shown.
    pub(crate) fn sensitive(mut self) -> Item {
        self.attribute.sensitive = true;
        self
    }

    /// It may be shown: whoever reads it asks for it.
    pub(crate) fn shown(mut self) -> Item {
        self.attribute.sensitive = false;
        self
    }

    /// What an absent value means.
    pub(crate) fn or(mut self, default: impl Literal) -> Item {
        self.attribute.default = Some(default.value());
        self
    }

    /// A change replaces the resource.
    pub(crate) fn replaces(mut self) -> Item {
        self.attribute.replace = true;
        self
    }

    /// It is deprecated; `instead` says what to do.
    pub(crate) fn deprecated(mut self, instead: &'static str) -> Item {
        self.attribute.deprecated = Some(instead);
        self
    }

    /// What it means, with units.
    pub(crate) fn means(mut self, description: &'static str) -> Item {
        self.attribute.description = description;
        self
    }

    /// Only these texts are accepted.
    pub(crate) fn one_of(mut self, accepted: &'static [&'static str]) -> Item {
        self.check = Some(Check::OneOf(accepted));
        self
    }

    /// Only numbers from `least` to `most` are accepted.
    pub(crate) fn range(mut self, least: i64, most: i64) -> Item {
        self.check = Some(Check::Range(least, most));
        self
    }

    /// Only texts are accepted of which `fault` says nothing.
    pub(crate) fn checked(mut self, fault: fn(&str) -> Option<String>) -> Item {
        self.check = Some(Check::Text(fault));
        self
    }

    /// An empty list, set or map is not accepted.
    pub(crate) fn filled(mut self) -> Item {
        self.check = Some(Check::Filled);
        self
    }

    /// It is sent and read under this name.
    pub(crate) fn param(mut self, name: &'static str) -> Item {
        self.wire.param = Some(name);
        self
    }

    /// How its value is written in the parameter.
    pub(crate) fn form(mut self, form: Form) -> Item {
        self.wire.form = form;
        self
    }

    /// It is one key of a property string that several attributes share.
    pub(crate) fn part_of(mut self, param: &'static str, key: &'static str) -> Item {
        self.wire.param = Some(param);
        self.wire.key = Some(key);
        self
    }

    /// It is sent when the object is made, never afterwards.
    pub(crate) fn only_made(mut self) -> Item {
        self.wire.update = false;
        self
    }

    /// It is never sent.
    pub(crate) fn unsent(mut self) -> Item {
        self.wire.create = false;
        self.wire.update = false;
        self
    }

    /// The API does not tell it: what was configured counts.
    pub(crate) fn unread(mut self) -> Item {
        self.wire.read = false;
        self
    }

    /// It is known here alone: neither sent nor read.
    pub(crate) fn local(self) -> Item {
        self.unsent().unread()
    }

    /// What the API means where it leaves the parameter out.
    pub(crate) fn absent(mut self, value: impl Literal) -> Item {
        self.wire.absent = Some(value.value());
        self
    }

    /// Two texts mean the same where this says so.
    pub(crate) fn same_as(mut self, same: fn(&str, &str) -> bool) -> Item {
        self.wire.same = Some(same);
        self
    }

    /// The cluster decides it anew whenever something else changes.
    pub(crate) fn follows(mut self) -> Item {
        self.wire.follows = true;
        self
    }

    /// It is never stored.
    pub(crate) fn write_only(mut self) -> Item {
        self.attribute.write_only = true;
        self.wire.read = false;
        self
    }

    /// At least `count` blocks.
    pub(crate) fn least(mut self, count: u64) -> Item {
        if let Some(nested) = &mut self.nested {
            nested.least = count;
        }
        self
    }

    /// At most `count` blocks.
    pub(crate) fn most(mut self, count: u64) -> Item {
        if let Some(nested) = &mut self.nested {
            nested.most = count;
        }
        self
    }
}
