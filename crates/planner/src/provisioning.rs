//! Which provisioners run with which step, and what their arguments are worth.

use pve_config::configuration::{Configuration, Module, Provisioner, decode_body};
use pve_config::evaluate::{Resolved, Scope, ScopeError};
use pve_config::functions::Context;
use pve_config::syntax::{Body, Diagnostic};
use pve_model::address::Target;
use pve_model::event::Operation;
use pve_model::plan::Plan;
use pve_model::provisioner::{Provision, ProvisionerKind, connection_schema};
use pve_model::state::State;
use pve_model::{InstanceAddress, InstanceKey, Type, Value};

use crate::evaluation::{Evaluation, Instance};
use crate::scope::{ModuleScope, ModuleValues, Repetition};

/// Tells each step of a plan which provisioners run with it. One that was tainted by its creation, or that was replaced
/// already, is destroyed without them, as in the reference.
pub fn attach(plan: &mut Plan, configuration: &Configuration, state: &State) {
    for step in &mut plan.steps {
        let change = &plan.changes[step.change];
        let at_destroy = match step.operation {
            Operation::Create => false,
            Operation::Delete if step.deposed.is_none() && change.deposed.is_none() => true,
            _ => continue,
        };
        if at_destroy && state.current(&change.address).is_none_or(|record| record.tainted) {
            continue;
        }
        let Some((_, provisioners)) = declared(configuration, &change.address) else { continue };
        let places = provisioners.iter().enumerate().filter(|(_, p)| p.at_destroy == at_destroy);
        step.provisioners = places.map(|(place, _)| place).collect();
    }
}

/// The provisioners of an instance and the module that they stand in: those of its `resource` block, else those of the
/// `removed` block for it.
pub(crate) fn declared<'c>(
    configuration: &'c Configuration,
    address: &InstanceAddress,
) -> Option<(&'c Module, &'c [Provisioner])> {
    let resource = &address.resource;
    let module = resource.module.0.iter().try_fold(&configuration.root, |module, step| {
        module.module_calls.get(&step.name).and_then(|call| call.child.as_ref())
    });
    let block = module.and_then(|m| Some((m, m.resource(resource.mode, &resource.kind, &resource.name)?)));
    if let Some((module, block)) = block {
        return Some((module, &block.provisioners));
    }
    let root = &configuration.root;
    let named = |target: &Target| matches!(target, Target::Resource(_)) && target.contains(address);
    let removed = root.removed.iter().find(|removed| removed.destroy && named(&removed.from))?;
    Some((root, &removed.provisioners))
}

/// What is wrong with the provisioners of an instance whatever its own and others' values will be: what these are now
/// says nothing, because provisioners run later or, for one that is there already, not at all.
pub(crate) fn check(evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> Vec<Diagnostic> {
    let path = &instance.address.resource.module;
    let itself = Value::unknown(Type::Dynamic);
    let Some(inner) = evaluation.scope(instance.module, path, instance.repetition, Some(&itself)) else {
        return Vec::new();
    };
    let scope = Later { inner };
    let provisioners = instance.resource.provisioners.iter();
    provisioners.flat_map(|provisioner| decode(provisioner, &scope).err().unwrap_or_default()).collect()
}

/// A scope in which nothing is known yet of resources and modules.
struct Later<'a> {
    inner: ModuleScope<'a>,
}

impl Scope for Later<'_> {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        let found = self.inner.resolve(root, steps)?;
        Ok(match root {
            "var" | "local" | "each" | "count" | "path" | "terraform" | "tofu" => found,
            _ => Resolved { value: Value::unknown(Type::Dynamic), ..found },
        })
    }

    fn functions(&self) -> &Context {
        self.inner.functions()
    }
}

/// The arguments of a provisioner that is about to run, with `itself` as `self`.
///
/// # Errors
/// With diagnostics.
pub(crate) fn evaluate(
    evaluation: &Evaluation<'_>,
    module: &Module,
    address: &InstanceAddress,
    repetition: &Repetition,
    provisioner: &Provisioner,
    itself: &Value,
) -> Result<Provision, Vec<Diagnostic>> {
    let nothing = ModuleValues::default();
    let provision = decode(
        provisioner,
        &ModuleScope {
            // At destruction the module may have no such instance any more; only `self` can be named then.
            values: evaluation.modules.get(&address.resource.module).unwrap_or(&nothing),
            directory: &module.directory,
            surroundings: evaluation.inputs.surroundings,
            functions: evaluation.inputs.functions,
            repetition,
            self_value: Some(itself),
        },
    )?;
    let known = provision.connection.as_ref().is_none_or(Value::is_wholly_known);
    if !provision.arguments.is_wholly_known() || !known {
        let detail = format!("A value that it refers to is still not known (in {address}).");
        return Err(vec![Diagnostic::error(provisioner.span, "The provisioner cannot run", detail)]);
    }
    Ok(provision)
}

/// What `count.index` and `each.key` are in an instance that may not be in the configuration any more.
pub(crate) fn repetition_of(address: &InstanceAddress) -> Repetition {
    match &address.key {
        None => Repetition::Single,
        Some(InstanceKey::Index(index)) => Repetition::Count(*index),
        Some(InstanceKey::Key(key)) => Repetition::Each(key.clone(), Value::null(Type::Dynamic)),
    }
}

fn decode(provisioner: &Provisioner, scope: &dyn Scope) -> Result<Provision, Vec<Diagnostic>> {
    let (arguments, mut found) = decode_body(&provisioner.arguments, &provisioner.kind.schema(), scope);
    let connection = provisioner.connection.as_ref().filter(|_| provisioner.kind.is_remote()).map(|body| {
        let (value, problems) = decode_body(body, &connection_schema(), scope);
        found.extend(problems);
        (body, value.unmark_deep().0)
    });
    if !found.iter().any(Diagnostic::is_error) {
        found.extend(faults(
            provisioner,
            &arguments,
            connection.as_ref().map(|(body, value)| (*body, value)),
        ));
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let (arguments, marks) = arguments.unmark_deep();
    Ok(Provision {
        kind: provisioner.kind,
        arguments,
        connection: connection.map(|(_, value)| value),
        on_failure: provisioner.on_failure,
        sensitive: marks.is_sensitive() || marks.is_ephemeral(),
    })
}

/// What the schemas cannot say.
fn faults(
    provisioner: &Provisioner,
    arguments: &Value,
    connection: Option<(&Body, &Value)>,
) -> Vec<Diagnostic> {
    let fault = |summary: &str, detail: String| Diagnostic::error(provisioner.span, summary, detail);
    let mut found = Vec::new();
    let one_of: &[&str] = match provisioner.kind {
        ProvisionerKind::LocalExec => &[],
        ProvisionerKind::RemoteExec => &["inline", "script", "scripts"],
        ProvisionerKind::File => &["source", "content"],
    };
    // One that is not known yet may be null.
    let values = || one_of.iter().filter_map(|name| arguments.get(name)).filter(|value| !value.is_null());
    let (set, possible) = (values().filter(|value| value.is_known()).count(), values().count());
    if !one_of.is_empty() && (set > 1 || possible == 0) {
        let names = one_of.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let detail = format!("A {} provisioner has exactly one of {names}.", provisioner.kind.name());
        found.push(fault("The arguments do not fit together", detail));
    }
    if !provisioner.kind.is_remote() {
        return found;
    }
    let Some((body, connection)) = connection else {
        let detail = format!("A {} provisioner needs a `connection` block.", provisioner.kind.name());
        let hint = "Add `connection { host = ... }` to the provisioner or to the resource.";
        found.push(fault("There is no connection", detail).with_hint(hint));
        return found;
    };
    let text = |name: &str| connection.get(name).and_then(Value::as_str);
    if text("type").is_some_and(|kind| kind != "ssh") {
        let detail = "pve connects by SSH only: `type = \"ssh\"`.";
        found.push(Diagnostic::error(body.span, "This type of connection is not supported", detail));
    }
    let unsupported = [
        "agent_identity",
        "certificate",
        "bastion_certificate",
        "proxy_host",
        "proxy_scheme",
        "cacert",
        "https",
        "use_ntlm",
        "insecure",
    ];
    for name in unsupported {
        if let Some(attribute) = body.attribute(name) {
            let detail = format!("`{name}` is not supported in a connection.");
            found.push(Diagnostic::error(attribute.name_span, "Unsupported argument", detail));
        }
    }
    if text("target_platform").is_some_and(|platform| platform != "unix") {
        let detail = "pve runs scripts on Unix machines only: `target_platform = \"unix\"`.";
        found.push(Diagnostic::error(body.span, "This platform is not supported", detail));
    }
    if connection.get("host").is_none_or(|host| host.is_known() && text("host").is_none_or(str::is_empty)) {
        let detail = "`host` says which machine it leads to; there is no default.";
        found.push(Diagnostic::error(body.span, "A connection needs a host", detail));
    }
    found
}
