//! Syntax trees as s-expressions, so that tests can be read.

use pve_config::syntax::ast::{
    BinaryOperator, Expr, ExprKind, ForIntro, Literal, ObjectKey, Step, TemplatePart, Traversal,
    TraversalStepKind, UnaryOperator,
};

pub fn show(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Literal(literal) => show_literal(literal),
        ExprKind::Template(parts) => format!("(template {})", show_parts(parts)),
        ExprKind::TemplateWrap(inner) => format!("(wrap {})", show(inner)),
        ExprKind::Variable(name) => name.to_string(),
        ExprKind::Traversal(base, steps) => format!("({} {})", show(base), show_steps(steps)),
        ExprKind::FunctionCall(call) => {
            let arguments: String =
                call.arguments.iter().map(|argument| format!(" {}", show(argument))).collect();
            format!("({}{arguments}{})", call.name, if call.expand_final { " ..." } else { "" })
        }
        ExprKind::Unary(UnaryOperator::Negate, inner) => format!("(neg {})", show(inner)),
        ExprKind::Unary(UnaryOperator::Not, inner) => format!("(not {})", show(inner)),
        ExprKind::Binary(binary) => {
            format!("({} {} {})", show_operator(binary.operator), show(&binary.left), show(&binary.right))
        }
        ExprKind::Conditional(conditional) => format!(
            "(? {} {} {})",
            show(&conditional.condition),
            show(&conditional.if_true),
            show(&conditional.if_false)
        ),
        ExprKind::Tuple(elements) => {
            format!(
                "(tuple{})",
                elements.iter().map(|element| format!(" {}", show(element))).collect::<String>()
            )
        }
        ExprKind::Object(items) => {
            let items = items.iter().map(|item| match &item.key {
                ObjectKey::Name(name) => format!(" {}={}", name.name, show(&item.value)),
                ObjectKey::Expression(key) => format!(" ({})={}", show(key), show(&item.value)),
            });
            format!("(object{})", items.collect::<String>())
        }
        ExprKind::ForTuple(tuple) => {
            let condition = show_condition(tuple.condition.as_ref());
            format!("(for-tuple {} {}{condition})", show_intro(&tuple.intro), show(&tuple.element))
        }
        ExprKind::ForObject(object) => format!(
            "(for-object {} {}=>{}{}{})",
            show_intro(&object.intro),
            show(&object.key),
            show(&object.value),
            if object.group { " ..." } else { "" },
            show_condition(object.condition.as_ref())
        ),
        ExprKind::Parenthesised(inner) => format!("(paren {})", show(inner)),
    }
}

#[allow(dead_code, reason = "not every test file shows references")]
pub fn show_traversal(traversal: &Traversal) -> String {
    let steps = traversal.steps.iter().map(|step| match &step.kind {
        TraversalStepKind::Attribute(name) => format!(".{name}"),
        TraversalStepKind::Key(key) => format!("[{key:?}]"),
        TraversalStepKind::Index(index) => format!("[{index}]"),
    });
    format!("{}{}", traversal.root.name, steps.collect::<String>())
}

fn show_literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Number(text) => text.to_string(),
        Literal::String(text) => format!("{text:?}"),
    }
}

fn show_steps(steps: &[Step]) -> String {
    let steps = steps.iter().map(|step| match step {
        Step::Attribute(name) => format!(".{}", name.name),
        Step::Index(key, _) => format!("[{}]", show(key)),
        Step::LegacyIndex(digits, _) => format!(".{digits}"),
        Step::AttributeSplat(each, _) => format!("(.* {})", show_steps(each)).replace(" )", ")"),
        Step::FullSplat(each, _) => format!("([*] {})", show_steps(each)).replace(" )", ")"),
    });
    steps.collect::<Vec<_>>().join(" ")
}

fn show_parts(parts: &[TemplatePart]) -> String {
    let parts = parts.iter().map(|part| match part {
        TemplatePart::Literal(text, _) => format!("{text:?}"),
        TemplatePart::Interpolation(expr, _) => format!("({})", show(expr)),
        TemplatePart::If(directive) => format!(
            "(if {} ({}) ({}))",
            show(&directive.condition),
            show_parts(&directive.if_true),
            show_parts(&directive.if_false)
        ),
        TemplatePart::For(directive) => {
            format!("(for {} ({}))", show_intro(&directive.intro), show_parts(&directive.body))
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn show_intro(intro: &ForIntro) -> String {
    let key = intro.key.as_ref().map(|key| format!("{},", key.name)).unwrap_or_default();
    format!("{key}{} {}", intro.value.name, show(&intro.collection))
}

fn show_condition(condition: Option<&Expr>) -> String {
    condition.map(|condition| format!(" if {}", show(condition))).unwrap_or_default()
}

fn show_operator(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "||",
        BinaryOperator::And => "&&",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
    }
}
