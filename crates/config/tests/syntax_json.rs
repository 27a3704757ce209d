//! The JSON form: reading, blocks by schema, strings as templates.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod show;

use pve_config::syntax::json::{self, BlockHeader};
use pve_config::syntax::{Body, Item, SourceId};
use show::show;

fn show_body(body: &Body) -> String {
    let items = body.items.iter().map(|item| match item {
        Item::Attribute(attribute) => format!("{}={}", attribute.name, show(&attribute.expr)),
        Item::Block(block) => {
            let labels: String = block.labels.iter().map(|label| format!(" {}", label.name)).collect();
            format!("{}{labels} {{{}}}", block.block_type, show_body(&block.body))
        }
    });
    items.collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let parsed = json::parse_body(SourceId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    let content = parsed.value.content(&json::language_blocks);
    assert_eq!(content.diagnostics, [], "{text}");
    assert_eq!(show_body(&content.value), expect, "{text}");
}

/// Checks the text at fault and the summary of the first finding.
#[track_caller]
fn refuse(text: &str, at: &str, summary: &str) {
    let parsed = json::parse_body(SourceId(0), text);
    let content = parsed.value.content(&json::language_blocks);
    let first = parsed.diagnostics.iter().chain(&content.diagnostics).next().expect("a finding");
    assert_eq!((first.span.unwrap().slice(text), first.summary.as_str()), (at, summary), "{text}");
}

#[test]
fn labels_are_levels_of_objects() {
    check(r#"{"resource": {"a": {"x": {"n": 1}, "y": {}}}}"#, "resource a x {n=1}; resource a y {}");
    check(r#"{"resource": [{"a": {"x": {}}}, {"a": {"x": {}}}]}"#, "resource a x {}; resource a x {}");
    check(r#"{"variable": {"v": {"type": "string", "validation": [{}, {}]}}}"#, {
        "variable v {type=\"string\"; validation {}; validation {}}"
    });
    check(r#"{"locals": {"a": 1}, "locals": {"b": 2}}"#, "locals {a=1}; locals {b=2}");
    check(
        r#"[{"locals": {"a": 1}}, {"output": {"o": {"value": true}}}]"#,
        "locals {a=1}; output o {value=true}",
    );
}

#[test]
fn null_means_no_block_and_comments_are_left_out() {
    check(r#"{"//": "x", "locals": null, "terraform": {"//": 1}}"#, "terraform {}");
}

#[test]
fn values_are_expressions() {
    check(
        r#"{"locals": {"a": [1, -2.5e3, null, true], "b": {"k": "v", "${x}-y": {}}}}"#,
        "locals {a=(tuple 1 (neg 2.5e3) null true); b=(object (\"k\")=\"v\" ((template (x) \"-y\"))=(object))}",
    );
    check(r#"{"locals": {"a": "${b.c}", "d": "x-${e}", "f": "$${g}", "h": "%{if i}j%{endif}"}}"#, {
        "locals {a=(wrap (b .c)); d=(template \"x-\" (e)); f=\"${g}\"; h=(template (if i (\"j\") ()))}"
    });
    check(r#"{"locals": {"a": "\u00e9\ud83d\ude00\n\t\"\\\/", "b": "\ud83d"}}"#, {
        "locals {a=\"é😀\\n\\t\\\"\\\\/\"; b=\"\u{fffd}\"}"
    });
}

#[test]
fn spans_of_templates_point_into_the_string() {
    let text = r#"{"locals": {"a": "x-${var.y}", "b": "\n${var.z}"}}"#;
    let body = json::parse_body(SourceId(0), text).value.content(&json::language_blocks).value;
    let references = body.references();
    assert_eq!(references[0].span.slice(text), "var.y");
    assert_eq!(
        references[1].span.slice(text),
        "\\n${var.z}",
        "escapes hide the place, so it is the whole string"
    );
}

#[test]
fn strings_can_be_read_as_expressions() {
    let text = r#"{"x": "list(string)", "y": 1}"#;
    let body = json::parse_body(SourceId(0), text).value.attributes().value;
    let parsed = json::parse_string_content(&body.attribute("x").unwrap().expr).unwrap();
    assert_eq!(show(&parsed.value.unwrap()), "(list string)");
    assert!(json::parse_string_content(&body.attribute("y").unwrap().expr).is_none());
}

#[test]
fn schemas_see_the_blocks_around() {
    let text = r#"{"resource": {"vm": {"a": {"disk": {"size": 1}, "tags": {"size": 2}}}}}"#;
    let schema = |path: &[BlockHeader], name: &str| match path {
        [header] if header.labels[0] == "vm" && name == "disk" => Some(0),
        _ => json::language_blocks(path, name),
    };
    let body = json::parse_body(SourceId(0), text).value.content(&schema).value;
    assert_eq!(show_body(&body), "resource vm a {disk {size=1}; tags=(object (\"size\")=2)}");
}

#[test]
fn faulty_json_is_refused_where_it_goes_wrong() {
    refuse("", "", "JSON value expected");
    refuse("{", "{", "Unclosed JSON object");
    refuse(r#"{"a": [1, 2"#, "[", "Unclosed JSON list");
    refuse(r#"{"a": 1,}"#, "}", "Invalid JSON object");
    refuse(r#"{"a" 1}"#, "1", "Invalid JSON object");
    refuse(r#"{"a": 01}"#, "01", "Invalid JSON number");
    refuse(r#"{"a": True}"#, "True", "JSON value expected");
    refuse(r#"{"a": "\x"}"#, "\\", "Invalid JSON escape");
    refuse("{\"a\": \"x\ny\"}", "\n", "Invalid JSON string");
    refuse(r#"{"a": "x"#, "\"x", "Unclosed JSON string");
    refuse("{} {}", "{", "Text after JSON value");
    refuse("\u{e9}", "\u{e9}", "JSON value expected");
    refuse(&"[".repeat(100_000), "[", "Nested too deep");
}

#[test]
fn faulty_structure_is_refused() {
    refuse(r#"{"resource": {"a": 1}}"#, "1", "JSON object expected");
    refuse(r#"{"resource": {}}"#, "{}", "Missing block label");
    refuse(r#"{"locals": "x"}"#, "\"x\"", "JSON object expected");
    refuse(r#"{"a": 1, "a": 2}"#, "\"a\"", "Argument set twice");
    refuse(r#"{"a": "${b"}"#, "${", "Unclosed template interpolation");
}
