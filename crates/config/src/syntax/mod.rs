//! HCL text to a syntax tree: lexer, parser, JSON form, layout.

pub mod ast;
pub mod diagnostic;
pub mod span;

pub use ast::{Attribute, Block, Body, Expr, ExprKind, Item, Name, Traversal};
pub use diagnostic::{Diagnostic, Severity};
pub use span::{Source, SourceId, SourceMap, Span};
