//! Templates: text with interpolations and directives.

use pve_model::value::Refinement;
use pve_model::{Marks, Type, Value};
use std::sync::Arc;

use super::collection::Elements;
use super::scope::Bindings;
use super::{Evaluated, Evaluator, fault};
use crate::convert::convert;
use crate::syntax::ast::{TemplateFor, TemplateIf, TemplatePart};
use crate::syntax::{Diagnostic, Span};

/// Text as far as it is known.
struct Text {
    text: String,
    /// Whether everything after `text` is unknown.
    open: bool,
    marks: Marks,
}

impl Evaluator<'_> {
    pub(super) fn template(&self, parts: &[TemplatePart], span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let mut text = Text { text: String::new(), open: false, marks: Marks::NONE };
        self.parts(parts, span, bindings, &mut text)?;
        let value = if text.open {
            let prefix = (!text.text.is_empty()).then(|| Arc::from(text.text.as_str()));
            Value::unknown_refined(Type::String, Refinement { not_null: true, prefix, ..Refinement::default() })
        } else {
            Value::string(crate::syntax::normalised(&text.text))
        };
        Ok(value.with_marks(text.marks))
    }

    fn parts(
        &self,
        parts: &[TemplatePart],
        span: Span,
        bindings: &Bindings<'_>,
        text: &mut Text,
    ) -> Result<(), Vec<Diagnostic>> {
        for part in parts {
            match part {
                TemplatePart::Literal(literal, _) => text.push(literal),
                TemplatePart::Interpolation(expr, _) => {
                    let value = self.value(expr, bindings)?;
                    text.push_value(&value, expr.span)?;
                }
                TemplatePart::If(directive) => self.template_if(directive, span, bindings, text)?,
                TemplatePart::For(directive) => self.template_for(directive, span, bindings, text)?,
            }
        }
        Ok(())
    }

    fn template_if(
        &self,
        directive: &TemplateIf,
        span: Span,
        bindings: &Bindings<'_>,
        text: &mut Text,
    ) -> Result<(), Vec<Diagnostic>> {
        let condition = self.value(&directive.condition, bindings)?;
        let at = directive.condition.span;
        if condition.is_null() {
            return fault(at, "The condition is null", "`if` needs true or false.");
        }
        let condition = convert(&condition, &Type::Bool).map_err(|error| {
            vec![Diagnostic::error(at, "This is no condition", format!("`if` needs true or false: {error}."))]
        })?;
        text.marks = text.marks.union(condition.marks);
        match condition.as_bool() {
            Some(true) => self.parts(&directive.if_true, span, bindings, text),
            Some(false) => self.parts(&directive.if_false, span, bindings, text),
            None => {
                text.open = true;
                Ok(())
            }
        }
    }

    fn template_for(
        &self,
        directive: &TemplateFor,
        span: Span,
        bindings: &Bindings<'_>,
        text: &mut Text,
    ) -> Result<(), Vec<Diagnostic>> {
        let (elements, marks) = self.elements(&directive.intro, bindings)?;
        text.marks = text.marks.union(marks);
        let Elements::Known(pairs) = elements else {
            text.open = true;
            return Ok(());
        };
        for (key, value) in &pairs {
            let with_key = bindings.bind_key(directive.intro.key.as_ref().map(|name| name.name.as_str()), key);
            let inner = with_key.bind(&directive.intro.value.name, value);
            self.parts(&directive.body, span, &inner, text)?;
        }
        Ok(())
    }
}

impl Text {
    fn push(&mut self, literal: &str) {
        if !self.open {
            self.text.push_str(literal);
        }
    }

    fn push_value(&mut self, value: &Value, span: Span) -> Result<(), Vec<Diagnostic>> {
        if value.is_null() {
            let detail = "The expression is null, which cannot stand in a text.";
            return fault(span, "Null in a template", detail);
        }
        let value = convert(value, &Type::String).map_err(|error| {
            let detail = format!("What stands in a text must be a string, number or bool: {error}.");
            vec![Diagnostic::error(span, "This cannot stand in a template", detail)
                .with_hint("Use jsonencode(...) or join(...) to write a list or object as text.")]
        })?;
        self.marks = self.marks.union(value.marks);
        match value.as_str() {
            Some(text) => self.push(text),
            None => {
                // The beginning that is known of an unknown text continues the beginning here.
                if let (false, pve_model::ValueKind::Unknown(_, Some(refinement))) = (self.open, &value.kind)
                    && let Some(prefix) = &refinement.prefix
                {
                    self.text.push_str(prefix);
                }
                self.open = true;
            }
        }
        Ok(())
    }
}
