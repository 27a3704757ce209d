//! Objects of the state as they would stand in a configuration.

use std::fmt::Write as _;

use pve_model::schema::Block;
use pve_model::{InstanceAddress, ResourceMode, Value};

use super::blocks::elements;
use super::value::{render_key, render_value};

/// How far what is inside a block is indented.
const STEP: usize = 4;

/// An object under its address, with a remark such as that it is tainted.
pub fn render_object(
    address: &InstanceAddress,
    remark: &str,
    value: &Value,
    block: Option<&Block>,
) -> String {
    let mut text = format!("# {address}{remark}\n{} {{\n", heading(address));
    render_body(value, block, STEP, &mut text);
    text.push_str("}\n");
    text
}

/// Attributes in columns, then blocks; neither those that are null nor those that are not there.
fn render_body(value: &Value, block: Option<&Block>, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    let entries = value.entries().into_iter().flatten();
    let nested = |name: &str| block.and_then(|block| block.blocks.get(name));
    let (blocks, attributes): (Vec<_>, Vec<_>) =
        entries.filter(|(_, value)| !value.is_null()).partition(|(name, _)| nested(name).is_some());
    let width = attributes.iter().map(|(name, _)| render_key(name).chars().count()).max().unwrap_or(0);
    for (name, value) in attributes {
        let _ = writeln!(text, "{pad}{:<width$} = {}", render_key(name), render_value(value, indent));
    }
    for (name, value) in blocks {
        for element in elements(Some(value)) {
            if !text.ends_with("{\n") {
                text.push('\n');
            }
            let _ = writeln!(text, "{pad}{name} {{");
            render_body(&element, nested(name).map(|nested| &nested.block), indent + STEP, text);
            let _ = writeln!(text, "{pad}}}");
        }
    }
}

/// How a block of the configuration begins that declares it.
pub fn heading(address: &InstanceAddress) -> String {
    let resource = &address.resource;
    let word = if resource.mode == ResourceMode::Data { "data" } else { "resource" };
    format!("{word} \"{}\" \"{}\"", resource.kind, resource.name)
}
