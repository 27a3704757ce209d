//! Which names expressions and bodies refer to.

use super::ast::{
    Body, Expr, ExprKind, ForIntro, Identifier, Item, Literal, Name, ObjectKey, Step, TemplatePart,
    Traversal, TraversalStep, TraversalStepKind,
};
use super::parser::with_stack;
use super::span::Span;

impl Expr {
    /// All references in this expression in source order, each as far as its steps are literal. Names bound
    /// by `for` within the expression are not references; names in keys and indices are.
    pub fn references(&self) -> Vec<Traversal> {
        let mut collector = Collector::default();
        collector.expr(self);
        collector.found
    }

    /// All calls of functions in this expression, by name and place.
    pub fn function_calls(&self) -> Vec<(Name, Span)> {
        let mut collector = Collector::default();
        collector.expr(self);
        collector.calls
    }

    /// What this expression calls `sensitive`.
    pub fn marked_sensitive(&self) -> Vec<&Expr> {
        let mut collector = Collector::default();
        collector.expr(self);
        collector.marked
    }

    /// This expression as a reference, if it is one without anything to evaluate in it.
    pub fn as_static_traversal(&self) -> Option<Traversal> {
        match &self.kind {
            ExprKind::Variable(name) => {
                let root = Identifier { name: name.clone(), span: self.span };
                Some(Traversal { root, steps: Vec::new(), span: self.span })
            }
            ExprKind::Traversal(base, steps) => {
                // `null.alias` names a provider configuration: in a reference the word is a name like others.
                let base = match &base.kind {
                    ExprKind::Literal(Literal::Null) => {
                        &Expr { kind: ExprKind::Variable("null".into()), span: base.span }
                    }
                    _ => base,
                };
                let (traversal, literal) = literal_prefix(base, steps)?;
                (literal == steps.len()).then_some(traversal)
            }
            _ => None,
        }
    }
}

impl Traversal {
    /// The reference as it is written: `module.net["a"].id`.
    pub fn address(&self) -> String {
        let mut text = self.root.name.to_string();
        for step in &self.steps {
            match &step.kind {
                TraversalStepKind::Attribute(name) => text.push_str(&format!(".{name}")),
                TraversalStepKind::Key(key) => text.push_str(&format!("[{:?}]", key.as_str())),
                TraversalStepKind::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl Body {
    /// All references in all attributes of this body and the blocks in it, in source order.
    pub fn references(&self) -> Vec<Traversal> {
        let mut collector = Collector::default();
        collector.body(self);
        collector.found
    }

    /// What is called `sensitive` in all attributes of this body and the blocks in it.
    pub fn marked_sensitive(&self) -> Vec<&Expr> {
        let mut collector = Collector::default();
        collector.body(self);
        collector.marked
    }
}

/// The reference that `base` and its first steps are, with the number of steps in it.
fn literal_prefix(base: &Expr, steps: &[Step]) -> Option<(Traversal, usize)> {
    let ExprKind::Variable(name) = &base.kind else { return None };
    let literal: Vec<TraversalStep> = steps.iter().map_while(literal_step).collect();
    let span = literal.last().map_or(base.span, |step| base.span.to(step.span));
    let count = literal.len();
    let root = Identifier { name: name.clone(), span: base.span };
    Some((Traversal { root, steps: literal, span }, count))
}

fn literal_step(step: &Step) -> Option<TraversalStep> {
    let (kind, span) = match step {
        Step::Attribute(identifier) => {
            (TraversalStepKind::Attribute(identifier.name.clone()), identifier.span)
        }
        Step::LegacyIndex(digits, span) => (TraversalStepKind::Index(digits.clone()), *span),
        Step::Index(key, span) => match &key.kind {
            ExprKind::Literal(Literal::Number(number)) => (TraversalStepKind::Index(number.clone()), *span),
            ExprKind::Literal(Literal::String(text)) => (TraversalStepKind::Key(text.clone()), *span),
            _ => return None,
        },
        Step::AttributeSplat(..) | Step::FullSplat(..) => return None,
    };
    Some(TraversalStep { kind, span })
}

#[derive(Default)]
struct Collector<'e> {
    found: Vec<Traversal>,
    calls: Vec<(Name, Span)>,
    /// Arguments of `sensitive`.
    marked: Vec<&'e Expr>,
    /// Names bound around the place being looked at, with what they are elements of.
    bound: Vec<(Name, &'e Expr)>,
}

impl<'e> Collector<'e> {
    fn body(&mut self, body: &'e Body) {
        for item in &body.items {
            match item {
                Item::Attribute(attribute) => self.expr(&attribute.expr),
                Item::Block(block) => with_stack(|| self.body(&block.body)),
            }
        }
    }

    fn expr(&mut self, expr: &'e Expr) {
        with_stack(|| self.expr_kind(expr));
    }

    fn expr_kind(&mut self, expr: &'e Expr) {
        match &expr.kind {
            ExprKind::Literal(_) => {}
            ExprKind::Variable(_) => self.found_traversal(expr, &[]),
            ExprKind::Traversal(base, steps) => {
                self.found_traversal(base, steps);
                self.steps(steps);
            }
            ExprKind::Template(parts) => self.parts(parts),
            ExprKind::TemplateWrap(inner) | ExprKind::Unary(_, inner) | ExprKind::Parenthesised(inner) => {
                self.expr(inner);
            }
            ExprKind::FunctionCall(call) => {
                self.calls.push((call.name.clone(), call.name_span));
                if call.name.as_str() == "sensitive" {
                    call.arguments.iter().for_each(|argument| self.mark(argument));
                }
                call.arguments.iter().for_each(|argument| self.expr(argument));
            }
            ExprKind::Binary(binary) => {
                self.expr(&binary.left);
                self.expr(&binary.right);
            }
            ExprKind::Conditional(conditional) => {
                self.expr(&conditional.condition);
                self.expr(&conditional.if_true);
                self.expr(&conditional.if_false);
            }
            ExprKind::Tuple(elements) => elements.iter().for_each(|element| self.expr(element)),
            ExprKind::Object(items) => {
                for item in items {
                    if let ObjectKey::Expression(key) = &item.key {
                        self.expr(key);
                    }
                    self.expr(&item.value);
                }
            }
            ExprKind::ForTuple(tuple) => self.bound(&tuple.intro, |collector| {
                collector.expr(&tuple.element);
                tuple.condition.iter().for_each(|condition| collector.expr(condition));
            }),
            ExprKind::ForObject(object) => self.bound(&object.intro, |collector| {
                collector.expr(&object.key);
                collector.expr(&object.value);
                object.condition.iter().for_each(|condition| collector.expr(condition));
            }),
        }
    }

    fn found_traversal(&mut self, base: &'e Expr, steps: &'e [Step]) {
        match literal_prefix(base, steps) {
            Some((traversal, _)) if !self.is_bound(&traversal.root.name) => self.found.push(traversal),
            Some(_) => {}
            None => self.expr(base),
        }
    }

    fn is_bound(&self, name: &Name) -> bool {
        self.bound.iter().any(|(bound, _)| bound == name)
    }

    /// What is sensitive is what stands there, and all that a name in it is an element of.
    fn mark(&mut self, argument: &'e Expr) {
        self.marked.push(argument);
        for traversal in argument.references() {
            let collection = self.bound.iter().rev().find(|(bound, _)| *bound == traversal.root.name);
            self.marked.extend(collection.map(|(_, collection)| *collection));
        }
    }

    fn steps(&mut self, steps: &'e [Step]) {
        for step in steps {
            match step {
                Step::Index(key, _) => self.expr(key),
                Step::AttributeSplat(each, _) | Step::FullSplat(each, _) => with_stack(|| self.steps(each)),
                Step::Attribute(_) | Step::LegacyIndex(..) => {}
            }
        }
    }

    fn parts(&mut self, parts: &'e [TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Literal(..) => {}
                TemplatePart::Interpolation(expr, _) => self.expr(expr),
                TemplatePart::If(directive) => with_stack(|| {
                    self.expr(&directive.condition);
                    self.parts(&directive.if_true);
                    self.parts(&directive.if_false);
                }),
                TemplatePart::For(directive) => with_stack(|| {
                    self.bound(&directive.intro, |collector| collector.parts(&directive.body));
                }),
            }
        }
    }

    /// Looks at the collection, and then at what sees the names bound by `intro`.
    fn bound(&mut self, intro: &'e ForIntro, look: impl FnOnce(&mut Self)) {
        self.expr(&intro.collection);
        let before = self.bound.len();
        let names = intro.key.iter().chain([&intro.value]);
        self.bound.extend(names.map(|name| (name.name.clone(), &intro.collection)));
        look(self);
        self.bound.truncate(before);
    }
}
