//! What is wrong with declarations whatever the values are: names that lead nowhere or mean nothing where they stand,
//! addresses that contradict others, arguments that modules do not have.

mod addresses;
mod calls;
mod names;
mod providers;

pub use addresses::undeclared_imports;

use super::decode::iterator_name;
use super::{Condition, Configuration, Module, ModuleCall, Resource, located};
use crate::syntax::{Block, Body, Diagnostic, Expr, Item};
use names::Allowed;

/// Everything that is wrong with the declarations of a configuration.
pub(super) fn check(configuration: &Configuration) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    check_module(&configuration.root, &mut found);
    addresses::check_root(&configuration.root, &mut found);
    found
}

fn check_module(module: &Module, found: &mut Vec<Diagnostic>) {
    let mut own = Vec::new();
    let mut checker = Checker { module, found: &mut own };
    checker.values();
    for resource in &module.resources {
        checker.resource(resource);
    }
    for call in module.module_calls.values() {
        checker.call(call);
    }
    addresses::check_moves(module, &mut own);
    providers::check(module, &mut own);
    located(&mut own, &module.path);
    found.append(&mut own);
    for call in module.module_calls.values() {
        if let Some(child) = &call.child {
            check_module(child, found);
        }
    }
}

/// Collects what is wrong in one module.
struct Checker<'a> {
    module: &'a Module,
    found: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    /// Everything but resources and module calls.
    fn values(&mut self) {
        let plain = Allowed::default();
        let module = self.module;
        for variable in module.variables.values() {
            self.conditions(&variable.validations, plain);
        }
        for local in module.locals.values() {
            self.expr(&local.value, plain);
        }
        for output in module.outputs.values() {
            self.expr(&output.value, plain);
            self.conditions(&output.preconditions, plain);
            self.depends_on(&output.depends_on, plain);
        }
        for provider in &module.providers {
            self.body(&provider.body, plain, &mut Vec::new());
        }
        for check in &module.checks {
            self.conditions(&check.assertions, Allowed { check: Some(check), ..plain });
        }
        for import in &module.imports {
            let inside = Allowed { each: import.for_each.is_some(), ..plain };
            import.for_each.iter().for_each(|expr| self.expr(expr, plain));
            self.expr(&import.id, inside);
            // The address itself is looked at with the other addresses.
            for reference in import.to.references().iter().skip(1) {
                self.found.extend(names::check(self.module, reference, inside));
            }
        }
    }

    fn resource(&mut self, resource: &Resource) {
        // The data source of a check may use what the check may.
        let check = self.module.checks.iter().find(|check| {
            let own = (resource.kind.as_str(), resource.name.as_str());
            check.data.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str())) == Some(own)
                && resource.mode == pve_model::ResourceMode::Data
        });
        let plain = Allowed { own: Some(resource), check, ..Allowed::default() };
        for expr in [&resource.count, &resource.for_each, &resource.enabled].into_iter().flatten() {
            self.expr(expr, plain);
        }
        let inside = Allowed { each: resource.for_each.is_some(), count: resource.count.is_some(), ..plain };
        self.body(&resource.body, inside, &mut Vec::new());
        self.depends_on(&resource.depends_on, Allowed { own: None, ..plain });
        let lifecycle = &resource.lifecycle;
        lifecycle.prevent_destroy.iter().for_each(|expr| self.expr(expr, Allowed { own: None, ..plain }));
        for expr in &lifecycle.replace_triggered_by {
            self.expr(expr, Allowed { own: None, ..inside });
        }
        for provisioner in &resource.provisioners {
            let with_self = Allowed { own_value: true, ..inside };
            self.body(&provisioner.arguments, with_self, &mut Vec::new());
            provisioner.connection.iter().for_each(|body| self.body(body, with_self, &mut Vec::new()));
        }
        self.conditions(&lifecycle.preconditions, inside);
        self.conditions(&lifecycle.postconditions, Allowed { own_value: true, ..inside });
    }

    fn call(&mut self, call: &ModuleCall) {
        let plain = Allowed::default();
        for expr in [&call.count, &call.for_each, &call.enabled].into_iter().flatten() {
            self.expr(expr, plain);
        }
        let inside = Allowed { each: call.for_each.is_some(), count: call.count.is_some(), ..plain };
        for attribute in call.arguments.attributes() {
            self.expr(&attribute.expr, inside);
        }
        self.depends_on(&call.depends_on, plain);
        if let Some(child) = &call.child {
            calls::check_arguments(call, child, self.found);
        }
    }

    fn conditions(&mut self, conditions: &[Condition], allowed: Allowed<'_>) {
        for condition in conditions {
            self.expr(&condition.condition, allowed);
            self.expr(&condition.message, allowed);
        }
    }

    fn expr(&mut self, expr: &Expr, allowed: Allowed<'_>) {
        self.expr_with(expr, allowed, &[]);
    }

    fn expr_with(&mut self, expr: &Expr, allowed: Allowed<'_>, iterators: &[String]) {
        for reference in expr.references() {
            if !iterators.iter().any(|name| *name == reference.root.name) {
                self.found.extend(names::check(self.module, &reference, allowed));
            }
        }
        for (name, span) in expr.function_calls() {
            self.found.extend(names::check_function(&name, span));
        }
    }

    /// A body of a kind, with the names that `dynamic` blocks around it bind.
    fn body(&mut self, body: &Body, allowed: Allowed<'_>, iterators: &mut Vec<String>) {
        for item in &body.items {
            match item {
                Item::Attribute(attribute) => self.expr_with(&attribute.expr, allowed, iterators),
                Item::Block(block) if block.block_type == "dynamic" => {
                    self.dynamic(block, allowed, iterators)
                }
                Item::Block(block) => {
                    crate::syntax::with_stack(|| self.body(&block.body, allowed, iterators));
                }
            }
        }
    }

    fn dynamic(&mut self, block: &Block, allowed: Allowed<'_>, iterators: &mut Vec<String>) {
        let name = iterator_name(block).unwrap_or_default();
        if let Some(attribute) = block.body.attribute("for_each") {
            self.expr_with(&attribute.expr, allowed, iterators);
        }
        iterators.push(name);
        for content in block.body.blocks_of("content") {
            crate::syntax::with_stack(|| self.body(&content.body, allowed, iterators));
        }
        iterators.pop();
    }

    /// `depends_on` names whole things, not parts of them.
    fn depends_on(&mut self, references: &[crate::syntax::Traversal], allowed: Allowed<'_>) {
        for reference in references {
            let fault = names::check(self.module, reference, allowed);
            let fault = fault.or_else(|| {
                names::is_part(reference).then(|| {
                    let detail = "`depends_on` names whole resources and modules, not attributes of them.";
                    Diagnostic::error(reference.span, "This is a part of something", detail)
                        .with_hint(format!("Write {}.", names::whole(reference)))
                })
            });
            self.found.extend(fault);
        }
    }
}
