//! Parameters of a request, by name.

use std::collections::{BTreeMap, BTreeSet};

/// Parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl Params {
    /// Adds a parameter, if there is a value.
    pub(crate) fn put(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.to_string(), value.to_string());
        }
    }

    /// Adds a bool as 0 or 1, if there is one.
    pub(crate) fn put_flag(&mut self, name: &str, value: Option<bool>) {
        self.put(name, value.map(u8::from));
    }

    /// As a list of pairs. A value with unit separators in it is sent once for each part between them.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let parts = |(name, value): (&String, &String)| {
            value.split('\u{1f}').map(|part| (name.clone(), part.to_string())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(parts).collect()
    }

    /// What has to be sent to come from `before` to `self`: the parameters to set, the names to delete.
    pub(crate) fn since(&self, before: &Params) -> (Params, BTreeSet<String>) {
        let set = self.0.iter().filter(|(name, value)| before.0.get(*name) != Some(*value));
        let set = Params(set.map(|(name, value)| (name.clone(), value.clone())).collect());
        let delete = before.0.keys().filter(|name| !self.0.contains_key(*name)).cloned().collect();
        (set, delete)
    }
}
