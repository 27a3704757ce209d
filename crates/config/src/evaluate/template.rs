//! Templates: text with values in it.

use std::sync::Arc;

use pve_model::value::Refinement;
use pve_model::{Marks, Type, Value, ValueKind};
use unicode_normalization::UnicodeNormalization;

use super::{Evaluated, Frame, split_marks};
use crate::convert::convert;
use crate::syntax::Diagnostic;
use crate::syntax::ast::{Expr, TemplateFor, TemplateIf, TemplatePart};

/// Text as it grows; once something is unknown, only what stands before it counts.
#[derive(Default)]
struct Text {
    text: String,
    marks: Marks,
    unknown: bool,
}

impl Text {
    fn push(&mut self, text: &str) {
        if !self.unknown {
            self.text.push_str(text);
        }
    }

    fn finish(self) -> Value {
        let value = if self.unknown {
            let prefix = (!self.text.is_empty()).then(|| Arc::from(self.text.as_str()));
            Value::unknown_refined(
                Type::String,
                Refinement { not_null: true, prefix, ..Refinement::default() },
            )
        } else if self.text.is_ascii() {
            Value::string(self.text)
        } else {
            Value::string(self.text.nfc().collect::<String>())
        };
        value.with_marks(self.marks)
    }
}

impl Frame<'_> {
    pub(super) fn template(&self, parts: &[TemplatePart]) -> Evaluated {
        let mut text = Text::default();
        let faults = self.append(parts, &mut text);
        if faults.is_empty() { Ok(text.finish()) } else { Err(faults) }
    }

    fn append(&self, parts: &[TemplatePart], text: &mut Text) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        for part in parts {
            let result = match part {
                TemplatePart::Literal(literal, _) => {
                    text.push(literal);
                    Ok(())
                }
                TemplatePart::Interpolation(expr, _) => self.interpolate(expr, text),
                TemplatePart::If(branch) => self.template_if(branch, text),
                TemplatePart::For(repeat) => self.template_for(repeat, text),
            };
            faults.extend(result.err().unwrap_or_default());
        }
        faults
    }

    fn interpolate(&self, expr: &Expr, text: &mut Text) -> Result<(), Vec<Diagnostic>> {
        let (value, marks) = split_marks(self.evaluate(expr)?);
        text.marks = text.marks.union(marks);
        if value.is_null() {
            let fault = Diagnostic::error(expr.span, "The value is null", "A template cannot hold null.");
            return Err(self.explain(fault, &[expr]));
        }
        if let ValueKind::Unknown(_, refinement) = &value.kind {
            text.push(refinement.as_ref().and_then(|known| known.prefix.as_deref()).unwrap_or_default());
            text.unknown = true;
            return Ok(());
        }
        let value = convert(&value, &Type::String).map_err(|error| {
            let detail = format!("A template takes strings, numbers and bools: {error}.");
            let fault = Diagnostic::error(expr.span, "The value cannot be part of a template", detail)
                .with_hint("Use jsonencode() or join() to make a string of it.");
            self.explain(fault, &[expr])
        })?;
        text.push(value.as_str().unwrap_or_default());
        Ok(())
    }

    fn template_if(&self, branch: &TemplateIf, text: &mut Text) -> Result<(), Vec<Diagnostic>> {
        let (condition, marks) = self.condition(&branch.condition)?;
        text.marks = text.marks.union(marks);
        let taken = match condition {
            Some(true) => &branch.if_true,
            Some(false) => &branch.if_false,
            None => {
                text.unknown = true;
                return Ok(());
            }
        };
        let faults = self.append(taken, text);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn template_for(&self, repeat: &TemplateFor, text: &mut Text) -> Result<(), Vec<Diagnostic>> {
        let (collection, marks) = self.collection(&repeat.intro)?;
        text.marks = text.marks.union(marks);
        let Some(pairs) = collection else {
            text.unknown = true;
            return Ok(());
        };
        let mut faults = Vec::new();
        for (key, value) in pairs {
            let names = Frame::names(&repeat.intro, key, value);
            let frame = Frame { scope: self.scope, parent: Some(self), names: &names };
            faults.extend(frame.append(&repeat.body, text));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
