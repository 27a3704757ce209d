//! The configuration that is generated for objects that are imported: it is read back as it was meant, tells no secret,
//! and plans nothing.

use pve_config::configuration::{decode_body, is_secret, write_resource};
use pve_config::evaluate::{Resolved, Scope, ScopeError};
use pve_config::functions::Context;
use pve_config::syntax::{Item, SourceId, format, parse_body};
use pve_executor::ports::Provider;
use pve_model::schema::Block;
use pve_model::{Value, codec::to_plain_json};
use pve_planner::generation::{Generated, configuration_of};
use pve_planner::proposed::ignore_changes;
use serde_json::json;

use super::World;
use super::lives::{CONTAINER, VM, full_container, full_vm};
use crate::values::{changed, same};

/// Generated text refers to nothing.
struct Nothing(Context);

impl Scope for Nothing {
    fn resolve(&self, root: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
        panic!("{root} is referred to")
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}

/// What somebody has to write into the block before it is complete: required, and secret or not told by the cluster.
pub(super) fn to_be_filled_in(block: &Block, config: &Value) -> Vec<String> {
    let is_missing = |(name, attribute): &(&std::sync::Arc<str>, &pve_model::schema::Attribute)| {
        attribute.required && (is_secret(attribute) || config.get(name).is_none_or(Value::is_null))
    };
    block.attributes.iter().filter(is_missing).map(|(name, _)| name.to_string()).collect()
}

/// Generates the block of an imported object. Returns its text, and what is to be filled in.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn generated(world: &World, imported: &Value) -> Result<(String, Vec<String>), String> {
    let (rules, block) = (world.rules(), &world.rules().schema().block);
    let Generated { config, ignored } = configuration_of(rules, imported);
    let text = write_resource((world.kind, "a"), None, block, &config, &ignored);
    if format(SourceId(0), &text).as_ref() != Ok(&text) {
        return Err(format!("it is not laid out:\n{text}"));
    }
    let parsed = parse_body(SourceId(0), &text);
    let mut body = parsed.value.blocks().next().ok_or("there is no block")?.body.clone();
    body.items.retain(|item| !matches!(item, Item::Block(inner) if inner.block_type == "lifecycle"));
    let scope = Nothing(Context::new(".", jiff::Timestamp::UNIX_EPOCH));
    let (read, found) = decode_body(&body, block, &scope);
    let missing = to_be_filled_in(block, &config);
    if found.iter().filter(|fault| fault.is_error()).count() != missing.len() {
        return Err(format!("{found:?} in\n{text}"));
    }
    let read = read.unmark_deep().0;
    if missing.is_empty() && read != config {
        return Err(format!("{:?} are read otherwise from\n{text}", changed(&config, &read)));
    }
    let problems = rules.validate(&config);
    let problems: Vec<_> = problems.iter().filter(|problem| !problem.warning).collect();
    if !problems.is_empty() && missing.is_empty() {
        return Err(format!("{problems:?} in\n{text}"));
    }
    let found = rules.adopted(imported, &config);
    let response = world.planned(Some(&found), &ignore_changes(&config, &found, &ignored));
    let planned = response.planned.unwrap_or_else(|| found.clone());
    if !same(&found, &planned) || !response.replace.is_empty() {
        let shown = |value: &Value, name: &str| value.get(name).map(to_plain_json);
        let names = changed(&found, &planned);
        let names: Vec<_> =
            names.iter().map(|name| json!([name, shown(&found, name), shown(&planned, name)])).collect();
        return Err(format!("{names:?} {:?} would change by\n{text}", response.replace));
    }
    Ok((text, missing))
}

#[tokio::test]
async fn a_full_vm_is_described() {
    let world = World::new(VM);
    world.apply(None, full_vm()).await;
    let imported = world.provider.import(&world.address, "proxmox", "pve/511").await.unwrap();
    let (text, missing) = generated(&world, &imported).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(missing.is_empty() && text.contains("password = null # sensitive"), "{text}");
    for block in ["disk", "network_device"] {
        assert_eq!(text.matches(&format!("\n  {block} {{\n")).count(), 2, "{text}");
    }
}

#[tokio::test]
async fn a_full_container_is_described() {
    let world = World::new(CONTAINER);
    world.apply(None, full_container()).await;
    let imported = world.provider.import(&world.address, "proxmox", "pve/610").await.unwrap();
    let (text, missing) = generated(&world, &imported).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(missing.is_empty() && text.contains("  mount_point {\n"), "{text}");
}
