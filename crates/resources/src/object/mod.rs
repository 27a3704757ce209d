//! Plain objects of the API, described as data: paths, identity and the parameter of each attribute. One engine reads,
//! makes, changes, deletes, imports and recovers them; [`Hooks`] is for what a kind does beyond that.

mod change;
mod decode;
mod encode;
mod engine;
mod hooks;
mod plan;
mod reading;
mod template;
mod wire;

use serde_json::{Map, Value as Json};

use crate::cluster::Method;
use crate::definition::{Definition, Fields};
use crate::operations::Proof;

pub(crate) use decode::{Absent, nothing};
pub(crate) use encode::SEVERAL;
pub(crate) use engine::Engine;
pub(crate) use hooks::{Hooks, NoHooks, Planning};
pub(crate) use template::{fill, plain};
#[cfg(test)]
pub(crate) use template::{names, parse};
pub(crate) use wire::{Field, Form, Wire};

/// One kind. Templates name attributes in braces: `/access/users/{user_id}`; what follows a `?` are parameters.
pub(crate) struct Object {
    /// The names of the kind.
    pub(crate) names: &'static [&'static str],
    /// What it is, for messages and claims: `user`.
    pub(crate) what: &'static str,
    /// One or two sentences for the reference page.
    pub(crate) about: &'static str,
    /// The attributes with their parameters.
    pub(crate) fields: Fields,
    /// How it is made.
    pub(crate) create: (Method, &'static str),
    /// Where it is read.
    pub(crate) read: Read,
    /// How it is changed; an empty path where every change replaces it.
    pub(crate) update: (Method, &'static str),
    /// What becomes of it when it is destroyed.
    pub(crate) delete: Delete,
    /// How a parameter is taken out again.
    pub(crate) removal: Removal,
    /// Whether a change sends every parameter: the API forgets what is left out or insists on it.
    pub(crate) whole: bool,
    /// Parameters that every object of the kind is made with, and that tell it from other kinds at the same place.
    pub(crate) constants: &'static [(&'static str, &'static str)],
    /// Of the constants, those that a change takes too.
    pub(crate) always: &'static [&'static str],
    /// The attribute `id`.
    pub(crate) id: &'static str,
    /// The id that users import it by.
    pub(crate) import: &'static str,
    /// Whether one of another name is made before it goes: others are in it until they are in that, or somebody would be
    /// without it meanwhile.
    pub(crate) made_first: bool,
    /// Whether it is a virtual machine: known by its `id` in the whole cluster, on whatever node it is.
    pub(crate) guest: bool,
    /// Exactly one of each of these must be set.
    pub(crate) one_of: &'static [&'static [&'static str]],
    /// What proves after a crash that it is the one that was to be made.
    pub(crate) proof: Proof,
    /// What stands in the block of the example on its reference page, which a test plans.
    pub(crate) example: &'static str,
    /// The blocks that the example needs beside it.
    pub(crate) beside: &'static str,
    /// What it does beyond all that.
    pub(crate) hooks: &'static dyn Hooks,
}

/// What entries of a list say of objects of a kind.
pub(crate) fn rows(kind: &str, entries: &[Json], absent: Absent) -> Vec<Map<String, Json>> {
    let object = crate::families::objects().into_iter().find(|object| object.names[0] == kind);
    let fields = object.map(|object| Definition::new(object.fields).wires).unwrap_or_default();
    entries.iter().map(|entry| decode::decode(&fields, entry, absent)).collect()
}

/// Where an object is read.
#[derive(Clone, Copy)]
pub(crate) enum Read {
    /// It has a place of its own.
    At(&'static str),
    /// There is nothing to read: it is what it was made with.
    Nowhere,
    /// It is the entry of a list in which these attributes are found under these names.
    Among(&'static str, &'static [(&'static str, &'static str)]),
}

/// What becomes of an object that is destroyed.
#[derive(Clone, Copy)]
pub(crate) enum Delete {
    /// It is deleted there.
    At(&'static str),
    /// It is taken away by another request than a deletion.
    By(Method, &'static str),
    /// Its settings are taken out of what stays.
    Reset,
    /// It stays as it is: it cannot not be.
    Stays,
}

/// How a parameter is taken out of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// By its name in `delete`.
    Delete,
    /// By its name in `delete`, which is sent once for each.
    Each,
    /// By an empty value.
    Empty,
    /// By its absence: whoever sends anything sends all.
    Absence,
    /// Not at all: what is not sent stays as it is.
    Never,
}

impl Object {
    /// What is made in a list, read, changed and deleted at its place, and known and imported by one id.
    pub(crate) fn listed(list: &'static str, place: &'static str, id: &'static str) -> Object {
        Object {
            create: (Method::Post, list),
            read: Read::At(place),
            update: (Method::Put, place),
            delete: Delete::At(place),
            id,
            import: id,
            ..Object::default()
        }
    }
}

impl Default for Object {
    fn default() -> Object {
        Object {
            names: &[],
            what: "",
            about: "",
            fields: Vec::new(),
            create: (Method::Post, ""),
            read: Read::At(""),
            update: (Method::Put, ""),
            delete: Delete::At(""),
            removal: Removal::Delete,
            whole: false,
            constants: &[],
            always: &[],
            id: "",
            import: "",
            made_first: false,
            guest: false,
            one_of: &[],
            proof: Proof::Values,
            example: "",
            beside: "",
            hooks: &NoHooks,
        }
    }
}
