//! Old forms in their present spelling: `"${x}"` as `x`, quoted or bare collection types, and bare block
//! labels.

use std::borrow::Cow;

use super::FormatToken;
use crate::syntax::ast::{Attribute, Block, Body, Item};
use crate::syntax::lexer::TokenKind;
use crate::syntax::span::Span;

/// What is to be done with the tokens of a span.
enum Edit {
    /// The value of an attribute.
    Value,
    /// The type of a variable.
    Type,
    /// What is between the type of a block and the end of its last label.
    Labels,
}

pub(super) fn rewrite<'a>(tokens: Vec<FormatToken<'a>>, body: &Body) -> Vec<FormatToken<'a>> {
    let mut edits = Vec::new();
    collect(body, &[], &mut edits);
    let mut result = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    for (span, edit) in edits {
        while let Some(token) = rest.next_if(|token| token.start < span.start) {
            result.push(token);
        }
        let mut within = Vec::new();
        while let Some(token) = rest.next_if(|token| token.start < span.end) {
            within.push(token);
        }
        result.extend(match edit {
            Edit::Value => rewrite_value(within),
            Edit::Type => rewrite_type(within),
            Edit::Labels => rewrite_labels(within),
        });
    }
    result.extend(rest);
    result
}

/// Edits of a body in source order; `around` are the types of the blocks it is in.
fn collect(body: &Body, around: &[&str], edits: &mut Vec<(Span, Edit)>) {
    for item in &body.items {
        match item {
            Item::Attribute(Attribute { name, expr, .. }) => {
                let is_type = around == ["variable"] && name == "type";
                edits.push((expr.span, if is_type { Edit::Type } else { Edit::Value }));
            }
            Item::Block(block) => {
                edits.extend(labels_span(block).map(|span| (span, Edit::Labels)));
                let around: Vec<&str> = around.iter().copied().chain([block.block_type.as_str()]).collect();
                crate::syntax::with_stack(|| collect(&block.body, &around, edits));
            }
        }
    }
}

fn labels_span(block: &Block) -> Option<Span> {
    let last = block.labels.last()?;
    Some(Span { start: block.type_span.end, ..last.span })
}

/// Takes the quotes and braces off a value that is one interpolation and nothing else. A value over several
/// lines is put in parentheses, without which it would end with its first line.
fn rewrite_value(tokens: Vec<FormatToken<'_>>) -> Vec<FormatToken<'_>> {
    use TokenKind as Kind;
    let is_wrapped = matches!(
        tokens.as_slice(),
        [open, start, _, .., end, close]
            if open.kind == Kind::OpenQuote
                && start.kind == Kind::OpenInterpolation
                && end.kind == Kind::CloseSequence
                && close.kind == Kind::CloseQuote
    );
    if !is_wrapped || !is_one_interpolation(&tokens[2..tokens.len() - 2]) {
        return tokens;
    }
    let count = tokens.len();
    let mut inside: Vec<FormatToken<'_>> = tokens.into_iter().take(count - 2).skip(2).collect();
    while inside.last().is_some_and(|token| token.kind == Kind::Newline) {
        inside.pop();
    }
    let leading = inside.iter().take_while(|token| token.kind == Kind::Newline).count();
    inside.drain(..leading);
    let kind_at = |index: usize| inside.get(index).map(|token| token.kind);
    let in_parentheses = kind_at(0) == Some(Kind::OpenParenthesis)
        && kind_at(inside.len().wrapping_sub(1)) == Some(Kind::CloseParenthesis);
    if !in_parentheses && inside.iter().any(|token| token.kind == Kind::Newline) {
        inside.insert(0, added(Kind::OpenParenthesis, "("));
        inside.push(added(Kind::CloseParenthesis, ")"));
    }
    inside
}

/// Whether no other sequence or text of the same string is among these tokens.
fn is_one_interpolation(tokens: &[FormatToken<'_>]) -> bool {
    let mut quotes = 0_usize;
    for token in tokens {
        match token.kind {
            TokenKind::OpenQuote => quotes += 1,
            TokenKind::CloseQuote => quotes = quotes.saturating_sub(1),
            TokenKind::OpenInterpolation | TokenKind::CloseSequence if quotes == 0 => return false,
            _ => {}
        }
    }
    true
}

fn rewrite_type(tokens: Vec<FormatToken<'_>>) -> Vec<FormatToken<'_>> {
    match tokens.as_slice() {
        [word] if word.kind == TokenKind::Identifier && matches!(&*word.text, "list" | "map" | "set") => {
            collection_type(word.text.clone(), "any")
        }
        [open, text, _] if open.kind == TokenKind::OpenQuote && text.kind == TokenKind::Text => {
            match &*text.text {
                "string" => vec![added(TokenKind::Identifier, "string")],
                "list" | "map" => collection_type(text.text.clone(), "string"),
                _ => tokens,
            }
        }
        _ => tokens,
    }
}

fn collection_type<'a>(collection: Cow<'a, str>, element: &'static str) -> Vec<FormatToken<'a>> {
    vec![
        FormatToken { text: collection, ..added(TokenKind::Identifier, "") },
        added(TokenKind::OpenParenthesis, "("),
        added(TokenKind::Identifier, element),
        added(TokenKind::CloseParenthesis, ")"),
    ]
}

/// Quotes bare labels and drops comments between labels.
fn rewrite_labels(tokens: Vec<FormatToken<'_>>) -> Vec<FormatToken<'_>> {
    let mut result = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token.kind {
            TokenKind::Comment => {}
            TokenKind::Identifier => {
                result.push(added(TokenKind::OpenQuote, "\""));
                result.push(FormatToken { kind: TokenKind::Text, ..token });
                result.push(added(TokenKind::CloseQuote, "\""));
            }
            _ => result.push(token),
        }
    }
    result
}

fn added(kind: TokenKind, text: &'static str) -> FormatToken<'static> {
    FormatToken { kind, text: Cow::Borrowed(text), spaces: 0, start: 0 }
}
