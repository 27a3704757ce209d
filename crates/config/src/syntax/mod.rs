//! HCL text to a syntax tree: lexer, parser, JSON form, layout.

pub mod ast;
pub mod diagnostic;
mod format;
pub mod json;
mod lexer;
mod parser;
mod references;
pub mod span;

pub use ast::{Attribute, Block, Body, Expr, ExprKind, Item, Name, Traversal};
pub use diagnostic::{Diagnostic, Severity};
pub use format::format;
pub use parser::{
    MAX_DEPTH, Parsed, parse_body, parse_expression, parse_template, parse_traversal, with_stack,
};
pub use span::{Source, SourceId, SourceMap, Span};
