//! Compares the schemas of this crate with a JSON description of the provider's own: `check-schema FILE`. What differs on
//! purpose is listed with the reason in `docs/schema-differences.txt`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end it")]

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Type;
use pve_model::rules::RulesRegistry;
use pve_model::schema::{Attribute, Block, NestedBlock};
use serde_json::{Map, Value as Json};

/// Lines of `KIND PATH REASON`; the kind without its prefix, data sources with `data.` before it.
const DIFFERENCES: &str = include_str!("../docs/schema-differences.txt");

/// What was compared of one kind.
struct Report {
    kind: String,
    accepted: BTreeMap<(&'static str, &'static str), bool>,
    faults: Vec<String>,
    checked: usize,
    failed: usize,
}

impl Report {
    /// Counts an attribute with what is wrong with it, unless that is on purpose.
    fn attribute(&mut self, path: &str, faults: Vec<String>) {
        self.checked += 1;
        if faults.is_empty() {
            return;
        }
        let known = self.accepted.iter_mut().find(|((kind, at), _)| *kind == self.kind && *at == path);
        if let Some((_, used)) = known {
            *used = true;
            return;
        }
        self.failed += 1;
        self.faults.extend(faults.into_iter().map(|fault| format!("{} {path}: {fault}", self.kind)));
    }
}

fn main() {
    let file = std::env::args().nth(1).expect("usage: check-schema FILE");
    let facts: Json = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let registry = pve_resources::registry();
    let lines = DIFFERENCES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let accepted = lines.map(|line| {
        let mut words = line.split(' ');
        ((words.next().unwrap(), words.next().unwrap()), false)
    });
    let mut report = Report {
        kind: String::new(),
        accepted: accepted.collect(),
        faults: Vec::new(),
        checked: 0,
        failed: 0,
    };
    let mut missing = BTreeSet::new();
    for (list, data) in [("resources", false), ("data_sources", true)] {
        for entry in facts[list].as_array().unwrap() {
            for name in entry["names"].as_array().unwrap().iter().filter_map(Json::as_str) {
                let rules = if data { registry.data(name) } else { registry.resource(name) };
                let short =
                    name.strip_prefix("proxmox_virtual_environment_").or(name.strip_prefix("proxmox_"));
                // This one is no short name of the other.
                let short = short.filter(|_| name != "proxmox_vm").unwrap_or(name);
                let kind = format!("{}{short}", if data { "data." } else { "" });
                let Some(rules) = rules else {
                    missing.insert(kind);
                    continue;
                };
                report.kind = kind;
                compare(&rules.schema().block, entry["attributes"].as_object().unwrap(), "", &mut report);
            }
        }
    }
    report.faults.iter().for_each(|fault| println!("{fault}"));
    let unused = report.accepted.iter().filter(|(_, used)| !**used).map(|(key, _)| key).collect::<Vec<_>>();
    unused.iter().for_each(|(kind, path)| println!("{kind} {path}: listed as different, but it is not"));
    if !missing.is_empty() {
        println!("not here: {}", missing.into_iter().collect::<Vec<_>>().join(", "));
    }
    println!("{} passed, {} failed", report.checked - report.failed, report.failed + unused.len());
}

fn compare(block: &Block, facts: &Map<String, Json>, at: &str, report: &mut Report) {
    for (name, fact) in facts {
        let path = format!("{at}{name}");
        if let Some(nested) = block.blocks.get(name.as_str()) {
            let inner = fact["block"].as_object();
            report.attribute(&path, nested_faults(nested, fact));
            if let Some(inner) = inner {
                compare(&nested.block, inner, &format!("{path}."), report);
            }
        } else if let Some(attribute) = block.attributes.get(name.as_str()) {
            report.attribute(&path, attribute_faults(attribute, fact));
        } else {
            report.attribute(&path, vec!["it is missing here".into()]);
        }
    }
    for name in block.attributes.keys().chain(block.blocks.keys()) {
        if !facts.contains_key(&**name) && &**name != "id" {
            report.attribute(&format!("{at}{name}"), vec!["it is only here".into()]);
        }
    }
}

fn is(fact: &Json, key: &str) -> bool {
    fact[key].as_bool() == Some(true)
}

fn nested_faults(nested: &NestedBlock, fact: &Json) -> Vec<String> {
    if !fact["block"].is_object() {
        return vec!["it is a block here".into()];
    }
    let mut faults = Vec::new();
    if nested.max_items != fact["max_items"].as_u64().unwrap_or(0) {
        faults.push(format!("at most {} blocks here", nested.max_items));
    }
    if nested.replace != is(fact, "replace") {
        faults.push(format!("replace is {} here", nested.replace));
    }
    faults
}

fn attribute_faults(attribute: &Attribute, fact: &Json) -> Vec<String> {
    let flags = [
        ("required", attribute.required),
        ("optional", attribute.optional),
        ("computed", attribute.computed),
        ("sensitive", attribute.sensitive),
        ("replace", attribute.replace),
        ("write_only", attribute.write_only),
    ];
    let different = flags.iter().filter(|(key, here)| *here != is(fact, key));
    let mut faults: Vec<String> = different.map(|(key, here)| format!("{key} is {here} here")).collect();
    if !fits(&attribute.ty, fact) {
        faults.push(format!("it is of the type {} here", attribute.ty));
    }
    let default = attribute.default.as_ref().map(pve_model::codec::to_plain_json);
    let wanted = Some(&fact["default"]).filter(|d| !d.is_null() && **d != "" && **d != Json::Array(vec![]));
    let text = |json: &Json| json.as_str().map_or(json.to_string(), str::to_string);
    // An empty default may be written as one, or be none.
    let is_empty = fact["default"] == "" && default.as_ref().is_some_and(|default| default == "");
    if !is_empty && default.as_ref().map(text) != wanted.map(text) {
        faults.push(format!("default is {default:?} here, not {wanted:?}"));
    }
    faults
}

/// Whether a type is the one that the description has in its own words.
fn fits(ty: &Type, fact: &Json) -> bool {
    let word = fact["type"].as_str().unwrap_or_default();
    if word.contains("types.object[") {
        return fits_words(ty, word);
    }
    let word = word.strip_prefix("types.").unwrap_or(word);
    let (outer, inner) =
        word.split_once('[').map_or((word, None), |(outer, inner)| (outer, inner.strip_suffix(']')));
    let element = inner.or(fact["elem"].as_str());
    let scalar = |ty: &Type, word: &str| match ty {
        Type::Bool => word == "bool",
        Type::Number => ["int", "int64", "int32", "float", "float64"].contains(&word),
        Type::String => !["bool", "int", "int64", "float64", "list", "set", "map"].contains(&word),
        _ => ["list", "set"].contains(&word),
    };
    let object = |ty: &Type| match (ty, fact["block"].as_object()) {
        (Type::Object(here), Some(facts)) => {
            here.len() == facts.len()
                && here.iter().all(|(name, part)| facts.get(&**name).is_some_and(|fact| fits(&part.ty, fact)))
        }
        _ => false,
    };
    match (outer, ty) {
        ("singlenested", ty) => object(ty),
        ("listnested", Type::List(ty)) | ("setnested", Type::Set(ty)) => object(ty),
        ("list", Type::List(ty)) | ("set", Type::Set(ty)) if fact["block"].is_object() => object(ty),
        ("mapnested", Type::Map(ty)) => object(ty),
        ("list", Type::List(ty)) | ("set", Type::Set(ty)) | ("map", Type::Map(ty)) => {
            element.is_none_or(|element| scalar(ty, element))
        }
        ("stringset", Type::Set(ty)) => **ty == Type::String,
        (_, Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Object(_)) => false,
        (word, ty) => scalar(ty, word),
    }
}

/// As [`fits`], for a type that is written out: `types.list[types.object["a":string, "b":types.set[string]]]`.
fn fits_words(ty: &Type, words: &str) -> bool {
    let words = words.trim();
    let inside = |outer: &str| words.strip_prefix(outer).and_then(|rest| rest.strip_suffix(']'));
    match ty {
        Type::List(element) => inside("types.list[").is_some_and(|words| fits_words(element, words)),
        Type::Set(element) => inside("types.set[").is_some_and(|words| fits_words(element, words)),
        Type::Object(attributes) => inside("types.object[").is_some_and(|words| {
            let (mut depth, mut parts) = (0, vec![String::new()]);
            for letter in words.chars() {
                depth += i32::from(letter == '[') - i32::from(letter == ']');
                match letter {
                    ',' if depth == 0 => parts.push(String::new()),
                    letter => parts.last_mut().unwrap().push(letter),
                }
            }
            let parts: Vec<_> = parts.iter().filter_map(|part| part.trim().split_once(':')).collect();
            parts.len() == attributes.len()
                && parts.iter().all(|(name, words)| {
                    attributes.get(name.trim_matches('"')).is_some_and(|part| fits_words(&part.ty, words))
                })
        }),
        Type::Bool => words == "bool",
        Type::Number => ["int64", "float64"].contains(&words),
        _ => words == "string",
    }
}
