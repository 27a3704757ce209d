//! How often a declaration stands: `count`, `for_each` and `enabled`.

use pve_config::configuration::{Module, Resource};
use pve_config::convert::convert;
use pve_config::syntax::{Diagnostic, Expr};
use pve_model::{Marks, ModulePath, Type, Value};

use crate::evaluation::Evaluation;
use crate::scope::{Repetition, Shape};

/// Why it cannot be told how often a declaration stands.
pub enum Unexpanded {
    /// It hangs on a value that is not known: an error, unless what is still to be read makes it known.
    Unknown(Vec<Diagnostic>),
    /// What is written is of no use.
    Faulty(Vec<Diagnostic>),
}

impl From<Vec<Diagnostic>> for Unexpanded {
    fn from(found: Vec<Diagnostic>) -> Unexpanded {
        Unexpanded::Faulty(found)
    }
}

impl Evaluation<'_> {
    /// The instances of a resource in a module instance.
    ///
    /// # Errors
    /// When `count`, `for_each` or `enabled` is of no use or not known.
    pub fn repetitions(
        &self,
        resource: &Resource,
        module: &Module,
        path: &ModulePath,
    ) -> Result<(Shape, Vec<Repetition>), Unexpanded> {
        self.expand(
            resource.count.as_ref(),
            resource.for_each.as_ref(),
            resource.enabled.as_ref(),
            module,
            path,
        )
    }

    /// How often a declaration stands, and the values of `each` or `count`.
    pub(crate) fn expand(
        &self,
        count: Option<&Expr>,
        for_each: Option<&Expr>,
        enabled: Option<&Expr>,
        module: &Module,
        path: &ModulePath,
    ) -> Result<(Shape, Vec<Repetition>), Unexpanded> {
        let value_of = |expr: &Expr| self.expression(expr, module, path, &Repetition::Single);
        if let Some(expr) = count.or(for_each).or(enabled)
            && self.inputs.only_checked
        {
            let value = value_of(expr)?;
            let refused = value.marks.is_ephemeral() || (value.marks.is_sensitive() && count.is_none());
            let is_open = !value.is_known() || (value.has_unknown_length() && for_each.is_some());
            if is_open && !refused {
                return Ok((Shape::Open, vec![Repetition::Any(element_of(&value))]));
            }
        }
        if let Some(expr) = count {
            // A number gives little away: as in OpenTofu it may be sensitive.
            let mut value = value_of(expr)?;
            value.marks = value.marks.without(Marks::SENSITIVE);
            let value = plain(value, expr, "count")?;
            let number = convert(&value, &Type::Number).ok().and_then(|number| number.as_i64());
            let count = number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
                let detail = "`count` must be a whole number that is not negative.";
                vec![Diagnostic::error(expr.span, "This is no count", detail)]
            })?;
            if count > MOST_INSTANCES {
                return Err(too_many(expr, count).into());
            }
            return Ok((Shape::Count, (0..count).map(Repetition::Count).collect()));
        }
        if let Some(expr) = for_each {
            return each(value_of(expr)?, expr).map(|repetitions| (Shape::Each, repetitions));
        }
        if let Some(expr) = enabled {
            let value = plain(value_of(expr)?, expr, "enabled")?;
            let enabled =
                convert(&value, &Type::Bool).ok().and_then(|value| value.as_bool()).ok_or_else(|| {
                    vec![Diagnostic::error(
                        expr.span,
                        "This is no condition",
                        "`enabled` must be true or false.",
                    )]
                })?;
            return Ok((Shape::Single, if enabled { vec![Repetition::Single] } else { Vec::new() }));
        }
        Ok((Shape::Single, vec![Repetition::Single]))
    }
}

/// Most instances of one declaration: more would fill the memory before anything could be said about them.
const MOST_INSTANCES: u64 = 1_000_000;

fn too_many(expr: &Expr, count: u64) -> Vec<Diagnostic> {
    let detail =
        format!("These would be {count} instances of one declaration; {MOST_INSTANCES} are the most.");
    vec![Diagnostic::error(expr.span, "There are too many instances", detail)]
}

/// What is known of each element of a collection that is not known itself.
fn element_of(value: &Value) -> Value {
    match value.ty() {
        Type::Map(element) | Type::Set(element) => Value::unknown((*element).clone()),
        _ => crate::scope::unevaluated(),
    }
    .with_marks(value.marks)
}

/// A value that decides how many instances there are: known, not null and not sensitive.
fn plain(value: Value, expr: &Expr, argument: &str) -> Result<Value, Unexpanded> {
    let fault = |summary: String, detail: &str, hint: &str| {
        vec![Diagnostic::error(expr.span, summary, detail).with_hint(hint)]
    };
    if value.marks.is_sensitive() || value.marks.is_ephemeral() {
        return Err(Unexpanded::Faulty(fault(
            format!("`{argument}` is {}", if value.marks.is_sensitive() { "sensitive" } else { "ephemeral" }),
            "The addresses of instances are shown and stored, and would give the value away.",
            "Use nonsensitive() if the value is no secret.",
        )));
    }
    if !value.is_known() {
        return Err(Unexpanded::Unknown(fault(
            format!("`{argument}` is only known after apply"),
            "How many instances there are must be known before anything is planned.",
            "Use a value from the configuration, or apply what it depends on first with -target.",
        )));
    }
    if value.is_null() {
        return Err(Unexpanded::Faulty(fault(
            format!("`{argument}` is null"),
            "It decides how many instances there are.",
            "Leave the argument out, or give it a value for this case, for instance with coalesce().",
        )));
    }
    Ok(value)
}

fn each(value: Value, expr: &Expr) -> Result<Vec<Repetition>, Unexpanded> {
    let value = plain(value, expr, "for_each")?;
    if let Some(entries) = value.entries() {
        return Ok(entries
            .iter()
            .map(|(key, value)| Repetition::Each(key.to_string(), value.clone()))
            .collect());
    }
    let fault = |detail: &str| vec![Diagnostic::error(expr.span, "This cannot be iterated over", detail)];
    let (elements, Type::Set(element)) = (value.elements(), value.ty()) else {
        let detail =
            format!("`for_each` takes a map or a set of strings, and this is of type {}.", value.ty());
        let hint = "Use toset(...) for a list of strings, or { for x in ... : x.name => x }.";
        return Err(fault(&detail).into_iter().map(|one| one.with_hint(hint)).collect::<Vec<_>>().into());
    };
    let elements = elements.unwrap_or_default();
    if *element != Type::String && !elements.is_empty() {
        return Err(fault("A set in `for_each` must be of strings.").into());
    }
    elements
        .iter()
        .map(|element| match element.as_str() {
            Some(key) => Ok(Repetition::Each(key.to_string(), element.clone())),
            None if element.is_null() => Err(fault("A set in `for_each` must not contain null.").into()),
            None => plain(element.clone(), expr, "for_each").map(|_| Repetition::Single),
        })
        .collect()
}
