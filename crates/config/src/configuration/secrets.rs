//! Where secrets are written out: the texts that lead to something sensitive, which no message repeats.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::ResourceMode;
use pve_model::provisioner::connection_schema;
use pve_model::rules::RulesRegistry;
use pve_model::schema::Block as BlockSchema;

use super::{Configuration, Module, ModuleCall, Resource};
use crate::syntax::ast::{ForIntro, FunctionCall, Literal, ObjectKey, Step, TemplatePart};
use crate::syntax::{Block, Body, Expr, ExprKind, Span};

/// What is written out of the secrets of a configuration.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The literal texts and numbers.
    pub spans: BTreeSet<Span>,
    /// What they say.
    pub texts: BTreeSet<String>,
    /// Variables of the root module that lead to something sensitive, or are; and whether all of the value does.
    pub variables: BTreeMap<String, bool>,
}

/// Everything that is written out and leads to a sensitive argument, variable or output, or to the function `sensitive`:
/// through locals, arguments of modules, loops and functions.
pub fn secrets(configuration: &Configuration, registry: &dyn RulesRegistry) -> Secrets {
    let mut search = Search { registry, found: Secrets::default(), is_beside: false, seen: BTreeSet::new() };
    search.module(&Place { module: &configuration.root, caller: None });
    search.found
}

/// Steps that are followed into a value; locals that refer to each other in a circle would add more without end.
const DEEPEST: usize = 16;

/// A module and who calls it.
struct Place<'c> {
    module: &'c Module,
    caller: Option<(&'c Place<'c>, &'c ModuleCall)>,
}

/// What the names in an expression stand for.
struct Names<'n, 'c> {
    place: &'n Place<'c>,
    /// What `each.value` is an element of.
    for_each: Option<&'n Expr>,
    bound: Option<Bound<'n, 'c>>,
}

/// A name that stands for the elements of something, within the names around it.
struct Bound<'n, 'c> {
    name: &'n str,
    collection: &'n Expr,
    /// Of a `dynamic` block: only `name.value` is an element.
    is_iterator: bool,
    outer: &'n Names<'n, 'c>,
}

/// Which part of a value is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Named(String),
    Any,
}

struct Search<'s> {
    registry: &'s dyn RulesRegistry,
    found: Secrets,
    /// Nothing of what is looked at is in the value itself: places are hidden, and messages may have the same words.
    is_beside: bool,
    /// Expressions by their places, with the parts that were followed and whether beside the value.
    seen: BTreeSet<(Span, Vec<Part>, bool)>,
}

impl Search<'_> {
    fn module(&mut self, place: &Place<'_>) {
        let module = place.module;
        let plain = Names { place, for_each: None, bound: None };
        for (name, _) in module.variables.iter().filter(|(_, variable)| variable.sensitive) {
            self.variable(name, &[], place);
        }
        for output in module.outputs.values().filter(|output| output.sensitive) {
            self.expr(&output.value, &[], &plain);
        }
        let written = module.variables.values().filter_map(|variable| variable.written_default.as_ref());
        let locals = module.locals.values().map(|local| &local.value);
        let outputs = module.outputs.values().map(|output| &output.value);
        self.marked(written.chain(locals).chain(outputs).flat_map(Expr::marked_sensitive), &plain);
        for provider in &module.providers {
            self.marked(provider.body.marked_sensitive(), &plain);
            if let Some(schema) = self.registry.provider(&provider.name) {
                self.body(&provider.body, &schema.block, &plain);
            }
        }
        module.resources.iter().for_each(|resource| self.resource(resource, place));
        for call in module.module_calls.values() {
            let names = Names { place, for_each: call.for_each.as_ref(), bound: None };
            self.marked(call.for_each.iter().flat_map(Expr::marked_sensitive), &plain);
            self.marked(call.arguments.marked_sensitive(), &names);
            if let Some(child) = &call.child {
                self.module(&Place { module: child, caller: Some((place, call)) });
            }
        }
    }

    /// What is called `sensitive` wherever it stands.
    fn marked<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>, names: &Names<'_, '_>) {
        exprs.into_iter().for_each(|expr| self.expr(expr, &[], names));
    }

    fn resource(&mut self, resource: &Resource, place: &Place<'_>) {
        let names = Names { place, for_each: resource.for_each.as_ref(), bound: None };
        let repeated = [&resource.count, &resource.for_each].into_iter().flatten();
        self.marked(repeated.flat_map(Expr::marked_sensitive), &names);
        self.marked(resource.body.marked_sensitive(), &names);
        let rules = match resource.mode {
            ResourceMode::Managed => self.registry.resource(&resource.kind),
            ResourceMode::Data => self.registry.data(&resource.kind),
        };
        if let Some(rules) = rules {
            self.body(&resource.body, &rules.schema().block, &names);
        }
        let connection = connection_schema();
        for body in resource.provisioners.iter().filter_map(|provisioner| provisioner.connection.as_ref()) {
            self.body(body, &connection, &names);
        }
    }

    fn body(&mut self, body: &Body, schema: &BlockSchema, names: &Names<'_, '_>) {
        for attribute in body.attributes() {
            let own = schema.attributes.get(attribute.name.as_str());
            if own.is_some_and(|own| own.sensitive || own.write_only) {
                self.expr(&attribute.expr, &[], names);
            } else if let Some(nested) = schema.blocks.get(attribute.name.as_str()) {
                // Blocks that are written as a list of objects.
                for part in sensitive_parts(&nested.block) {
                    self.expr(&attribute.expr, &[vec![Part::Any], part].concat(), names);
                }
            }
        }
        for block in body.blocks() {
            if block.block_type == "dynamic" {
                self.dynamic(block, schema, names);
            } else if let Some(nested) = schema.blocks.get(block.block_type.as_str()) {
                self.body(&block.body, &nested.block, names);
            }
        }
    }

    fn dynamic(&mut self, block: &Block, schema: &BlockSchema, names: &Names<'_, '_>) {
        let Some(label) = block.labels.first() else { return };
        let Some(nested) = schema.blocks.get(label.name.as_str()) else { return };
        let iterator = block.body.attribute("iterator").and_then(|attribute| match &attribute.expr.kind {
            ExprKind::Variable(name) => Some(name.as_str()),
            _ => None,
        });
        let bound = block.body.attribute("for_each").map(|for_each| Bound {
            name: iterator.unwrap_or(label.name.as_str()),
            collection: &for_each.expr,
            is_iterator: true,
            outer: names,
        });
        let inner = Names { place: names.place, for_each: names.for_each, bound };
        for content in block.body.blocks_of("content") {
            self.body(&content.body, &nested.block, &inner);
        }
    }

    /// The parts of what an expression gives; all of it without any.
    fn expr(&mut self, expr: &Expr, parts: &[Part], names: &Names<'_, '_>) {
        let inner = parts.get(1..).unwrap_or_default();
        match &expr.kind {
            ExprKind::Literal(Literal::String(text) | Literal::Number(text)) => self.text(text, expr.span),
            ExprKind::Literal(_) | ExprKind::Variable(_) => self.reference(expr, &[], parts, names),
            ExprKind::Template(written) => self.template(written, names),
            ExprKind::TemplateWrap(wrapped) | ExprKind::Parenthesised(wrapped) => {
                self.expr(wrapped, parts, names);
            }
            ExprKind::Traversal(base, steps) => self.reference(base, steps, parts, names),
            ExprKind::FunctionCall(call) => {
                let outer = self.is_beside;
                for (at, argument) in call.arguments.iter().enumerate().filter(|(at, _)| !is_path(call, *at))
                {
                    self.is_beside = outer || is_beside(&call.name, at);
                    self.expr(argument, &[], names);
                }
                self.is_beside = outer;
            }
            ExprKind::Unary(_, operand) => self.expr(operand, &[], names),
            ExprKind::Binary(binary) => {
                [&binary.left, &binary.right].iter().for_each(|side| self.expr(side, &[], names));
            }
            ExprKind::Conditional(choice) => {
                [&choice.if_true, &choice.if_false].iter().for_each(|side| self.expr(side, parts, names));
            }
            ExprKind::Tuple(elements) => elements.iter().for_each(|element| self.expr(element, inner, names)),
            ExprKind::Object(items) => {
                let meant = items.iter().filter(|item| is_meant(&item.key, parts.first()));
                meant.for_each(|item| self.expr(&item.value, inner, names));
            }
            ExprKind::ForTuple(each) => self.expr(&each.element, inner, &bind(&each.intro, names)),
            ExprKind::ForObject(each) => self.expr(&each.value, inner, &bind(&each.intro, names)),
        }
    }

    fn text(&mut self, text: &str, span: Span) {
        if !text.trim().is_empty() {
            self.found.spans.insert(span);
            if !self.is_beside {
                self.found.texts.insert(text.to_string());
            }
        }
    }

    fn template(&mut self, parts: &[TemplatePart], names: &Names<'_, '_>) {
        for part in parts {
            match part {
                TemplatePart::Literal(text, span) => self.text(text, *span),
                TemplatePart::Interpolation(inner, _) => self.expr(inner, &[], names),
                TemplatePart::If(choice) => {
                    [&choice.if_true, &choice.if_false].iter().for_each(|side| self.template(side, names));
                }
                TemplatePart::For(each) => self.template(&each.body, &bind(&each.intro, names)),
            }
        }
    }

    fn reference(&mut self, base: &Expr, steps: &[Step], parts: &[Part], names: &Names<'_, '_>) {
        let mut path = Vec::new();
        steps.iter().for_each(|step| follow(step, &mut path));
        path.extend(parts.iter().cloned());
        path.truncate(DEEPEST);
        let ExprKind::Variable(root) = &base.kind else {
            if !matches!(base.kind, ExprKind::Literal(_)) {
                self.expr(base, &path, names);
            }
            return;
        };
        if let Some(bound) = bound_to(root, names) {
            let path = if bound.is_iterator {
                match path.split_first() {
                    Some((Part::Named(step), rest)) if step == "value" => rest,
                    _ => return,
                }
            } else {
                &path
            };
            return self.expr(bound.collection, &[&[Part::Any], path].concat(), bound.outer);
        }
        let Some((Part::Named(name), rest)) = path.split_first() else { return };
        let plain = Names { place: names.place, for_each: None, bound: None };
        match root.as_str() {
            "var" => self.variable(name, rest, names.place),
            "local" => {
                if let Some(local) = names.place.module.locals.get(name)
                    && self.seen.insert((local.value.span, rest.to_vec(), self.is_beside))
                {
                    self.expr(&local.value, rest, &plain);
                }
            }
            "each" if name == "value" => {
                if let Some(for_each) = names.for_each {
                    self.expr(for_each, &[&[Part::Any], rest].concat(), &plain);
                }
            }
            "module" => self.output(name, rest, names.place),
            _ => {}
        }
    }

    fn variable(&mut self, name: &str, parts: &[Part], place: &Place<'_>) {
        let Some(variable) = place.module.variables.get(name) else { return };
        if let Some(default) = &variable.written_default {
            self.expr(default, parts, &Names { place, for_each: None, bound: None });
        }
        let Some((caller, call)) = place.caller else {
            *self.found.variables.entry(name.to_string()).or_default() |= parts.is_empty() && !self.is_beside;
            return;
        };
        if let Some(argument) = call.arguments.attribute(name) {
            let names = Names { place: caller, for_each: call.for_each.as_ref(), bound: None };
            self.expr(&argument.expr, parts, &names);
        }
    }

    fn output(&mut self, call: &str, parts: &[Part], place: &Place<'_>) {
        let Some(call) = place.module.module_calls.get(call) else { return };
        let Some(child) = &call.child else { return };
        // The key of an instance may come first.
        let found = parts.iter().take(2).enumerate().find_map(|(at, part)| match part {
            Part::Named(name) => Some((at, child.outputs.get(name)?)),
            Part::Any => None,
        });
        if let Some((at, output)) = found
            && self.seen.insert((output.value.span, parts[at + 1..].to_vec(), self.is_beside))
        {
            let place = Place { module: child, caller: Some((place, call)) };
            self.expr(&output.value, &parts[at + 1..], &Names { place: &place, for_each: None, bound: None });
        }
    }
}

/// The places of what is sensitive in a block.
fn sensitive_parts(block: &BlockSchema) -> Vec<Vec<Part>> {
    let own = block.attributes.iter().filter(|(_, attribute)| attribute.sensitive || attribute.write_only);
    let own = own.map(|(name, _)| vec![Part::Named(name.to_string())]);
    let nested = block.blocks.iter().flat_map(|(name, nested)| {
        let lead = [Part::Named(name.to_string()), Part::Any];
        sensitive_parts(&nested.block).into_iter().map(move |part| [&lead[..], &part].concat())
    });
    own.chain(nested).collect()
}

/// Whether an argument of a call is the path of a file.
fn is_path(call: &FunctionCall, at: usize) -> bool {
    at == 0 && matches!(call.name.as_str(), "file" | "filebase64" | "templatefile")
}

/// Whether nothing of an argument gets into what a function gives: keys, patterns, formats, separators, places.
fn is_beside(function: &str, at: usize) -> bool {
    match function {
        "lookup" | "replace" => at == 1,
        "element" | "slice" | "substr" | "trim" | "trimprefix" | "trimsuffix" | "matchkeys" => at >= 1,
        "format" | "formatdate" | "formatlist" | "indent" | "join" | "regex" | "regexall" | "split" => {
            at == 0
        }
        _ => false,
    }
}

fn is_meant(key: &ObjectKey, wanted: Option<&Part>) -> bool {
    let Some(Part::Named(wanted)) = wanted else { return true };
    match key {
        ObjectKey::Name(name) => name.name == *wanted,
        ObjectKey::Expression(expr) => match &expr.kind {
            ExprKind::Literal(Literal::String(text)) => text == wanted,
            _ => true,
        },
    }
}

fn follow(step: &Step, path: &mut Vec<Part>) {
    match step {
        Step::Attribute(name) => path.push(Part::Named(name.name.to_string())),
        Step::Index(key, _) => path.push(match &key.kind {
            ExprKind::Literal(Literal::String(text)) => Part::Named(text.to_string()),
            _ => Part::Any,
        }),
        Step::LegacyIndex(..) => path.push(Part::Any),
        Step::AttributeSplat(inner, _) | Step::FullSplat(inner, _) => {
            path.push(Part::Any);
            inner.iter().for_each(|step| follow(step, path));
        }
    }
}

fn bind<'n, 'c>(intro: &'n ForIntro, outer: &'n Names<'n, 'c>) -> Names<'n, 'c> {
    let bound = Bound { name: &intro.value.name, collection: &intro.collection, is_iterator: false, outer };
    Names { place: outer.place, for_each: outer.for_each, bound: Some(bound) }
}

fn bound_to<'n, 'c>(name: &str, names: &'n Names<'n, 'c>) -> Option<&'n Bound<'n, 'c>> {
    let bound = names.bound.as_ref()?;
    if bound.name == name { Some(bound) } else { bound_to(name, bound.outer) }
}
