//! Tokens to a syntax tree.
//!
//! Parse functions report what is wrong and return [`Failed`]; the item of the body they are in then looks
//! for its own end and parsing goes on behind it, so that each faulty item is reported once.
//!
//! Depth is bounded twice: `depth` counts what is open while parsing, `height` how deep the finished tree
//! is (long operator chains are deep without nesting). Both stay below [`MAX_DEPTH`], so that recursion over
//! a finished tree is bounded too.

mod body;
mod collection;
mod expression;
mod heredoc;
mod operators;
mod recovery;
mod string;
mod template;
mod traversal;

use super::ast::{Body, Expr, Identifier, Name, Traversal};
use super::diagnostic::Diagnostic;
use super::lexer::{LexMode, Lexer, Token, TokenKind};
use super::span::{SourceId, Span};
pub(crate) use string::normalised;

/// How deep blocks and expressions may be nested.
pub const MAX_DEPTH: u32 = 1000;

/// How many tokens behind the current one the parser may look at without asking.
const LOOK_AHEAD: usize = 4;

/// How many tokens are read at once, and after how many the ones that are done are forgotten.
const FILL_SIZE: usize = 1024;
const FORGET_SIZE: usize = 16 * 1024;

/// Stack that must be left before going one level deeper, and how much is added when it is not.
const STACK_RED_ZONE: usize = 128 * 1024;
const STACK_GROWTH: usize = 2 * 1024 * 1024;

/// Runs `function` with enough stack for one more level of a tree that is at most [`MAX_DEPTH`] deep. For
/// every recursion over syntax trees.
pub fn with_stack<T>(function: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_RED_ZONE, STACK_GROWTH, function)
}

/// What parsing gave: as much of a tree as could be made, and what is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// The tree. Faulty items are left out of bodies; a faulty expression is `None`.
    pub value: T,
    /// All findings, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Parsed<T> {
    /// Whether anything is wrong.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a file of the native syntax.
pub fn parse_body(source: SourceId, text: &str) -> Parsed<Body> {
    let mut parser = Parser::new(source, text, LexMode::Main);
    let body = parser.file_body();
    parser.finish(body)
}

/// Parses one expression that is the whole text; line breaks do not matter in it.
pub fn parse_expression(source: SourceId, text: &str) -> Parsed<Option<Expr>> {
    let mut parser = Parser::new(source, text, LexMode::Main);
    parser.newlines = false;
    let expr = parser.whole_expression().ok();
    parser.finish(expr)
}

/// Parses a template that is the whole text, such as a file for `templatefile`.
pub fn parse_template(source: SourceId, text: &str) -> Parsed<Option<Expr>> {
    let mut parser = Parser::new(source, text, LexMode::Template);
    let expr = parser.whole_template().ok();
    parser.finish(expr)
}

/// Parses a template or expression that stands inside of another text, such as a JSON string. `place` is where
/// it stands there; spans are exact if it has the same length, and otherwise all of `place`.
pub(crate) fn parse_embedded(place: Span, text: &str, template: bool) -> Parsed<Option<Expr>> {
    let mode = if template { LexMode::Template } else { LexMode::Main };
    let mut parser = Parser::new(place.source, text, mode);
    parser.place = if place.len() == text.len() { Place::At(place.start) } else { Place::Within(place) };
    parser.newlines = template;
    let expr = if template { parser.whole_template().ok() } else { parser.whole_expression().ok() };
    parser.finish(expr)
}

/// Parses a reference such as `module.net["a"].id` that is the whole text.
pub fn parse_traversal(source: SourceId, text: &str) -> Parsed<Option<Traversal>> {
    let mut parser = Parser::new(source, text, LexMode::Main);
    let traversal = parser.whole_traversal().ok();
    parser.finish(traversal)
}

/// Something was wrong and has been reported.
#[derive(Debug, Clone, Copy)]
struct Failed;

type Parse<T> = Result<T, Failed>;

/// Where the text being parsed stands in its source.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// It starts at this offset.
    At(u32),
    /// Somewhere in here, with escapes in between.
    Within(Span),
}

impl Place {
    fn locate(self, span: Span) -> Span {
        match self {
            Place::At(offset) => Span::new(span.source, span.start + offset, span.end + offset),
            Place::Within(whole) => whole,
        }
    }
}

struct Parser<'a> {
    source: SourceId,
    place: Place,
    text: &'a str,
    lexer: Lexer<'a>,
    /// The tokens around `position`: from the start of the item of the file it is in, and at least
    /// [`LOOK_AHEAD`] further, or up to `End`.
    tokens: Vec<Token>,
    position: usize,
    /// End of the last token taken.
    last_end: u32,
    /// Whether line ends are tokens here; they are not inside brackets other than object braces.
    newlines: bool,
    depth: u32,
    height: u32,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn new(source: SourceId, text: &'a str, mode: LexMode) -> Self {
        let mut parser = Self {
            source,
            place: Place::At(0),
            text,
            lexer: Lexer::new(source, text, mode),
            tokens: Vec::new(),
            position: 0,
            last_end: 0,
            newlines: true,
            depth: 0,
            height: 0,
            diagnostics: Vec::new(),
        };
        parser.fill();
        parser
    }

    /// Sees to it that the tokens next to `position` are there.
    fn fill(&mut self) {
        if self.position + LOOK_AHEAD >= self.tokens.len() {
            self.lexer.fill(&mut self.tokens, self.position + LOOK_AHEAD + FILL_SIZE);
        }
    }

    /// The token at this index; all that were before it must have been looked at.
    fn token_at(&mut self, index: usize) -> Token {
        if index >= self.tokens.len() {
            self.lexer.fill(&mut self.tokens, index + FILL_SIZE);
        }
        self.tokens[index.min(self.tokens.len() - 1)]
    }

    /// Forgets the tokens of items that are done; only between items of the file.
    fn forget_tokens(&mut self) {
        if self.position >= FORGET_SIZE {
            self.tokens.drain(..self.position);
            self.position = 0;
        }
    }

    fn finish<T>(mut self, value: T) -> Parsed<T> {
        for mut diagnostic in self.lexer.diagnostics {
            diagnostic.span = diagnostic.span.map(|span| self.place.locate(span));
            self.diagnostics.push(diagnostic);
        }
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.map_or(0, |span| span.start));
        Parsed { value, diagnostics: self.diagnostics }
    }

    /// The next token.
    fn peek(&mut self) -> Token {
        if !self.newlines {
            while self.tokens[self.position].kind == TokenKind::Newline {
                self.position += 1;
                self.fill();
            }
        }
        self.tokens[self.position]
    }

    fn peek_kind(&mut self) -> TokenKind {
        self.peek().kind
    }

    /// Takes the next token; the last one, `End`, is never used up.
    fn bump(&mut self) -> Token {
        let token = self.peek();
        if token.kind != TokenKind::End {
            self.position += 1;
            self.fill();
        }
        self.last_end = token.end;
        token
    }

    /// Takes the next token if it is of this kind.
    fn take(&mut self, kind: TokenKind) -> Option<Token> {
        (self.peek_kind() == kind).then(|| self.bump())
    }

    /// Whether the next token is this word.
    fn at_word(&mut self, word: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Identifier && token.text(self.text) == word
    }

    fn span(&self, start: u32, end: u32) -> Span {
        self.place.locate(Span::new(self.source, start, end))
    }

    fn token_span(&self, token: Token) -> Span {
        self.span(token.start, token.end)
    }

    /// From `start` to the end of the last token taken.
    fn span_from(&self, start: u32) -> Span {
        self.span(start, self.last_end)
    }

    fn name(&self, token: Token) -> Name {
        normalised(token.text(self.text))
    }

    fn identifier(&self, token: Token) -> Identifier {
        Identifier { name: self.name(token), span: self.token_span(token) }
    }

    fn report(&mut self, span: Span, summary: &str, detail: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(span, summary, detail));
    }

    /// Reports the next token as the fault, unless the lexer has already reported it.
    fn fail<T>(&mut self, summary: &str, detail: impl Into<String>) -> Parse<T> {
        let token = self.peek();
        if token.kind != TokenKind::Invalid {
            self.report(self.token_span(token), summary, detail);
        }
        Err(Failed)
    }

    /// Reports that `opener` is never closed if the text ends here, and otherwise the next token.
    fn fail_in<T>(&mut self, opener: Token, what: &str, detail: String) -> Parse<T> {
        if self.peek_kind() == TokenKind::End {
            let closer = match opener.kind {
                TokenKind::OpenParenthesis => ")",
                TokenKind::OpenBracket => "]",
                _ => "}",
            };
            let detail = format!("The text ends before the \"{closer}\" that closes this.");
            self.report(self.token_span(opener), &format!("Unclosed {what}"), detail);
            return Err(Failed);
        }
        self.fail(&format!("Invalid {what}"), detail)
    }

    /// Fails if the text ends within the brackets of `opener`.
    fn check_end(&mut self, opener: Token, what: &str) -> Parse<()> {
        if self.peek_kind() == TokenKind::End { self.fail_in(opener, what, String::new()) } else { Ok(()) }
    }

    /// Runs `parse` with line ends as tokens or not.
    fn with_newlines<T>(&mut self, newlines: bool, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        let before = std::mem::replace(&mut self.newlines, newlines);
        let result = parse(self);
        self.newlines = before;
        result
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail_depth();
        }
        let outer_height = std::mem::replace(&mut self.height, 0);
        self.depth += 1;
        let result = with_stack(|| parse(self));
        self.depth -= 1;
        self.height = outer_height.max(self.height + 1);
        if self.height > MAX_DEPTH {
            return self.fail_depth();
        }
        result
    }

    /// The tree grew one level without nesting in the text.
    fn grow_height(&mut self) -> Parse<()> {
        self.height += 1;
        if self.height > MAX_DEPTH { self.fail_depth() } else { Ok(()) }
    }

    fn fail_depth<T>(&mut self) -> Parse<T> {
        self.height = 0;
        let token = self.peek();
        let detail = format!("Blocks and expressions may be nested at most {MAX_DEPTH} deep.");
        self.report(self.token_span(token), "Nested too deep", detail);
        Err(Failed)
    }

    fn whole_expression(&mut self) -> Parse<Expr> {
        let expr = self.expression()?;
        if self.peek_kind() == TokenKind::End {
            return Ok(expr);
        }
        self.fail("Text after expression", "Expected the end of the expression here.")
    }
}
