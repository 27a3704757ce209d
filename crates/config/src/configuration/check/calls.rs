//! Arguments of module calls.

use crate::configuration::{Module, ModuleCall};
use crate::evaluate::closest;
use crate::syntax::Diagnostic;

/// Arguments that the module has no variable for, and variables that need one.
pub(super) fn check_arguments(call: &ModuleCall, child: &Module, found: &mut Vec<Diagnostic>) {
    for attribute in call.arguments.attributes() {
        if child.variables.contains_key(attribute.name.as_str()) {
            continue;
        }
        let detail = format!("Module \"{}\" has no variable \"{}\".", call.name, attribute.name);
        let fault = Diagnostic::error(attribute.name_span, "Unsupported argument", detail);
        let near = closest(&attribute.name, child.variables.keys().map(String::as_str));
        found.push(match near {
            Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
            None => fault,
        });
    }
    for variable in child.variables.values() {
        if variable.default.is_none() && call.arguments.attribute(&variable.name).is_none() {
            let detail = format!("Module \"{}\" needs the argument \"{}\".", call.name, variable.name);
            let fault = Diagnostic::error(call.span, "An argument is missing", detail);
            found.push(fault.with_related(variable.span, "the variable is declared here"));
        }
    }
}
