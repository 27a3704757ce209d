//! Lexer, parser and layout of the native syntax.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pve_config::syntax::{SourceId, format, parse_body, parse_expression, parse_template, parse_traversal};

fuzz_target!(|text: &str| {
    let source = SourceId(0);
    let body = parse_body(source, text);
    for diagnostic in &body.diagnostics {
        if let Some(span) = diagnostic.span {
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "a span cuts a character");
        }
    }
    parse_expression(source, text);
    parse_template(source, text);
    parse_traversal(source, text);
    if let Ok(formatted) = format(source, text) {
        let again = format(source, &formatted).expect("what was formatted is read");
        assert_eq!(formatted, again, "formatting twice changes something");
    }
});
