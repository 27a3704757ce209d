//! The reference pages: one for every kind and data source, made of the definitions.

mod attributes;
mod older;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pve_model::Type;

use crate::data::DERIVED;
use crate::registry::{Kind, Registry, Rules, registry};
use attributes::table;
use older::{Older, older};

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it belongs below the folder of the reference.
    pub path: String,
    /// What it says, as Markdown.
    pub text: String,
    /// The configuration that it shows.
    pub example: String,
}

/// All pages, the list of them first.
pub fn reference() -> Vec<Page> {
    let registry = registry();
    let resources = registry.by_kind(false).into_iter().map(|(names, kind)| resource(&names, kind));
    let mut pages: Vec<Page> = resources.collect();
    let sources =
        registry.by_kind(true).into_iter().map(|(names, kind)| data_source(&registry, &names, kind));
    pages.extend(sources);
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages.insert(0, provider());
    pages.insert(0, index(&pages));
    pages
}

/// The provider block.
fn provider() -> Page {
    let kind = Kind::new("", crate::provider_block::fields(), Rules::default());
    let example = "provider \"proxmox\" {\n  endpoint = \"https://pve1.example.org:8006/\"\n}\n";
    let about = "How a cluster is reached. What is left out is taken from environment variables: PROXMOX_VE_ and the name \
                 in capitals, and PROXMOX_VE_SSH_ for the ssh block. Secrets belong there.";
    let table = table(&kind, &[], false);
    let text = format!(
        "# The proxmox provider\n\n{about}\n\n## Example\n\n```terraform\n{example}```\n\n## Arguments\n\n{table}"
    );
    Page { path: "provider.md".into(), text, example: example.into() }
}

fn index(pages: &[Page]) -> Page {
    let mut text = String::from(
        "# Reference\n\nMade of the definitions of the kinds by `cargo run -p pve-resources --example reference`; a test \
         compares. What differs from bpg/proxmox on purpose is listed in `crates/resources/docs/schema-differences.txt`. \
         The provider block is on [a page of its own](provider.md).\n",
    );
    for (folder, title) in [("resources", "Resources"), ("data-sources", "Data sources")] {
        let _ = write!(text, "\n## {title}\n\n");
        for page in pages.iter().filter(|page| page.path.starts_with(folder)) {
            let name = page.text.lines().next().unwrap_or_default().trim_start_matches("# ");
            let also = page.text.lines().find_map(|line| line.strip_prefix("Also ")?.strip_suffix('.'));
            let also = also.map(|also| format!(", also {also}")).unwrap_or_default();
            let _ = writeln!(text, "- [{name}]({}){also}", page.path);
        }
    }
    Page { path: "README.md".into(), text, example: String::new() }
}

/// The shortest name, and the others.
fn primary<'n>(names: &[&'n str]) -> (&'n str, Vec<&'n str>) {
    let mut names = names.to_vec();
    names.sort_by_key(|name| (name.len(), *name));
    let first = names.remove(0);
    (first, names)
}

fn file(folder: &str, name: &str) -> String {
    format!("{folder}/{}.md", name.strip_prefix("proxmox_").unwrap_or(name))
}

fn heading(names: &[&str]) -> String {
    let (name, others) = primary(names);
    let mut text = format!("# {name}\n\n");
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(text, "Also {}.\n\n", others.join(", "));
    }
    text
}

fn resource(names: &[&str], kind: &Kind) -> Page {
    let (name, _) = primary(names);
    let older = older(name);
    let object = kind.engine().map(|engine| &engine.object);
    let about = object.map_or(older.map_or("", |older| older.about), |object| object.about);
    let body = object.map_or(older.map_or("", |older| older.example), |object| object.example);
    let beside = object.map_or("", |object| object.beside).trim_start();
    let gap = if beside.is_empty() { "" } else { "\n" };
    let example = format!("{beside}{gap}resource \"{name}\" \"example\" {{{body}}}\n");
    let mut text = heading(names);
    let _ = write!(text, "{about}\n\n## Example\n\n```terraform\n{example}```\n\n## Attributes\n\n");
    let fields = kind.engine().map(|engine| engine.fields.as_slice()).unwrap_or_default();
    text.push_str(&table(kind, fields, name != "null_resource"));
    text.push_str(&importing(name, kind, older));
    Page { path: file("resources", name), text, example }
}

fn importing(name: &str, kind: &Kind, older: Option<&Older>) -> String {
    let shape = match kind.operations() {
        Some(operations) => operations.shape(),
        None => older.map_or("", |older| older.import),
    };
    if shape.is_empty() {
        return "\n## Import\n\nIt cannot be imported.\n".to_string();
    }
    format!("\n## Import\n\n```sh\npve import {name}.example '{}'\n```\n", spelled(shape))
}

/// A template as people write it: the names in capitals.
fn spelled(template: &str) -> String {
    let mut inside = false;
    template
        .chars()
        .filter_map(|letter| {
            match letter {
                '{' => inside = true,
                '}' => inside = false,
                letter if inside => return Some(letter.to_ascii_uppercase()),
                letter => return Some(letter),
            }
            None
        })
        .collect()
}

fn data_source(registry: &Registry, names: &[&str], kind: &Kind) -> Page {
    let (name, _) = primary(names);
    let source = name;
    let derived = DERIVED.iter().find(|derived| derived.names.contains(&name));
    let object = derived.and_then(|derived| registry.kind(derived.resource)).and_then(Kind::engine);
    let about = match object {
        Some(engine) => format!("What the cluster says of one {}.", engine.object.what),
        None => "What the cluster says.".to_string(),
    };
    let needed = kind.block().attributes.iter().filter(|(_, attribute)| attribute.required);
    let needed: BTreeMap<_, _> =
        needed.map(|(name, attribute)| (name.clone(), sample(source, name, &attribute.ty))).collect();
    let width = needed.keys().map(|name| name.len()).max().unwrap_or_default();
    let lines: String = needed.iter().map(|(name, value)| format!("  {name:width$} = {value}\n")).collect();
    let body = if lines.is_empty() { String::new() } else { format!("\n{lines}") };
    let example = format!("data \"{name}\" \"example\" {{{body}}}\n");
    let mut text = heading(names);
    let _ = write!(text, "{about}\n\n## Example\n\n```terraform\n{example}```\n\n## Attributes\n\n");
    text.push_str(&table(kind, &[], true));
    Page { path: file("data-sources", name), text, example }
}

/// A value for an attribute that must be set.
fn sample(source: &str, name: &str, ty: &Type) -> String {
    let known = [
        ("cidr", "\"192.0.2.0/24\""),
        ("content_type", "\"iso\""),
        ("datastore_id", "\"local\""),
        ("file_path", "\"/etc/apt/sources.list\""),
        ("group", "\"fast\""),
        ("handle", "\"no-subscription\""),
        ("index", "0"),
        ("node", "\"pve\""),
        ("node_name", "\"pve\""),
        ("resource_id", "\"vm:100\""),
        ("type", "\"pci\""),
        ("user_id", "\"ops@pve\""),
    ];
    if source == "proxmox_replication" {
        return "\"100-0\"".to_string();
    }
    match (known.iter().find(|(known, _)| *known == name), ty) {
        (Some((_, value)), _) => (*value).to_string(),
        (None, Type::Number) => "100".to_string(),
        _ => "\"example\"".to_string(),
    }
}
