//! Finding the end of a faulty item, so that the items behind it are parsed.

use super::Parser;
use crate::syntax::lexer::TokenKind;

impl Parser<'_> {
    /// Moves behind the item that starts at token `start`: to behind the first line end outside of its
    /// brackets, or before the closing brace of the block it is in.
    ///
    /// Brackets may be what is wrong, so a line that cannot be inside them ends the item as well.
    pub(super) fn recover(&mut self, start: usize) {
        self.newlines = true;
        let failed_at = self.position;
        let failed_line = self.line_start(failed_at);
        let start_column = self.column(self.tokens[start].start);
        let mut open: Vec<TokenKind> = Vec::new();
        let mut index = start;
        loop {
            let token = self.token_at(index);
            match token.kind {
                TokenKind::End => break,
                TokenKind::Newline => {
                    let ends_item = open.is_empty() || self.starts_other_item(start_column, index + 1, &open);
                    if ends_item && index >= failed_line {
                        index += 1;
                        break;
                    }
                }
                TokenKind::CloseBrace if !close(&mut open, TokenKind::OpenBrace) => {
                    if index >= failed_at {
                        break;
                    }
                }
                kind => follow_brackets(&mut open, kind),
            }
            index += 1;
        }
        self.position = index;
        self.fill();
        self.last_end = self.tokens[index.saturating_sub(1)].end;
    }

    /// Whether the line that starts at token `line` is an item of its own although brackets are open: it is
    /// indented no deeper than the faulty item, which is at `start_column`, and looks like a block, or like an argument where none can
    /// be.
    fn starts_other_item(&mut self, start_column: usize, line: usize, open: &[TokenKind]) -> bool {
        let first = self.token_at(line);
        if first.kind != TokenKind::Identifier || self.column(first.start) > start_column {
            return false;
        }
        let in_object = open.last() == Some(&TokenKind::OpenBrace);
        match self.token_at(line + 1).kind {
            TokenKind::Equal => !in_object,
            TokenKind::OpenQuote | TokenKind::OpenBrace | TokenKind::Identifier => {
                self.is_block_header(line + 1)
            }
            _ => false,
        }
    }

    fn is_block_header(&mut self, mut index: usize) -> bool {
        loop {
            match self.token_at(index).kind {
                TokenKind::Identifier | TokenKind::OpenQuote | TokenKind::Text | TokenKind::CloseQuote => {
                    index += 1
                }
                kind => return kind == TokenKind::OpenBrace,
            }
        }
    }

    /// The line end before this token, or the token itself on the first line.
    fn line_start(&self, index: usize) -> usize {
        self.tokens[..index].iter().rposition(|token| token.kind == TokenKind::Newline).unwrap_or(index)
    }

    /// Bytes between the start of the line and this place.
    pub(super) fn column(&self, offset: u32) -> usize {
        let before = self.text.get(..offset as usize).unwrap_or("");
        before.len() - before.rfind('\n').map_or(0, |newline| newline + 1)
    }
}

/// Keeps track of brackets; a closing one also closes what was left open inside of it.
fn follow_brackets(open: &mut Vec<TokenKind>, kind: TokenKind) {
    match kind {
        TokenKind::OpenBrace
        | TokenKind::OpenBracket
        | TokenKind::OpenParenthesis
        | TokenKind::OpenQuote
        | TokenKind::OpenHeredoc
        | TokenKind::OpenInterpolation => open.push(kind),
        TokenKind::OpenDirective => open.push(TokenKind::OpenInterpolation),
        TokenKind::CloseBracket => _ = close(open, TokenKind::OpenBracket),
        TokenKind::CloseParenthesis => _ = close(open, TokenKind::OpenParenthesis),
        TokenKind::CloseQuote => _ = close(open, TokenKind::OpenQuote),
        TokenKind::CloseHeredoc => _ = close(open, TokenKind::OpenHeredoc),
        TokenKind::CloseSequence => _ = close(open, TokenKind::OpenInterpolation),
        _ => {}
    }
}

/// Closes the innermost bracket of this kind and what is inside of it; false if there is none.
fn close(open: &mut Vec<TokenKind>, opener: TokenKind) -> bool {
    match open.iter().rposition(|kind| *kind == opener) {
        Some(index) => {
            open.truncate(index);
            true
        }
        None => false,
    }
}
