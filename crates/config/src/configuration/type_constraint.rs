//! Type constraints of variables: `list(object({ name = string, cores = optional(number, 2) }))`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::types::AttributeType;
use pve_model::{Type, Value};

use super::declare::constant;
use crate::convert::{Defaults, TypeConstraint};
use crate::syntax::ast::{FunctionCall, Literal, ObjectKey};
use crate::syntax::{Diagnostic, Expr, ExprKind};

/// The constraint of a variable without a type.
pub fn any() -> TypeConstraint {
    TypeConstraint { ty: Type::Dynamic, defaults: Defaults::default() }
}

/// Reads a type constraint.
///
/// # Errors
/// When the expression is no type.
pub fn parse_type_constraint(expr: &Expr) -> Result<TypeConstraint, Vec<Diagnostic>> {
    match &expr.kind {
        ExprKind::Variable(name) => Ok(plain(keyword(name, expr)?)),
        ExprKind::Parenthesised(inner) => parse_type_constraint(inner),
        ExprKind::FunctionCall(call) => parse_call(call, expr),
        ExprKind::Literal(Literal::String(text)) => {
            no_type(expr, format!("A type stands without quotes: {text}."))
        }
        _ => no_type(
            expr,
            "A type is a keyword such as `string`, or `list(...)`, `object({...})` and the like.",
        ),
    }
}

fn plain(ty: Type) -> TypeConstraint {
    TypeConstraint { ty, defaults: Defaults::default() }
}

fn no_type<T>(expr: &Expr, detail: impl Into<String>) -> Result<T, Vec<Diagnostic>> {
    let hint =
        "Types are string, number, bool, any, list(T), set(T), map(T), tuple([...]) and object({...}).";
    Err(vec![Diagnostic::error(expr.span, "This is no type", detail).with_hint(hint)])
}

fn keyword(name: &str, expr: &Expr) -> Result<Type, Vec<Diagnostic>> {
    Ok(match name {
        "string" => Type::String,
        "number" => Type::Number,
        "bool" => Type::Bool,
        "any" => Type::Dynamic,
        // Old configurations name collections without an element type.
        "list" => Type::list(Type::Dynamic),
        "map" => Type::map(Type::Dynamic),
        _ => return no_type(expr, format!("`{name}` is no type.")),
    })
}

fn parse_call(call: &FunctionCall, expr: &Expr) -> Result<TypeConstraint, Vec<Diagnostic>> {
    let [argument] = &call.arguments[..] else {
        return no_type(expr, format!("`{}(...)` takes one argument.", call.name));
    };
    match call.name.as_str() {
        "list" | "set" | "map" => {
            let inner = parse_type_constraint(argument)?;
            let ty = match call.name.as_str() {
                "list" => Type::list(inner.ty),
                "set" => Type::set(inner.ty),
                _ => Type::map(inner.ty),
            };
            let mut defaults = Defaults::default();
            if !inner.defaults.is_empty() {
                defaults.children.insert("".into(), inner.defaults);
            }
            Ok(TypeConstraint { ty, defaults })
        }
        "tuple" => {
            let ExprKind::Tuple(elements) = &argument.kind else {
                return no_type(argument, "`tuple(...)` takes a list of types in brackets.");
            };
            let mut types = Vec::new();
            let mut defaults = Defaults::default();
            for (i, element) in elements.iter().enumerate() {
                let inner = parse_type_constraint(element)?;
                types.push(inner.ty);
                if !inner.defaults.is_empty() {
                    defaults.children.insert(i.to_string().into(), inner.defaults);
                }
            }
            Ok(TypeConstraint { ty: Type::tuple(types), defaults })
        }
        "object" => parse_object(argument),
        "optional" => no_type(expr, "`optional(...)` stands only for attributes of `object({...})`."),
        name => no_type(expr, format!("`{name}(...)` is no type.")),
    }
}

fn parse_object(argument: &Expr) -> Result<TypeConstraint, Vec<Diagnostic>> {
    let ExprKind::Object(items) = &argument.kind else {
        return no_type(argument, "`object(...)` takes attributes with their types in braces.");
    };
    let mut attributes: BTreeMap<Arc<str>, AttributeType> = BTreeMap::new();
    let mut defaults = Defaults::default();
    for item in items {
        let name: Arc<str> = match &item.key {
            ObjectKey::Name(name) => Arc::from(name.name.as_str()),
            ObjectKey::Expression(key) => match &key.kind {
                ExprKind::Literal(Literal::String(name)) => Arc::from(name.as_str()),
                _ => return no_type(key, "The name of an attribute must be written out."),
            },
        };
        if attributes.contains_key(&name) {
            return no_type(&item.value, format!("The attribute `{name}` stands twice in this object."));
        }
        let (attribute, default) = parse_attribute(&item.value)?;
        if let Some(default) = default {
            defaults.values.insert(name.clone(), default);
        }
        if !attribute.1.is_empty() {
            defaults.children.insert(name.clone(), attribute.1);
        }
        attributes.insert(name, attribute.0);
    }
    Ok(TypeConstraint { ty: Type::Object(Arc::new(attributes)), defaults })
}

type Attribute = ((AttributeType, Defaults), Option<Value>);

/// The type of an attribute, and its default if it is `optional(type, default)`.
fn parse_attribute(expr: &Expr) -> Result<Attribute, Vec<Diagnostic>> {
    if let ExprKind::FunctionCall(call) = &expr.kind
        && call.name == "optional"
    {
        let Some(argument) = call.arguments.first().filter(|_| call.arguments.len() <= 2) else {
            return no_type(expr, "`optional(...)` takes a type, and a default if there is one.");
        };
        let inner = parse_type_constraint(argument)?;
        let default = match call.arguments.get(1) {
            None => None,
            Some(default) => {
                let value = constant(default)?;
                let constraint = TypeConstraint { ty: inner.ty.clone(), defaults: inner.defaults.clone() };
                Some(constraint.apply(&value).map_err(|error| {
                    let detail = format!("The default does not fit the type: {error}.");
                    vec![Diagnostic::error(default.span, "This default has the wrong type", detail)]
                })?)
            }
        };
        return Ok(((AttributeType { ty: inner.ty, optional: true }, inner.defaults), default));
    }
    let inner = parse_type_constraint(expr)?;
    Ok(((AttributeType { ty: inner.ty, optional: false }, inner.defaults), None))
}
