//! What a module takes and gives: its variables and outputs.

use std::sync::Arc;

use pve_config::configuration::Module;
use pve_config::syntax::Diagnostic;
use pve_model::{Marks, ModulePath, Type, Value};

use super::{Evaluation, located};
use crate::scope::{Repetition, unevaluated};

impl Evaluation<'_> {
    pub(super) fn variable(&mut self, name: &str, module: &Module, path: &ModulePath) {
        let Some(variable) = module.variables.get(name) else { return };
        let Some((last, outer)) = path.0.split_last() else {
            let value = self.inputs.variables.get(name).cloned().unwrap_or_else(unevaluated);
            self.values_of(path).variables.insert(name.into(), value);
            let found = match self.scope(module, path, &Repetition::Single, None) {
                Some(scope) => variable.validate(&scope),
                None => Vec::new(),
            };
            self.diagnostics.extend(found);
            return;
        };
        let caller_path = ModulePath(outer.to_vec());
        let caller = self.module(&caller_path.0.iter().map(|step| step.name.clone()).collect::<Vec<_>>());
        let Some((caller, call)) = caller.and_then(|c| Some((c, c.module_calls.get(&last.name)?))) else {
            return;
        };
        let repetition = self.modules.get(path).map(|values| values.repetition.clone()).unwrap_or_default();
        let given = call.arguments.attribute(name).map(|argument| {
            (self.expression(&argument.expr, caller, &caller_path, &repetition), argument.expr.span)
        });
        let value = match given {
            Some((Ok(value), span)) if value.marks_deep().is_ephemeral() && !variable.ephemeral => {
                let detail =
                    format!("Variable \"{name}\" takes values that may be stored, and this is ephemeral.");
                let fault = Diagnostic::error(span, "An ephemeral value is not taken here", detail);
                Err(vec![fault.with_hint("Set `ephemeral = true` in the variable.")])
            }
            Some((Ok(value), span)) => variable.accept(value, Some(span)),
            Some((Err(found), _)) => Err(found),
            None => variable
                .absent()
                .map_or_else(|| variable.accept(Value::null(Type::Dynamic), Some(call.span)), Ok),
        };
        let value = self.checked(value);
        self.values_of(path).variables.insert(name.into(), value);
        let found = match self.scope(module, path, &Repetition::Single, None) {
            Some(scope) => variable.validate(&scope),
            None => Vec::new(),
        };
        self.diagnostics.extend(located(found, path));
    }

    pub(super) fn output(&mut self, name: &str, module: &Module, path: &ModulePath) {
        let Some(output) = module.outputs.get(name) else { return };
        let value = self.expression(&output.value, module, path, &Repetition::Single);
        let mut value = self.checked(value);
        let problems = self.conditions(&output.preconditions, module, path, &Repetition::Single, None);
        self.diagnostics.extend(problems);
        if !output.ephemeral && value.marks_deep().is_ephemeral() {
            let detail = format!("Output \"{name}\" may be stored, and its value is ephemeral.");
            let fault =
                Diagnostic::error(output.value.span, "An output would store an ephemeral value", detail);
            self.diagnostics.extend(located(vec![fault], path));
        }
        if output.ephemeral {
            value = value.with_marks(Marks::EPHEMERAL);
        }
        if output.sensitive {
            // As a whole, as it is recorded: what is sensitive inside of it is no difference.
            let (plain, marks) = value.unmark_deep();
            value = plain.with_marks(marks).sensitive();
        } else if path.0.is_empty() && value.marks_deep().is_sensitive() {
            let detail = format!(
                "The value of output \"{name}\" is or contains a sensitive value, which would be shown on the screen."
            );
            let fault =
                Diagnostic::error(output.value.span, "An output would show a sensitive value", detail);
            self.diagnostics.push(fault.with_hint("Add `sensitive = true` to the output."));
        }
        self.values_of(path).outputs.insert(Arc::from(name), value);
    }
}
