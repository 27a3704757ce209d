//! Functions of the language. Each says what its parameters take; null, unknown and marked arguments are then handled
//! in one place, [`call`].

mod character_sets;
mod collection;
mod conversion;
mod encoding;
mod filesystem;
mod float;
mod format;
mod hash;
mod json;
mod network;
mod number;
mod openssh;
mod parameter;
mod pattern;
mod search;
mod sequence;
mod sets;
mod string;
mod time;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use pve_model::value::Refinement;
use pve_model::{Marks, Type, Value};

use crate::convert::convert;
use parameter::{Call, Function, Parameter};

/// Access to files for functions that read them.
pub trait Files: Send + Sync {
    /// The content of a file.
    ///
    /// # Errors
    /// As the operating system has them.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is a regular file.
    ///
    /// # Errors
    /// When that cannot be found out, or there is something that is no regular file.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The paths of all regular files below a folder, relative to it with `/` between names, in order.
    ///
    /// # Errors
    /// When the folder cannot be read. A missing folder has no files.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFiles;

/// What functions may use beside their arguments.
#[derive(Clone)]
pub struct Context {
    /// The folder that relative paths start at.
    pub base_dir: PathBuf,
    /// What `plantimestamp()` gives.
    pub plan_timestamp: jiff::Timestamp,
    /// Whether functions that differ at each call are left unknown, as in a plan.
    pub pure: bool,
    /// Access to files.
    pub files: Arc<dyn Files>,
}

impl Context {
    /// A context for planning, with the files of this machine.
    pub fn new(base_dir: impl Into<PathBuf>, plan_timestamp: jiff::Timestamp) -> Context {
        Context { base_dir: base_dir.into(), plan_timestamp, pure: true, files: Arc::new(LocalFiles) }
    }

    /// Whether there is a function of this name.
    pub fn is_offered(&self, name: &str) -> bool {
        matches!(name, "try" | "can") || REGISTRY.contains_key(name)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("base_dir", &self.base_dir)
            .field("plan_timestamp", &self.plan_timestamp)
            .field("pure", &self.pure)
            .finish_non_exhaustive()
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionError {
    /// The argument at fault, counted from 0.
    pub argument: Option<usize>,
    /// What is wrong, without a full stop.
    pub message: String,
}

impl FunctionError {
    /// An error about the whole call.
    pub fn new(message: impl Into<String>) -> FunctionError {
        FunctionError { argument: None, message: message.into() }
    }

    /// An error about an argument.
    pub fn argument(index: usize, message: impl Into<String>) -> FunctionError {
        FunctionError { argument: Some(index), message: message.into() }
    }
}

static REGISTRY: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
    [
        collection::FUNCTIONS,
        conversion::FUNCTIONS,
        encoding::FUNCTIONS,
        filesystem::FUNCTIONS,
        format::FUNCTIONS,
        hash::FUNCTIONS,
        network::FUNCTIONS,
        number::FUNCTIONS,
        pattern::FUNCTIONS,
        search::FUNCTIONS,
        sequence::FUNCTIONS,
        sets::FUNCTIONS,
        string::FUNCTIONS,
        time::FUNCTIONS,
        yaml::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .map(|function| (function.name, function))
    .collect()
});

/// The names of all functions, with `try` and `can`, which the evaluator knows itself.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = REGISTRY.keys().copied().chain(["try", "can"]).collect();
    names.sort_unstable();
    names
}

/// Calls a function. Unless a parameter says otherwise an unknown argument makes the result unknown, null is refused,
/// and marks of arguments go to the result.
///
/// # Errors
/// When there is no such function, an argument does not fit, or the function has no result for them. `try` and `can`
/// are no functions in this sense, as they see errors; the evaluator has them.
pub fn call(name: &str, arguments: &[Value], context: &Context) -> Result<Value, FunctionError> {
    let Some(function) = REGISTRY.get(name) else {
        return Err(FunctionError::new(format!("there is no function \"{name}\"")));
    };
    let mut marks = Marks::NONE;
    let (mut dynamic, mut unknown) = (false, false);
    let mut converted = Vec::with_capacity(arguments.len());
    check_count(function, arguments.len())?;
    for (index, argument) in arguments.iter().enumerate() {
        let Some(parameter) = function.parameter(index) else { continue };
        let value = accept(argument, parameter, index, &mut marks)?;
        dynamic |= value.ty() == Type::Dynamic && !parameter.dynamic;
        unknown |= !value.is_known() && !parameter.unknown;
        converted.push(value);
    }
    if dynamic {
        return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
    }
    let ty = function.returns.type_for(&converted)?;
    let mut result = if unknown {
        Value::unknown_refined(ty, Refinement { not_null: function.never_null, ..Refinement::default() })
    } else {
        (function.run)(&Call { arguments: &converted, ty: &ty, context })?
    };
    result.marks = result.marks.union(marks);
    Ok(result)
}

fn check_count(function: &Function, count: usize) -> Result<(), FunctionError> {
    let least = function.parameters.len();
    if count < least {
        let missing = function.parameters[count].name;
        return Err(FunctionError::new(format!("it takes {least} arguments; \"{missing}\" is missing")));
    }
    if count > least && function.variadic.is_none() {
        let word = if least == 1 { "argument" } else { "arguments" };
        return Err(FunctionError::argument(least, format!("it takes only {least} {word}")));
    }
    Ok(())
}

/// The argument as the parameter takes it; marks that it does not take are moved to `marks`.
fn accept(
    argument: &Value,
    parameter: &Parameter,
    index: usize,
    marks: &mut Marks,
) -> Result<Value, FunctionError> {
    let wanted = parameter.kind.to_type();
    let mut value = convert(argument, &wanted)
        .map_err(|error| FunctionError::argument(index, format!("{}: {error}", parameter.name)))?;
    if value.is_null() && !parameter.null {
        return Err(FunctionError::argument(index, format!("{} must not be null", parameter.name)));
    }
    if !parameter.marked {
        let (plain, found) = value.unmark_deep();
        *marks = marks.union(found);
        value = plain;
    }
    Ok(value)
}
