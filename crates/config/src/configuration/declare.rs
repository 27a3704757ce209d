//! Blocks to declarations.

use pve_model::{Path, PathStep, ResourceMode, Value};

use super::type_constraint::{any, parse_type_constraint};
use super::{
    Check, Condition, IgnoreChanges, Import, Lifecycle, Local, Module, ModuleCall, Moved, Output,
    ProviderConfiguration, Removed, RequiredProvider, Resource, Variable,
};
use crate::evaluate::{Resolved, Scope, ScopeError, closest, evaluate};
use crate::functions::Context;
use crate::syntax::ast::{Attribute, Literal, TraversalStepKind};
use crate::syntax::{Block, Body, Diagnostic, Expr, ExprKind, Item, Span, Traversal, json};

const TOP_LEVEL: &[&str] = &[
    "resource",
    "data",
    "variable",
    "output",
    "locals",
    "module",
    "provider",
    "terraform",
    "moved",
    "import",
    "removed",
    "check",
    "ephemeral",
    "tofu",
];

/// A scope without names, for what must be written out.
struct NoNames {
    context: Context,
}

impl Scope for NoNames {
    fn resolve(&self, root: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
        Err(ScopeError {
            summary: "References are not allowed here".into(),
            detail: format!(
                "`{root}` cannot be used: this value must be known before anything is evaluated."
            ),
            hint: None,
        })
    }

    fn functions(&self) -> &Context {
        &self.context
    }
}

/// The value of an expression that refers to nothing.
///
/// # Errors
/// With diagnostics.
pub fn constant(expr: &Expr) -> Result<Value, Vec<Diagnostic>> {
    let mut context = Context::new("", jiff::Timestamp::UNIX_EPOCH);
    context.files = std::sync::Arc::new(super::SnapshotFiles::default());
    evaluate(expr, &NoNames { context })
}

/// Puts the declarations of one file's body into a module.
pub(super) fn declare(body: &Body, module: &mut Module, calls: &mut Vec<Call>, found: &mut Vec<Diagnostic>) {
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => found.push(
                Diagnostic::error(
                    attribute.name_span,
                    "An argument stands outside of any block",
                    format!("`{}` must stand in a block.", attribute.name),
                )
                .with_hint("Put shared values in a `locals { ... }` block; values of variables belong in a .tfvars file."),
            ),
            Item::Block(block) => declare_block(block, module, calls, found),
        }
    }
}

/// A module call whose module is still to be loaded.
pub(super) struct Call {
    /// The call.
    pub call: ModuleCall,
    /// `source`
    pub source: Option<(String, Span)>,
    /// `version`
    pub version: Option<(String, Span)>,
}

fn declare_block(block: &Block, module: &mut Module, calls: &mut Vec<Call>, found: &mut Vec<Diagnostic>) {
    let mut reader = Reader { body: &block.body, found };
    match block.block_type.as_str() {
        "resource" | "data" => {
            let mode = if block.block_type == "data" { ResourceMode::Data } else { ResourceMode::Managed };
            let Some([kind, name]) = labels(block, reader.found) else { return };
            let resource = resource(mode, kind, name, block, &mut reader);
            if let Some(other) = module.resource(mode, &resource.kind, &resource.name) {
                let (what, span) = (format!("{}.{}", resource.kind, resource.name), other.span);
                reader.found.push(duplicate(block, &what, span));
            } else {
                module.resources.push(resource);
            }
        }
        "variable" => {
            let Some([name]) = labels(block, reader.found) else { return };
            let known = [
                "type",
                "default",
                "description",
                "sensitive",
                "ephemeral",
                "nullable",
                "deprecated",
                "const",
            ];
            only(block, &known, &["validation"], reader.found);
            let variable = variable(name, block, &mut reader);
            if let Some(other) = module.variables.insert(name.into(), variable) {
                reader.found.push(duplicate(block, &format!("variable \"{name}\""), other.span));
            }
        }
        "output" => {
            let Some([name]) = labels(block, reader.found) else { return };
            let known = ["value", "description", "sensitive", "ephemeral", "depends_on", "deprecated"];
            only(block, &known, &["precondition"], reader.found);
            if let Some(output) = output(block, &mut reader)
                && let Some(other) = module.outputs.insert(name.into(), output)
            {
                reader.found.push(duplicate(block, &format!("output \"{name}\""), other.span));
            }
        }
        "locals" => {
            for attribute in block.body.attributes() {
                let local = Local { value: attribute.expr.clone() };
                if let Some(other) = module.locals.insert(attribute.name.to_string(), local) {
                    let detail =
                        format!("The local value \"{}\" is declared twice in this module.", attribute.name);
                    let fault = Diagnostic::error(attribute.name_span, "Declared twice", detail);
                    reader.found.push(fault.with_related(other.value.span, "the other declaration"));
                }
            }
        }
        "module" => {
            let Some([name]) = labels(block, reader.found) else { return };
            let call = module_call(name, block, &mut reader);
            if let Some(other) = calls.iter().find(|other| other.call.name == name) {
                let span = other.call.span;
                reader.found.push(duplicate(block, &format!("module \"{name}\""), span));
            } else {
                calls.push(call);
            }
        }
        "provider" => {
            let Some([name]) = labels(block, reader.found) else { return };
            let alias = reader.text("alias");
            let body = without(&block.body, &["alias", "version", "for_each"], &[]);
            module.providers.push(ProviderConfiguration {
                name: name.into(),
                alias,
                body,
                span: block.header_span,
            });
        }
        "terraform" | "tofu" => terraform(block, module, &mut reader),
        "moved" => {
            if let (Some(from), Some(to)) = (reader.traversal("from"), reader.traversal("to")) {
                module.moved.push(Moved { from, to, span: block.header_span });
            }
        }
        "import" => {
            if let (Some(to), Some(id)) = (reader.required("to", block), reader.required("id", block)) {
                module.imports.push(Import { to, id, for_each: reader.expr("for_each") });
            }
        }
        "removed" => removed(block, module, &mut reader),
        "check" => {
            let Some([name]) = labels(block, reader.found) else { return };
            module.checks.push(Check { name: name.into(), assertions: reader.conditions("assert") });
        }
        "ephemeral" => {}
        other => {
            let detail = format!("There is no block of type \"{other}\" here.");
            let fault = Diagnostic::error(block.type_span, "Unknown block type", detail);
            reader.found.push(match closest(other, TOP_LEVEL.iter().copied()) {
                Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
                None => fault.with_hint(format!("Blocks are: {}.", TOP_LEVEL[..12].join(", "))),
            });
        }
    }
}

fn duplicate(block: &Block, what: &str, other: Span) -> Diagnostic {
    let detail = format!("{what} is declared twice in this module.");
    Diagnostic::error(block.header_span, "Declared twice", detail)
        .with_related(other, "the other declaration")
}

pub(super) fn labels<'b, const N: usize>(
    block: &'b Block,
    found: &mut Vec<Diagnostic>,
) -> Option<[&'b str; N]> {
    let names: Vec<&str> = block.labels.iter().map(|label| label.name.as_str()).collect();
    let wrong = |detail: String| Diagnostic::error(block.header_span, "Wrong number of labels", detail);
    let Ok(labels) = <[&str; N]>::try_from(names) else {
        let needed = if N == 1 {
            "one label, its name".to_string()
        } else {
            "two labels, its kind and its name".into()
        };
        found.push(wrong(format!("A \"{}\" block has {needed}.", block.block_type)));
        return None;
    };
    for label in &block.labels {
        let valid = label.name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && label.name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !valid {
            let detail = format!(
                "{:?} is no name: a letter or `_` first, then letters, digits, `_` and `-`.",
                label.name
            );
            found.push(Diagnostic::error(label.span, "This is no name", detail));
            return None;
        }
    }
    Some(labels)
}

/// Reads attributes of one block, collecting what is wrong.
pub(super) struct Reader<'a> {
    pub(super) body: &'a Body,
    pub(super) found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.body.attribute(name)
    }

    pub(super) fn expr(&self, name: &str) -> Option<Expr> {
        self.attribute(name).map(|attribute| unwrapped(&attribute.expr))
    }

    fn required(&mut self, name: &str, block: &Block) -> Option<Expr> {
        let expr = self.expr(name);
        if expr.is_none() {
            let detail = format!("A \"{}\" block needs the argument `{name}`.", block.block_type);
            self.found.push(Diagnostic::error(block.header_span, "An argument is missing", detail));
        }
        expr
    }

    fn constant(&mut self, name: &str) -> Option<Value> {
        let expr = self.attribute(name)?.expr.clone();
        match constant(&expr) {
            Ok(value) => Some(value),
            Err(found) => {
                self.found.extend(found);
                None
            }
        }
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.constant(name) else { return default };
        match crate::convert::convert(&value, &pve_model::Type::Bool).ok().and_then(|value| value.as_bool()) {
            Some(flag) => flag,
            None => {
                let span = self.attribute(name).map(|a| a.expr.span).unwrap_or_default();
                let detail = format!("`{name}` must be true or false.");
                self.found.push(Diagnostic::error(span, "Wrong type", detail));
                default
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.constant(name).and_then(|value| value.as_str().map(String::from))
    }

    fn traversal(&mut self, name: &str) -> Option<Traversal> {
        let expr = self.expr(name)?;
        let traversal = expr.as_static_traversal();
        if traversal.is_none() {
            let detail = format!("`{name}` must be a reference.");
            self.found.push(Diagnostic::error(expr.span, "This is no reference", detail));
        }
        traversal
    }

    /// The references of a list such as `depends_on`.
    fn references(&mut self, name: &str) -> Vec<Traversal> {
        let Some(expr) = self.expr(name) else { return Vec::new() };
        let ExprKind::Tuple(elements) = &expr.kind else {
            let detail = format!("`{name}` must be a list of references in brackets.");
            self.found.push(Diagnostic::error(expr.span, "This is no list", detail));
            return Vec::new();
        };
        elements.iter().filter_map(|element| unwrapped(element).as_static_traversal()).collect()
    }

    fn conditions(&mut self, block_type: &str) -> Vec<Condition> {
        let blocks: Vec<&Block> = self.body.blocks_of(block_type).collect();
        let mut conditions = Vec::new();
        for block in blocks {
            let mut inner = Reader { body: &block.body, found: self.found };
            if let (Some(condition), Some(message)) =
                (inner.required("condition", block), inner.required("error_message", block))
            {
                if condition.references().is_empty() {
                    let detail = "It is true or false whatever happens: it must refer to something.";
                    inner.found.push(Diagnostic::error(
                        condition.span,
                        "A condition refers to nothing",
                        detail,
                    ));
                }
                conditions.push(Condition { condition, message });
            }
        }
        conditions
    }
}

/// Reports arguments and blocks that a block of the language does not have: a slip of the keyboard must not pass as
/// something that does nothing.
fn only(block: &Block, attributes: &[&str], blocks: &[&str], found: &mut Vec<Diagnostic>) {
    for item in &block.body.items {
        let (name, span, known, word) = match item {
            Item::Attribute(attribute) => (&attribute.name, attribute.name_span, attributes, "argument"),
            Item::Block(inner) => (&inner.block_type, inner.type_span, blocks, "block"),
        };
        if known.contains(&name.as_str()) {
            continue;
        }
        let detail = format!("A \"{}\" block has no {word} \"{name}\".", block.block_type);
        let fault = Diagnostic::error(span, format!("Unsupported {word}"), detail);
        found.push(match closest(name, known.iter().copied()) {
            Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
            None => fault,
        });
    }
}

/// In the JSON form references are strings: what stands in the string is meant.
pub(super) fn unwrapped(expr: &Expr) -> Expr {
    match &expr.kind {
        ExprKind::TemplateWrap(inner) => (**inner).clone(),
        _ => expr.clone(),
    }
}

/// A body without the arguments and blocks that the language itself defines.
pub(super) fn without(body: &Body, attributes: &[&str], blocks: &[&str]) -> Body {
    let kept = body.items.iter().filter(|item| match item {
        Item::Attribute(attribute) => !attributes.contains(&attribute.name.as_str()),
        Item::Block(block) => !blocks.contains(&block.block_type.as_str()),
    });
    Body { items: kept.cloned().collect(), span: body.span }
}

fn variable(name: &str, block: &Block, reader: &mut Reader<'_>) -> Variable {
    let constraint = match reader.expr("type").map(|expr| parse_type_constraint(&expr)) {
        None => any(),
        Some(Ok(constraint)) => constraint,
        Some(Err(found)) => {
            reader.found.extend(found);
            any()
        }
    };
    let mut variable = Variable {
        name: name.into(),
        constraint,
        default: None,
        validations: reader.conditions("validation"),
        sensitive: reader.flag("sensitive", false),
        ephemeral: reader.flag("ephemeral", false),
        nullable: reader.flag("nullable", true),
        description: reader.text("description").unwrap_or_default(),
        typed: reader.attribute("type").is_some(),
        span: block.header_span,
    };
    if let Some(default) = reader.constant("default") {
        let span = reader.attribute("default").map(|attribute| attribute.expr.span);
        let plain = Variable { sensitive: false, ephemeral: false, nullable: true, ..variable.clone() };
        match plain.accept(default, span) {
            Ok(value) => variable.default = Some(value),
            Err(found) => reader.found.extend(found),
        }
    }
    variable
}

fn output(block: &Block, reader: &mut Reader<'_>) -> Option<Output> {
    Some(Output {
        value: reader.required("value", block)?,
        sensitive: reader.flag("sensitive", false),
        ephemeral: reader.flag("ephemeral", false),
        depends_on: reader.references("depends_on"),
        preconditions: reader.conditions("precondition"),
        span: block.header_span,
    })
}

fn resource(mode: ResourceMode, kind: &str, name: &str, block: &Block, reader: &mut Reader<'_>) -> Resource {
    let provider = reader.expr("provider").and_then(|expr| provider_reference(&expr));
    let lifecycles: Vec<&Block> = block.body.blocks_of("lifecycle").collect();
    let mut lifecycle = Lifecycle::default();
    let mut enabled = None;
    for block in lifecycles {
        let known = [
            "enabled",
            "create_before_destroy",
            "prevent_destroy",
            "destroy",
            "ignore_changes",
            "replace_triggered_by",
        ];
        only(block, &known, &["precondition", "postcondition"], reader.found);
        let mut inner = Reader { body: &block.body, found: reader.found };
        enabled = inner.expr("enabled");
        lifecycle = read_lifecycle(&mut inner);
    }
    let provisioners = match mode {
        ResourceMode::Managed => super::provisioners::provisioners(block, reader.found),
        ResourceMode::Data => Vec::new(),
    };
    let own_blocks: &[&str] = match mode {
        ResourceMode::Managed => &["lifecycle", "provisioner", "connection"],
        ResourceMode::Data => &["lifecycle"],
    };
    let (count, for_each) = (reader.expr("count"), reader.expr("for_each"));
    if let (Some(_), Some(for_each)) = (&count, &for_each) {
        let detail = "`count` and `for_each` cannot stand in one block.";
        reader.found.push(Diagnostic::error(for_each.span, "count and for_each", detail));
    }
    Resource {
        mode,
        kind: kind.into(),
        name: name.into(),
        count,
        for_each,
        enabled,
        provider,
        depends_on: reader.references("depends_on"),
        lifecycle,
        provisioners,
        body: without(&block.body, &["count", "for_each", "provider", "depends_on"], own_blocks),
        span: block.header_span,
    }
}

fn provider_reference(expr: &Expr) -> Option<String> {
    if let ExprKind::Literal(Literal::String(text)) = &expr.kind {
        return Some(text.to_string());
    }
    let traversal = expr.as_static_traversal()?;
    let alias = traversal.steps.first().and_then(|step| match &step.kind {
        TraversalStepKind::Attribute(name) => Some(format!(".{name}")),
        _ => None,
    });
    Some(format!("{}{}", traversal.root.name, alias.unwrap_or_default()))
}

fn read_lifecycle(reader: &mut Reader<'_>) -> Lifecycle {
    let ignore_changes = match reader.expr("ignore_changes") {
        None => IgnoreChanges::None,
        Some(expr) => match &expr.kind {
            ExprKind::Variable(name) if name == "all" => IgnoreChanges::All,
            ExprKind::Literal(Literal::String(text)) if text == "all" => IgnoreChanges::All,
            ExprKind::Tuple(elements) => IgnoreChanges::Paths(
                elements.iter().filter_map(|element| ignored_path(element, reader.found)).collect(),
            ),
            _ => {
                let detail = "`ignore_changes` is `all` or a list of attributes.";
                reader.found.push(Diagnostic::error(expr.span, "This is no list", detail));
                IgnoreChanges::None
            }
        },
    };
    let triggers = match reader.expr("replace_triggered_by").map(|expr| expr.kind) {
        Some(ExprKind::Tuple(elements)) => elements,
        _ => Vec::new(),
    };
    for trigger in &triggers {
        let roots = trigger.references();
        let not_a_resource = ["var", "local", "module", "data", "path", "terraform", "self"];
        if roots.first().is_none_or(|root| not_a_resource.contains(&root.root.name.as_str())) {
            let detail =
                "`replace_triggered_by` names managed resources of this module, or their attributes.";
            reader.found.push(Diagnostic::error(trigger.span, "This is no resource", detail));
        }
    }
    Lifecycle {
        create_before_destroy: reader.flag("create_before_destroy", false),
        prevent_destroy: reader.flag("prevent_destroy", false),
        keep: !reader.flag("destroy", true),
        ignore_changes,
        replace_triggered_by: triggers,
        preconditions: reader.conditions("precondition"),
        postconditions: reader.conditions("postcondition"),
    }
}

/// `network_device[0].mac_address` as a path.
fn ignored_path(expr: &Expr, found: &mut Vec<Diagnostic>) -> Option<Path> {
    let parsed = json::parse_string_content(expr).and_then(|parsed| parsed.value);
    let Some(traversal) = parsed.as_ref().unwrap_or(expr).as_static_traversal() else {
        let detail = "Each element of `ignore_changes` names an attribute.";
        found.push(Diagnostic::error(expr.span, "This is no attribute", detail));
        return None;
    };
    let mut steps = vec![PathStep::Attribute(traversal.root.name.to_string())];
    for step in &traversal.steps {
        steps.push(match &step.kind {
            TraversalStepKind::Attribute(name) => PathStep::Attribute(name.to_string()),
            TraversalStepKind::Key(key) => PathStep::Key(key.to_string()),
            TraversalStepKind::Index(index) => PathStep::Index(index.parse().ok()?),
        });
    }
    Some(Path(steps))
}

fn module_call(name: &str, block: &Block, reader: &mut Reader<'_>) -> Call {
    let mut written = |name: &str| {
        let span = reader.attribute(name).map(|attribute| attribute.expr.span);
        reader.text(name).zip(span)
    };
    let (source, version) = (written("source"), written("version"));
    let providers = match reader.expr("providers").map(|expr| expr.kind) {
        Some(ExprKind::Object(items)) => items
            .iter()
            .filter_map(|item| {
                let inside = match &item.key {
                    crate::syntax::ast::ObjectKey::Name(name) => name.name.to_string(),
                    crate::syntax::ast::ObjectKey::Expression(key) => provider_reference(key)?,
                };
                Some((inside, provider_reference(&item.value)?))
            })
            .collect(),
        _ => Vec::new(),
    };
    let lifecycle = block.body.blocks_of("lifecycle").next();
    let enabled = lifecycle.and_then(|b| b.body.attribute("enabled")).map(|attribute| attribute.expr.clone());
    let own = ["source", "version", "count", "for_each", "providers", "depends_on"];
    let call = ModuleCall {
        name: name.into(),
        count: reader.expr("count"),
        for_each: reader.expr("for_each"),
        enabled,
        depends_on: reader.references("depends_on"),
        providers,
        arguments: without(&block.body, &own, &["lifecycle"]),
        child: None,
        span: block.header_span,
    };
    Call { call, source, version }
}

fn terraform(block: &Block, module: &mut Module, reader: &mut Reader<'_>) {
    for inner in block.body.blocks() {
        match inner.block_type.as_str() {
            "required_providers" => {
                for attribute in inner.body.attributes() {
                    let source = match constant(&attribute.expr) {
                        Ok(value) => value.get("source").and_then(Value::as_str).map(String::from),
                        Err(_) => None,
                    };
                    let source = source.unwrap_or_else(|| format!("hashicorp/{}", attribute.name));
                    let provider =
                        RequiredProvider { source, span: attribute.name_span.to(attribute.expr.span) };
                    module.required_providers.insert(attribute.name.to_string(), provider);
                }
            }
            "backend" => {
                if let Some([name]) = labels(inner, reader.found) {
                    module.backend = Some((name.into(), inner.body.clone()));
                }
            }
            _ => {}
        }
    }
}

fn removed(block: &Block, module: &mut Module, reader: &mut Reader<'_>) {
    let Some(from) = reader.traversal("from") else { return };
    let mut text = from.root.name.to_string();
    for step in &from.steps {
        match &step.kind {
            TraversalStepKind::Attribute(name) => text.push_str(&format!(".{name}")),
            _ => {
                let detail = "`from` names a whole resource or module, without a key.";
                let fault = Diagnostic::error(from.span, "A single instance cannot be removed", detail);
                reader.found.push(fault.with_hint("Change `count` or `for_each` instead."));
                return;
            }
        }
    }
    let lifecycle = block.body.blocks_of("lifecycle").next();
    let destroy =
        lifecycle.and_then(|inner| inner.body.attribute("destroy")).map(|attribute| &attribute.expr);
    let destroy =
        destroy.is_none_or(|expr| constant(expr).ok().and_then(|value| value.as_bool()) != Some(false));
    let provisioners = super::provisioners::provisioners(block, reader.found);
    for provisioner in provisioners.iter().filter(|provisioner| !provisioner.at_destroy) {
        let detail = "What is removed is not created again: only `when = destroy` has a meaning here.";
        let fault = Diagnostic::error(provisioner.span, "This provisioner would never run", detail);
        reader.found.push(fault);
    }
    match text.parse() {
        Ok(from) => module.removed.push(Removed { from, destroy, provisioners }),
        Err(error) => {
            let error: pve_model::address::ParseAddressError = error;
            reader.found.push(Diagnostic::error(from.span, "This is no address", error.to_string()));
        }
    }
}
