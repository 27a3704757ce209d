//! Random texts: nothing panics, spans stay within the text, and formatting settles at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use pve_config::syntax::{
    Diagnostic, SourceId, format, json, parse_body, parse_expression, parse_template, parse_traversal,
};

/// Pieces of which random texts are likely to get far in the parser.
const PIECES: &[&str] = &[
    "a",
    "b",
    "for",
    "in",
    "if",
    "else",
    "endif",
    "endfor",
    "true",
    "null",
    " ",
    " ",
    "\n",
    "\n",
    "\r\n",
    "=",
    "==",
    "=>",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\"",
    "${",
    "%{",
    "~}",
    "~",
    "$${",
    "$",
    "%",
    "<<E\n",
    "<<-E\n",
    "\nE\n",
    "E",
    "\\",
    "\\n",
    "\\u00e9",
    "0",
    "1.5",
    "1e3",
    ".",
    "...",
    ",",
    ":",
    "::",
    "?",
    "+",
    "-",
    "*",
    "/",
    "!",
    "&&",
    "||",
    "<",
    ">=",
    "#",
    "//",
    "/*",
    "*/",
    "é",
    "e\u{301}",
    "\u{feff}",
    "\r",
    "'",
    "a = 1\n",
    "b \"c\" {\n",
    "}\n",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn check_spans(diagnostics: &[Diagnostic], text: &str) {
    for span in diagnostics.iter().filter_map(|diagnostic| diagnostic.span) {
        assert!(
            span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some(),
            "{span:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4096), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn native_parsers_never_panic(text in texts()) {
        let source = SourceId(0);
        let body = parse_body(source, &text);
        check_spans(&body.diagnostics, &text);
        body.value.references();
        for attribute in body.value.attributes() {
            prop_assert!(text.get(attribute.span.start as usize..attribute.span.end as usize).is_some());
        }
        let expression = parse_expression(source, &text);
        check_spans(&expression.diagnostics, &text);
        prop_assert_eq!(expression.value.is_none(), expression.value.is_none() && expression.has_errors());
        check_spans(&parse_template(source, &text).diagnostics, &text);
        check_spans(&parse_traversal(source, &text).diagnostics, &text);
    }

    #[test]
    fn json_reader_never_panics(text in texts()) {
        let parsed = json::parse_body(SourceId(0), &text);
        check_spans(&parsed.diagnostics, &text);
        parsed.value.content(&json::language_blocks);
        parsed.value.attributes();
    }

    #[test]
    fn formatting_twice_changes_nothing(text in texts()) {
        if let Ok(once) = format(SourceId(0), &text) {
            let twice = format(SourceId(0), &once);
            prop_assert_eq!(twice.as_deref(), Ok(once.as_str()), "{:?}", text);
        }
    }
}
