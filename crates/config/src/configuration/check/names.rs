//! References: whether what they name is declared, and may be named where they stand.

use pve_model::ResourceMode;

use crate::configuration::{Check, Module, Resource};
use crate::evaluate::closest;
use crate::functions;
use crate::syntax::ast::TraversalStepKind;
use crate::syntax::{Diagnostic, Span, Traversal};

/// What an expression may name beside the declarations of its module.
#[derive(Clone, Copy, Default)]
pub(super) struct Allowed<'a> {
    /// `each.key` and `each.value`
    pub each: bool,
    /// `count.index`
    pub count: bool,
    /// `self`
    pub own_value: bool,
    /// The resource that the expression is of, which it cannot name.
    pub own: Option<&'a Resource>,
    /// The check that the expression is of, whose data source it may name.
    pub check: Option<&'a Check>,
}

/// What is wrong with a reference, if anything.
pub(super) fn check(module: &Module, reference: &Traversal, allowed: Allowed<'_>) -> Option<Diagnostic> {
    let root = reference.root.name.as_str();
    match root {
        "var" => declared(reference, "variable", module.variables.keys()),
        "local" => declared(reference, "local value", module.locals.keys()),
        "module" => check_module(module, reference),
        "path" => one_of(reference, &["module", "root", "cwd"]),
        "terraform" | "tofu" => one_of(reference, &["workspace"]),
        "each" if !allowed.each => {
            let detail = "`each.key` and `each.value` stand in blocks with `for_each` only.";
            Some(fault(reference, "`each` means nothing here", detail))
        }
        "each" => one_of(reference, &["key", "value"]),
        "count" if !allowed.count => {
            let detail = "`count.index` stands in blocks with `count` only.";
            Some(fault(reference, "`count` means nothing here", detail))
        }
        "count" => one_of(reference, &["index"]),
        "self" if !allowed.own_value => {
            let detail = "It stands in postconditions and provisioners only.";
            Some(fault(reference, "`self` means nothing here", detail))
        }
        "self" => None,
        "template" | "lazy" | "arg" => {
            let detail = format!("`{root}` is reserved for the language.");
            let hint = format!("If it is a kind of resource, write resource.{root}.");
            Some(fault(reference, "A reserved name", &detail).with_hint(hint))
        }
        "data" => resource(module, ResourceMode::Data, reference, 0, allowed),
        "resource" => resource(module, ResourceMode::Managed, reference, 0, allowed),
        "ephemeral" => {
            Some(fault(reference, "Unknown ephemeral resource", "pve has no ephemeral resources."))
        }
        _ if reference.steps.is_empty() => Some(bare(module, reference)),
        _ => resource(module, ResourceMode::Managed, reference, 1, allowed),
    }
}

fn fault(reference: &Traversal, summary: &str, detail: &str) -> Diagnostic {
    Diagnostic::error(reference.span, summary, detail)
}

/// The name that a step is.
fn attribute(reference: &Traversal, at: usize) -> Option<&str> {
    match reference.steps.get(at).map(|step| &step.kind) {
        Some(TraversalStepKind::Attribute(name)) => Some(name),
        _ => None,
    }
}

fn is_key(reference: &Traversal, at: usize) -> bool {
    let step = reference.steps.get(at).map(|step| &step.kind);
    matches!(step, Some(TraversalStepKind::Key(_) | TraversalStepKind::Index(_)))
}

/// `root.name` without what is behind it.
fn head(reference: &Traversal, steps: usize) -> Span {
    let last = reference.steps.get(..steps).and_then(|steps| steps.last());
    last.map_or(reference.root.span, |step| reference.root.span.to(step.span))
}

fn suggested<'n>(
    fault: Diagnostic,
    name: &str,
    prefix: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Diagnostic {
    match closest(name, known) {
        Some(near) => fault.with_hint(format!("Did you mean {prefix}{near}?")),
        None => fault,
    }
}

fn declared<'n>(
    reference: &Traversal,
    word: &str,
    known: impl Iterator<Item = &'n String>,
) -> Option<Diagnostic> {
    let root = &reference.root.name;
    let Some(name) = attribute(reference, 0) else {
        let detail = format!("Name one: {root}.NAME.");
        return Some(fault(reference, &format!("`{root}` alone is no value"), &detail));
    };
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.contains(&name) {
        return None;
    }
    let detail = format!("This module does not declare a {word} of this name.");
    let fault = Diagnostic::error(head(reference, 1), format!("There is no {word} \"{name}\""), detail);
    Some(suggested(fault, name, &format!("{root}."), known))
}

fn one_of(reference: &Traversal, known: &[&str]) -> Option<Diagnostic> {
    let root = &reference.root.name;
    match attribute(reference, 0) {
        Some(name) if known.contains(&name) => None,
        name => {
            let detail = format!("`{root}` has: {}.", known.join(", "));
            let fault = Diagnostic::error(head(reference, 1), format!("`{root}` has no such part"), detail);
            Some(suggested(fault, name.unwrap_or_default(), &format!("{root}."), known.iter().copied()))
        }
    }
}

/// A word alone: a text without its quotes, or a name cut short.
fn bare(module: &Module, reference: &Traversal) -> Diagnostic {
    let name = &reference.root.name;
    let detail = format!(
        "`{name}` stands for nothing; a reference is var.NAME, local.NAME, module.NAME, KIND.NAME or data.KIND.NAME."
    );
    let fault = Diagnostic::error(reference.span, "This is no reference", detail);
    if module.variables.contains_key(name.as_str()) {
        return fault.with_hint(format!("Did you mean var.{name}?"));
    }
    if module.locals.contains_key(name.as_str()) {
        return fault.with_hint(format!("Did you mean local.{name}?"));
    }
    fault.with_hint(format!("A text stands in quotes: \"{name}\"."))
}

/// `consumed` is 1 where the root is the kind already.
fn resource(
    module: &Module,
    mode: ResourceMode,
    reference: &Traversal,
    consumed: usize,
    allowed: Allowed<'_>,
) -> Option<Diagnostic> {
    let word = if mode == ResourceMode::Data { "data source" } else { "resource" };
    let kind = if consumed == 1 { Some(reference.root.name.as_str()) } else { attribute(reference, 0) };
    let name_at = 1 - consumed;
    let (Some(kind), Some(name)) = (kind, attribute(reference, name_at)) else {
        let detail = format!("A {word} is named by its kind and its name.");
        return Some(fault(reference, "This is no reference", &detail));
    };
    let found = module.resource(mode, kind, name);
    let Some(found) = found.filter(|_| visible(module, mode, kind, name, allowed)) else {
        let at = head(reference, name_at + 1);
        return Some(undeclared(module, mode, kind, name, at, consumed == 1));
    };
    if allowed.own.is_some_and(|own| std::ptr::eq(own, found)) {
        let detail = format!("{kind}.{name} cannot be worked out from itself.");
        return Some(
            fault(reference, "A resource refers to itself", &detail)
                .with_hint("In a postcondition write self.ATTRIBUTE."),
        );
    }
    instances(
        reference,
        name_at + 1,
        &format!("{kind}.{name}"),
        found.count.is_some(),
        found.for_each.is_some(),
    )
}

/// The data source of a check is seen by the check alone.
fn visible(module: &Module, mode: ResourceMode, kind: &str, name: &str, allowed: Allowed<'_>) -> bool {
    let of = module.checks.iter().find(|check| {
        mode == ResourceMode::Data && check.data.as_ref().is_some_and(|(k, n)| k == kind && n == name)
    });
    of.is_none_or(|of| allowed.check.is_some_and(|check| check.name == of.name))
}

fn undeclared(
    module: &Module,
    mode: ResourceMode,
    kind: &str,
    name: &str,
    at: Span,
    kind_is_root: bool,
) -> Diagnostic {
    let word = if mode == ResourceMode::Data { "data source" } else { "resource" };
    let detail = format!("No {word} of this kind and name is declared in this module.");
    let fault = Diagnostic::error(at, format!("There is no {word} {kind}.{name}"), detail);
    let all = || module.resources.iter().filter(|resource| resource.mode == mode);
    let prefix = if mode == ResourceMode::Data { "data." } else { "" };
    if let Some(near) = closest(name, all().filter(|r| r.kind == kind).map(|r| r.name.as_str())) {
        return fault.with_hint(format!("Did you mean {prefix}{kind}.{near}?"));
    }
    if let Some(near) = closest(kind, all().filter(|r| r.name == name).map(|r| r.kind.as_str())) {
        return fault.with_hint(format!("Did you mean {prefix}{near}.{name}?"));
    }
    let roots = ["var", "local", "module", "data", "path", "terraform", "each", "count", "self"];
    if kind_is_root && let Some(near) = closest(kind, roots) {
        return fault.with_hint(format!("Did you mean {near}.{name}?"));
    }
    fault
}

/// Whether a key stands where there are several instances, and none where there is one.
fn instances(
    reference: &Traversal,
    at: usize,
    what: &str,
    count: bool,
    for_each: bool,
) -> Option<Diagnostic> {
    if (count || for_each) && attribute(reference, at).is_some() {
        let (argument, key) = if count { ("count", "count.index") } else { ("for_each", "each.key") };
        let detail = format!("{what} has `{argument}`, so there are several of it.");
        let fault = fault(reference, "Which of the instances is meant?", &detail);
        return Some(
            fault.with_hint(format!("Write {what}[{key}] for one, or {what}[*] or a `for` for all.")),
        );
    }
    if !count && !for_each && is_key(reference, at) {
        let detail = format!("{what} has neither `count` nor `for_each`, so there is one of it.");
        return Some(
            fault(reference, "There are no instances with keys", &detail).with_hint("Leave the key out."),
        );
    }
    None
}

fn check_module(module: &Module, reference: &Traversal) -> Option<Diagnostic> {
    if let Some(fault) = declared(reference, "module call", module.module_calls.keys()) {
        return Some(fault);
    }
    let call = module.module_calls.get(attribute(reference, 0)?)?;
    let what = format!("module.{}", call.name);
    let (count, for_each) = (call.count.is_some(), call.for_each.is_some());
    if let Some(fault) = instances(reference, 1, &what, count, for_each) {
        return Some(fault);
    }
    let child = call.child.as_ref()?;
    let at = if is_key(reference, 1) { 2 } else { 1 };
    let name = attribute(reference, at).filter(|name| !child.outputs.contains_key(*name))?;
    let detail = format!("The module does not declare an output \"{name}\".");
    let fault =
        Diagnostic::error(head(reference, at + 1), format!("{what} has no output \"{name}\""), detail);
    Some(suggested(fault, name, "", child.outputs.keys().map(String::as_str)))
}

/// Whether a reference goes on behind what it names.
pub(super) fn is_part(reference: &Traversal) -> bool {
    reference.steps.len() > whole_steps(reference)
}

/// The reference without what is behind the thing that it names.
pub(super) fn whole(reference: &Traversal) -> String {
    let mut whole = reference.clone();
    whole.steps.truncate(whole_steps(reference));
    whole.address()
}

fn whole_steps(reference: &Traversal) -> usize {
    let (named, keyed) = match reference.root.name.as_str() {
        "data" | "resource" => (2, true),
        // An output is as good as its module.
        "module" => return reference.steps.len(),
        "var" | "local" | "path" | "terraform" | "tofu" | "each" | "count" => (1, false),
        _ => (1, true),
    };
    if keyed && is_key(reference, named) { named + 1 } else { named }
}

/// Whether there is a function of this name.
pub(super) fn check_function(name: &str, span: Span) -> Option<Diagnostic> {
    let own = name.strip_prefix("core::").unwrap_or(name);
    let known = functions::names();
    if name.starts_with("provider::") || known.contains(&own) || matches!(own, "try" | "can") {
        return None;
    }
    let detail = "The language has no function of this name.";
    let fault = Diagnostic::error(span, format!("There is no function \"{name}\""), detail);
    Some(match closest(own, known) {
        Some(near) => fault.with_hint(format!("Did you mean {near}()?")),
        None => fault,
    })
}
