//! Configuration files of sections, as most objects of a cluster are kept in (PVE::SectionConfig): one table describes a
//! file, its types and their options; reading, creating, changing and deleting follow from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::schema::formats::split_list;
use crate::schema::{self, Keys, Kind};
use crate::state::{Options, State};

/// The sections of one file by id.
pub(crate) type Sections = BTreeMap<String, Options>;

/// What one type of section demands and allows.
pub(crate) struct Type {
    pub name: &'static str,
    pub required: &'static [&'static str],
    pub options: &'static [&'static str],
    /// Set when it is created and never again.
    pub fixed: &'static [&'static str],
}

/// A file, and how its endpoints call things.
pub(crate) struct File {
    /// `domains.cfg`
    pub name: &'static str,
    /// The parameter that has the id.
    pub id: &'static str,
    /// The endpoint that creates: its schema has the types of all options.
    pub schema: &'static str,
    pub types: &'static [Type],
    /// The type where the call has none.
    pub default_type: Option<&'static str>,
    /// Never given back.
    pub secrets: &'static [&'static str],
    /// Texts before and in errors, `{}` stands for the id.
    pub texts: Texts,
}

/// Texts of a file's errors.
pub(crate) struct Texts {
    pub create: &'static str,
    pub update: &'static str,
    pub delete: &'static str,
    pub exists: &'static str,
    pub missing: &'static str,
}

/// What every changed configuration file answers to an old digest.
pub(crate) const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

/// SHA-1 of a file's content; a file without sections is empty.
pub(crate) fn digest(sections: &Sections) -> String {
    let text =
        if sections.is_empty() { String::new() } else { serde_json::to_string(sections).unwrap_or_default() };
    hex(&sha1::Sha1::digest(text.as_bytes()))
}

/// An option as it is read back: a number where the schema has one.
pub(crate) fn typed(keys: Option<&Keys>, name: &str, text: &str) -> Value {
    let kind = keys.and_then(|keys| schema::lookup(keys, name)).map(|property| property.kind);
    match (kind, text.parse::<i64>(), text.parse::<f64>()) {
        (Some(Kind::Integer | Kind::Boolean), Ok(value), _) => json!(value),
        (Some(Kind::Number), Ok(value), _) => json!(value),
        (Some(Kind::Array), ..) => text.split('\0').collect(),
        (Some(Kind::Number), _, Ok(value)) => json!(value),
        _ => json!(text),
    }
}

/// A property string as it is read back taken apart: all values are text.
pub(crate) fn taken_apart(keys: Option<&'static Keys>, name: &str, text: &str) -> Value {
    let inner = keys.and_then(|keys| schema::lookup(keys, name)).and_then(schema::format_keys);
    match inner.and_then(|inner| schema::property_string::parse(inner, text).ok()) {
        Some(values) => values.into_iter().map(|(key, value)| (key, json!(value))).collect(),
        None => json!(text),
    }
}

/// Removes the options that `delete` names.
///
/// # Errors
/// In the words of `delete_from_config`.
pub(crate) fn delete_options(
    kind: &Type,
    present: &mut Options,
    set: &Options,
    names: &str,
) -> Result<(), Failure> {
    for key in split_list(names) {
        if kind.required.contains(&key) {
            return Err(Failure::died(format!("unable to delete required option '{key}'")));
        }
        if kind.fixed.contains(&key) {
            return Err(Failure::died(format!("unable to delete fixed option '{key}'")));
        }
        if !kind.options.contains(&key) {
            return Err(Failure::died(format!("no such option '{key}'")));
        }
        if set.contains_key(key) {
            return Err(Failure::died(format!("cannot set and delete property '{key}' at the same time!")));
        }
        present.remove(key);
    }
    Ok(())
}

/// Whether a section of this type may have these options.
///
/// # Errors
/// In the words of `check_config`.
pub(crate) fn check_options(kind: &Type, set: &Options, create: bool) -> Result<(), Failure> {
    for key in set.keys().filter(|key| *key != "type") {
        let known = [kind.required, kind.options, kind.fixed].iter().any(|list| list.contains(&key.as_str()));
        if !create && kind.fixed.contains(&key.as_str()) {
            return Err(Failure::died(format!("can't change value of fixed parameter '{key}'")));
        }
        if !known {
            return Err(Failure::died(format!("unexpected property '{key}'")));
        }
    }
    match kind.required.iter().find(|key| create && !set.contains_key(**key)) {
        Some(absent) => Err(Failure::died(format!("missing value for required option '{absent}'"))),
        None => Ok(()),
    }
}

impl File {
    /// The sections.
    pub fn sections<'a>(&self, state: &'a State) -> &'a Sections {
        static NONE: Sections = Sections::new();
        state.sections.get(self.name).unwrap_or(&NONE)
    }

    /// The sections, to change them.
    pub fn sections_mut<'a>(&self, state: &'a mut State) -> &'a mut Sections {
        state.sections.entry(self.name.to_owned()).or_default()
    }

    /// The type with this name.
    pub fn kind(&self, name: &str) -> Option<&'static Type> {
        self.types.iter().find(|kind| kind.name == name)
    }

    fn keys(&self) -> Option<&'static Keys> {
        schema::endpoint("POST", self.schema)
    }

    fn failed(&self, prefix: &str, text: &str, id: &str) -> Failure {
        Failure::died(format!("{prefix}{}", text.replace("{}", id)))
    }

    /// What is missing, in this file's words.
    pub fn missing(&self, prefix: &str, id: &str) -> Failure {
        self.failed(prefix, self.texts.missing, id)
    }

    /// A section with its id and without secrets.
    pub fn shown(&self, state: &State, id: &str, options: &Options) -> Map<String, Value> {
        let keys = self.keys();
        let mut row: Map<String, Value> = options
            .iter()
            .filter(|(key, _)| !self.secrets.contains(&key.as_str()))
            .map(|(key, text)| (key.clone(), typed(keys, key, text)))
            .collect();
        row.insert(self.id.to_owned(), json!(id));
        row.insert("digest".to_owned(), json!(digest(self.sections(state))));
        row
    }

    /// One section.
    pub fn read(&self, request: &mut Request<'_>) -> Answer {
        let id = request.text(self.id);
        match self.sections(request.state).get(&id) {
            Some(options) => Ok(Value::Object(self.shown(request.state, &id, options))),
            None => Err(self.missing("", &id)),
        }
    }

    /// The options that a call sets.
    pub fn set(&self, request: &Request<'_>) -> Options {
        let call = ["digest", "delete", "node", self.id];
        let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
        set.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Adds a section.
    pub fn create(&self, request: &mut Request<'_>) -> Answer {
        let id = request.text(self.id);
        let mut options = self.set(request);
        let name = request.get("type").or(self.default_type).unwrap_or_default().to_owned();
        options.insert("type".to_owned(), name.clone());
        self.check_new(request.state, &id)?;
        if let Some(kind) = self.kind(&name) {
            check_options(kind, &options, true)
                .map_err(|failure| self.prefixed(self.texts.create, failure))?;
        }
        self.sections_mut(request.state).insert(id, options);
        Ok(Value::Null)
    }

    /// Refuses an id that is there.
    pub fn check_new(&self, state: &State, id: &str) -> Result<(), Failure> {
        if self.sections(state).contains_key(id) {
            return Err(self.failed(self.texts.create, self.texts.exists, id));
        }
        Ok(())
    }

    /// Puts the text of a call before a failure.
    pub fn prefixed(&self, prefix: &str, failure: Failure) -> Failure {
        Failure { reason: format!("{prefix}{}", failure.reason), ..failure }
    }

    /// Changes a section.
    pub fn update(&self, request: &mut Request<'_>) -> Answer {
        let (id, options) = self.changed(request)?;
        self.sections_mut(request.state).insert(id, options);
        Ok(Value::Null)
    }

    /// A section as a call changes it.
    pub fn changed(&self, request: &Request<'_>) -> Result<(String, Options), Failure> {
        let id = request.text(self.id);
        let sections = self.sections(request.state);
        let prefix = self.texts.update;
        request
            .check_digest(&digest(sections), MODIFIED)
            .map_err(|failure| self.prefixed(prefix, failure))?;
        let mut present = sections.get(&id).cloned().ok_or_else(|| self.missing(prefix, &id))?;
        let mut set = self.set(request);
        let name = present.get("type").cloned().unwrap_or_default();
        if set.get("type").is_some_and(|kind| *kind == name) {
            set.remove("type");
        }
        if let Some(kind) = self.kind(&name) {
            let changed = check_options(kind, &set, false).and_then(|()| {
                delete_options(kind, &mut present, &set, request.get("delete").unwrap_or_default())
            });
            changed.map_err(|failure| self.prefixed(prefix, failure))?;
        }
        present.extend(set);
        Ok((id, present))
    }

    /// Removes a section.
    pub fn delete(&self, request: &mut Request<'_>) -> Answer {
        let id = request.text(self.id);
        match self.sections_mut(request.state).remove(&id) {
            Some(_) => Ok(Value::Null),
            None => Err(self.missing(self.texts.delete, &id)),
        }
    }
}
