//! Text to tokens.
//!
//! Strings and heredocs are modes of the lexer: inside an interpolation it is back in the main mode, until
//! the brace that closes it. Every byte the language has no use for is reported here, once, so that the
//! parser can pass over `Invalid` tokens in silence.

mod template;
pub(crate) mod token;

use super::diagnostic::Diagnostic;
use super::span::{SourceId, Span};
pub(crate) use token::{Token, TokenKind};

/// How many of the last diagnostics are searched for those about a place.
const MAX_RECENT: usize = 2048;

/// What a lexer starts in, and what becomes of comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LexMode {
    /// A body or an expression; comments are dropped.
    Main,
    /// A body; comments are tokens.
    MainWithComments,
    /// A template that is the whole text.
    Template,
}

/// All tokens of `text`, the last of which is `End`.
pub(crate) fn lex(source: SourceId, text: &str, mode: LexMode) -> Vec<Token> {
    let mut lexer = Lexer::new(source, text, mode);
    let mut tokens = Vec::with_capacity(text.len() / 5 + 8);
    lexer.fill(&mut tokens, usize::MAX);
    tokens
}

/// What the lexer is inside of.
#[derive(Debug, Clone, Copy)]
enum Context {
    /// A quoted string; the offset of its quote.
    Quoted(usize),
    Heredoc(Heredoc),
    /// A template that is the whole text.
    Bare,
    /// `${` or `%{`, closed by a brace at this level.
    Sequence(u32),
}

/// A heredoc being read.
#[derive(Debug, Clone, Copy)]
struct Heredoc {
    open: usize,
    marker_start: usize,
    marker_end: usize,
    /// Whether the next byte is the first of its line; only such lines can close the heredoc.
    line_start: bool,
}

/// Turns a text into tokens, some at a time.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    source: SourceId,
    keep_comments: bool,
    finished: bool,
    /// End of the last invalid character; those of one line are reported once.
    last_invalid: usize,
    tokens: Vec<Token>,
    contexts: Vec<Context>,
    braces: u32,
    /// What is wrong with the characters so far.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: SourceId, text: &'a str, mode: LexMode) -> Self {
        let mut lexer = Lexer {
            text,
            bytes: text.as_bytes(),
            position: 0,
            source,
            keep_comments: mode == LexMode::MainWithComments,
            finished: false,
            last_invalid: 0,
            tokens: Vec::new(),
            contexts: Vec::new(),
            braces: 0,
            diagnostics: Vec::new(),
        };
        if u32::try_from(text.len()).is_err() {
            lexer.report(0, 0, "File too large", "A configuration file must be smaller than 4 GiB.");
            lexer.bytes = &[];
        }
        if mode == LexMode::Template {
            lexer.contexts.push(Context::Bare);
        } else if text.starts_with('\u{feff}') {
            lexer.position = '\u{feff}'.len_utf8();
        }
        lexer
    }

    /// Adds tokens until there are `count`, or all, of which the last is `End`.
    pub(crate) fn fill(&mut self, tokens: &mut Vec<Token>, count: usize) {
        if self.finished {
            return;
        }
        std::mem::swap(&mut self.tokens, tokens);
        while self.tokens.len() < count && !self.finished {
            if self.position >= self.bytes.len() {
                self.close_at_end();
                self.push(TokenKind::End, self.position);
                self.finished = true;
                break;
            }
            match self.contexts.last().copied() {
                None | Some(Context::Sequence(_)) => self.main(),
                Some(Context::Quoted(open)) => self.quoted(open),
                Some(Context::Heredoc(heredoc)) => self.heredoc(heredoc),
                Some(Context::Bare) => self.bare(),
            }
        }
        std::mem::swap(&mut self.tokens, tokens);
    }

    /// Whether something that starts in `start..=end` was reported.
    pub(crate) fn reported_between(&self, start: u32, end: u32) -> bool {
        // The lexer is ahead of the parser by a bounded number of tokens only.
        let recent = self.diagnostics.iter().rev().take(MAX_RECENT);
        let spans = recent.filter_map(|diagnostic| diagnostic.span);
        spans.map(|span| span.start).any(|reported| (start..=end).contains(&reported))
    }

    /// Reports a string or heredoc the text ends in, and closes it so that the parser need not.
    fn close_at_end(&mut self) {
        match self.contexts.last().copied() {
            Some(Context::Quoted(open)) => {
                self.report(
                    open,
                    self.position,
                    "Unclosed string",
                    "The text ends before the closing quote.",
                );
                self.push(TokenKind::CloseQuote, self.position);
            }
            Some(Context::Heredoc(heredoc)) => {
                self.report_open_heredoc(heredoc);
                self.push(TokenKind::CloseHeredoc, self.position);
                self.push(TokenKind::Newline, self.position);
            }
            _ => {}
        }
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token { kind, start: start as u32, end: self.position as u32 });
    }

    /// Takes `length` bytes as a token.
    fn take(&mut self, kind: TokenKind, length: usize) {
        let start = self.position;
        self.position += length;
        self.push(kind, start);
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn report(&mut self, start: usize, end: usize, summary: &str, detail: &str) {
        let span = Span::new(self.source, start as u32, end as u32);
        self.diagnostics.push(Diagnostic::error(span, summary, detail));
    }

    /// One token of the main mode, or spaces.
    fn main(&mut self) {
        use TokenKind as Kind;
        let byte = self.byte(0);
        match byte {
            b' ' | b'\t' => self.position += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.identifier(),
            b'0'..=b'9' => self.number(),
            b'\n' => self.take(Kind::Newline, 1),
            b'\r' if self.byte(1) == b'\n' => self.take(Kind::Newline, 2),
            b'"' => {
                self.contexts.push(Context::Quoted(self.position));
                self.take(Kind::OpenQuote, 1);
            }
            b'{' => {
                self.braces += 1;
                self.take(Kind::OpenBrace, 1);
            }
            b'}' => self.close_brace(),
            b'~' if self.byte(1) == b'}' => self.close_trimming_brace(),
            b'#' => self.line_comment(),
            b'/' if self.byte(1) == b'/' => self.line_comment(),
            b'/' if self.byte(1) == b'*' => self.block_comment(),
            b'<' if self.byte(1) == b'<' && self.open_heredoc() => {}
            _ => match operator(byte, self.byte(1), self.byte(2)) {
                Some((kind, length)) => self.take(kind, length),
                None if byte >= 0x80 => self.unicode(),
                None => self.invalid(1),
            },
        }
    }

    fn identifier(&mut self) {
        let start = self.position;
        loop {
            while IDENTIFIER_BYTES[self.byte(0) as usize] {
                self.position += 1;
            }
            match self.text.get(self.position..).and_then(|rest| rest.chars().next()) {
                Some(character) if !character.is_ascii() && unicode_ident::is_xid_continue(character) => {
                    self.position += character.len_utf8();
                }
                _ => break,
            }
        }
        self.push(TokenKind::Identifier, start);
    }

    fn unicode(&mut self) {
        match self.text.get(self.position..).and_then(|rest| rest.chars().next()) {
            Some(character) if unicode_ident::is_xid_start(character) => {
                let start = self.position;
                self.position += character.len_utf8();
                self.identifier();
                if let Some(last) = self.tokens.last_mut() {
                    last.start = start as u32;
                }
            }
            Some(character) => self.invalid(character.len_utf8()),
            None => self.invalid(1),
        }
    }

    /// Digits, dots and exponents, as far as they go; the parser judges whether they are a number. A dot at
    /// the end is not part of it.
    fn number(&mut self) {
        let start = self.position;
        let mut end = start + 1;
        self.position = end;
        loop {
            match self.byte(0) {
                b'0'..=b'9' => {
                    self.position += 1;
                    end = self.position;
                }
                b'.' => self.position += 1,
                b'e' | b'E' => {
                    let signed = usize::from(matches!(self.byte(1), b'+' | b'-'));
                    if !self.byte(1 + signed).is_ascii_digit() {
                        break;
                    }
                    self.position += signed + 2;
                    end = self.position;
                }
                _ => break,
            }
        }
        self.position = end;
        self.push(TokenKind::Number, start);
    }

    fn close_brace(&mut self) {
        if self.closes_sequence() {
            self.contexts.pop();
            self.take(TokenKind::CloseSequence, 1);
        } else {
            self.take(TokenKind::CloseBrace, 1);
        }
        self.braces = self.braces.saturating_sub(1);
    }

    fn close_trimming_brace(&mut self) {
        if self.closes_sequence() {
            self.contexts.pop();
        }
        self.take(TokenKind::CloseSequence, 2);
        self.braces = self.braces.saturating_sub(1);
    }

    fn closes_sequence(&self) -> bool {
        matches!(self.contexts.last(), Some(Context::Sequence(level)) if *level == self.braces)
    }

    fn line_comment(&mut self) {
        let start = self.position;
        let rest = &self.bytes[start..];
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(newline) => {
                self.position = start + newline + 1;
                self.push(if self.keep_comments { TokenKind::Comment } else { TokenKind::Newline }, start);
            }
            None => {
                self.position = self.bytes.len();
                if self.keep_comments {
                    self.push(TokenKind::Comment, start);
                }
            }
        }
    }

    fn block_comment(&mut self) {
        let start = self.position;
        match self.text.get(start + 2..).and_then(|rest| rest.find("*/")) {
            Some(end) => {
                self.position = start + 2 + end + 2;
                if self.keep_comments {
                    self.push(TokenKind::Comment, start);
                }
            }
            None => {
                self.report(start, start + 2, "Unclosed comment", "The text ends before the closing \"*/\".");
                self.position = self.bytes.len();
            }
        }
    }

    fn invalid(&mut self, length: usize) {
        let start = self.position;
        let (summary, detail) = self.describe_invalid(length);
        self.take(TokenKind::Invalid, length);
        let between = self.text.get(self.last_invalid..start);
        let repeated = self.diagnostics.last().is_some_and(|last| last.detail == detail)
            && between.is_some_and(|between| !between.contains('\n'));
        self.last_invalid = self.position;
        if !repeated {
            self.report(start, self.position, summary, detail);
        }
    }

    fn describe_invalid(&self, length: usize) -> (&'static str, &'static str) {
        match self.text.get(self.position..self.position + length).unwrap_or("") {
            "&" => ("Unknown operator", "There are no bitwise operators; logical \"and\" is written \"&&\"."),
            "|" => ("Unknown operator", "There are no bitwise operators; logical \"or\" is written \"||\"."),
            "~" => ("Unknown operator", "There are no bitwise operators; logical \"not\" is written \"!\"."),
            "^" => ("Unknown operator", "There are no bitwise operators; use pow() for powers."),
            "'" => ("Invalid character", "Strings are written in double quotes (\"), not in single quotes."),
            "`" => {
                ("Invalid character", "Strings over several lines are written as heredocs, such as <<EOT.")
            }
            ";" => ("Invalid character", "Arguments are separated by line ends, not by semicolons."),
            "\u{201c}" | "\u{201d}" => (
                "Invalid character",
                "Strings are written in straight double quotes (\"), not in curly ones.",
            ),
            "\u{a0}" => ("Invalid character", "This is a no-break space; replace it by an ordinary one."),
            "\r" => ("Invalid character", "A carriage return is allowed only before a line feed."),
            _ => ("Invalid character", "The language has no use for this character here."),
        }
    }
}

/// The operator or bracket that starts with these bytes, and its length.
fn operator(first: u8, second: u8, third: u8) -> Option<(TokenKind, usize)> {
    use TokenKind as Kind;
    Some(match (first, second) {
        (b'=', b'=') => (Kind::EqualEqual, 2),
        (b'=', b'>') => (Kind::FatArrow, 2),
        (b'=', _) => (Kind::Equal, 1),
        (b'!', b'=') => (Kind::NotEqual, 2),
        (b'!', _) => (Kind::Bang, 1),
        (b'<', b'=') => (Kind::LessEqual, 2),
        (b'<', _) => (Kind::Less, 1),
        (b'>', b'=') => (Kind::GreaterEqual, 2),
        (b'>', _) => (Kind::Greater, 1),
        (b'&', b'&') => (Kind::And, 2),
        (b'|', b'|') => (Kind::Or, 2),
        (b':', b':') => (Kind::DoubleColon, 2),
        (b':', _) => (Kind::Colon, 1),
        (b'.', b'.') if third == b'.' => (Kind::Ellipsis, 3),
        (b'.', _) => (Kind::Dot, 1),
        (b',', _) => (Kind::Comma, 1),
        (b'[', _) => (Kind::OpenBracket, 1),
        (b']', _) => (Kind::CloseBracket, 1),
        (b'(', _) => (Kind::OpenParenthesis, 1),
        (b')', _) => (Kind::CloseParenthesis, 1),
        (b'?', _) => (Kind::Question, 1),
        (b'+', _) => (Kind::Plus, 1),
        (b'-', _) => (Kind::Minus, 1),
        (b'*', _) => (Kind::Star, 1),
        (b'/', _) => (Kind::Slash, 1),
        (b'%', _) => (Kind::Percent, 1),
        _ => return None,
    })
}

/// ASCII bytes that continue an identifier.
static IDENTIFIER_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric() || character == b'_' || character == b'-';
        byte += 1;
    }
    table
};
