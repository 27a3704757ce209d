//! Whether a space stands between two tokens of a line.

use super::FormatToken;
use crate::syntax::lexer::TokenKind;

/// Whether a space stands between `token` and `after`; `before` is what precedes `token` in its cell.
pub(super) fn space_between(
    before: Option<&FormatToken<'_>>,
    token: &FormatToken<'_>,
    after: &FormatToken<'_>,
) -> bool {
    use TokenKind as Kind;
    match (token.kind, after.kind) {
        (_, Kind::Newline)
        | (Kind::Identifier, Kind::OpenParenthesis | Kind::DoubleColon)
        | (Kind::DoubleColon, Kind::Identifier)
        | (Kind::Dot, _)
        | (_, Kind::Dot | Kind::Comma | Kind::Ellipsis) => false,
        (Kind::Comma, _) => true,
        (Kind::Text | Kind::OpenQuote | Kind::OpenHeredoc, _)
        | (_, Kind::Text | Kind::CloseQuote | Kind::CloseHeredoc) => false,
        (Kind::Identifier, _) if is_in_keyword(before, token) => true,
        (Kind::Identifier | Kind::Number, Kind::OpenBracket) => false,
        (_, Kind::OpenBracket) if token.bracket_change() < 0 => false,
        (Kind::Bang, _) => false,
        (Kind::Minus, _) => !is_negation(before),
        (Kind::OpenBrace, Kind::CloseBrace) => false,
        (Kind::OpenBrace, _) | (_, Kind::CloseBrace) => true,
        (Kind::OpenInterpolation | Kind::OpenDirective, Kind::OpenBrace) => true,
        (Kind::CloseBrace, Kind::CloseSequence) => true,
        (Kind::CloseSequence, Kind::OpenInterpolation | Kind::OpenDirective) => false,
        _ => token.bracket_change() <= 0 && after.bracket_change() >= 0,
    }
}

/// The `in` of `for x in [...]`, which is no name that the bracket indexes.
fn is_in_keyword(before: Option<&FormatToken<'_>>, token: &FormatToken<'_>) -> bool {
    token.text == "in" && before.is_some_and(|before| before.kind == TokenKind::Identifier)
}

/// Whether a minus behind this token is a sign and not a subtraction.
fn is_negation(before: Option<&FormatToken<'_>>) -> bool {
    use TokenKind as Kind;
    let Some(before) = before else { return true };
    matches!(
        before.kind,
        Kind::OpenParenthesis
            | Kind::OpenBrace
            | Kind::OpenBracket
            | Kind::Equal
            | Kind::Colon
            | Kind::Comma
            | Kind::Question
            | Kind::Plus
            | Kind::Star
            | Kind::Slash
            | Kind::Percent
            | Kind::Minus
            | Kind::EqualEqual
            | Kind::NotEqual
            | Kind::Greater
            | Kind::GreaterEqual
            | Kind::Less
            | Kind::LessEqual
            | Kind::And
            | Kind::Or
            | Kind::Bang
    )
}
