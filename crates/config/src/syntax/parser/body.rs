//! Bodies, attributes and blocks.

use std::collections::HashMap;

use super::{Failed, Parse, Parser};
use crate::syntax::ast::{Attribute, Block, Body, Identifier, Item};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::lexer::{Token, TokenKind};
use crate::syntax::span::Span;

/// Bodies of at most this many items look for duplicate names by comparing.
const SMALL_BODY: usize = 16;

impl Parser<'_> {
    /// The body that is a whole file.
    pub(super) fn file_body(&mut self) -> Body {
        let mut items = Vec::new();
        loop {
            self.body_items(&mut items);
            let token = self.peek();
            if token.kind == TokenKind::End {
                break;
            }
            self.report(
                self.token_span(token),
                "Unexpected closing brace",
                "There is no open block here that this brace could close.",
            );
            self.bump();
            if self.peek_kind() == TokenKind::Newline {
                self.bump();
            }
        }
        self.check_duplicates(&mut items);
        Body { items, span: self.span(0, self.text.len() as u32) }
    }

    /// Items up to a closing brace or the end.
    fn body_items(&mut self, items: &mut Vec<Item>) {
        loop {
            match self.peek_kind() {
                TokenKind::Newline => {
                    self.bump();
                }
                TokenKind::CloseBrace | TokenKind::End => return,
                _ => {
                    if self.depth == 0 {
                        self.forget_tokens();
                    }
                    let start = self.peek();
                    let start_position = self.position;
                    match self.item() {
                        Ok(item) => items.push(item),
                        Err(Failed) => {
                            self.drop_consequence(start);
                            self.recover(start_position);
                        }
                    }
                }
            }
        }
    }

    /// Drops the error that made an item fail if the lexer has reported another one in that item, as the first
    /// then is a consequence of the second.
    fn drop_consequence(&mut self, start: Token) {
        let failed_at = self.peek();
        let last = self.diagnostics.last().and_then(|last| last.span).map(|span| span.start);
        let made_it_fail = last.is_some_and(|last| {
            last == failed_at.start || failed_at.kind == TokenKind::End && last >= start.start
        });
        let is_consequence = made_it_fail && self.lexer.reported_between(start.start, failed_at.start);
        if is_consequence {
            self.diagnostics.pop();
        }
    }

    /// One attribute or block with its line end.
    fn item(&mut self) -> Parse<Item> {
        let name = self.peek();
        if name.kind != TokenKind::Identifier {
            return self.fail_item_start();
        }
        self.bump();
        match self.peek_kind() {
            TokenKind::Equal => {
                let attribute = self.attribute(name)?;
                self.end_of_attribute()?;
                Ok(Item::Attribute(attribute))
            }
            TokenKind::OpenQuote | TokenKind::OpenBrace | TokenKind::Identifier => {
                let block = self.nested(|parser| parser.block(name))?;
                self.end_of_block();
                Ok(Item::Block(block))
            }
            TokenKind::Newline if self.brace_on_next_line() => {
                let block = self.nested(|parser| parser.block(name))?;
                self.end_of_block();
                Ok(Item::Block(block))
            }
            kind => self.fail_after_name(name, kind),
        }
    }

    fn fail_item_start<T>(&mut self) -> Parse<T> {
        let detail = match self.peek_kind() {
            TokenKind::OpenQuote => "Names of arguments and types of blocks are written without quotes.",
            _ => "Expected an argument (name = value) or a block (type \"label\" { ... }) here.",
        };
        self.fail("Argument or block expected", detail)
    }

    fn fail_after_name<T>(&mut self, name: Token, kind: TokenKind) -> Parse<T> {
        if kind == TokenKind::Invalid {
            return Err(Failed);
        }
        let word = name.text(self.text);
        let detail = match kind {
            TokenKind::Colon => {
                format!("Write \"{word} = ...\": arguments take an equals sign, not a colon.")
            }
            TokenKind::Dot => "The name of an argument is a single word; it cannot hold a dot.".to_owned(),
            _ => format!("Expected \"=\" for an argument or \"{{\" for a block after \"{word}\"."),
        };
        self.report(self.token_span(name), "Argument or block expected", detail);
        Err(Failed)
    }

    /// An attribute whose name is taken already.
    fn attribute(&mut self, name: Token) -> Parse<Attribute> {
        self.bump();
        let expr = self.expression()?;
        Ok(Attribute {
            name: self.name(name),
            name_span: self.token_span(name),
            expr,
            span: self.span_from(name.start),
        })
    }

    fn end_of_attribute(&mut self) -> Parse<()> {
        match self.peek_kind() {
            TokenKind::Newline => {
                self.bump();
                Ok(())
            }
            TokenKind::End => Ok(()),
            TokenKind::Comma => self
                .fail("Unexpected comma", "Arguments of a block are separated by line ends, not by commas."),
            TokenKind::Identifier | TokenKind::CloseBrace => {
                self.fail("Line end expected", "Each argument of a block needs a line of its own.")
            }
            _ => self.fail("Line end expected", "The value of this argument should end here."),
        }
    }

    /// A block whose type is taken already.
    fn block(&mut self, block_type: Token) -> Parse<Block> {
        let labels = self.labels()?;
        let header_span = self.span_from(block_type.start);
        let open = self.open_block(header_span)?;
        let body = match self.peek_kind() {
            TokenKind::Newline | TokenKind::End | TokenKind::CloseBrace => self.block_body(block_type, open),
            _ => self.one_line_body(open)?,
        };
        Ok(Block {
            block_type: self.name(block_type),
            type_span: self.token_span(block_type),
            labels,
            body,
            header_span,
            span: self.span_from(block_type.start),
        })
    }

    fn labels(&mut self) -> Parse<Vec<Identifier>> {
        let mut labels = Vec::new();
        loop {
            match self.peek_kind() {
                TokenKind::Identifier => {
                    let token = self.bump();
                    labels.push(self.identifier(token));
                }
                TokenKind::OpenQuote => labels.push(self.quoted_literal()?),
                _ => {
                    labels.shrink_to_fit();
                    return Ok(labels);
                }
            }
        }
    }

    fn open_block(&mut self, header: Span) -> Parse<Token> {
        match self.peek_kind() {
            TokenKind::OpenBrace => Ok(self.bump()),
            TokenKind::Newline if self.brace_on_next_line() => {
                let detail = "The opening brace of a block must stand on the line of its header.";
                self.report(header, "Invalid block", detail);
                self.bump();
                Ok(self.bump())
            }
            TokenKind::Equal => self.fail(
                "Invalid block",
                "An equals sign is for arguments, and the name of one is a single word.",
            ),
            _ => {
                let detail = "Expected a label in quotes or the opening brace \"{\" of the block here.";
                self.fail("Invalid block", detail)
            }
        }
    }

    fn brace_on_next_line(&self) -> bool {
        self.tokens.get(self.position + 1).is_some_and(|token| token.kind == TokenKind::OpenBrace)
    }

    fn block_body(&mut self, block_type: Token, open: Token) -> Body {
        let mut items = Vec::new();
        self.body_items(&mut items);
        self.check_duplicates(&mut items);
        let end = self.peek();
        if self.take(TokenKind::CloseBrace).is_none() {
            self.report_unclosed(block_type, open, &items);
        }
        Body { items, span: self.span(open.end, end.start) }
    }

    /// Reports a block that the text ends in; blocks around it are then open for the same reason.
    fn report_unclosed(&mut self, block_type: Token, open: Token, items: &[Item]) {
        const SUMMARY: &str = "Unclosed block";
        if self.diagnostics.last().is_some_and(|last| last.summary == SUMMARY) {
            return;
        }
        let detail = "The text ends before the brace that closes this block. A brace may be missing here, or in a \
                      block within.";
        let mut diagnostic = Diagnostic::error(self.token_span(open), SUMMARY, detail);
        let column = self.column(block_type.start);
        let suspect = items.iter().find_map(|item| match item {
            Item::Block(block) if self.column(block.type_span.start) <= column => Some(block.header_span),
            _ => None,
        });
        if let Some(suspect) = suspect {
            diagnostic =
                diagnostic.with_related(suspect, "indented no deeper: the brace may be missing before this");
        }
        self.diagnostics.push(diagnostic);
    }

    /// The one attribute of a block on one line, and the closing brace.
    fn one_line_body(&mut self, open: Token) -> Parse<Body> {
        let name = self.peek();
        if name.kind != TokenKind::Identifier {
            return self.fail_item_start();
        }
        self.bump();
        match self.peek_kind() {
            TokenKind::Equal => {}
            TokenKind::OpenQuote | TokenKind::OpenBrace | TokenKind::Identifier => {
                let detail = "A block on one line can hold one argument, but no block.";
                let end = self.peek().end;
                let span = self.span(name.start, end);
                self.report(span, "Invalid block on one line", detail);
                return Err(Failed);
            }
            kind => return self.fail_after_name(name, kind),
        }
        let attribute = self.attribute(name)?;
        let close = self.peek();
        match close.kind {
            TokenKind::CloseBrace => {
                self.bump();
                let span = self.span(open.end, close.start);
                Ok(Body { items: vec![Item::Attribute(attribute)], span })
            }
            TokenKind::End => self.fail_in(open, "block", String::new()),
            _ => self.fail(
                "Invalid block on one line",
                "A block on one line holds one argument and closes on that line. Give each argument a line of its \
                 own.",
            ),
        }
    }

    /// The line end behind a block; without one, what follows is looked at as the next item.
    fn end_of_block(&mut self) {
        match self.peek_kind() {
            TokenKind::Newline => {
                self.bump();
            }
            TokenKind::End => {}
            _ => {
                let token = self.peek();
                if token.kind != TokenKind::Invalid {
                    let span = self.token_span(token);
                    self.report(span, "Line end expected", "A block must end with its line.");
                }
                self.recover(self.position);
            }
        }
    }

    /// Reports attributes set twice and drops all but the first.
    fn check_duplicates(&mut self, items: &mut Vec<Item>) {
        let duplicates = if items.len() <= SMALL_BODY { compare_names(items) } else { hash_names(items) };
        for (duplicate, first) in &duplicates {
            let Item::Attribute(attribute) = &items[*duplicate] else { continue };
            let detail = format!("\"{}\" is set above already; an argument can be set once.", attribute.name);
            let diagnostic = Diagnostic::error(attribute.name_span, "Argument set twice", detail);
            self.diagnostics.push(diagnostic.with_related(*first, "first set here"));
        }
        let mut dropped = duplicates.iter().map(|(index, _)| *index).peekable();
        let mut index = 0;
        items.retain(|_| {
            let keep = dropped.next_if_eq(&index).is_none();
            index += 1;
            keep
        });
        // Bodies are kept; what growing left unused is given back, here and wherever the tree has lists.
        items.shrink_to_fit();
    }
}

/// Indices of attributes whose name an earlier one has, with the earlier one's place.
fn compare_names(items: &[Item]) -> Vec<(usize, Span)> {
    let mut duplicates = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Item::Attribute(attribute) = item else { continue };
        let first = items[..index].iter().find_map(|other| match other {
            Item::Attribute(other) if other.name == attribute.name => Some(other.name_span),
            _ => None,
        });
        duplicates.extend(first.map(|span| (index, span)));
    }
    duplicates
}

fn hash_names(items: &[Item]) -> Vec<(usize, Span)> {
    let mut seen = HashMap::new();
    let mut duplicates = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Item::Attribute(attribute) = item else { continue };
        match seen.get(attribute.name.as_str()) {
            Some(first) => duplicates.push((index, *first)),
            None => {
                seen.insert(attribute.name.as_str(), attribute.name_span);
            }
        }
    }
    duplicates
}
