//! Override files: their blocks change blocks of the other files, argument by argument.

use crate::syntax::{Block, Body, Diagnostic, Item, Span};

/// Whether a file is an override file by its name.
pub(super) fn is_override(name: &str) -> bool {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let stem = stem.strip_suffix(".tf").or_else(|| stem.strip_suffix(".tofu")).unwrap_or(stem);
    stem == "override" || stem.ends_with("_override")
}

/// Puts the blocks of an override file over those of the primary files.
pub(super) fn merge(primary: &mut Vec<Body>, overriding: &Body, found: &mut Vec<Diagnostic>) {
    refuse_two_backends(overriding, found);
    for block in overriding.blocks() {
        refuse_parts(block, found);
        match block.block_type.as_str() {
            "terraform" => merge_parts(primary, block),
            "locals" => {
                refuse_new_locals(primary, block, found);
                merge_parts(primary, block);
            }
            "moved" | "import" | "removed" | "check" | "language" => {
                let detail =
                    format!("`{}` blocks stand in files that are no override files.", block.block_type);
                found.push(Diagnostic::error(block.header_span, "This cannot be overridden", detail));
            }
            _ => match find(primary, block) {
                Some(target) => merge_block(target, block),
                // A provider without a block of its own is configured by the override alone.
                None if block.block_type == "provider" && block.body.attribute("alias").is_none() => {
                    primary.push(lone(block));
                }
                None => nothing_to_override(block.header_span, found),
            },
        }
    }
}

fn nothing_to_override(span: Span, found: &mut Vec<Diagnostic>) {
    let detail = "An override file can only change what another file declares.";
    found.push(Diagnostic::error(span, "There is nothing to override", detail));
}

/// `depends_on` and conditions are whole where they are declared.
fn refuse_parts(block: &Block, found: &mut Vec<Diagnostic>) {
    let mut refuse = |span, what: &str| {
        let detail = format!("`{what}` cannot be given in an override file.");
        found.push(Diagnostic::error(span, "This cannot be overridden", detail));
    };
    if let Some(attribute) = block.body.attribute("depends_on")
        && ["resource", "data", "output", "module"].contains(&block.block_type.as_str())
    {
        refuse(attribute.name_span, "depends_on");
    }
    let lifecycles = block.body.blocks_of("lifecycle").flat_map(|lifecycle| lifecycle.body.blocks());
    for inner in block.body.blocks().chain(lifecycles) {
        if ["validation", "precondition", "postcondition"].contains(&inner.block_type.as_str()) {
            refuse(inner.header_span, &inner.block_type);
        }
    }
}

fn refuse_new_locals(primary: &[Body], block: &Block, found: &mut Vec<Diagnostic>) {
    for attribute in block.body.attributes() {
        let mut locals = primary.iter().flat_map(|body| body.blocks_of("locals"));
        if !locals.any(|locals| locals.body.attribute(&attribute.name).is_some()) {
            nothing_to_override(attribute.name_span, found);
        }
    }
}

fn refuse_two_backends(overriding: &Body, found: &mut Vec<Diagnostic>) {
    let blocks = overriding.blocks_of("terraform").flat_map(|block| block.body.blocks());
    let states: Vec<&Block> =
        blocks.filter(|block| ["backend", "cloud"].contains(&block.block_type.as_str())).collect();
    if let [first, second, ..] = states.as_slice() {
        let detail = "A module says once where its state is.";
        let fault = Diagnostic::error(second.header_span, "Two places for the state", detail);
        found.push(fault.with_related(first.header_span, "the other one"));
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
    replace_repetition(target, over);
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

/// `count`, `for_each` and `enabled` exclude each other: the one of the override takes the place of the others.
fn replace_repetition(target: &mut Block, over: &Block) {
    let enabled =
        |block: &Block| block.body.blocks_of("lifecycle").any(|l| l.body.attribute("enabled").is_some());
    let repeats =
        ["count", "for_each"].iter().any(|name| over.body.attribute(name).is_some()) || enabled(over);
    if !repeats || !["resource", "data", "module"].contains(&target.block_type.as_str()) {
        return;
    }
    let without = |items: &mut Vec<Item>, names: &[&str]| {
        items.retain(|item| !matches!(item, Item::Attribute(a) if names.contains(&a.name.as_str())));
    };
    without(&mut target.body.items, &["count", "for_each"]);
    for item in &mut target.body.items {
        if let Item::Block(block) = item
            && block.block_type == "lifecycle"
        {
            without(&mut block.body.items, &["enabled"]);
        }
    }
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
