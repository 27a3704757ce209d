//! The configuration of an object that was read: what its kind lets be configured and what is not as it is by itself.

use std::collections::BTreeMap;

use pve_config::configuration::is_secret;
use pve_model::rules::{KindRules, PlanRequest, PlanResponse};
use pve_model::schema::{Attribute, Block, Nesting};
use pve_model::{Path, PathStep, Value, ValueKind};

use crate::difference::same;
use crate::proposed::{ignore_changes, propose};

/// The configuration of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The configured values, in the form in which a block is decoded.
    pub config: Value,
    /// Secrets that the object has and that would be taken from it, since they are not written down.
    pub ignored: Vec<Path>,
}

/// The configuration that describes an imported object: what may be configured and differs from its default, without
/// secrets. What would contradict another value, or would change the object, is left out where the rest then says the
/// same.
pub fn configuration_of(rules: &dyn KindRules, imported: &Value) -> Generated {
    let block = &rules.schema().block;
    let mut config = settable(block, imported);
    let mut faults = Faults::of(rules, imported, &config);
    for path in refused(rules, &config) {
        take_out(rules, imported, &mut config, &mut faults, &path, |new, old| new.problems < old.problems);
    }
    for path in superfluous(block, &config, &Path::default()) {
        take_out(rules, imported, &mut config, &mut faults, &path, |new, old| new <= old);
    }
    let mut before = None;
    while faults != Faults::default() && before.as_ref() != Some(&faults) {
        before = Some(faults.clone());
        for path in optional(block, &config, &Path::default()) {
            take_out(rules, imported, &mut config, &mut faults, &path, |new, old| new < old);
        }
    }
    let prior = rules.adopted(imported, &config);
    let planned = planned(rules, &prior, &config).planned;
    let mut ignored = secrets(block, &prior, &Path::default());
    ignored.retain(|path| planned.as_ref().and_then(|planned| planned.at(path)) != prior.at(path));
    Generated { config, ignored }
}

/// What is planned, as a whole.
fn planned(rules: &dyn KindRules, prior: &Value, config: &Value) -> PlanResponse {
    let proposed = propose(&rules.schema().block, Some(prior), config).unmark_deep().0;
    let response = rules.plan(PlanRequest { prior: Some(prior), config, proposed: &proposed });
    PlanResponse { planned: Some(response.planned.clone().unwrap_or(proposed)), ..response }
}

/// The secrets that an object has.
fn secrets(block: &Block, value: &Value, here: &Path) -> Vec<Path> {
    let is_meant = |name: &str, part: &Value| {
        block.attributes.get(name).is_some_and(|attribute| is_settable(attribute) && is_secret(attribute))
            && !part.is_null()
    };
    parts(block, value, here, &is_meant, &secrets)
}

/// How many values are missing that have to be there.
fn missing(block: &Block, config: &Value) -> usize {
    let own = block
        .attributes
        .iter()
        .filter(|(name, attribute)| attribute.required && config.get(name).is_none_or(Value::is_null));
    let nested = block.blocks.iter().map(|(name, nested)| match config.get(name) {
        Some(part) if part.is_null() => 0,
        Some(part) => match part.elements() {
            Some(elements) => elements.iter().map(|element| missing(&nested.block, element)).sum(),
            None => missing(&nested.block, part),
        },
        None => 0,
    });
    own.count() + nested.sum::<usize>()
}

/// What is wrong with a configuration of an object that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Faults {
    /// What the rules of the kind refuse.
    problems: usize,
    /// Changes that replace the object.
    replacing: usize,
    /// Values that would change.
    changes: usize,
}

impl Faults {
    fn of(rules: &dyn KindRules, imported: &Value, config: &Value) -> Faults {
        let prior = rules.adopted(imported, config);
        let block = &rules.schema().block;
        // Secrets are kept, whatever is needed for that.
        let kept = ignore_changes(config, &prior, &secrets(block, &prior, &Path::default()));
        let response = planned(rules, &prior, &kept);
        let problems = rules.validate(config).into_iter().chain(response.problems);
        let planned = response.planned.unwrap_or_else(|| prior.clone());
        Faults {
            problems: problems.filter(|problem| !problem.warning).count() + missing(block, config),
            replacing: response.replace.len()
                + crate::difference::replace_paths(block, &prior, &planned).len(),
            changes: differences(&prior, &planned),
        }
    }
}

fn differences(before: &Value, after: &Value) -> usize {
    if same(before, after) {
        return 0;
    }
    match (before.entries(), after.entries(), before.elements(), after.elements()) {
        (Some(before), Some(after), ..) if before.len() == after.len() => {
            let parts =
                before.iter().map(|(name, part)| after.get(name).map_or(1, |it| differences(part, it)));
            parts.sum::<usize>().max(1)
        }
        (_, _, Some(before), Some(after)) if before.len() == after.len() => {
            before.iter().zip(after).map(|(one, other)| differences(one, other)).sum::<usize>().max(1)
        }
        _ => 1,
    }
}

/// Takes a part out if what is wrong then is `better`.
fn take_out(
    rules: &dyn KindRules,
    imported: &Value,
    config: &mut Value,
    faults: &mut Faults,
    path: &Path,
    better: impl Fn(&Faults, &Faults) -> bool,
) {
    let is_block = is_block(&rules.schema().block, path);
    let nothing = |part: Value| match part.kind {
        ValueKind::List(ty, _) if is_block => Value::list(ty, Vec::new()),
        ValueKind::Set(ty, _) if is_block => Value::set(ty, Vec::new()),
        _ => Value::null(part.ty()),
    };
    let less = config.transform(&mut |at, part| if at == path { nothing(part) } else { part });
    let left = Faults::of(rules, imported, &less);
    if better(&left, faults) {
        (*config, *faults) = (less, left);
    }
}

/// Whether a path names blocks, and not an attribute.
fn is_block(block: &Block, path: &Path) -> bool {
    let mut block = Some(block);
    for step in &path.0 {
        if let PathStep::Attribute(name) = step {
            block = block.and_then(|block| block.blocks.get(&**name)).map(|nested| &nested.block);
        }
    }
    block.is_some()
}

/// What a block can set of a value, as far as that is not there by itself.
fn settable(block: &Block, value: &Value) -> Value {
    let mut parts = BTreeMap::new();
    for (name, attribute) in &block.attributes {
        let part = value.get(name).filter(|part| part.is_wholly_known() && says_something(attribute, part));
        parts.insert(name.clone(), part.cloned().unwrap_or_else(|| Value::null(attribute.ty.clone())));
    }
    for (name, nested) in &block.blocks {
        let ty = nested.block.implied_type();
        let found = value.get(name).filter(|part| part.is_known() && !part.is_null());
        let elements = found.and_then(Value::elements).unwrap_or_default();
        let elements = elements.iter().map(|element| settable(&nested.block, element));
        let part = match nested.nesting {
            Nesting::Single => found.map_or_else(|| Value::null(ty), |part| settable(&nested.block, part)),
            Nesting::List => Value::list(ty, elements.collect()),
            Nesting::Set => Value::set(ty, elements.collect()),
        };
        parts.insert(name.clone(), part);
    }
    Value::object(parts)
}

fn says_something(attribute: &Attribute, part: &Value) -> bool {
    let by_default = !attribute.required && attribute.default.as_ref().is_some_and(|it| same(it, part));
    is_settable(attribute) && !is_secret(attribute) && !part.is_null() && !by_default
}

fn is_settable(attribute: &Attribute) -> bool {
    attribute.required || attribute.optional
}

/// The optional attributes that the rules of a kind point at when they refuse a configuration.
fn refused(rules: &dyn KindRules, config: &Value) -> Vec<Path> {
    let optional = optional(&rules.schema().block, config, &Path::default());
    let problems = rules.validate(config).into_iter().filter(|problem| !problem.warning);
    problems.map(|problem| problem.path).filter(|path| optional.contains(path)).collect()
}

/// What follows from other values, or names what is there now: written down, it would be wrong with the next change.
const OF_NOW: &[&str] = &["digest", "mac_addresses", "path_in_datastore"];

/// Attributes that another one stands for by now or that are empty by themselves, and blocks that say nothing but that
/// they are there.
fn superfluous(block: &Block, config: &Value, here: &Path) -> Vec<Path> {
    let is_superfluous = |name: &str, part: &Value| match block.attributes.get(name) {
        Some(attribute) => {
            let says_nothing = part.as_str() == Some("") || is_blockless(part);
            let by_itself = says_nothing || attribute.computed && OF_NOW.contains(&name);
            (attribute.deprecated.is_some() || by_itself) && !attribute.required && !part.is_null()
        }
        None => block.blocks.get(name).is_some_and(|nested| nested.min_items == 0) && is_empty(part),
    };
    parts(block, config, here, &is_superfluous, &superfluous)
}

/// Whether there are blocks, and nothing is in them.
fn is_empty(blocks: &Value) -> bool {
    let says_nothing = |block: &Value| block.children().all(|(_, part)| part.is_null() || is_blockless(part));
    match blocks.elements() {
        Some(elements) => !elements.is_empty() && elements.iter().all(says_nothing),
        None => !blocks.is_null() && says_nothing(blocks),
    }
}

fn is_blockless(part: &Value) -> bool {
    part.elements().is_some_and(<[Value]>::is_empty)
}

/// Everything that is set and need not be.
fn optional(block: &Block, config: &Value, here: &Path) -> Vec<Path> {
    let is_optional = |name: &str, part: &Value| match block.attributes.get(name) {
        Some(attribute) => !attribute.required && !part.is_null(),
        None => {
            block.blocks.get(name).is_some_and(|nested| nested.min_items == 0)
                && !part.is_null()
                && !is_blockless(part)
        }
    };
    parts(block, config, here, &is_optional, &optional)
}

/// The parts of a block that are meant, those inside of its blocks first.
fn parts(
    block: &Block,
    config: &Value,
    here: &Path,
    is_meant: &dyn Fn(&str, &Value) -> bool,
    within: &dyn Fn(&Block, &Value, &Path) -> Vec<Path>,
) -> Vec<Path> {
    let mut found = Vec::new();
    for (name, part) in config.entries().into_iter().flatten() {
        let at = here.child(PathStep::Attribute(name.to_string()));
        if let Some(nested) = block.blocks.get(name) {
            match part.elements() {
                Some(elements) => {
                    for (place, element) in elements.iter().enumerate() {
                        found.extend(within(
                            &nested.block,
                            element,
                            &at.child(PathStep::Index(place as u64)),
                        ));
                    }
                }
                None => found.extend(within(&nested.block, part, &at)),
            }
        }
        if is_meant(name, part) {
            found.push(at);
        }
    }
    found
}
