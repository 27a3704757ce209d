//! Templates: strings with interpolations and directives.
//!
//! A template is first read as a flat row of pieces, in which `~` trims and heredocs are dedented, and then
//! folded into a tree along its directives.

use std::borrow::Cow;

use super::heredoc::dedent;
use super::string::normalised;
use super::{Failed, MAX_DEPTH, Parse, Parser};
use crate::syntax::ast::{Expr, ExprKind, ForIntro, Literal, Name, TemplateFor, TemplateIf, TemplatePart};
use crate::syntax::lexer::{Token, TokenKind};
use crate::syntax::span::Span;

/// A piece of a template before it is folded.
pub(super) enum Piece<'a> {
    Text(Cow<'a, str>, Span),
    Interpolation(Expr, Span),
    If(Expr, Span),
    Else(Span),
    EndIf(Span),
    For(ForIntro, Span),
    EndFor(Span),
}

/// The kinds of template, which differ in escapes and in what ends them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Quoted,
    Heredoc,
    Whole,
}

impl<'a> Parser<'a> {
    pub(super) fn quoted_template(&mut self) -> Parse<Expr> {
        let open = self.bump();
        if let Some(expr) = self.plain_string(open) {
            return Ok(expr);
        }
        let pieces = self.pieces(Form::Quoted)?;
        self.bump();
        self.template(pieces, self.span_from(open.start))
    }

    /// A string of at most one piece of text, the most common kind.
    fn plain_string(&mut self, open: Token) -> Option<Expr> {
        let first = self.tokens[self.position];
        let (text, close) = match first.kind {
            TokenKind::CloseQuote => (Name::default(), first),
            TokenKind::Text => {
                let close = self.tokens[self.position + 1];
                if close.kind != TokenKind::CloseQuote {
                    return None;
                }
                self.position += 1;
                (normalised(&self.quoted_text(first)), close)
            }
            _ => return None,
        };
        self.position += 1;
        self.fill();
        self.last_end = close.end;
        Some(Expr { kind: ExprKind::Literal(Literal::String(text)), span: self.span(open.start, close.end) })
    }

    pub(super) fn heredoc(&mut self) -> Parse<Expr> {
        let open = self.bump();
        let mut pieces = self.pieces(Form::Heredoc)?;
        self.bump();
        if open.text(self.text).starts_with("<<-") {
            dedent(&mut pieces);
        }
        self.template(pieces, self.span_from(open.start))
    }

    pub(super) fn whole_template(&mut self) -> Parse<Expr> {
        let pieces = self.pieces(Form::Whole)?;
        self.template(pieces, self.span(0, self.text.len() as u32))
    }

    /// Pieces up to the end of the template, which is left to take.
    fn pieces(&mut self, form: Form) -> Parse<Vec<Piece<'a>>> {
        let mut pieces = Vec::new();
        let mut trim_next = false;
        loop {
            let token = self.tokens[self.position];
            match token.kind {
                TokenKind::Text => {
                    self.bump();
                    let mut text =
                        if form == Form::Quoted { self.quoted_text(token) } else { self.raw_text(token) };
                    if trim_next {
                        text = trim_start(text);
                    }
                    trim_next = false;
                    pieces.push(Piece::Text(text, self.token_span(token)));
                }
                TokenKind::OpenInterpolation | TokenKind::OpenDirective => {
                    if token.text(self.text).ends_with('~') {
                        trim_last(&mut pieces);
                    }
                    let (piece, trims) = self.with_newlines(false, |parser| parser.sequence(token))?;
                    pieces.push(piece);
                    trim_next = trims;
                }
                TokenKind::CloseQuote | TokenKind::CloseHeredoc | TokenKind::End => return Ok(pieces),
                _ => return Err(Failed),
            }
        }
    }

    /// An interpolation or directive, and whether its end trims.
    fn sequence(&mut self, token: Token) -> Parse<(Piece<'a>, bool)> {
        self.bump();
        if token.kind == TokenKind::OpenInterpolation {
            let expr = self.expression()?;
            let close = self.close_sequence(token, "interpolation")?;
            return Ok((Piece::Interpolation(expr, self.span_from(token.start)), self.trims(close)));
        }
        let word = self.peek();
        let piece: fn(Span) -> Piece<'a> = match word.text(self.text) {
            "if" => {
                self.bump();
                let condition = self.expression()?;
                let close = self.close_sequence(token, "directive")?;
                return Ok((Piece::If(condition, self.span_from(token.start)), self.trims(close)));
            }
            "for" => {
                let intro = self.for_intro()?;
                let close = self.close_sequence(token, "directive")?;
                return Ok((Piece::For(intro, self.span_from(token.start)), self.trims(close)));
            }
            "else" => Piece::Else,
            "endif" => Piece::EndIf,
            "endfor" => Piece::EndFor,
            _ => {
                let detail = "Expected \"if\", \"else\", \"endif\", \"for\" or \"endfor\" after \"%{\". For these \
                              characters themselves, write \"%%{\".";
                return self.fail("Invalid template directive", detail);
            }
        };
        self.bump();
        let close = self.close_sequence(token, "directive")?;
        Ok((piece(self.span_from(token.start)), self.trims(close)))
    }

    fn trims(&self, close: Token) -> bool {
        close.text(self.text).starts_with('~')
    }

    fn close_sequence(&mut self, open: Token, what: &str) -> Parse<Token> {
        match self.peek_kind() {
            TokenKind::CloseSequence => Ok(self.bump()),
            TokenKind::End | TokenKind::OpenQuote | TokenKind::CloseQuote => {
                let detail = "Expected the closing brace \"}\" before the end of the string.";
                self.report(self.token_span(open), &format!("Unclosed template {what}"), detail);
                Err(Failed)
            }
            _ => {
                let detail = "Expected the closing brace \"}\" here. If this is meant for another program, such as a \
                              shell, double the sign: \"$${\" or \"%%{\".";
                self.fail(&format!("Invalid template {what}"), detail)
            }
        }
    }

    /// The expression the pieces make.
    fn template(&mut self, mut pieces: Vec<Piece<'a>>, span: Span) -> Parse<Expr> {
        if let [Piece::Interpolation(..)] = pieces.as_slice()
            && let Some(Piece::Interpolation(inner, _)) = pieces.pop()
        {
            return Ok(Expr { kind: ExprKind::TemplateWrap(Box::new(inner)), span });
        }
        let mut parts = self.fold(pieces)?;
        let kind = match parts.as_slice() {
            [] => ExprKind::Literal(Literal::String(Name::default())),
            [TemplatePart::Literal(..)] => match parts.pop() {
                Some(TemplatePart::Literal(text, _)) => ExprKind::Literal(Literal::String(text)),
                _ => return Err(Failed),
            },
            _ => ExprKind::Template(parts),
        };
        Ok(Expr { kind, span })
    }

    /// Nests pieces between directives and joins neighbouring texts.
    fn fold(&mut self, pieces: Vec<Piece<'a>>) -> Parse<Vec<TemplatePart>> {
        let mut parts = PartList::default();
        let mut open: Vec<OpenDirective<'a>> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text, span) => parts.push_text(text, span),
                Piece::Interpolation(expr, span) => parts.push(TemplatePart::Interpolation(expr, span)),
                Piece::If(condition, span) => {
                    let outer = std::mem::take(&mut parts);
                    open.push(OpenDirective {
                        kind: Directive::If { condition, if_true: None },
                        span,
                        outer,
                    });
                }
                Piece::For(intro, span) => {
                    let outer = std::mem::take(&mut parts);
                    open.push(OpenDirective { kind: Directive::For(intro), span, outer });
                }
                Piece::Else(span) => match open.last_mut().map(|directive| &mut directive.kind) {
                    Some(Directive::If { if_true: if_true @ None, .. }) => {
                        *if_true = Some(std::mem::take(&mut parts).finish());
                    }
                    _ => return self.fail_directive(span, "else", open.last()),
                },
                Piece::EndIf(span) | Piece::EndFor(span) => {
                    let is_if = matches!(piece, Piece::EndIf(_));
                    match open.pop() {
                        Some(directive) if matches!(directive.kind, Directive::If { .. }) == is_if => {
                            parts = directive.close(parts, span);
                        }
                        other => {
                            let word = if is_if { "endif" } else { "endfor" };
                            return self.fail_directive(span, word, other.as_ref());
                        }
                    }
                }
            }
            if open.len() as u32 + self.depth >= MAX_DEPTH {
                return self.fail_depth();
            }
            self.height = self.height.max(open.len() as u32);
        }
        match open.last() {
            None => Ok(parts.finish()),
            Some(directive) => {
                let (word, end) = directive.words();
                let detail = format!("The template ends before the \"%{{ {end} }}\" that closes this.");
                self.report(directive.span, &format!("Unclosed \"{word}\" directive"), detail);
                Err(Failed)
            }
        }
    }

    fn fail_directive<T>(&mut self, span: Span, word: &str, open: Option<&OpenDirective<'_>>) -> Parse<T> {
        let detail = match open.map(OpenDirective::words) {
            None => format!("No directive is open here that \"{word}\" could belong to."),
            Some((open, end)) => format!("Inside of \"{open}\" this is out of place; expected \"{end}\"."),
        };
        self.report(span, &format!("Unexpected \"{word}\" directive"), detail);
        Err(Failed)
    }
}

/// An `if` or `for` directive whose end is not reached.
struct OpenDirective<'a> {
    kind: Directive,
    span: Span,
    /// What stands before it.
    outer: PartList<'a>,
}

enum Directive {
    /// The parts of the true case once `else` is seen.
    If {
        condition: Expr,
        if_true: Option<Vec<TemplatePart>>,
    },
    For(ForIntro),
}

impl<'a> OpenDirective<'a> {
    /// The list it was opened in, with the whole directive at its end.
    fn close(self, parts: PartList<'a>, end: Span) -> PartList<'a> {
        let span = self.span.to(end);
        let mut outer = self.outer;
        outer.push(match self.kind {
            Directive::If { condition, if_true } => {
                let (if_true, if_false) = match if_true {
                    Some(if_true) => (if_true, parts.finish()),
                    None => (parts.finish(), Vec::new()),
                };
                TemplatePart::If(Box::new(TemplateIf { condition, if_true, if_false, span }))
            }
            Directive::For(intro) => {
                TemplatePart::For(Box::new(TemplateFor { intro, body: parts.finish(), span }))
            }
        });
        outer
    }

    /// The words that open and close it.
    fn words(&self) -> (&'static str, &'static str) {
        match self.kind {
            Directive::If { .. } => ("if", "endif"),
            Directive::For(_) => ("for", "endfor"),
        }
    }
}

/// Parts in the making; text that may still grow is kept apart.
#[derive(Default)]
struct PartList<'a> {
    parts: Vec<TemplatePart>,
    text: Option<(Cow<'a, str>, Span)>,
}

impl<'a> PartList<'a> {
    fn push_text(&mut self, text: Cow<'a, str>, span: Span) {
        match &mut self.text {
            Some((before, before_span)) => {
                before.to_mut().push_str(&text);
                *before_span = before_span.to(span);
            }
            None => self.text = Some((text, span)),
        }
    }

    fn push(&mut self, part: TemplatePart) {
        self.end_text();
        self.parts.push(part);
    }

    fn end_text(&mut self) {
        if let Some((text, span)) = self.text.take()
            && !text.is_empty()
        {
            self.parts.push(TemplatePart::Literal(normalised(&text), span));
        }
    }

    fn finish(mut self) -> Vec<TemplatePart> {
        self.end_text();
        self.parts.shrink_to_fit();
        self.parts
    }
}

fn trim_start(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start()),
        Cow::Owned(text) => Cow::Owned(text.trim_start().to_owned()),
    }
}

/// Trims the end of the last piece, if it is text.
fn trim_last(pieces: &mut [Piece<'_>]) {
    if let Some(Piece::Text(text, _)) = pieces.last_mut() {
        match text {
            Cow::Borrowed(text) => *text = text.trim_end(),
            Cow::Owned(text) => text.truncate(text.trim_end().len()),
        }
    }
}
