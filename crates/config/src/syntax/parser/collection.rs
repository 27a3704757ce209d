//! Tuples, objects and `for` expressions.

use super::{Parse, Parser};
use crate::syntax::ast::{Expr, ExprKind, ForIntro, ForObject, ForTuple, ObjectItem, ObjectKey};
use crate::syntax::lexer::{Token, TokenKind};

impl Parser<'_> {
    pub(super) fn tuple(&mut self) -> Parse<Expr> {
        let open = self.bump();
        self.with_newlines(false, |parser| {
            let kind = if parser.at_word("for") {
                ExprKind::ForTuple(Box::new(parser.for_tuple(open)?))
            } else {
                ExprKind::Tuple(parser.tuple_elements(open)?)
            };
            Ok(Expr { kind, span: parser.span_from(open.start) })
        })
    }

    fn tuple_elements(&mut self, open: Token) -> Parse<Vec<Expr>> {
        let mut elements = Vec::new();
        loop {
            if self.take(TokenKind::CloseBracket).is_some() {
                elements.shrink_to_fit();
                return Ok(elements);
            }
            self.check_end(open, "list")?;
            elements.push(self.expression()?);
            if self.take(TokenKind::Comma).is_none() && self.peek_kind() != TokenKind::CloseBracket {
                let detail = "Expected a comma or the closing bracket \"]\" after this element.".to_owned();
                return self.fail_in(open, "list", detail);
            }
        }
    }

    pub(super) fn object(&mut self) -> Parse<Expr> {
        let open = self.bump();
        if self.first_word_is_for() {
            return self.with_newlines(false, |parser| {
                let object = parser.for_object(open)?;
                Ok(Expr { kind: ExprKind::ForObject(Box::new(object)), span: parser.span_from(open.start) })
            });
        }
        let items = self.with_newlines(true, |parser| parser.object_items(open))?;
        Ok(Expr { kind: ExprKind::Object(items), span: self.span_from(open.start) })
    }

    /// `for` expressions may start on a later line although line ends separate the items of an object.
    fn first_word_is_for(&mut self) -> bool {
        let mut index = self.position;
        while self.token_at(index).kind == TokenKind::Newline {
            index += 1;
        }
        let first = self.token_at(index);
        first.kind == TokenKind::Identifier && first.text(self.text) == "for"
    }

    fn object_items(&mut self, open: Token) -> Parse<Vec<ObjectItem>> {
        let mut items = Vec::new();
        loop {
            while self.take(TokenKind::Newline).is_some() {}
            if self.take(TokenKind::CloseBrace).is_some() {
                items.shrink_to_fit();
                return Ok(items);
            }
            let key = self.object_key(open)?;
            let value = self.expression()?;
            items.push(ObjectItem { key, value });
            match self.peek_kind() {
                TokenKind::Comma | TokenKind::Newline => {
                    self.bump();
                }
                TokenKind::CloseBrace => {}
                _ => {
                    let detail = "Expected a comma, a line end or the closing brace \"}\" after this value.";
                    return self.fail_in(open, "object", detail.to_owned());
                }
            }
        }
    }

    /// A key and the sign behind it.
    fn object_key(&mut self, open: Token) -> Parse<ObjectKey> {
        let token = self.peek();
        let next = self.tokens.get(self.position + 1).map(|token| token.kind);
        let bare =
            token.kind == TokenKind::Identifier && matches!(next, Some(TokenKind::Equal | TokenKind::Colon));
        let key = if bare {
            self.bump();
            ObjectKey::Name(self.identifier(token))
        } else {
            self.check_end(open, "object")?;
            ObjectKey::Expression(self.expression()?)
        };
        if self.take(TokenKind::Equal).is_some() || self.take(TokenKind::Colon).is_some() {
            return Ok(key);
        }
        let detail = match self.peek_kind() {
            TokenKind::Identifier => {
                "Expected \"=\" and a value after this key. A key with spaces or dots is written in quotes."
            }
            _ => "Expected \"=\" and a value after this key.",
        };
        self.fail_in(open, "object", detail.to_owned())
    }

    /// `for names in collection`, up to and with the colon of an expression; `closer` ends a directive.
    pub(super) fn for_intro(&mut self) -> Parse<ForIntro> {
        self.bump();
        let first = self.for_name("Expected the name for the values after \"for\".")?;
        let (key, value) = if self.take(TokenKind::Comma).is_some() {
            let value = self.for_name("Expected the name for the values after the comma.")?;
            (Some(self.identifier(first)), self.identifier(value))
        } else {
            (None, self.identifier(first))
        };
        if !self.at_word("in") {
            return self.fail("Invalid \"for\"", "Expected \"in\" and what to iterate over here.");
        }
        self.bump();
        let collection = self.expression()?;
        Ok(ForIntro { key, value, collection })
    }

    fn for_name(&mut self, detail: &str) -> Parse<Token> {
        match self.take(TokenKind::Identifier) {
            Some(token) => Ok(token),
            None => self.fail("Invalid \"for\"", detail),
        }
    }

    fn for_colon(&mut self, open: Token) -> Parse<()> {
        if self.take(TokenKind::Colon).is_some() {
            return Ok(());
        }
        let detail = "Expected a colon after what is iterated over.".to_owned();
        self.fail_in(open, "\"for\" expression", detail)
    }

    fn for_condition(&mut self) -> Parse<Option<Expr>> {
        if !self.at_word("if") {
            return Ok(None);
        }
        self.bump();
        self.expression().map(Some)
    }

    fn for_end(&mut self, open: Token, closer: TokenKind) -> Parse<()> {
        if self.take(closer).is_some() {
            return Ok(());
        }
        let detail = match (self.peek_kind(), closer) {
            (TokenKind::FatArrow, _) => {
                "A key and \"=>\" are for objects, which are made with braces: {for ...}."
            }
            (TokenKind::Ellipsis, TokenKind::CloseBracket) => {
                "\"...\" gathers values by key, which a list has not."
            }
            _ => "Expected \"if\" and a condition, or the closing bracket, here.",
        };
        self.fail_in(open, "\"for\" expression", detail.to_owned())
    }

    fn for_tuple(&mut self, open: Token) -> Parse<ForTuple> {
        let intro = self.for_intro()?;
        self.for_colon(open)?;
        let element = self.expression()?;
        let condition = self.for_condition()?;
        self.for_end(open, TokenKind::CloseBracket)?;
        Ok(ForTuple { intro, element, condition })
    }

    fn for_object(&mut self, open: Token) -> Parse<ForObject> {
        let intro = self.for_intro()?;
        self.for_colon(open)?;
        let key = self.expression()?;
        if self.take(TokenKind::FatArrow).is_none() {
            let detail = "Expected \"=>\" and the value after this key.".to_owned();
            return self.fail_in(open, "\"for\" expression", detail);
        }
        let value = self.expression()?;
        let group = self.take(TokenKind::Ellipsis).is_some();
        let condition = self.for_condition()?;
        self.for_end(open, TokenKind::CloseBrace)?;
        Ok(ForObject { intro, key, value, group, condition })
    }
}
