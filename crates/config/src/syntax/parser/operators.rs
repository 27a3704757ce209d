//! Operators with their precedence, and the conditional.

use super::{Parse, Parser};
use crate::syntax::ast::{BinaryExpr, BinaryOperator, ConditionalExpr, Expr, ExprKind, UnaryOperator};
use crate::syntax::lexer::{Token, TokenKind};

impl Parser<'_> {
    /// An expression of any kind.
    pub(super) fn expression(&mut self) -> Parse<Expr> {
        self.nested(Self::conditional)
    }

    fn conditional(&mut self) -> Parse<Expr> {
        let condition = self.binary(0)?;
        if self.take(TokenKind::Question).is_none() {
            return Ok(condition);
        }
        let if_true = self.expression()?;
        if self.take(TokenKind::Colon).is_none() {
            return self.fail(
                "Invalid conditional",
                "Expected \":\" and the value for the case that the condition is false.",
            );
        }
        let if_false = self.expression()?;
        let span = condition.span.to(if_false.span);
        let conditional = ConditionalExpr { condition, if_true, if_false };
        Ok(Expr { kind: ExprKind::Conditional(Box::new(conditional)), span })
    }

    /// Operands joined by operators that bind at least as tight as `minimum`; equal ones group to the left.
    fn binary(&mut self, minimum: u8) -> Parse<Expr> {
        let mut left = self.unary()?;
        loop {
            let token = self.peek();
            let Some((operator, precedence)) = binary_operator(token.kind) else { return Ok(left) };
            if precedence < minimum {
                return Ok(left);
            }
            self.bump();
            let left_height = std::mem::replace(&mut self.height, 0);
            let right = self.binary(precedence + 1)?;
            self.height = self.height.max(left_height);
            self.grow_height()?;
            let span = left.span.to(right.span);
            let binary = BinaryExpr { operator, operator_span: self.token_span(token), left, right };
            left = Expr { kind: ExprKind::Binary(Box::new(binary)), span };
        }
    }

    /// A term with signs before it; a sign binds tighter than any operator with two operands.
    fn unary(&mut self) -> Parse<Expr> {
        let mut signs: Vec<Token> = Vec::new();
        while matches!(self.peek_kind(), TokenKind::Minus | TokenKind::Bang) {
            signs.push(self.bump());
        }
        let mut expr = self.term_with_steps()?;
        for sign in signs.into_iter().rev() {
            self.grow_height()?;
            let operator =
                if sign.kind == TokenKind::Minus { UnaryOperator::Negate } else { UnaryOperator::Not };
            let span = self.token_span(sign).to(expr.span);
            expr = Expr { kind: ExprKind::Unary(operator, Box::new(expr)), span };
        }
        Ok(expr)
    }
}

/// The operator and how tight it binds.
fn binary_operator(kind: TokenKind) -> Option<(BinaryOperator, u8)> {
    use BinaryOperator as Operator;
    Some(match kind {
        TokenKind::Or => (Operator::Or, 0),
        TokenKind::And => (Operator::And, 1),
        TokenKind::EqualEqual => (Operator::Equal, 2),
        TokenKind::NotEqual => (Operator::NotEqual, 2),
        TokenKind::Less => (Operator::Less, 3),
        TokenKind::LessEqual => (Operator::LessOrEqual, 3),
        TokenKind::Greater => (Operator::Greater, 3),
        TokenKind::GreaterEqual => (Operator::GreaterOrEqual, 3),
        TokenKind::Plus => (Operator::Add, 4),
        TokenKind::Minus => (Operator::Subtract, 4),
        TokenKind::Star => (Operator::Multiply, 5),
        TokenKind::Slash => (Operator::Divide, 5),
        TokenKind::Percent => (Operator::Modulo, 5),
        _ => return None,
    })
}
