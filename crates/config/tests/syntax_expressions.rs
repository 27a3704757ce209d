//! What expressions and templates of the native syntax parse to, shown as s-expressions.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod show;

use pve_config::syntax::{SourceId, parse_body, parse_expression, parse_template, parse_traversal};
use show::{show, show_traversal};

#[track_caller]
fn check(input: &str, expect: &str) {
    let parsed = parse_expression(SourceId(0), input);
    assert_eq!(parsed.diagnostics, [], "{input}");
    assert_eq!(show(&parsed.value.unwrap()), expect, "{input}");
}

/// Checks the value of the attribute `r` of a body.
#[track_caller]
fn check_body(input: &str, expect: &str) {
    let parsed = parse_body(SourceId(0), input);
    assert_eq!(parsed.diagnostics, [], "{input}");
    assert_eq!(show(&parsed.value.attribute("r").unwrap().expr), expect, "{input}");
}

#[track_caller]
fn check_template(input: &str, expect: &str) {
    let parsed = parse_template(SourceId(0), input);
    assert_eq!(parsed.diagnostics, [], "{input}");
    assert_eq!(show(&parsed.value.unwrap()), expect, "{input}");
}

/// Checks that the text is refused, and with what summary first.
#[track_caller]
fn refuse(input: &str, summary: &str) {
    let parsed = parse_expression(SourceId(0), input);
    let first = parsed.diagnostics.first().expect("an error");
    assert_eq!(first.summary, summary, "{input}: {first:?}");
}

#[test]
fn operators_bind_by_precedence_and_group_to_the_left() {
    check("1 + 2 * 3 - 4", "(- (+ 1 (* 2 3)) 4)");
    check("a || b && c == d < e + f", "(|| a (&& b (== c (< d (+ e f)))))");
    check("a != b == c", "(== (!= a b) c)");
    check("2 * 3 % 4 / 5", "(/ (% (* 2 3) 4) 5)");
    check("a >= b <= c > d", "(> (<= (>= a b) c) d)");
}

#[test]
fn signs_bind_tighter_than_operators_and_looser_than_steps() {
    check("-a + b", "(+ (neg a) b)");
    check("!a.b == c", "(== (not (a .b)) c)");
    check("--1", "(neg (neg 1))");
    check("2 - -1", "(- 2 (neg 1))");
    check("!-a[0]", "(not (neg (a [0])))");
}

#[test]
fn conditionals_nest_to_the_right() {
    check("a ? b : c ? d : e", "(? a b (? c d e))");
    check("a ? b ? c : d : e", "(? a (? b c d) e)");
    check("a == 1 ? b + 1 : c", "(? (== a 1) (+ b 1) c)");
}

#[test]
fn numbers_keep_their_text() {
    check("007", "007");
    check("1.50", "1.50");
    check("1e400", "1e400");
    check("12.5E-3", "12.5E-3");
    refuse("1.2.3", "Invalid number");
    refuse(".5", "Expression expected");
    refuse("1..2", "Invalid number");
}

#[test]
fn traversals_have_attribute_index_and_legacy_steps() {
    check("a.b[0][\"k\"].c", "(a .b [0] [\"k\"] .c)");
    check("a.0.b", "(a .0 .b)");
    check("f(x).y", "((f x) .y)");
    check("[1, 2][0]", "((tuple 1 2) [0])");
    check("a[b.c]", "(a [(b .c)])");
    check("a-b.c-d", "(a-b .c-d)");
    refuse("a.0.1", "Invalid index");
    refuse("a.", "Attribute name expected");
    refuse("a[", "Expression expected");
}

#[test]
fn attribute_splats_take_attributes_and_full_splats_take_all_steps() {
    check("a.*.b.c[0].d", "(a (.* .b .c) [0] .d)");
    check("a[*].b[0].c", "(a ([*] .b [0] .c))");
    check("a[*].b[*].c", "(a ([*] .b ([*] .c)))");
    check("a.*", "(a (.*))");
    check("a[*]", "(a ([*]))");
    check("a.*.0.b", "(a (.* .0 .b))");
    refuse("a.*.*", "Invalid splat");
    refuse("a[*", "Invalid splat");
}

#[test]
fn calls_have_namespaces_trailing_commas_and_expansion() {
    check("f()", "(f)");
    check("f(a, b,)", "(f a b)");
    check("f(a, b...)", "(f a b ...)");
    check("provider::assert::key(a)", "(provider::assert::key a)");
    check("f(\na\n,\nb\n)", "(f a b)");
    refuse("f(a b)", "Invalid function call");
    refuse("f(a... , b)", "Invalid function call");
    refuse("f(,)", "Expression expected");
    refuse("a::(b)", "Invalid function name");
    refuse("f(a", "Unclosed function call");
}

#[test]
fn tuples_take_line_ends_anywhere() {
    check("[]", "(tuple)");
    check("[1, 2,]", "(tuple 1 2)");
    check("[\n1\n,\n2\n]", "(tuple 1 2)");
    refuse("[1 2]", "Invalid list");
    refuse("[,]", "Expression expected");
}

#[test]
fn object_keys_are_words_or_expressions() {
    check("{ a = 1, b : 2 }", "(object a=1 b=2)");
    check("{ (a) = 1 }", "(object ((paren a))=1)");
    check("{ \"a-${b}\" = 1 }", "(object ((template \"a-\" (b)))=1)");
    check("{ true = 1, null = 2 }", "(object true=1 null=2)");
    check("{ a.b = 1 }", "(object ((a .b))=1)");
    check("{\n\n  a = 1\n  b = 2, c = 3\n\n}", "(object a=1 b=2 c=3)");
    check("{ a = 1 # one\n b = 2 // two\n}", "(object a=1 b=2)");
    refuse("{ a = 1,, }", "Expression expected");
    refuse("{ a =\n 1 }", "Expression expected");
    refuse("{ a\n = 1 }", "Invalid object");
    refuse("{ a = 1 b = 2 }", "Invalid object");
    refuse("{ a b = 1 }", "Invalid object");
}

#[test]
fn for_makes_tuples_and_objects() {
    check("[for x in xs : x]", "(for-tuple x xs x)");
    check("[for i, x in xs : x if i > 0]", "(for-tuple i,x xs x if (> i 0))");
    check("{for k, v in m : k => v}", "(for-object k,v m k=>v)");
    check("{for k, v in m : v => k... if v != null}", "(for-object k,v m v=>k ... if (!= v null))");
    check("{\n for k, v in m :\n k =>\n v\n}", "(for-object k,v m k=>v)");
    check("[for for in xs : for]", "(for-tuple for xs for)");
    refuse("[for x in xs : x => y]", "Invalid \"for\" expression");
    refuse("{for x in xs : x}", "Invalid \"for\" expression");
    refuse("[for x in xs : x...]", "Invalid \"for\" expression");
    refuse("[for x of xs : x]", "Invalid \"for\"");
}

#[test]
fn strings_resolve_escapes() {
    check(r#""a\n\t\r\"\\b""#, "\"a\\n\\t\\r\\\"\\\\b\"");
    check(r#""\u00e9\U0001F600""#, "\"é😀\"");
    check(r#""$${a} %%{b} $a $$ % $""#, "\"${a} %{b} $a $$ % $\"");
    refuse(r#""\q""#, "Invalid escape");
    refuse(r#""\u12""#, "Invalid escape");
    refuse(r#""\ud800""#, "Invalid escape");
    refuse(r#""\${a}""#, "Invalid escape");
}

#[test]
fn strings_and_names_are_normalised() {
    check("\"e\u{301}\"", "\"\u{e9}\"");
    check("e\u{301}", "\u{e9}");
    check("größe + 名前", "(+ größe 名前)");
}

#[test]
fn a_lone_interpolation_is_a_wrap_and_others_are_templates() {
    check("\"${a}\"", "(wrap a)");
    check("\"${~ a ~}\"", "(wrap a)");
    check("\"a${b}c\"", "(template \"a\" (b) \"c\")");
    check("\"${a}${b}\"", "(template (a) (b))");
    check("\"${a ~} \"", "(template (a))");
    check("\"${\"${a}\"}\"", "(wrap (wrap a))");
    check("\"${{a = 1}.a}\"", "(wrap ((object a=1) .a))");
    check("\"\"", "\"\"");
}

#[test]
fn directives_nest_in_templates() {
    check("\"%{if a}x%{else}y%{endif}\"", "(template (if a (\"x\") (\"y\")))");
    check("\"%{if a}x%{endif}\"", "(template (if a (\"x\") ()))");
    check("\"%{for i, x in xs}${x},%{endfor}\"", "(template (for i,x xs ((x) \",\")))");
    check("\"%{for x in xs}%{if x}a%{endif}%{endfor}!\"", "(template (for x xs ((if x (\"a\") ()))) \"!\")");
    refuse("\"%{if a}\"", "Unclosed \"if\" directive");
    refuse("\"%{endif}\"", "Unexpected \"endif\" directive");
    refuse("\"%{for x in xs}%{endif}\"", "Unexpected \"endif\" directive");
    refuse("\"%{if a}%{else}%{else}%{endif}\"", "Unexpected \"else\" directive");
    refuse("\"%{while a}\"", "Invalid template directive");
    refuse("\"${a b}\"", "Invalid template interpolation");
}

#[test]
fn trimming_takes_white_space_of_one_piece_of_text() {
    check("\"a  ${~ b ~}  c\"", "(template \"a\" (b) \"c\")");
    check("\"a %{~ if b ~} x %{~ endif ~} c\"", "(template \"a\" (if b (\"x\") ()) \"c\")");
    check("\"a \\n ${~ b}\"", "(template \"a\" (b))");
    check_body("r = <<E\na\n  ${~ b ~}\n  c\nE\n", "(template \"a\\n\" (b) \"  c\\n\")");
}

#[test]
fn heredocs_keep_their_lines() {
    check_body("r = <<E\na\n  b\nE\n", "\"a\\n  b\\n\"");
    check_body("r = <<E\nE\n", "\"\"");
    check_body("r = <<E\n\\n\nE\n", "\"\\\\n\\n\"");
    check_body("r = <<E\na\n  E  \n", "\"a\\n\"");
    check_body("r = <<E\na E\nE\n", "\"a E\\n\"");
    check_body("r = <<E\na\r\nE\r\n", "\"a\\r\\n\"");
    check_body("r = <<E\n$${a} ${b}\nE\n", "(template \"${a} \" (b) \"\\n\")");
    check_body("r = [<<A\na\nA\n, <<B\nb\nB\n]\n", "(tuple \"a\\n\" \"b\\n\")");
    check_body("r = <<A\n${<<B\nb\nB\n}\nA\n", "(template (\"b\\n\") \"\\n\")");
}

#[test]
fn dashed_heredocs_lose_their_common_indentation() {
    check_body("r = <<-E\n    a\n      b\n  E\n", "\"a\\n  b\\n\"");
    check_body("r = <<-E\n    a\n\n  b\n  E\n", "\"  a\\n\\nb\\n\"");
    check_body("r = <<-E\n    a\n  ${b}\n    c\n  E\n", "(template \"  a\\n\" (b) \"\\n  c\\n\")");
    check_body("r = <<-E\n    a\n${b}\n  E\n", "(template \"    a\\n\" (b) \"\\n\")");
    check_body("r = <<-E\n\ta\n\t\tb\nE\n", "\"a\\n\\tb\\n\"");
}

/// hclsyntax trims before it dedents, so the line behind a trimmed line end is no line of its own.
#[test]
fn dedenting_follows_trimming() {
    check_body(
        "r = <<-E\n    a\n    %{ for x in xs ~}\n    - ${x}\n    %{ endfor ~}\n  E\n",
        "(template \"a\\n\" (for x xs (\"    - \" (x) \"\\n\")))",
    );
}

/// The texts are those that Terraform 1.11 printed for these heredocs.
#[test]
fn trimming_and_dedenting_give_the_text_of_terraform() {
    check_body(
        "r = <<-E\n      a $ b\n    $x\n  ${~ s ~}\n      c\n  E\n",
        "(template \"      a $ b\\n    $x\\n\" (s) \"      c\\n\")",
    );
    check_body(
        "r = <<-E\n    %{ if true }\n      x\n    %{ else }\n      y\n    %{ endif }\n  E\n",
        "(template (if true (\"\\n  x\\n\") (\"\\n  y\\n\")) \"\\n\")",
    );
    check_body("r = <<-E\n   a\n\tb\n     c\n  E\n", "\"  a\\nb\\n    c\\n\"");
    check_body(
        "r = <<E\n  a\n  ${~ s}\n   b ${s ~}\n\n  c\n  E\n",
        "(template \"  a\\n\" (s) \"\\n   b \" (s) \"\\n  c\\n\")",
    );
    check(
        "\"%{ for i, x in xs ~}  ${i}=${x} %{~ endfor } \"",
        "(template (for i,x xs ((i) \"=\" (x))) \" \")",
    );
}

#[test]
fn whole_text_templates_need_no_quotes() {
    check_template("a \"b\" ${c}\n", "(template \"a \\\"b\\\" \" (c) \"\\n\")");
    check_template("${a}", "(wrap a)");
    check_template("a$", "\"a$\"");
    check_template("\\n", "\"\\\\n\"");
    check_template("", "\"\"");
    check_template("%{ if a ~}\nx\n%{ endif ~}\n", "(template (if a (\"x\\n\") ()))");
}

#[test]
fn comments_and_line_ends_are_passed_over_in_brackets() {
    check("( /* one */ 1 # two\n + // three\n 2)", "(paren (+ 1 2))");
    refuse("1 /* open", "Unclosed comment");
    check_body("r = 1 /* a\n b */ + 2\n", "(+ 1 2)");
}

#[test]
fn traversals_parse_alone() {
    let parse = |text: &str| {
        let parsed = parse_traversal(SourceId(0), text);
        parsed.value.map(|traversal| show_traversal(&traversal)).ok_or(parsed.diagnostics.len())
    };
    assert_eq!(parse("module.net[\"a\"].x[0]"), Ok("module.net[\"a\"].x[0]".to_owned()));
    assert_eq!(parse("a[b]"), Err(1));
    assert_eq!(parse("a.*"), Err(1));
    assert_eq!(parse("a b"), Err(1));
    assert_eq!(parse(""), Err(1));
}

#[test]
fn references_leave_out_names_bound_within() {
    let references = |text: &str| {
        let expr = parse_expression(SourceId(0), text).value.unwrap();
        expr.references().iter().map(show_traversal).collect::<Vec<_>>()
    };
    assert_eq!(references("var.a + local.b[0].c"), ["var.a", "local.b[0].c"]);
    assert_eq!(references("[for x in var.xs : x.y + var.z]"), ["var.xs", "var.z"]);
    assert_eq!(references("[for x in x : x]"), ["x"]);
    assert_eq!(references("a.b[c.d].e[*].f"), ["a.b", "c.d"]);
    assert_eq!(references("\"%{for k, v in m}${k}${n}%{endfor}${k}\""), ["m", "n", "k"]);
    assert_eq!(references("{ a = b, (c) = d, e.f = 1 }"), ["b", "c", "d", "e.f"]);
    assert_eq!(references("f(g.h).i"), ["g.h"]);
    assert_eq!(references("{for k, v in m : k => v... if w}"), ["m", "w"]);
}

#[test]
fn static_traversals_have_literal_steps_only() {
    let traversal = |text: &str| {
        let expr = parse_expression(SourceId(0), text).value.unwrap();
        expr.as_static_traversal().map(|traversal| show_traversal(&traversal))
    };
    assert_eq!(traversal("a.b[\"c\"].0"), Some("a.b[\"c\"][0]".to_owned()));
    assert_eq!(traversal("a[b]"), None);
    assert_eq!(traversal("a[*]"), None);
    assert_eq!(traversal("(a)"), None);
    assert_eq!(traversal("a"), Some("a".to_owned()));
}
