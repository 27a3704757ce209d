//! Expressions to values.

mod call;
mod collection;
mod conditional;
mod construct;
mod equality;
mod iteration;
mod operator;
mod suggestion;
mod template;
mod traversal;

use pve_model::{Marks, Number, Type, Value};

use crate::functions::{Context, FunctionError};
use crate::syntax::ast::{Expr, ExprKind, Literal, Name};
use crate::syntax::{Diagnostic, Span, with_stack};

pub use collection::{get_attribute, get_index};
pub(crate) use equality::compare;
pub use equality::equals;
pub use suggestion::closest;

/// What a name with its first steps stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Value,
    /// How many of the steps it took; the evaluator takes the others on the value.
    pub consumed: usize,
}

/// Why a name stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{summary}: {detail}")]
pub struct ScopeError {
    /// What is wrong, in a few words and without a full stop.
    pub summary: String,
    /// What is wrong, in sentences.
    pub detail: String,
    /// What the user can do.
    pub hint: Option<String>,
}

/// The names an expression may use.
pub trait Scope {
    /// The value of `root` followed by as many of the attribute steps as belong to the reference: of `var.x.y` the root
    /// is `var`, the steps are `x` and `y`, and one is consumed.
    ///
    /// # Errors
    /// When nothing has this name here.
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError>;

    /// What functions may use.
    fn functions(&self) -> &Context;

    /// Calls a function that is none of the language's own, such as one that a provider defines; none if there is no
    /// such function.
    fn call_provided(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, FunctionError>> {
        let _ = (name, arguments);
        None
    }
}

/// The value of an expression. Unknown and marked values flow through every operation.
///
/// # Errors
/// With at least one error that points into the expression.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, Vec<Diagnostic>> {
    Frame { scope, parent: None, names: &[] }.evaluate(expr)
}

type Evaluated = Result<Value, Vec<Diagnostic>>;

/// Names bound by `for` around an expression, over those of the scope.
struct Frame<'a> {
    scope: &'a dyn Scope,
    parent: Option<&'a Frame<'a>>,
    names: &'a [(&'a Name, Value)],
}

impl<'a> Frame<'a> {
    fn evaluate(&self, expr: &Expr) -> Evaluated {
        with_stack(|| self.evaluate_kind(expr))
    }

    fn evaluate_kind(&self, expr: &Expr) -> Evaluated {
        match &expr.kind {
            ExprKind::Literal(literal) => literal_value(literal, expr.span),
            ExprKind::Template(parts) => self.template(parts),
            ExprKind::TemplateWrap(inner) | ExprKind::Parenthesised(inner) => self.evaluate(inner),
            ExprKind::Variable(name) => self.resolve(name, expr.span, &[]),
            ExprKind::Traversal(source, steps) => self.traversal(source, steps),
            ExprKind::FunctionCall(call) => self.call(call, expr.span),
            ExprKind::Unary(operator, operand) => self.unary(*operator, operand),
            ExprKind::Binary(binary) => self.binary(binary),
            ExprKind::Conditional(conditional) => self.conditional(conditional, expr.span),
            ExprKind::Tuple(items) => self.tuple(items),
            ExprKind::Object(items) => self.object(items),
            ExprKind::ForTuple(expression) => self.for_tuple(expression),
            ExprKind::ForObject(expression) => self.for_object(expression),
        }
    }

    /// The value bound to a name by an enclosing `for`.
    fn bound(&self, name: &str) -> Option<&Value> {
        let found = self.names.iter().find(|(bound, _)| *bound == name).map(|(_, value)| value);
        found.or_else(|| self.parent.and_then(|parent| parent.bound(name)))
    }

    /// Adds what the references in `exprs` stand for, so that an error shows what it is about.
    fn explain(&self, diagnostic: Diagnostic, exprs: &[&Expr]) -> Vec<Diagnostic> {
        let mut diagnostic = diagnostic;
        let mut seen: Vec<String> = Vec::new();
        for reference in exprs.iter().flat_map(|expr| expr.references()).take(4) {
            let text = reference.address();
            if seen.contains(&text) {
                continue;
            }
            if let Some(value) = self.value_of(&reference) {
                let shown = suggestion::describe(&value);
                diagnostic.detail.push_str(&format!("\n  {text} {shown}"));
                seen.push(text);
            }
        }
        vec![diagnostic]
    }
}

fn literal_value(literal: &Literal, span: Span) -> Evaluated {
    Ok(match literal {
        Literal::Null => Value::null(Type::Dynamic),
        Literal::Bool(value) => Value::bool(*value),
        Literal::String(text) => Value::string(text.as_str()),
        Literal::Number(text) => match text.parse::<Number>() {
            Ok(number) => Value::number(number),
            Err(_) => return Err(vec![Diagnostic::error(span, "This is no number", "It cannot be read.")]),
        },
    })
}

/// Gathers values with all errors of those that have none.
fn gather<T>(
    results: impl IntoIterator<Item = Result<T, Vec<Diagnostic>>>,
) -> Result<Vec<T>, Vec<Diagnostic>> {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// The value without its own marks, and those.
fn split_marks(mut value: Value) -> (Value, Marks) {
    let marks = std::mem::take(&mut value.marks);
    (value, marks)
}
