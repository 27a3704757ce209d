//! What names mean inside one instance of a module.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pve_config::evaluate::{Resolved, Scope, ScopeError};
use pve_config::functions::Context;
use pve_model::{InstanceKey, ModulePath, ResourceMode, Type, Value};

/// The values of the declarations of one module instance, as far as they are evaluated.
#[derive(Default)]
pub struct ModuleValues {
    /// Variables.
    pub variables: HashMap<String, Value>,
    /// Locals.
    pub locals: HashMap<String, Value>,
    /// Outputs, as the calling module sees them.
    pub outputs: BTreeMap<Arc<str>, Value>,
    /// Resources by kind and name: an object, a tuple (`count`) or an object of objects (`for_each`).
    pub managed: HashMap<String, HashMap<String, Value>>,
    /// Data sources likewise.
    pub data: HashMap<String, HashMap<String, Value>>,
    /// Module calls by name, made when they are first asked for.
    pub calls: HashMap<String, Value>,
    /// What `each` or `count` of the module's call means for the call's arguments.
    pub repetition: Repetition,
}

/// Which instance of something with `count` or `for_each` is evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Repetition {
    /// There is one.
    #[default]
    Single,
    /// `count.index`
    Count(u64),
    /// `each.key` and `each.value`
    Each(String, Value),
    /// Stands for all instances while it is not known how many there are, with what is known of `each.value`.
    Any(Value),
}

impl Repetition {
    /// The key in the address.
    pub fn key(&self) -> Option<InstanceKey> {
        match self {
            Repetition::Single | Repetition::Any(_) => None,
            Repetition::Count(index) => Some(InstanceKey::Index(*index)),
            Repetition::Each(key, _) => Some(InstanceKey::Key(key.clone())),
        }
    }
}

/// What the root module and the run are called.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `terraform.workspace`: the environment, else `default`.
    pub workspace: String,
    /// `path.cwd`
    pub working_directory: String,
    /// `path.root`
    pub root_directory: String,
}

/// Names in one instance of a module, or of a resource in it.
pub struct ModuleScope<'a> {
    /// The module's values.
    pub values: &'a ModuleValues,
    /// The folder of the module: `path.module`.
    pub directory: &'a str,
    /// The run.
    pub surroundings: &'a Surroundings,
    /// Functions, with the folder that relative paths start at.
    pub functions: &'a Context,
    /// `each` and `count`.
    pub repetition: &'a Repetition,
    /// `self`
    pub self_value: Option<&'a Value>,
}

impl Scope for ModuleScope<'_> {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        let first = steps.first().copied();
        match root {
            "var" => named(&self.values.variables, "variable", root, first),
            "local" => named(&self.values.locals, "local value", root, first),
            "module" => named(&self.values.calls, "module call", root, first),
            "each" | "count" => self.repeated(root, first),
            "path" => self.path(first),
            "terraform" | "tofu" if first == Some("workspace") => {
                Ok(found(Value::string(self.surroundings.workspace.as_str()), 1))
            }
            "self" => match self.self_value {
                Some(value) => Ok(found(value.clone(), 0)),
                None => Err(error(
                    "`self` means nothing here",
                    "It stands in postconditions and provisioners only.",
                )),
            },
            "data" => self.resource(ResourceMode::Data, steps, 0),
            "resource" => self.resource(ResourceMode::Managed, steps, 0),
            _ => self.resource(ResourceMode::Managed, &[&[root], steps].concat(), 1),
        }
    }

    fn functions(&self) -> &Context {
        self.functions
    }
}

impl ModuleScope<'_> {
    fn repeated(&self, root: &str, name: Option<&str>) -> Result<Resolved, ScopeError> {
        match (root, name, self.repetition) {
            ("each", Some("key"), Repetition::Each(key, _)) => Ok(found(Value::string(key.as_str()), 1)),
            ("each", Some("value"), Repetition::Each(_, value)) => Ok(found(value.clone(), 1)),
            ("count", Some("index"), Repetition::Count(index)) => Ok(found(Value::number(*index), 1)),
            ("each", Some("key"), Repetition::Any(_)) => Ok(found(Value::unknown(Type::String), 1)),
            ("each", Some("value"), Repetition::Any(value)) => Ok(found(value.clone(), 1)),
            ("count", Some("index"), Repetition::Any(_)) => Ok(found(Value::unknown(Type::Number), 1)),
            ("each", _, _) => Err(error(
                "`each` means nothing here",
                "`each.key` and `each.value` stand in blocks with `for_each` only.",
            )),
            _ => {
                Err(error("`count` means nothing here", "`count.index` stands in blocks with `count` only."))
            }
        }
    }

    fn path(&self, name: Option<&str>) -> Result<Resolved, ScopeError> {
        let text = match name {
            Some("module") => self.directory,
            Some("root") => &self.surroundings.root_directory,
            Some("cwd") => &self.surroundings.working_directory,
            _ => return Err(error("There is no such path", "`path` has `module`, `root` and `cwd`.")),
        };
        Ok(found(Value::string(text), 1))
    }

    fn resource(&self, mode: ResourceMode, steps: &[&str], consumed: usize) -> Result<Resolved, ScopeError> {
        let (all, word) = match mode {
            ResourceMode::Managed => (&self.values.managed, "resource"),
            ResourceMode::Data => (&self.values.data, "data source"),
        };
        let [kind, name, ..] = steps else {
            return Err(error(
                "This is no reference",
                "A reference is var.NAME, local.NAME, module.NAME, KIND.NAME, data.KIND.NAME, each, count, path or self.",
            ));
        };
        match all.get(*kind).and_then(|names| names.get(*name)) {
            Some(value) => Ok(found(value.clone(), 2 - consumed)),
            None => {
                let mut fault = error(
                    format!("There is no {word} {kind}.{name}"),
                    format!("No {word} of this kind and name is declared in this module."),
                );
                let names = all.get(*kind).map(|names| names.keys().map(String::as_str).collect::<Vec<_>>());
                fault.hint = pve_config::evaluate::closest(name, names.unwrap_or_default())
                    .map(|near| format!("Did you mean {kind}.{near}?"));
                Err(fault)
            }
        }
    }
}

fn named(
    values: &HashMap<String, Value>,
    word: &str,
    root: &str,
    name: Option<&str>,
) -> Result<Resolved, ScopeError> {
    let Some(name) = name else {
        return Err(error(format!("`{root}` alone is no value"), format!("Name one: {root}.NAME.")));
    };
    if let Some(value) = values.get(name) {
        return Ok(found(value.clone(), 1));
    }
    let mut fault = error(
        format!("There is no {word} \"{name}\""),
        format!("This module does not declare a {word} of this name."),
    );
    let near = pve_config::evaluate::closest(name, values.keys().map(String::as_str));
    fault.hint = near.map(|near| format!("Did you mean {root}.{near}?"));
    Err(fault)
}

fn found(value: Value, consumed: usize) -> Resolved {
    Resolved { value, consumed }
}

fn error(summary: impl Into<String>, detail: impl Into<String>) -> ScopeError {
    ScopeError { summary: summary.into(), detail: detail.into(), hint: None }
}

/// How the instances of a declaration are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One, or none when it is not enabled.
    Single,
    /// By `count`.
    Count,
    /// By `for_each`.
    Each,
    /// It is not known how many there are.
    Open,
}

/// The value of all instances of a resource or module call together; null of `any` for a single one that is not there.
pub fn gather(shape: Shape, instances: impl IntoIterator<Item = (Repetition, Value)>) -> Value {
    let mut values = instances.into_iter();
    match shape {
        Shape::Single => values.next().map_or(Value::null(Type::Dynamic), |(_, value)| value),
        Shape::Count => Value::tuple(values.map(|(_, value)| value).collect()),
        Shape::Each => Value::object(
            values
                .filter_map(|(repetition, value)| match repetition {
                    Repetition::Each(key, _) => Some((Arc::from(key.as_str()), value)),
                    _ => None,
                })
                .collect(),
        ),
        Shape::Open => unevaluated(),
    }
}

/// What a declaration that could not be evaluated is worth: nothing is known of it, so nothing more is said about it.
pub fn unevaluated() -> Value {
    Value::unknown(Type::Dynamic)
}

/// The instance of a module that a path names, with everything of its own.
pub type Instances = BTreeMap<ModulePath, ModuleValues>;
