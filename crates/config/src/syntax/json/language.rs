//! Which names are blocks in the language itself, for the JSON form.

use super::BlockHeader;

/// The schema of the blocks every module may hold. Blocks of resource and provider types are not in it: their
/// providers define them.
pub fn language_blocks(path: &[BlockHeader], name: &str) -> Option<usize> {
    let around = path.last().map(|header| header.block_type.as_str());
    match (path.len(), around) {
        (0, _) => top_level(name),
        (1, Some("terraform")) => match name {
            "backend" | "provider_meta" => Some(1),
            "required_providers" | "cloud" | "encryption" => Some(0),
            _ => None,
        },
        (2, Some("cloud")) => (name == "workspaces").then_some(0),
        (1, Some("language")) => (name == "compatible_with").then_some(0),
        (1, Some("variable")) => (name == "validation").then_some(0),
        (1, Some("output")) => (name == "precondition").then_some(0),
        (1, Some("check")) => match name {
            "data" => Some(2),
            "assert" => Some(0),
            _ => None,
        },
        (1, Some("resource" | "data" | "ephemeral" | "removed" | "module")) => match name {
            "lifecycle" | "connection" => Some(0),
            "provisioner" | "dynamic" => Some(1),
            _ => None,
        },
        (2, Some("lifecycle")) => matches!(name, "precondition" | "postcondition").then_some(0),
        (2, Some("provisioner")) => (name == "connection").then_some(0),
        (_, Some("dynamic")) => (name == "content").then_some(0),
        (_, Some("content")) => (name == "dynamic").then_some(1),
        _ => None,
    }
}

fn top_level(name: &str) -> Option<usize> {
    match name {
        "resource" | "data" | "ephemeral" => Some(2),
        "variable" | "output" | "provider" | "module" | "check" => Some(1),
        "terraform" | "language" | "locals" | "moved" | "import" | "removed" => Some(0),
        _ => None,
    }
}
