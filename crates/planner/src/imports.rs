//! `import` blocks: which existing object an instance takes over.

use pve_config::syntax::{Diagnostic, Expr};
use pve_model::{InstanceAddress, ModulePath, Value};

use crate::evaluation::Evaluation;
use crate::scope::Repetition;

/// The id by which an instance is imported, if an `import` block of the root module names it.
///
/// # Errors
/// When the block cannot be evaluated.
pub fn id_for(
    evaluation: &Evaluation<'_>,
    address: &InstanceAddress,
) -> Result<Option<String>, Vec<Diagnostic>> {
    let root = &evaluation.inputs.configuration.root;
    for import in &root.imports {
        for repetition in repetitions(evaluation, import.for_each.as_ref())? {
            let Some(target) = target(evaluation, &import.to, &repetition)? else { continue };
            if target != *address {
                continue;
            }
            let id = evaluation.expression(&import.id, root, &ModulePath::root(), &repetition)?;
            if id.marks_deep().is_sensitive() {
                let detail =
                    "The id of an import is shown in the plan and recorded, and this one is sensitive.";
                let fault =
                    Diagnostic::error(import.id.span, "A sensitive value cannot be an import id", detail);
                return Err(vec![fault.with_hint("Where it is no secret, nonsensitive(...) says so.")]);
            }
            return match id.as_str() {
                Some(id) => Ok(Some(id.to_string())),
                None if evaluation.inputs.only_checked && !id.is_known() => Ok(None),
                None => {
                    let detail = "The id of an import must be a string that is known while planning.";
                    Err(vec![Diagnostic::error(import.id.span, "This is no import id", detail)])
                }
            };
        }
    }
    Ok(None)
}

fn repetitions(
    evaluation: &Evaluation<'_>,
    for_each: Option<&Expr>,
) -> Result<Vec<Repetition>, Vec<Diagnostic>> {
    let Some(expr) = for_each else { return Ok(vec![Repetition::Single]) };
    let root = &evaluation.inputs.configuration.root;
    let value = evaluation.expression(expr, root, &ModulePath::root(), &Repetition::Single)?;
    let each = |key: &str, value: &Value| Repetition::Each(key.to_string(), value.clone());
    if let Some(entries) = value.entries() {
        return Ok(entries.iter().map(|(key, value)| each(key, value)).collect());
    }
    let elements = value.elements().unwrap_or_default();
    Ok(elements.iter().enumerate().map(|(i, v)| each(v.as_str().unwrap_or(&i.to_string()), v)).collect())
}

/// The address that `to` names; its keys may be expressions.
fn target(
    evaluation: &Evaluation<'_>,
    to: &Expr,
    repetition: &Repetition,
) -> Result<Option<InstanceAddress>, Vec<Diagnostic>> {
    use pve_config::syntax::ExprKind;
    use pve_config::syntax::ast::Step;
    let mut text = String::new();
    let steps: &[Step] = match &to.kind {
        ExprKind::Traversal(base, steps) => {
            if let ExprKind::Variable(name) = &base.kind {
                text.push_str(name);
            }
            steps
        }
        _ => &[],
    };
    let root = &evaluation.inputs.configuration.root;
    for step in steps {
        match step {
            Step::Attribute(name) => text.push_str(&format!(".{}", name.name)),
            Step::LegacyIndex(digits, _) => text.push_str(&format!("[{digits}]")),
            Step::Index(key, _) => {
                let key = evaluation.expression(key, root, &ModulePath::root(), repetition)?;
                match (key.as_str(), key.as_i64()) {
                    (Some(key), _) => {
                        text.push_str(&pve_model::InstanceKey::Key(key.to_string()).to_string())
                    }
                    (_, Some(index)) => text.push_str(&format!("[{index}]")),
                    _ => return Ok(None),
                }
            }
            Step::AttributeSplat(..) | Step::FullSplat(..) => return Ok(None),
        }
    }
    text.parse().map(Some).map_err(|error: pve_model::address::ParseAddressError| {
        vec![Diagnostic::error(to.span, "This is no address of a resource", error.to_string())]
    })
}
