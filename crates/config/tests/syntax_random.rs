//! Random texts: nothing panics, spans stay within the text, and formatting settles at once.

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

/// A valid text with most of the constructs, to be damaged.
const SAMPLE: &str = r#"
resource "vm" "web" { # comment
  name  = "web-${var.env}-%{ if a }b%{ else }c%{ endif }"
  count = var.enabled && length(var.nodes) > 0 ? 3 : -1.5e3 /* why */
  tags  = [for i, x in var.tags : upper(x) if x != null]
  map   = { for k, v in local.m : k => v... }
  ids   = vm.other[*].id[0] == vm.more.*.x.0 ? { a = 1, (b) : 2, "c" = [3,], } : null
  disk { size = 10 }
  data = <<-EOT
    #cloud-config
    %{ for user in var.users ~}
    - ${user.name} $${escaped} %%{too}
    %{ endfor ~}
  EOT
  call = provider::a::b(var.x...)
}
"#;

/// The sample with pieces put in and ranges of characters taken out.
fn damaged_samples() -> impl Strategy<Value = String> {
    let damage = (any::<prop::sample::Index>(), prop::sample::select(PIECES), 0_usize..6);
    prop::collection::vec(damage, 1..6).prop_map(|damages| {
        let mut characters: Vec<char> = SAMPLE.chars().collect();
        for (place, piece, length) in damages {
            let start = place.index(characters.len());
            let end = (start + length).min(characters.len());
            characters.splice(start..end, piece.chars());
        }
        characters.into_iter().collect()
    })
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        damaged_samples(),
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
