//! Tokens: a kind and a range of bytes, nothing allocated.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TokenKind {
    Identifier,
    Number,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    OpenQuote,
    CloseQuote,
    /// `<<WORD` or `<<-WORD` with its line ending.
    OpenHeredoc,
    /// The closing word and the spaces around it, without the line ending.
    CloseHeredoc,
    /// Text of a template. A lone `$` or `%` is a token of its own, and in heredocs every line is, with its
    /// line ending: `~` trims one token.
    Text,
    /// `${` or `${~`
    OpenInterpolation,
    /// `%{` or `%{~`
    OpenDirective,
    /// `}` or `~}`
    CloseSequence,
    Star,
    Slash,
    Percent,
    Plus,
    Minus,
    Equal,
    EqualEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Bang,
    Dot,
    Comma,
    DoubleColon,
    Ellipsis,
    FatArrow,
    Question,
    Colon,
    /// Only produced when comments are kept; line comments hold their line ending.
    Comment,
    /// A line ending, or a line comment with its line ending when comments are dropped.
    Newline,
    /// Something the language does not have; the lexer has reported it.
    Invalid,
    End,
}

/// A token of the text it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Token {
    /// The text of the token.
    pub(crate) fn text(self, source: &str) -> &str {
        source.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}
