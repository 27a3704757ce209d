//! References that are a whole text, such as addresses in `moved` blocks and on the command line.

use super::expression::is_number;
use super::string::normalised;
use super::{Parse, Parser};
use crate::syntax::ast::{Name, Traversal, TraversalStep, TraversalStepKind};
use crate::syntax::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn whole_traversal(&mut self) -> Parse<Traversal> {
        let Some(first) = self.take(TokenKind::Identifier) else {
            return self.fail("Invalid reference", "A reference starts with a name.");
        };
        let root = self.identifier(first);
        let mut steps = Vec::new();
        loop {
            let token = self.peek();
            let kind = match token.kind {
                TokenKind::End => {
                    let span = self.span_from(first.start);
                    return Ok(Traversal { root, steps, span });
                }
                TokenKind::Dot => {
                    self.bump();
                    let Some(name) = self.take(TokenKind::Identifier) else {
                        return self.fail("Invalid reference", "Expected a name after the dot.");
                    };
                    TraversalStepKind::Attribute(self.name(name))
                }
                TokenKind::OpenBracket => {
                    self.bump();
                    self.traversal_key()?
                }
                _ => {
                    return self
                        .fail("Invalid reference", "Expected a dot and a name, or a key in brackets.");
                }
            };
            steps.push(TraversalStep { kind, span: self.span_from(token.start) });
        }
    }

    /// A literal key and the bracket behind it.
    fn traversal_key(&mut self) -> Parse<TraversalStepKind> {
        let token = self.peek();
        let kind = match token.kind {
            TokenKind::Number if is_number(token.text(self.text)) => {
                self.bump();
                TraversalStepKind::Index(Name::new(token.text(self.text)))
            }
            TokenKind::OpenQuote => {
                let key = self.quoted_literal()?;
                TraversalStepKind::Key(normalised(&key.name))
            }
            _ => return self.fail("Invalid reference", "Expected a number or a quoted string as key."),
        };
        if self.take(TokenKind::CloseBracket).is_none() {
            return self.fail("Invalid reference", "Expected the closing bracket \"]\" behind the key.");
        }
        Ok(kind)
    }
}
