//! Terms and the steps behind them.

use super::{Parse, Parser};
use crate::syntax::ast::{Expr, ExprKind, FunctionCall, Literal, Name, Step};
use crate::syntax::lexer::{Token, TokenKind};

impl Parser<'_> {
    pub(super) fn term_with_steps(&mut self) -> Parse<Expr> {
        let term = self.term()?;
        if !matches!(self.peek_kind(), TokenKind::Dot | TokenKind::OpenBracket) {
            return Ok(term);
        }
        let steps = self.steps()?;
        let span = term.span.to(self.span(self.last_end, self.last_end));
        Ok(Expr { kind: ExprKind::Traversal(Box::new(term), steps), span })
    }

    fn term(&mut self) -> Parse<Expr> {
        let token = self.peek();
        match token.kind {
            TokenKind::Identifier => self.word(),
            TokenKind::Number => {
                self.bump();
                let text = token.text(self.text);
                if !is_number(text) {
                    let detail = "A number is digits, a fraction and an exponent, such as 1.5e3.";
                    self.report(self.token_span(token), "Invalid number", detail);
                }
                Ok(self.literal(token, Literal::Number(Name::new(text))))
            }
            TokenKind::OpenQuote => self.quoted_template(),
            TokenKind::OpenHeredoc => self.heredoc(),
            TokenKind::OpenBracket => self.tuple(),
            TokenKind::OpenBrace => self.object(),
            TokenKind::OpenParenthesis => self.parenthesised(),
            _ => self.fail_term(token),
        }
    }

    fn fail_term<T>(&mut self, token: Token) -> Parse<T> {
        let detail = match token.kind {
            TokenKind::End => "The text ends where an expression is expected.",
            TokenKind::Newline => {
                "The line ends where an expression is expected. An expression may go on in the next line only \
                 inside parentheses or square brackets."
            }
            TokenKind::Dot => "Expected an expression here. Numbers start with a digit, as in 0.5.",
            _ => "Expected a value, a reference or a call here.",
        };
        self.fail("Expression expected", detail)
    }

    fn literal(&self, token: Token, literal: Literal) -> Expr {
        Expr { kind: ExprKind::Literal(literal), span: self.token_span(token) }
    }

    /// A keyword, a name or a function call.
    fn word(&mut self) -> Parse<Expr> {
        let token = self.bump();
        if matches!(self.peek_kind(), TokenKind::OpenParenthesis | TokenKind::DoubleColon) {
            return self.function_call(token);
        }
        Ok(match token.text(self.text) {
            "true" => self.literal(token, Literal::Bool(true)),
            "false" => self.literal(token, Literal::Bool(false)),
            "null" => self.literal(token, Literal::Null),
            _ => Expr { kind: ExprKind::Variable(self.name(token)), span: self.token_span(token) },
        })
    }

    fn parenthesised(&mut self) -> Parse<Expr> {
        let open = self.bump();
        self.with_newlines(false, |parser| {
            let inner = parser.expression()?;
            if parser.take(TokenKind::CloseParenthesis).is_none() {
                let detail = "Expected the closing parenthesis \")\" here.".to_owned();
                return parser.fail_in(open, "parentheses", detail);
            }
            let span = parser.span_from(open.start);
            Ok(Expr { kind: ExprKind::Parenthesised(Box::new(inner)), span })
        })
    }

    /// The call of a function whose first word is taken.
    fn function_call(&mut self, first: Token) -> Parse<Expr> {
        let mut name = self.name(first);
        while self.take(TokenKind::DoubleColon).is_some() {
            let Some(word) = self.take(TokenKind::Identifier) else {
                return self.fail("Invalid function name", "Expected a name after \"::\".");
            };
            name = Name::from(format!("{name}::{}", self.name(word)));
        }
        let name_span = self.span_from(first.start);
        let Some(open) = self.take(TokenKind::OpenParenthesis) else {
            return self
                .fail("Invalid function call", "Expected \"(\" and the arguments of the function here.");
        };
        let (arguments, expand_final) = self.with_newlines(false, |parser| parser.arguments(open))?;
        let arguments_span = self.span_from(open.start);
        let span = self.span_from(first.start);
        let call = FunctionCall { name, name_span, arguments, expand_final, arguments_span };
        Ok(Expr { kind: ExprKind::FunctionCall(Box::new(call)), span })
    }

    fn arguments(&mut self, open: Token) -> Parse<(Vec<Expr>, bool)> {
        let mut arguments = Vec::new();
        loop {
            if self.take(TokenKind::CloseParenthesis).is_some() {
                arguments.shrink_to_fit();
                return Ok((arguments, false));
            }
            self.check_end(open, "function call")?;
            arguments.push(self.expression()?);
            if self.take(TokenKind::Comma).is_some() || self.peek_kind() == TokenKind::CloseParenthesis {
                continue;
            }
            if self.take(TokenKind::Ellipsis).is_none() {
                let detail =
                    "Expected a comma or the closing parenthesis \")\" after this argument.".to_owned();
                return self.fail_in(open, "function call", detail);
            }
            if self.take(TokenKind::CloseParenthesis).is_none() {
                let detail = "\"...\" stands behind the last argument; expected \")\" here.".to_owned();
                return self.fail_in(open, "function call", detail);
            }
            return Ok((arguments, true));
        }
    }

    /// Steps up to something that is none.
    fn steps(&mut self) -> Parse<Vec<Step>> {
        let mut steps = Vec::with_capacity(self.names_ahead().max(1));
        loop {
            match self.peek_kind() {
                TokenKind::Dot => {
                    let dot = self.bump();
                    steps.push(self.dot_step(dot)?);
                }
                TokenKind::OpenBracket => {
                    let open = self.bump();
                    if self.take(TokenKind::Star).is_some() {
                        steps.push(self.full_splat(open)?);
                        return Ok(steps);
                    }
                    steps.push(self.index(open)?);
                }
                _ => return Ok(steps),
            }
        }
    }

    /// How many names with dots before them follow; most traversals are just these.
    fn names_ahead(&self) -> usize {
        let pairs = self.tokens[self.position..].chunks_exact(2);
        pairs
            .take_while(|pair| pair[0].kind == TokenKind::Dot && pair[1].kind == TokenKind::Identifier)
            .count()
    }

    fn dot_step(&mut self, dot: Token) -> Parse<Step> {
        match self.peek_kind() {
            TokenKind::Star => {
                let star = self.bump();
                self.attribute_splat(dot, star)
            }
            _ => self.simple_dot_step(dot),
        }
    }

    /// `.name` or `.0` whose dot is taken.
    fn simple_dot_step(&mut self, dot: Token) -> Parse<Step> {
        let token = self.peek();
        match token.kind {
            TokenKind::Identifier => {
                self.bump();
                Ok(Step::Attribute(self.identifier(token)))
            }
            TokenKind::Number => {
                self.bump();
                let text = token.text(self.text);
                if text.contains('.') || !is_number(text) {
                    self.report(self.token_span(token), "Invalid index", legacy_index_detail(text));
                }
                Ok(Step::LegacyIndex(Name::new(text), self.span_from(dot.start)))
            }
            TokenKind::Star => {
                self.fail("Invalid splat", "\".*\" cannot follow another \".*\"; use \"[*]\" for both.")
            }
            _ => self.fail("Attribute name expected", "A dot must be followed by the name of an attribute."),
        }
    }

    /// `.*` takes attribute steps along; an index behind them is taken on the whole result.
    fn attribute_splat(&mut self, dot: Token, star: Token) -> Parse<Step> {
        let mut each = Vec::new();
        while let Some(dot) = self.take(TokenKind::Dot) {
            each.push(self.simple_dot_step(dot)?);
        }
        Ok(Step::AttributeSplat(each, self.span(dot.start, star.end)))
    }

    /// `[*]` takes all further steps along.
    fn full_splat(&mut self, open: Token) -> Parse<Step> {
        if self.take(TokenKind::CloseBracket).is_none() {
            return self.fail("Invalid splat", "Expected \"]\" directly behind the star.");
        }
        let span = self.span_from(open.start);
        let each = match self.peek_kind() {
            TokenKind::Dot | TokenKind::OpenBracket => self.nested(Self::steps)?,
            _ => Vec::new(),
        };
        Ok(Step::FullSplat(each, span))
    }

    fn index(&mut self, open: Token) -> Parse<Step> {
        let key = self.with_newlines(false, |parser| {
            let key = parser.expression()?;
            if parser.take(TokenKind::CloseBracket).is_none() {
                let detail = "Expected the closing bracket \"]\" of the index here.".to_owned();
                return parser.fail_in(open, "index", detail);
            }
            Ok(key)
        })?;
        Ok(Step::Index(key, self.span_from(open.start)))
    }
}

fn legacy_index_detail(text: &str) -> String {
    match text.split_once('.') {
        Some((first, second)) => {
            format!("Indices written with dots cannot follow each other; write [{first}][{second}].")
        }
        None => "An index after a dot is a whole number.".to_owned(),
    }
}

/// Whether the text is digits with at most one fraction and one exponent.
pub(super) fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.unwrap_or("0");
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !whole.is_empty() && !exponent.is_empty() && digits(whole) && digits(fraction) && digits(exponent)
}
