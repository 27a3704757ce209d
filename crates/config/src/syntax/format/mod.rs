//! The canonical layout, as `terraform fmt` gives it.
//!
//! Only white space changes, apart from three old forms that are rewritten (see [`rewrite`]). Tokens are laid
//! out line by line: indentation by open brackets, spaces between tokens by their kinds, and equals signs and
//! end-of-line comments of neighbouring lines in columns.

mod layout;
mod rewrite;
mod spacing;

use std::borrow::Cow;

use super::diagnostic::Diagnostic;
use super::lexer::{LexMode, TokenKind, lex};
use super::parser::parse_body;
use super::span::SourceId;

/// The text in canonical layout. Fails with the errors of the text if it is not valid, as the layout of a
/// misread text could lose what was meant.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse_body(source, text);
    if parsed.has_errors() {
        return Err(parsed.diagnostics);
    }
    let mut tokens = rewrite::rewrite(read_tokens(source, text), &parsed.value);
    layout::lay_out(&mut tokens);
    let mut result = String::with_capacity(text.len() + text.len() / 8);
    for token in &tokens {
        result.extend(std::iter::repeat_n(' ', token.spaces));
        result.push_str(&token.text);
    }
    Ok(result)
}

/// A token and the spaces before it.
#[derive(Debug, Clone)]
struct FormatToken<'a> {
    kind: TokenKind,
    text: Cow<'a, str>,
    spaces: usize,
    /// Where it starts in the source.
    start: u32,
}

impl FormatToken<'_> {
    /// Whether it ends its line; line comments do so too.
    fn ends_line(&self) -> bool {
        match self.kind {
            TokenKind::Newline => true,
            TokenKind::Comment => self.text.ends_with('\n'),
            _ => false,
        }
    }

    /// 1 for opening brackets, -1 for closing ones.
    fn bracket_change(&self) -> isize {
        match self.kind {
            TokenKind::OpenBrace
            | TokenKind::OpenBracket
            | TokenKind::OpenParenthesis
            | TokenKind::OpenInterpolation
            | TokenKind::OpenDirective => 1,
            TokenKind::CloseBrace
            | TokenKind::CloseBracket
            | TokenKind::CloseParenthesis
            | TokenKind::CloseSequence => -1,
            _ => 0,
        }
    }
}

fn read_tokens(source: SourceId, text: &str) -> Vec<FormatToken<'_>> {
    let tokens = lex(source, text, LexMode::MainWithComments);
    let mut end = 0;
    tokens
        .into_iter()
        .map(|token| {
            let spaces = (token.start - end) as usize;
            end = token.end;
            FormatToken {
                kind: token.kind,
                text: Cow::Borrowed(token.text(text)),
                spaces,
                start: token.start,
            }
        })
        .collect()
}
