//! Values of the configuration language: typed, possibly null, unknown or marked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::number::Number;
use crate::path::{Path, PathStep};
use crate::types::{AttributeType, Type};

mod marks;
mod order;

pub use marks::Marks;
pub use order::compare_for_set;

/// What is known of an unknown value beside its type; defaults mean that nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refinement {
    /// The value will not be null.
    pub not_null: bool,
    /// A string that the value begins with.
    pub prefix: Option<Arc<str>>,
    /// Least number of elements of a collection.
    pub min_length: Option<u64>,
    /// Greatest number of elements of a collection.
    pub max_length: Option<u64>,
}

/// A value with its marks. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What the value is.
    pub kind: ValueKind,
    /// Marks on this value itself; parts inside have their own.
    pub marks: Marks,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// Null of a type.
    Null(Type),
    /// A value of a type that is not known yet.
    Unknown(Type, Option<Arc<Refinement>>),
    /// A bool.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, NFC-normalised.
    String(Arc<str>),
    /// A list with its element type.
    List(Type, Arc<Vec<Value>>),
    /// A set with its element type, in order of iteration, each element once.
    Set(Type, Arc<Vec<Value>>),
    /// A map with its element type.
    Map(Type, Arc<BTreeMap<Arc<str>, Value>>),
    /// A tuple.
    Tuple(Arc<Vec<Value>>),
    /// An object.
    Object(Arc<BTreeMap<Arc<str>, Value>>),
}

/// What may be left out is said by constraints alone: two values that differ in nothing else are equal.
fn plain(ty: Type) -> Type {
    if ty.has_optional() { ty.plain() } else { ty }
}

impl From<ValueKind> for Value {
    fn from(kind: ValueKind) -> Value {
        Value { kind, marks: Marks::NONE }
    }
}

impl Value {
    /// Null of `ty`.
    pub fn null(ty: Type) -> Value {
        ValueKind::Null(plain(ty)).into()
    }

    /// An unknown value of `ty`.
    pub fn unknown(ty: Type) -> Value {
        ValueKind::Unknown(plain(ty), None).into()
    }

    /// An unknown value of `ty` of which `refinement` is known.
    pub fn unknown_refined(ty: Type, refinement: Refinement) -> Value {
        ValueKind::Unknown(plain(ty), Some(Arc::new(refinement))).into()
    }

    /// A bool.
    pub fn bool(value: bool) -> Value {
        ValueKind::Bool(value).into()
    }

    /// A number.
    pub fn number(value: impl Into<Number>) -> Value {
        ValueKind::Number(value.into()).into()
    }

    /// A string; the caller has normalised it.
    pub fn string(value: impl Into<Arc<str>>) -> Value {
        ValueKind::String(value.into()).into()
    }

    /// A list; every element must be of type `element` already.
    pub fn list(element: Type, values: Vec<Value>) -> Value {
        ValueKind::List(plain(element), Arc::new(values)).into()
    }

    /// A set; sorts and removes repeated elements. Marks of elements move to the set.
    pub fn set(element: Type, values: Vec<Value>) -> Value {
        let mut marks = Marks::NONE;
        let mut plain: Vec<Value> = values
            .into_iter()
            .map(|value| {
                let (value, found) = value.unmark_deep();
                marks = marks.union(found);
                value
            })
            .collect();
        order::sort_for_set(&mut plain);
        plain.dedup_by(|a, b| a == b && a.is_wholly_known());
        Value { kind: ValueKind::Set(self::plain(element), Arc::new(plain)), marks }
    }

    /// A map; every element must be of type `element` already.
    pub fn map(element: Type, values: BTreeMap<Arc<str>, Value>) -> Value {
        ValueKind::Map(plain(element), Arc::new(values)).into()
    }

    /// A tuple.
    pub fn tuple(values: Vec<Value>) -> Value {
        ValueKind::Tuple(Arc::new(values)).into()
    }

    /// An object.
    pub fn object(values: BTreeMap<Arc<str>, Value>) -> Value {
        ValueKind::Object(Arc::new(values)).into()
    }

    /// The value with `marks` added.
    pub fn with_marks(mut self, marks: Marks) -> Value {
        self.marks = self.marks.union(marks);
        self
    }

    /// The value marked as sensitive.
    pub fn sensitive(self) -> Value {
        self.with_marks(Marks::SENSITIVE)
    }

    /// The type of the value; `any` where it is not known yet.
    pub fn ty(&self) -> Type {
        match &self.kind {
            ValueKind::Null(ty) | ValueKind::Unknown(ty, _) => ty.clone(),
            ValueKind::Bool(_) => Type::Bool,
            ValueKind::Number(_) => Type::Number,
            ValueKind::String(_) => Type::String,
            ValueKind::List(element, _) => Type::list(element.clone()),
            ValueKind::Set(element, _) => Type::set(element.clone()),
            ValueKind::Map(element, _) => Type::map(element.clone()),
            ValueKind::Tuple(values) => Type::tuple(values.iter().map(Value::ty)),
            ValueKind::Object(values) => Type::Object(Arc::new(
                values
                    .iter()
                    .map(|(name, value)| (name.clone(), AttributeType { ty: value.ty(), optional: false }))
                    .collect(),
            )),
        }
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, ValueKind::Null(_))
    }

    /// Whether the value itself is known; parts of it may not be.
    pub fn is_known(&self) -> bool {
        !matches!(self.kind, ValueKind::Unknown(..))
    }

    /// Whether the value and all its parts are known.
    pub fn is_wholly_known(&self) -> bool {
        self.is_known() && self.children().all(|(_, value)| value.is_wholly_known())
    }

    /// The string, if it is a known one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bool, if it is a known one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            ValueKind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is a known one.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.kind {
            ValueKind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The whole number, if it is a known one within range.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::to_i64)
    }

    /// The attribute of an object or element of a map; `None` if there is none or the value is not known.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match &self.kind {
            ValueKind::Map(_, values) | ValueKind::Object(values) => values.get(name),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple; `None` for anything else.
    pub fn elements(&self) -> Option<&[Value]> {
        match &self.kind {
            ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => Some(values),
            _ => None,
        }
    }

    /// Whether it is not known how many parts there are: unknown elements of a set may turn out to be equal.
    pub fn has_unknown_length(&self) -> bool {
        match &self.kind {
            ValueKind::Unknown(..) => true,
            ValueKind::Set(_, values) => values.len() > 1 && !self.is_wholly_known(),
            _ => false,
        }
    }

    /// The entries of a map or object; `None` for anything else.
    pub fn entries(&self) -> Option<&BTreeMap<Arc<str>, Value>> {
        match &self.kind {
            ValueKind::Map(_, values) | ValueKind::Object(values) => Some(values),
            _ => None,
        }
    }

    /// The direct parts with the step that leads to each.
    pub fn children(&self) -> Box<dyn Iterator<Item = (PathStep, &Value)> + '_> {
        match &self.kind {
            ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
                Box::new(values.iter().enumerate().map(|(i, value)| (PathStep::Index(i as u64), value)))
            }
            ValueKind::Map(_, values) => {
                Box::new(values.iter().map(|(key, value)| (PathStep::Key(key.to_string()), value)))
            }
            ValueKind::Object(values) => {
                Box::new(values.iter().map(|(name, value)| (PathStep::Attribute(name.to_string()), value)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The part at `path`; `None` if there is none.
    pub fn at(&self, path: &Path) -> Option<&Value> {
        path.0.iter().try_fold(self, |value, step| match step {
            PathStep::Attribute(name) | PathStep::Key(name) => value.get(name),
            PathStep::Index(index) => value.elements()?.get(usize::try_from(*index).ok()?),
        })
    }

    /// The value with each part, from the innermost outwards, replaced by what `change` makes of it.
    pub fn transform(&self, change: &mut dyn FnMut(&Path, Value) -> Value) -> Value {
        self.transform_at(&Path::default(), change)
    }

    fn transform_at(&self, path: &Path, change: &mut dyn FnMut(&Path, Value) -> Value) -> Value {
        let mut list = |values: &[Value]| -> Vec<Value> {
            values
                .iter()
                .enumerate()
                .map(|(i, v)| v.transform_at(&path.child(PathStep::Index(i as u64)), change))
                .collect()
        };
        let kind = match &self.kind {
            ValueKind::List(ty, values) => ValueKind::List(ty.clone(), Arc::new(list(values))),
            ValueKind::Tuple(values) => ValueKind::Tuple(Arc::new(list(values))),
            ValueKind::Set(ty, values) => {
                let set = Value::set(ty.clone(), list(values)).with_marks(self.marks);
                return change(path, set);
            }
            ValueKind::Map(ty, values) => ValueKind::Map(
                ty.clone(),
                Arc::new(
                    values
                        .iter()
                        .map(|(k, v)| {
                            let at = path.child(PathStep::Key(k.to_string()));
                            (k.clone(), v.transform_at(&at, change))
                        })
                        .collect(),
                ),
            ),
            ValueKind::Object(values) => ValueKind::Object(Arc::new(
                values
                    .iter()
                    .map(|(k, v)| {
                        let at = path.child(PathStep::Attribute(k.to_string()));
                        (k.clone(), v.transform_at(&at, change))
                    })
                    .collect(),
            )),
            other => other.clone(),
        };
        change(path, Value { kind, marks: self.marks })
    }

    /// The value without any mark, and all marks that were on it or inside.
    pub fn unmark_deep(&self) -> (Value, Marks) {
        let marks = self.marks_deep();
        if marks.is_empty() {
            return (self.clone(), marks);
        }
        let plain = self.transform(&mut |_, mut value| {
            value.marks = Marks::NONE;
            value
        });
        (plain, marks)
    }

    /// All marks on the value or inside.
    pub fn marks_deep(&self) -> Marks {
        let all = |values: &mut dyn Iterator<Item = &Value>| {
            values.fold(self.marks, |marks, value| marks.union(value.marks_deep()))
        };
        match &self.kind {
            ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
                all(&mut values.iter())
            }
            ValueKind::Map(_, values) | ValueKind::Object(values) => all(&mut values.values()),
            _ => self.marks,
        }
    }

    /// The paths of the outermost parts that carry a sensitive mark.
    pub fn sensitive_paths(&self) -> Vec<Path> {
        fn collect(value: &Value, path: &Path, found: &mut Vec<Path>) {
            if value.marks.is_sensitive() {
                found.push(path.clone());
                return;
            }
            for (step, child) in value.children() {
                collect(child, &path.child(step), found);
            }
        }
        let mut found = Vec::new();
        collect(self, &Path::default(), &mut found);
        found
    }

    /// The value with the parts at `paths` marked as sensitive; paths that lead nowhere are passed over.
    pub fn mark_sensitive_at(&self, paths: &[Path]) -> Value {
        if paths.is_empty() {
            return self.clone();
        }
        self.transform(&mut |path, value| {
            if paths.contains(path) { value.sensitive() } else { value }
        })
    }
}
