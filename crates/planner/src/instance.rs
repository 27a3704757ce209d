//! Plans one instance: configured values, what the kind's rules make of them, and the action that follows.

use std::collections::BTreeSet;

use pve_config::configuration::{IgnoreChanges, decode_body, span_of};
use pve_config::syntax::ast::Step;
use pve_config::syntax::{Diagnostic, Expr, ExprKind};
use pve_model::plan::{Action, ActionReason, Change};
use pve_model::rules::{KindRules, PlanRequest, PlanResponse, Problem};
use pve_model::schema::{Attribute, Block};
use pve_model::{Path, ResourceMode, Value};

use crate::difference::{replace_paths, same};
use crate::evaluation::{Evaluation, Instance};
use crate::proposed::{ignore_changes, propose, with_open_id};

/// The configured values of an instance.
pub struct Configured {
    /// Absent attributes null, marks kept.
    pub config: Value,
    /// Parts that are sensitive because of where they come from.
    pub sensitive: Vec<Path>,
    /// What is worth a warning.
    pub warnings: Vec<Diagnostic>,
    /// The attributes that do not stay as they are where they are not configured.
    pub leaves: BTreeSet<Path>,
}

/// Decodes and validates the configuration of an instance.
///
/// # Errors
/// With diagnostics that point into the block.
pub fn configure(
    evaluation: &Evaluation<'_>,
    instance: &Instance<'_>,
    rules: &dyn KindRules,
) -> Result<Configured, Vec<Diagnostic>> {
    let path = &instance.address.resource.module;
    let Some(scope) = evaluation.scope(instance.module, path, instance.repetition, None) else {
        return Err(Vec::new());
    };
    let (config, mut found) = decode_body(&instance.resource.body, &rules.schema().block, &scope);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    found.extend(ephemeral(&config, instance));
    let plain = config.unmark_deep().0;
    found.extend(rules.validate(&plain).into_iter().map(|problem| diagnostic(problem, instance)));
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    if let IgnoreChanges::Paths(paths) = &instance.resource.lifecycle.ignore_changes {
        let block = &rules.schema().block;
        let known = |name: &str| block.attributes.contains_key(name) || block.blocks.contains_key(name);
        for path in paths {
            if let Some(pve_model::PathStep::Attribute(name)) = path.0.first()
                && !known(name)
            {
                let detail = format!("`ignore_changes` names \"{name}\", which this kind does not have.");
                found.push(Diagnostic::error(instance.resource.span, "There is no such attribute", detail));
                return Err(found);
            }
        }
    }
    let triggers = instance.resource.lifecycle.replace_triggered_by.iter();
    found.extend(triggers.filter_map(|trigger| unknown_trigger(evaluation, trigger)));
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let sensitive = config.sensitive_paths();
    Ok(Configured { config, sensitive, warnings: found, leaves: BTreeSet::new() })
}

/// A trigger that names an attribute which the other resource's kind does not have.
fn unknown_trigger(evaluation: &Evaluation<'_>, trigger: &Expr) -> Option<Diagnostic> {
    let ExprKind::Traversal(base, steps) = &trigger.kind else { return None };
    let ExprKind::Variable(kind) = &base.kind else { return None };
    let mut names = steps.iter().filter_map(|step| match step {
        Step::Attribute(name) => Some(name),
        _ => None,
    });
    let attribute = names.nth(1)?;
    let block = &evaluation.inputs.registry.resource(kind)?.schema().block;
    let known = || block.attributes.keys().chain(block.blocks.keys()).map(|name| &**name);
    if known().any(|name| name == attribute.name) {
        return None;
    }
    let detail = format!("Resources of kind {kind} have no attribute \"{}\".", attribute.name);
    let fault = Diagnostic::error(attribute.span, "There is no such attribute", detail);
    Some(match pve_config::evaluate::closest(&attribute.name, known()) {
        Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
        None => fault,
    })
}

/// Values of resources are stored, and ephemeral ones never are.
fn ephemeral(config: &Value, instance: &Instance<'_>) -> Vec<Diagnostic> {
    let body = &instance.resource.body;
    let parts = config.children().filter(|(_, value)| value.marks_deep().is_ephemeral());
    parts
        .map(|(step, _)| {
            let path = Path(vec![step]);
            let span = span_of(body, &path).unwrap_or(instance.resource.span);
            let detail =
                format!("`{path}` of {} would be stored, and its value is ephemeral.", instance.address);
            Diagnostic::error(span, "An ephemeral value cannot be stored", detail)
        })
        .collect()
}

/// The diagnostic for a problem that a kind's rules found.
pub fn diagnostic(problem: Problem, instance: &Instance<'_>) -> Diagnostic {
    let span = span_of(&instance.resource.body, &problem.path).unwrap_or(instance.resource.span);
    let detail = format!("{} (in {})", problem.detail, instance.address);
    if problem.warning {
        Diagnostic::warning(span, problem.summary, detail)
    } else {
        Diagnostic::error(span, problem.summary, detail)
    }
}

/// What is planned for an instance, before it becomes a change.
pub struct Planned {
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: Option<ActionReason>,
    /// The values after.
    pub after: Value,
    /// Attributes that replace it.
    pub replace_paths: Vec<(Path, String)>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// Why an instance is replaced although its values may not ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forced {
    /// Its creation failed.
    pub tainted: bool,
    /// `-replace`.
    pub requested: bool,
    /// `replace_triggered_by`.
    pub triggered: bool,
    /// Made anew, it applies what others stage.
    pub due: bool,
    /// It goes away with something that is replaced, and why.
    pub lost: Option<&'static str>,
}

impl Forced {
    /// Why it is replaced, if it is for a reason of its own; `cannot_update` if its values ask for it.
    fn reason(self, cannot_update: bool) -> Option<ActionReason> {
        let reasons = [
            (self.tainted, ActionReason::ReplaceBecauseTainted),
            (cannot_update, ActionReason::ReplaceBecauseCannotUpdate),
            (self.requested, ActionReason::ReplaceByRequest),
            (self.triggered, ActionReason::ReplaceByTriggers),
            (self.due, ActionReason::ReplaceToApply),
        ];
        reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
    }

    fn is_none(self) -> bool {
        self.reason(false).is_none() && self.lost.is_none()
    }
}

/// Plans a managed instance from what it was (`prior`) and what is configured.
///
/// # Errors
/// With diagnostics for faults that only show with the prior values.
pub fn plan_instance(
    instance: &Instance<'_>,
    rules: &dyn KindRules,
    prior: Option<&Value>,
    configured: &Configured,
    forced: Forced,
    create_first: bool,
) -> Result<Planned, Vec<Diagnostic>> {
    let config = configured.config.unmark_deep().0;
    let prior_paths = prior.as_ref().map(|prior| prior.sensitive_paths()).unwrap_or_default();
    let prior = prior.map(|prior| prior.unmark_deep().0);
    let Some(prior) = prior else {
        let created = respond(instance, rules, None, &config)?;
        return Ok(Planned {
            action: Action::Create,
            reason: None,
            after: remark(created.after, rules, configured),
            replace_paths: Vec::new(),
            notes: created.response.notes,
        });
    };
    let kept = match &instance.resource.lifecycle.ignore_changes {
        IgnoreChanges::None => config.clone(),
        IgnoreChanges::All => prior.clone(),
        IgnoreChanges::Paths(paths) => ignore_changes(&config, &prior, paths),
    };
    let updated = answer(rules, Some(&without(&prior, &configured.leaves)), &kept);
    if forced.is_none() {
        // What cannot be made of the object that is there can be of a new one.
        refuse_faults(instance, &updated)?;
    }
    let paths = replacing(rules, &prior, &updated);
    let reason = forced.reason(!paths.is_empty());
    if reason.is_some() || forced.lost.is_some() {
        // A new object has no value of before to keep.
        let created = respond(instance, rules, None, &config)?;
        // What is said of a change in place does not hold for a new object.
        let mut notes = created.response.notes;
        notes.extend(forced.lost.map(String::from));
        return Ok(Planned {
            action: if create_first { Action::CreateThenDelete } else { Action::DeleteThenCreate },
            reason,
            after: remark(with_open_id(&rules.schema().block, &prior, created.after), rules, configured),
            replace_paths: paths,
            notes,
        });
    }
    let marked = remark(updated.after.clone(), rules, configured);
    let (after, marks_differ) = keep_marks(marked, &prior, &prior_paths, &config);
    let action = if same(&prior, &updated.after) && !marks_differ { Action::NoOp } else { Action::Update };
    Ok(Planned {
        action,
        reason: None,
        after,
        replace_paths: Vec::new(),
        notes: if action == Action::NoOp { Vec::new() } else { updated.response.notes },
    })
}

/// The value without the attributes at these paths: what is not configured is not kept.
fn without(value: &Value, paths: &BTreeSet<Path>) -> Value {
    let none = |path: &Path, part: &Value| (path.clone(), Value::null(part.ty()));
    let cleared: Vec<_> = paths.iter().filter_map(|path| Some(none(path, value.at(path)?))).collect();
    let Some(entries) = value.entries().filter(|_| !cleared.is_empty()) else { return value.clone() };
    let kept = entries.iter().map(|(name, part)| {
        let cleared = cleared.iter().find(|(path, _)| *path == Path::attribute(&**name));
        (name.clone(), cleared.map_or_else(|| part.clone(), |(_, none)| none.clone()))
    });
    Value::object(kept.collect()).with_marks(value.marks)
}

/// The attributes whose change replaces the object, by the schema and by the rules, which give a reason.
fn replacing(rules: &dyn KindRules, prior: &Value, updated: &Answer) -> Vec<(Path, String)> {
    let by_schema = replace_paths(&rules.schema().block, prior, &updated.after).into_iter();
    let mut paths: Vec<(Path, String)> = by_schema.map(|path| (path, String::new())).collect();
    for reason in &updated.response.replace {
        paths.retain(|(path, _)| *path != reason.path);
        paths.push((reason.path.clone(), reason.reason.clone()));
    }
    paths
}

/// What becomes or stops being a secret must be recorded as such: whether something does. What the configuration does not
/// set is as secret as it was: the provider made it of something secret.
fn keep_marks(after: Value, prior: &Value, prior_paths: &[Path], config: &Value) -> (Value, bool) {
    let is_set = |path: &&Path| config.at(path).is_some_and(|value| !value.is_null());
    let own_paths = after.sensitive_paths();
    let marks_differ = prior_paths.iter().filter(is_set).collect::<BTreeSet<_>>()
        != own_paths.iter().filter(is_set).collect::<BTreeSet<_>>();
    let kept =
        prior_paths.iter().filter(|path| !is_set(path) && !marks_differ && prior.at(path) == after.at(path));
    let kept: Vec<Path> = kept.cloned().collect();
    (after.mark_sensitive_at(&kept), marks_differ)
}

struct Answer {
    after: Value,
    response: PlanResponse,
}

fn respond(
    instance: &Instance<'_>,
    rules: &dyn KindRules,
    prior: Option<&Value>,
    config: &Value,
) -> Result<Answer, Vec<Diagnostic>> {
    let answer = answer(rules, prior, config);
    refuse_faults(instance, &answer)?;
    Ok(answer)
}

fn answer(rules: &dyn KindRules, prior: Option<&Value>, config: &Value) -> Answer {
    let proposed = propose(&rules.schema().block, prior, config).unmark_deep().0;
    let response = rules.plan(PlanRequest { prior, config, proposed: &proposed });
    let after = response.planned.clone().unwrap_or(proposed);
    Answer { after, response }
}

fn refuse_faults(instance: &Instance<'_>, answer: &Answer) -> Result<(), Vec<Diagnostic>> {
    let faults: Vec<Diagnostic> =
        answer.response.problems.iter().cloned().map(|problem| diagnostic(problem, instance)).collect();
    if faults.iter().any(Diagnostic::is_error) { Err(faults) } else { Ok(()) }
}

/// The value with the marks of the schema and of the configuration.
fn remark(value: Value, rules: &dyn KindRules, configured: &Configured) -> Value {
    mark_by_schema(&value, rules).mark_sensitive_at(&configured.sensitive)
}

/// The value with every attribute that the schema calls sensitive marked.
pub fn mark_by_schema(value: &Value, rules: &dyn KindRules) -> Value {
    mark_block(value, &rules.schema().block, &|attribute| attribute.sensitive)
}

/// The same, with what is never stored: only a configuration has that.
pub fn mark_secrets(config: &Value, rules: &dyn KindRules) -> Value {
    mark_block(config, &rules.schema().block, &|attribute| attribute.sensitive || attribute.write_only)
}

fn mark_block(value: &Value, block: &Block, is_secret: &dyn Fn(&Attribute) -> bool) -> Value {
    use pve_model::ValueKind;
    use std::sync::Arc;
    let kind = match &value.kind {
        ValueKind::List(ty, elements) => ValueKind::List(
            ty.clone(),
            Arc::new(elements.iter().map(|e| mark_block(e, block, is_secret)).collect()),
        ),
        ValueKind::Object(entries) => {
            let marked = entries.iter().map(|(name, part)| {
                let part = if let Some(attribute) = block.attributes.get(name) {
                    if is_secret(attribute) { part.clone().sensitive() } else { part.clone() }
                } else if let Some(nested) = block.blocks.get(name) {
                    mark_block(part, &nested.block, is_secret)
                } else {
                    part.clone()
                };
                (name.clone(), part)
            });
            ValueKind::Object(Arc::new(marked.collect()))
        }
        other => other.clone(),
    };
    Value { kind, marks: value.marks }
}

/// The change that a plan keeps for a managed instance.
pub fn change(instance: &Instance<'_>, provider: String, before: Option<Value>, planned: Planned) -> Change {
    debug_assert_eq!(instance.resource.mode, ResourceMode::Managed);
    Change {
        address: instance.address.clone(),
        deposed: None,
        previous_address: None,
        provider,
        cluster: String::new(),
        action: planned.action,
        reason: planned.reason,
        before,
        after: Some(planned.after),
        replace_paths: planned.replace_paths,
        notes: planned.notes,
        importing: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
    }
}

#[cfg(test)]
mod tests {
    use pve_model::Type;
    use pve_model::schema::Schema;

    use super::*;

    struct Account(Schema);

    impl KindRules for Account {
        fn schema(&self) -> &Schema {
            &self.0
        }
    }

    #[test]
    fn a_sensitive_attribute_is_marked_whether_it_is_set_or_not() {
        let mut schema = Schema::default();
        let password = Attribute { sensitive: true, ..Attribute::default() };
        schema.block.attributes.insert("password".into(), password);
        for value in [Value::string("x"), Value::null(Type::String), Value::unknown(Type::String)] {
            let account = Value::object([("password".into(), value)].into());
            let marked = mark_by_schema(&account, &Account(schema.clone()));
            assert_eq!(marked.sensitive_paths(), [Path::attribute("password")]);
        }
    }

    #[test]
    fn what_is_never_stored_is_secret_in_a_configuration() {
        let mut schema = Schema::default();
        let secret = Attribute { write_only: true, ..Attribute::default() };
        schema.block.attributes.insert("key_wo".into(), secret);
        let config = Value::object([("key_wo".into(), Value::string("x"))].into());
        let rules = Account(schema);
        assert_eq!(mark_secrets(&config, &rules).sensitive_paths(), [Path::attribute("key_wo")]);
        assert_eq!(mark_by_schema(&config, &rules).sensitive_paths(), []);
    }
}
