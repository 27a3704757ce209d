//! A plan as Terraform's plan JSON.

use std::collections::BTreeMap;

use pve_model::plan::{Action, ActionReason, Change, OutputChange, Plan};
use pve_model::state::State;
use pve_model::{InstanceAddress, Value};
use serde_json::{Map, Value as Json, json};

use super::parts::{known_parts, module_tree, naming, sensitive_parts, unknown_parts};
use super::state::state_json;
use super::versions::{LANGUAGE_VERSION, PLAN_FORMAT};

/// What a plan is shown with.
pub struct PlanContext<'a> {
    /// Values of root variables.
    pub variables: &'a BTreeMap<String, Value>,
    /// The state that the plan was made from.
    pub prior_state: &'a State,
    /// The full name of a provider, by kind.
    pub provider_name: &'a dyn Fn(&str) -> String,
    /// The type-directed decoding of a record: kind and stored values to a value.
    pub decode: &'a dyn Fn(&InstanceAddress, &pve_model::state::InstanceRecord) -> Value,
    /// When the plan was made, RFC 3339.
    pub timestamp: String,
}

/// The plan as JSON.
pub fn plan_json(plan: &Plan, context: &PlanContext<'_>) -> Json {
    let variables: Map<String, Json> = context
        .variables
        .iter()
        .map(|(name, value)| (name.clone(), json!({"value": known_parts(value)})))
        .collect();
    let outputs: Map<String, Json> =
        plan.outputs.iter().map(|(name, output)| (name.clone(), output_change(output))).collect();
    let changes: Vec<Json> = plan.changes.iter().map(|change| resource_change(change, context)).collect();
    let drift: Vec<Json> = plan.drift.iter().map(|change| resource_change(change, context)).collect();
    let notes = notes(plan);
    let checks: Vec<Json> = plan
        .checks
        .iter()
        .map(|check| json!({"address": {"to_display": check.subject}, "status": check.status, "instances": []}))
        .collect();
    let mut fields = Map::new();
    fields.insert("format_version".into(), json!(PLAN_FORMAT));
    fields.insert("terraform_version".into(), json!(LANGUAGE_VERSION));
    fields.insert("variables".into(), Json::Object(variables));
    fields.insert("planned_values".into(), planned_values(plan, context));
    if !drift.is_empty() {
        fields.insert("resource_drift".into(), json!(drift));
    }
    fields.insert("resource_changes".into(), json!(changes));
    fields.insert("output_changes".into(), Json::Object(outputs));
    fields.insert("prior_state".into(), prior_state(plan, context));
    if !checks.is_empty() {
        fields.insert("checks".into(), json!(checks));
    }
    if !notes.is_empty() {
        fields.insert("notes".into(), json!(notes));
    }
    fields.insert("timestamp".into(), json!(context.timestamp));
    fields.insert("applyable".into(), json!(!plan.is_empty()));
    fields.insert("complete".into(), json!(true));
    fields.insert("errored".into(), json!(false));
    Json::Object(fields)
}

/// What the screen says of changes and of what stays as it is: not a field of Terraform's, whose readers pass over it.
fn notes(plan: &Plan) -> Vec<Json> {
    let of_changes = plan.changes.iter().flat_map(|change| {
        change.notes.iter().map(|text| json!({"address": change.address.to_string(), "text": text}))
    });
    let others = plan.notes.iter();
    let others = others.map(|note| json!({"address": note.address.to_string(), "text": note.text}));
    of_changes.chain(others).collect()
}

fn actions(action: Action) -> &'static [&'static str] {
    match action {
        Action::NoOp => &["no-op"],
        Action::Create => &["create"],
        Action::Read => &["read"],
        Action::Update => &["update"],
        Action::DeleteThenCreate => &["delete", "create"],
        Action::CreateThenDelete => &["create", "delete"],
        Action::Delete => &["delete"],
        Action::Forget => &["forget"],
    }
}

fn resource_change(change: &Change, context: &PlanContext<'_>) -> Json {
    let mut fields = naming(&change.address);
    if !change.address.resource.module.0.is_empty() {
        fields.insert("module_address".into(), json!(change.address.resource.module.to_string()));
    }
    if let Some(previous) = &change.previous_address {
        fields.insert("previous_address".into(), json!(previous.to_string()));
    }
    fields.insert("provider_name".into(), json!((context.provider_name)(&change.address.resource.kind)));
    if let Some(deposed) = &change.deposed {
        fields.insert("deposed".into(), json!(deposed));
    }
    let mut body = Map::new();
    body.insert("actions".into(), json!(actions(change.action)));
    body.insert("before".into(), change.before.as_ref().map_or(Json::Null, known_parts));
    body.insert("after".into(), change.after.as_ref().map_or(Json::Null, known_parts));
    body.insert("after_unknown".into(), change.after.as_ref().map_or(json!({}), unknown_parts));
    body.insert("before_sensitive".into(), change.before.as_ref().map_or(json!(false), sensitive_parts));
    body.insert("after_sensitive".into(), change.after.as_ref().map_or(json!(false), sensitive_parts));
    if !change.replace_paths.is_empty() {
        let paths: Vec<Json> = change.replace_paths.iter().map(|(path, _)| path.to_json()).collect();
        body.insert("replace_paths".into(), json!(paths));
    }
    if let Some(id) = &change.importing {
        body.insert("importing".into(), json!({"id": id}));
    }
    fields.insert("change".into(), Json::Object(body));
    if let Some(reason) = change.reason {
        // Terraform's format has no word for it, and knows nothing that is nearer.
        let reason = match reason {
            ActionReason::ReplaceToApply => ActionReason::ReplaceByTriggers,
            reason => reason,
        };
        fields.insert("action_reason".into(), json!(reason));
    }
    Json::Object(fields)
}

fn output_change(output: &OutputChange) -> Json {
    let action = match (&output.before, &output.after) {
        (None, None) => "no-op",
        (None, Some(_)) => "create",
        (Some(_), None) => "delete",
        (Some(before), Some(after)) if before == after => "no-op",
        _ => "update",
    };
    let part = |value: &Option<Value>, read: &dyn Fn(&Value) -> Json, absent: Json| {
        value.as_ref().map_or(absent, read)
    };
    let unknown = |value: &Value| match unknown_parts(value) {
        Json::Object(flags) if flags.is_empty() => json!(false),
        flags => flags,
    };
    json!({
        "actions": [action],
        "before": part(&output.before, &known_parts, Json::Null),
        "after": part(&output.after, &known_parts, Json::Null),
        "after_unknown": part(&output.after, &unknown, json!(false)),
        "before_sensitive": output.sensitive,
        "after_sensitive": output.sensitive,
    })
}

fn planned_values(plan: &Plan, context: &PlanContext<'_>) -> Json {
    let resources: Vec<(InstanceAddress, Json)> = plan
        .changes
        .iter()
        .filter(|change| change.deposed.is_none())
        .filter_map(|change| {
            let after = change.after.as_ref()?;
            let mut fields = naming(&change.address);
            let provider = (context.provider_name)(&change.address.resource.kind);
            fields.insert("provider_name".into(), json!(provider));
            fields.insert("schema_version".into(), json!(0));
            fields.insert("values".into(), known_parts(after));
            fields.insert("sensitive_values".into(), sensitive_parts(after));
            Some((change.address.clone(), Json::Object(fields)))
        })
        .collect();
    let outputs: Map<String, Json> = plan
        .outputs
        .iter()
        .filter_map(|(name, output)| {
            let after = output.after.as_ref()?;
            let mut fields = Map::new();
            fields.insert("sensitive".into(), json!(output.sensitive));
            if after.is_wholly_known() {
                fields.insert("type".into(), after.ty().to_json());
                fields.insert("value".into(), known_parts(after));
            }
            Some((name.clone(), Json::Object(fields)))
        })
        .collect();
    json!({"outputs": outputs, "root_module": module_tree(&resources)})
}

/// The state before, with the data sources that were read for the plan.
fn prior_state(plan: &Plan, context: &PlanContext<'_>) -> Json {
    state_json(context.prior_state, &plan.data, context.provider_name, context.decode)
}
