//! Override files: their blocks change blocks of the other files, argument by argument.

use crate::syntax::{Block, Body, Diagnostic, Item};

/// Whether a file is an override file by its name.
pub(super) fn is_override(name: &str) -> bool {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let stem = stem.strip_suffix(".tf").or_else(|| stem.strip_suffix(".tofu")).unwrap_or(stem);
    stem == "override" || stem.ends_with("_override")
}

/// Puts the blocks of an override file over those of the primary files.
pub(super) fn merge(primary: &mut Vec<Body>, overriding: &Body, found: &mut Vec<Diagnostic>) {
    for block in overriding.blocks() {
        match block.block_type.as_str() {
            "locals" | "terraform" => merge_parts(primary, block),
            "moved" | "import" | "removed" => primary.push(lone(block)),
            _ => match find(primary, block) {
                Some(target) => merge_block(target, block),
                // A provider without a block of its own is configured by the override alone.
                None if block.block_type == "provider" => primary.push(lone(block)),
                None => {
                    let detail = "An override file can only change what another file declares.";
                    found.push(Diagnostic::error(block.header_span, "There is nothing to override", detail));
                }
            },
        }
    }
}

fn lone(block: &Block) -> Body {
    Body { items: vec![Item::Block(block.clone())], span: block.span }
}

fn find<'b>(primary: &'b mut [Body], block: &Block) -> Option<&'b mut Block> {
    let alias = |block: &Block| block.body.attribute("alias").map(|alias| format!("{:?}", alias.expr.kind));
    primary.iter_mut().flat_map(|body| &mut body.items).find_map(|item| match item {
        Item::Block(candidate)
            if candidate.block_type == block.block_type
                && candidate
                    .labels
                    .iter()
                    .map(|label| &label.name)
                    .eq(block.labels.iter().map(|label| &label.name))
                && (block.block_type != "provider" || alias(candidate) == alias(block)) =>
        {
            Some(candidate)
        }
        _ => None,
    })
}

/// Each argument replaces the one of its name; nested blocks of a type replace all of that type, but `lifecycle` is
/// merged in turn.
fn merge_block(target: &mut Block, over: &Block) {
    for attribute in over.body.attributes() {
        set_attribute(&mut target.body, attribute);
    }
    let types: Vec<&str> = over.body.blocks().map(effective_type).collect();
    for inner in over.body.blocks_of("lifecycle") {
        let existing = target.body.items.iter_mut().find_map(|item| match item {
            Item::Block(block) if block.block_type == "lifecycle" => Some(block),
            _ => None,
        });
        match existing {
            Some(existing) => merge_block(existing, inner),
            None => target.body.items.push(Item::Block(inner.clone())),
        }
    }
    target.body.items.retain(|item| match item {
        Item::Block(block) => block.block_type == "lifecycle" || !types.contains(&effective_type(block)),
        Item::Attribute(_) => true,
    });
    let added = over.body.blocks().filter(|block| block.block_type != "lifecycle");
    target.body.items.extend(added.map(|block| Item::Block(block.clone())));
}

/// A `dynamic "x"` block stands for blocks of type x.
fn effective_type(block: &Block) -> &str {
    match (block.block_type.as_str(), block.labels.first()) {
        ("dynamic", Some(label)) => label.name.as_str(),
        (own, _) => own,
    }
}

fn set_attribute(body: &mut Body, attribute: &crate::syntax::Attribute) {
    let existing = body.items.iter_mut().find_map(|item| match item {
        Item::Attribute(candidate) if candidate.name == attribute.name => Some(candidate),
        _ => None,
    });
    match existing {
        Some(existing) => *existing = attribute.clone(),
        None => body.items.push(Item::Attribute(attribute.clone())),
    }
}

/// `locals` and `terraform` blocks: entries replace those of their name wherever these stand.
fn merge_parts(primary: &mut Vec<Body>, over: &Block) {
    let mut rest = over.clone();
    for body in primary.iter_mut() {
        for item in &mut body.items {
            let Item::Block(block) = item else { continue };
            if block.block_type != over.block_type {
                continue;
            }
            let names: Vec<_> = over.body.attributes().map(|attribute| attribute.name.clone()).collect();
            for name in names {
                if block.body.attribute(&name).is_some()
                    && let Some(attribute) = over.body.attribute(&name)
                {
                    set_attribute(&mut block.body, attribute);
                    rest.body.items.retain(|item| !matches!(item, Item::Attribute(a) if a.name == name));
                }
            }
            if over.block_type == "terraform" {
                merge_terraform(block, &mut rest);
            }
        }
    }
    if !rest.body.items.is_empty() {
        primary.push(lone(&rest));
    }
}

fn merge_terraform(block: &mut Block, rest: &mut Block) {
    let overriding: Vec<Block> = rest.body.blocks().cloned().collect();
    for inner in overriding {
        let replaces_state = matches!(inner.block_type.as_str(), "backend" | "cloud");
        let position = block.body.items.iter().position(|item| match item {
            Item::Block(candidate) if replaces_state => {
                matches!(candidate.block_type.as_str(), "backend" | "cloud")
            }
            Item::Block(candidate) => candidate.block_type == inner.block_type,
            Item::Attribute(_) => false,
        });
        let Some(position) = position else { continue };
        if let Item::Block(existing) = &mut block.body.items[position] {
            if replaces_state { *existing = inner.clone() } else { merge_block(existing, &inner) }
        }
        rest.body.items.retain(|item| !matches!(item, Item::Block(b) if b.span == inner.span));
    }
}
