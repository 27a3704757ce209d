//! The syntax tree of bodies, expressions and templates, as the evaluator reads it.
//!
//! Templates arrive finished: escapes are resolved, heredocs dedented and `~` trimming applied, so a
//! literal part is the text it produces. Names and strings are in Unicode normal form C.

use smol_str::SmolStr;

use super::span::Span;

/// An identifier or a literal string; short ones are stored inline and cloning is cheap.
pub type Name = SmolStr;

/// A name with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The name.
    pub name: Name,
    /// Where it stands.
    pub span: Span,
}

/// The content of a file or of a block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body {
    /// Attributes and blocks in source order. Attribute names are unique within a body.
    pub items: Vec<Item>,
    /// The whole content, without the braces.
    pub span: Span,
}

/// One entry of a [`Body`].
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `name = expression`
    Attribute(Attribute),
    /// `type "label" { ... }`
    Block(Block),
}

/// `name = expression`
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The name before the equals sign.
    pub name: Name,
    /// Where the name stands.
    pub name_span: Span,
    /// The expression after the equals sign.
    pub expr: Expr,
    /// Name to end of expression.
    pub span: Span,
}

/// `type "label" { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The word the block starts with, such as `resource`.
    pub block_type: Name,
    /// Where that word stands.
    pub type_span: Span,
    /// Labels in order, quoted or bare.
    pub labels: Vec<Identifier>,
    /// What is between the braces.
    pub body: Body,
    /// Type to last label.
    pub header_span: Span,
    /// Type to closing brace.
    pub span: Span,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number, string without template sequences, boolean or `null`.
    Literal(Literal),
    /// A quoted string or heredoc with template sequences; its value is always a string.
    Template(Vec<TemplatePart>),
    /// A quoted string that is one interpolation and nothing else: its value is that of the inner
    /// expression, unconverted.
    TemplateWrap(Box<Expr>),
    /// A name that starts a reference, such as `var` or a name bound by `for`.
    Variable(Name),
    /// Something with attribute, index or splat steps behind it.
    Traversal(Box<Expr>, Vec<Step>),
    /// `name(arguments)`
    FunctionCall(Box<FunctionCall>),
    /// `-x` or `!x`
    Unary(UnaryOperator, Box<Expr>),
    /// `left operator right`
    Binary(Box<BinaryExpr>),
    /// `condition ? if_true : if_false`
    Conditional(Box<ConditionalExpr>),
    /// `[a, b]`
    Tuple(Vec<Expr>),
    /// `{ key = value }`
    Object(Vec<ObjectItem>),
    /// `[for value in collection : element]`
    ForTuple(Box<ForTuple>),
    /// `{for key, value in collection : key => value}`
    ForObject(Box<ForObject>),
    /// `(inner)`
    Parenthesised(Box<Expr>),
}

/// A value written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as the source writes it: digits, fraction, exponent; no sign.
    Number(SmolStr),
    /// A string without template sequences, escapes resolved.
    String(SmolStr),
}

/// One step of a traversal.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `.name`
    Attribute(Identifier),
    /// `[key]`; the span holds the brackets.
    Index(Expr, Span),
    /// `.0`; the number as written, and the span with its dot.
    LegacyIndex(SmolStr, Span),
    /// `.*` and the attribute steps behind it, which are taken on each element.
    AttributeSplat(Vec<Step>, Span),
    /// `[*]` and all steps behind it, which are taken on each element.
    FullSplat(Vec<Step>, Span),
}

/// `name(arguments)`
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionCall {
    /// The name with its namespaces, such as `upper` or `provider::assert::key`.
    pub name: Name,
    /// Where the name stands.
    pub name_span: Span,
    /// The arguments in order.
    pub arguments: Vec<Expr>,
    /// Whether `...` follows the last argument: it is a sequence of arguments.
    pub expand_final: bool,
    /// Opening to closing parenthesis.
    pub arguments_span: Span,
}

/// An operator with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

/// `left operator right`
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    /// What is done.
    pub operator: BinaryOperator,
    /// Where the operator stands.
    pub operator_span: Span,
    /// The left operand.
    pub left: Expr,
    /// The right operand.
    pub right: Expr,
}

/// `condition ? if_true : if_false`
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalExpr {
    /// What decides.
    pub condition: Expr,
    /// The value if it is true.
    pub if_true: Expr,
    /// The value if it is false.
    pub if_false: Expr,
}

/// `key = value` in an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectItem {
    /// The key.
    pub key: ObjectKey,
    /// The value.
    pub value: Expr,
}

/// The key of an [`ObjectItem`].
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectKey {
    /// A bare word, which is the key itself (also `true`, `null` and the like).
    Name(Identifier),
    /// An expression. One that is a `Traversal` on a `Variable` without parentheses (`a.b = 1`) is
    /// ambiguous: the evaluator refuses it and asks for quotes or parentheses.
    Expression(Expr),
}

/// The part all `for` expressions start with: `for key, value in collection`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForIntro {
    /// The name for keys or indices, if two names are given.
    pub key: Option<Identifier>,
    /// The name for values.
    pub value: Identifier,
    /// What is iterated over; it does not see the two names.
    pub collection: Expr,
}

/// `[for value in collection : element if condition]`
#[derive(Debug, Clone, PartialEq)]
pub struct ForTuple {
    /// Names and collection.
    pub intro: ForIntro,
    /// The element made of each value.
    pub element: Expr,
    /// Keeps only values for which it is true.
    pub condition: Option<Expr>,
}

/// `{for key, value in collection : key => value... if condition}`
#[derive(Debug, Clone, PartialEq)]
pub struct ForObject {
    /// Names and collection.
    pub intro: ForIntro,
    /// The key made of each value.
    pub key: Expr,
    /// The value made of each value.
    pub value: Expr,
    /// Whether `...` follows the value: values of equal keys are gathered in a tuple.
    pub group: bool,
    /// Keeps only values for which it is true.
    pub condition: Option<Expr>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplatePart {
    /// Text that stands for itself, escapes resolved and trimming done.
    Literal(SmolStr, Span),
    /// `${expression}`; the span holds the braces.
    Interpolation(Expr, Span),
    /// `%{if condition}...%{else}...%{endif}`
    If(Box<TemplateIf>),
    /// `%{for key, value in collection}...%{endfor}`
    For(Box<TemplateFor>),
}

/// `%{if condition}...%{else}...%{endif}`
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateIf {
    /// What decides.
    pub condition: Expr,
    /// The text if it is true.
    pub if_true: Vec<TemplatePart>,
    /// The text if it is false; empty without `%{else}`.
    pub if_false: Vec<TemplatePart>,
    /// `%{if` to the end of `%{endif}`.
    pub span: Span,
}

/// `%{for key, value in collection}...%{endfor}`
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateFor {
    /// Names and collection.
    pub intro: ForIntro,
    /// The text made of each value.
    pub body: Vec<TemplatePart>,
    /// `%{for` to the end of `%{endfor}`.
    pub span: Span,
}

/// A reference whose steps are known without evaluating: `module.net["a"].id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traversal {
    /// The first name.
    pub root: Identifier,
    /// The steps behind it.
    pub steps: Vec<TraversalStep>,
    /// All of it.
    pub span: Span,
}

/// One step of a [`Traversal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraversalStep {
    /// What the step is.
    pub kind: TraversalStepKind,
    /// Where it stands, with its dot or brackets.
    pub span: Span,
}

/// The kinds of [`TraversalStep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraversalStepKind {
    /// `.name`
    Attribute(Name),
    /// `["key"]`
    Key(SmolStr),
    /// `[0]` or `.0`; the number as written.
    Index(SmolStr),
}

impl Body {
    /// The attributes in source order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.items.iter().filter_map(|item| match item {
            Item::Attribute(attribute) => Some(attribute),
            Item::Block(_) => None,
        })
    }

    /// The blocks in source order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.items.iter().filter_map(|item| match item {
            Item::Block(block) => Some(block),
            Item::Attribute(_) => None,
        })
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes().find(|attribute| attribute.name == name)
    }

    /// The blocks of this type, in source order.
    pub fn blocks_of<'a>(&'a self, block_type: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks().filter(move |block| block.block_type == block_type)
    }
}
