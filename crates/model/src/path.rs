//! Paths into a value: attribute names, list indexes and map keys.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStep {
    /// An attribute of an object.
    Attribute(String),
    /// A position in a list, tuple or (in iteration order) set.
    Index(u64),
    /// A key of a map.
    Key(String),
}

/// Where in a value something is; empty for the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Path(pub Vec<PathStep>);

impl Path {
    /// The path of one top-level attribute.
    pub fn attribute(name: impl Into<String>) -> Path {
        Path(vec![PathStep::Attribute(name.into())])
    }

    /// This path, one step longer.
    pub fn child(&self, step: PathStep) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }

    /// The path in Terraform's JSON form: `["disk", 0, "size"]`.
    pub fn to_json(&self) -> Json {
        let step = |step: &PathStep| match step {
            PathStep::Attribute(name) | PathStep::Key(name) => json!(name),
            PathStep::Index(index) => json!(index),
        };
        Json::Array(self.0.iter().map(step).collect())
    }
}

/// `disk[0].size`, `labels["a"]`
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Attribute(name) if i == 0 => f.write_str(name)?,
                PathStep::Attribute(name) => write!(f, ".{name}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
                PathStep::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}
