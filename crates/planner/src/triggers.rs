//! Whether something that `replace_triggered_by` names changes.

use pve_config::syntax::{Expr, ExprKind, ast::Step};
use pve_model::plan::{Action, Change};
use pve_model::{InstanceKey, Value};

use crate::evaluation::{Evaluation, Instance};

/// Whether one of the changes so far is of something that the instance's block names.
pub fn is_triggered(changes: &[Change], evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> bool {
    let triggers = &instance.resource.lifecycle.replace_triggered_by;
    triggers.iter().any(|expr| match trigger(evaluation, instance, expr) {
        Some((kind, name, key, attribute)) => changes.iter().any(|change| {
            let resource = &change.address.resource;
            resource.module == instance.address.resource.module
                && resource.kind == kind
                && resource.name == name
                && (key.is_none() || change.address.key == key)
                && changes_attribute(change, attribute.as_deref())
        }),
        None => false,
    })
}

type Trigger = (String, String, Option<InstanceKey>, Option<String>);

/// Kind, name, key and attribute of a trigger; its key may be an expression, such as `each.key`.
fn trigger(evaluation: &Evaluation<'_>, instance: &Instance<'_>, expr: &Expr) -> Option<Trigger> {
    let ExprKind::Traversal(base, steps) = &expr.kind else { return None };
    let ExprKind::Variable(kind) = &base.kind else { return None };
    let Some(Step::Attribute(name)) = steps.first() else { return None };
    let (mut key, mut attribute) = (None, None);
    for step in &steps[1..] {
        match step {
            Step::Attribute(name) => {
                attribute = Some(name.name.to_string());
                break;
            }
            Step::Index(expr, _) => {
                let module = &instance.address.resource.module;
                let value = evaluation.expression(expr, instance.module, module, instance.repetition).ok()?;
                key = match (value.as_str(), value.as_i64()) {
                    (Some(text), _) => Some(InstanceKey::Key(text.into())),
                    (_, Some(index)) => u64::try_from(index).ok().map(InstanceKey::Index),
                    _ => None,
                };
            }
            Step::LegacyIndex(digits, _) => key = digits.parse().ok().map(InstanceKey::Index),
            _ => break,
        }
    }
    Some((kind.to_string(), name.name.to_string(), key, attribute))
}

fn changes_attribute(change: &Change, attribute: Option<&str>) -> bool {
    if matches!(change.action, Action::NoOp | Action::Read) {
        return false;
    }
    let Some(attribute) = attribute else { return true };
    let part = |value: &Option<Value>| value.as_ref().and_then(|value| value.get(attribute)).cloned();
    match (part(&change.before), part(&change.after)) {
        (Some(before), Some(after)) => !crate::difference::same(&before, &after),
        (before, after) => before != after,
    }
}
