//! Bodies of the native syntax: structure, spans, and what is parsed of faulty files.
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod show;

use pve_config::syntax::{Body, Item, Parsed, SourceId, SourceMap, Span, parse_body, parse_expression};
use show::show;

fn parse(text: &str) -> Parsed<Body> {
    parse_body(SourceId(0), text)
}

fn show_body(body: &Body) -> String {
    let items = body.items.iter().map(|item| match item {
        Item::Attribute(attribute) => format!("{}={}", attribute.name, show(&attribute.expr)),
        Item::Block(block) => {
            let labels: String = block.labels.iter().map(|label| format!(" {:?}", label.name)).collect();
            format!("{}{labels} {{{}}}", block.block_type, show_body(&block.body))
        }
    });
    items.collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(input: &str, expect: &str) {
    let parsed = parse(input);
    assert_eq!(parsed.diagnostics, [], "{input}");
    assert_eq!(show_body(&parsed.value), expect, "{input}");
}

/// Checks what is parsed of a faulty body, and the line and summary of each error.
#[track_caller]
fn check_faulty(input: &str, expect: &str, errors: &[&str]) {
    let parsed = parse(input);
    let mut sources = SourceMap::new();
    let id = sources.add("test.tf", input);
    let source = sources.get(id).unwrap();
    let found: Vec<String> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            format!("{}: {}", source.line_column(diagnostic.span.unwrap().start).0, diagnostic.summary)
        })
        .collect();
    assert_eq!(found, errors, "{input}");
    assert_eq!(show_body(&parsed.value), expect, "{input}");
}

#[test]
fn bodies_hold_attributes_and_blocks_in_order() {
    check("a = 1\nb {\n}\nc = 2\n", "a=1; b {}; c=2");
    check("b \"x\" y \"z\" {\n  a = 1\n  c {}\n}\n", "b \"x\" \"y\" \"z\" {a=1; c {}}");
    check("", "");
    check("\n\n# only\n/* comments */\n", "");
}

#[test]
fn blocks_may_stand_on_one_line() {
    check("b { a = 1 }\nc {}\nd { a = {\n  x = 1\n} }\n", "b {a=1}; c {}; d {a=(object x=1)}");
    check_faulty("b { a = 1, c = 2 }\nd = 1\n", "d=1", &["1: Invalid block on one line"]);
    check_faulty("b { c {} }\nd = 1\n", "d=1", &["1: Invalid block on one line"]);
    check_faulty("b { a = 1\n}\nd = 1\n", "d=1", &["1: Invalid block on one line"]);
    check_faulty("b {} c {}\nd = 1\n", "b {}; d=1", &["1: Line end expected"]);
}

#[test]
fn faults_of_blocks_are_underlined_where_the_block_opens() {
    let underlined = |text: &'static str| parse(text).diagnostics[0].span.unwrap().slice(text);
    assert_eq!(underlined("b { c \"x\" {} }\n"), "c \"");
    assert_eq!(underlined("b { c {} }\n"), "c {");
    assert_eq!(underlined("b \"x\" {\n"), "{");
}

#[test]
fn line_endings_and_the_byte_order_mark_do_not_matter() {
    check("\u{feff}a = 1\r\nb {\r\n  c = 2\r\n}\r\n", "a=1; b {c=2}");
    check("a = 1 # end", "a=1");
    check("a = 1", "a=1");
}

#[test]
fn attributes_are_set_once() {
    check_faulty("a = 1\na = 2\nb = 3\n", "a=1; b=3", &["2: Argument set twice"]);
    let long: String = (0..40).map(|index| format!("a{index} = {index}\n")).collect();
    assert_eq!(parse(&long).diagnostics, []);
    assert_eq!(parse(&format!("{long}a3 = 1\na7 = 1\n")).diagnostics.len(), 2);
}

#[test]
fn each_faulty_item_is_reported_and_the_others_are_parsed() {
    check_faulty(
        "a = \nb = 1\nc = [1 2]\nd {\n  e = )\n  f = 1\n}\ng = 2 3\nh = 4\n",
        "b=1; d {f=1}; h=4",
        &["1: Expression expected", "3: Invalid list", "5: Expression expected", "8: Line end expected"],
    );
}

#[test]
fn faults_in_brackets_over_several_lines_end_with_them() {
    check_faulty("a = {\n  b = 1 2\n  c = 3\n}\nd = 4\n", "d=4", &["2: Invalid object"]);
    check_faulty("a = [\n  1\n  2\n]\nd = 4\n", "d=4", &["3: Invalid list"]);
    check_faulty("a = f(<<E\nx\nE\n b)\nd = 4\n", "d=4", &["4: Invalid function call"]);
}

#[test]
fn brackets_left_open_end_where_another_item_starts() {
    check_faulty("a = f(1,\nb = 2\nc = 3\n", "b=2; c=3", &["2: Invalid function call"]);
    check_faulty(
        "a = {\n  b = 1\n\nresource \"x\" \"y\" {\n  c = 1\n}\n",
        "resource \"x\" \"y\" {c=1}",
        &["4: Invalid object"],
    );
    check_faulty("b {\n  a = [1, 2\n}\nc = 3\n", "b {}; c=3", &["3: Invalid list"]);
}

#[test]
fn strings_left_open_spoil_their_line_only() {
    check_faulty("a = \"x\nb = 1\n", "a=\"x\"; b=1", &["1: Unclosed string"]);
    check_faulty("a = \"x${f(\"y\nb = 1\n", "b=1", &["1: Unclosed string"]);
}

#[test]
fn what_is_open_at_the_end_is_reported_where_it_opens() {
    check_faulty("b \"x\" {\n  a = 1\n", "b \"x\" {a=1}", &["1: Unclosed block"]);
    check_faulty("a = <<E\nx\n", "a=\"x\\n\"", &["1: Unclosed heredoc"]);
    check_faulty("a = [1,\n", "", &["1: Unclosed list"]);
    check_faulty("a = f(\n", "", &["1: Unclosed function call"]);
    check_faulty("a = {\n", "", &["1: Unclosed object"]);
    check_faulty("a = 1 /* b\n", "a=1", &["1: Unclosed comment"]);
}

#[test]
fn a_missing_brace_is_looked_for_by_indentation() {
    let text = "a \"x\" {\n  b {\n    c = 1\n}\n\nd \"y\" {\n  e = 1\n}\n";
    let parsed = parse(text);
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].span.unwrap().slice(text), "{");
    assert_eq!(parsed.diagnostics[0].related[0].0.slice(text), "d \"y\"");
    check_faulty("a {\n  b {\n    c {\n", "a {b {c {}}}", &["3: Unclosed block"]);
}

#[test]
fn what_is_no_item_is_reported() {
    check_faulty("}\na = 1\n", "a=1", &["1: Unexpected closing brace"]);
    check_faulty("\"a\" = 1\nb = 1\n", "b=1", &["1: Argument or block expected"]);
    check_faulty("a.b = 1\nb = 1\n", "b=1", &["1: Argument or block expected"]);
    check_faulty("a: 1\nb = 1\n", "b=1", &["1: Argument or block expected"]);
    check_faulty("b\n{\n  a = 1\n}\n", "b {a=1}", &["1: Invalid block"]);
    check_faulty("b \"x${y}\" {\n}\na = 1\n", "a=1", &["1: Invalid string"]);
}

#[test]
fn characters_without_use_are_reported_once() {
    check_faulty("a = 'x'\nb = 1\n", "b=1", &["1: Invalid character"]);
    check_faulty("a = 1;\nb = 1\n", "b=1", &["1: Invalid character"]);
    check_faulty("a = b & c\nb = 1\n", "b=1", &["1: Unknown operator"]);
    check_faulty("a = \u{201c}x\u{201d}\n", "", &["1: Invalid character"]);
}

#[test]
fn spans_cover_the_text_of_their_items() {
    let text = "\u{feff}é = 1\nresource \"a\" b {\n  x = \"v-${var.y[0]}\" # c\n}\n";
    let body = parse(text).value;
    let slice = |span: Span| span.slice(text);
    let block = body.blocks().next().unwrap();
    assert_eq!(slice(body.attribute("é").unwrap().name_span), "é");
    assert_eq!(slice(block.header_span), "resource \"a\" b");
    assert_eq!(slice(block.type_span), "resource");
    assert_eq!(block.labels.iter().map(|label| slice(label.span)).collect::<Vec<_>>(), ["\"a\"", "b"]);
    assert!(slice(block.span).starts_with("resource") && slice(block.span).ends_with('}'));
    assert_eq!(slice(block.body.span), "\n  x = \"v-${var.y[0]}\" # c\n");
    let attribute = block.body.attribute("x").unwrap();
    assert_eq!(slice(attribute.span), "x = \"v-${var.y[0]}\"");
    assert_eq!(slice(attribute.expr.span), "\"v-${var.y[0]}\"");
    let reference = &attribute.expr.references()[0];
    assert_eq!(slice(reference.span), "var.y[0]");
    assert_eq!(slice(reference.root.span), "var");
    assert_eq!(slice(reference.steps[1].span), "[0]");
}

#[test]
fn bytes_that_are_no_text_are_reported() {
    let mut sources = SourceMap::new();
    assert_eq!(sources.add_bytes("good.tf", b"a = 1".to_vec()).1, None);
    let (id, diagnostic) = sources.add_bytes("bad.tf", b"a = \"\xff\"".to_vec());
    assert_eq!(sources.get(id).unwrap().text.as_ref(), "a = \"\u{fffd}\"");
    assert_eq!(sources.slice(diagnostic.unwrap().span.unwrap()), "\u{fffd}");
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    let mut sources = SourceMap::new();
    let id = sources.add("main.tf", "aé = 1\n  b = 2\n");
    let source = sources.get(id).unwrap();
    assert_eq!(source.line_column(0), (1, 1));
    assert_eq!(source.line_column(4), (1, 4));
    assert_eq!(source.line_column(10), (2, 3));
    assert_eq!(source.line_column(1000), (3, 1));
}

/// All ways to go deep, each `depth` levels.
fn deep_texts(depth: usize) -> Vec<String> {
    let nest = |open: &str, inner: &str, close: &str| {
        format!("a = {}{inner}{}\n", open.repeat(depth), close.repeat(depth))
    };
    vec![
        nest("(", "1", ")"),
        nest("[", "1", "]"),
        nest("{a = ", "1", "}"),
        nest("f(", "1", ")"),
        nest("-", "1", ""),
        nest("!", "1", ""),
        nest("1 + ", "1", ""),
        nest("(1 + 1 + 1 + 1) * (1 + ", "1", ")"),
        nest("a ? b : ", "1", ""),
        nest("a[", "1", "]"),
        nest("a", "", "[*]"),
        nest("\"${", "1", "}\""),
        nest("[for x in ", "y", ": x]"),
        format!("a = \"{}{}\"\n", "%{if a}".repeat(depth), "%{endif}".repeat(depth)),
        format!("{}{}", "a {\n".repeat(depth), "}\n".repeat(depth)),
        format!("a = {}x\n{}", "<<A\n${".repeat(depth), "}\nA\n".repeat(depth)),
    ]
}

/// In a thread of the usual 2 MiB, also without optimisation.
#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    for depth in [100, 400, 5_000, 200_000] {
        for text in deep_texts(depth) {
            let parsed = parse(&text);
            let _ = (parsed.value.clone() == parsed.value, parsed.value.references());
            let head: String = text.chars().take(30).collect();
            if depth <= 400 && !head.contains(") * (") {
                assert!(!parsed.has_errors(), "{depth} of {head}: {:?}", parsed.diagnostics);
            }
            if depth >= 5_000 {
                assert!(parsed.has_errors(), "{depth} of {head}");
            }
        }
    }
}

#[test]
fn long_flat_texts_are_not_deep() {
    let list = format!("[{}]", "a.b.c[0], ".repeat(100_000));
    assert_eq!(parse_expression(SourceId(0), &list).diagnostics, []);
    let sums = format!("[{}]", "1 + 2 + 3, ".repeat(10_000));
    assert_eq!(parse_expression(SourceId(0), &sums).diagnostics, []);
    let steps = format!("a{}", ".b".repeat(100_000));
    assert_eq!(parse_expression(SourceId(0), &steps).diagnostics, []);
}

/// Faults without end must not take time that grows with the square of the text.
#[test]
fn many_faults_are_found_in_linear_time() {
    let count = 20_000;
    for (line, errors) in [
        ("a = 1 2\n", count),
        ("a = [\n", count),
        ("a = 'x'\n", count),
        ("'", 1),
        ("a = 1\n", count - 1),
        ("a = \"x${f(\n", 1),
        ("a {\na = (\n", 1),
        ("}\n", count),
        ("x ", 1),
        ("a = <<E\n", 1),
    ] {
        let parsed = parse(&line.repeat(count));
        assert!(parsed.diagnostics.len() >= errors, "{line:?}: {}", parsed.diagnostics.len());
    }
}
