//! Conversions, and functions about marks and types.

use pve_model::{Marks, Type, Value};

use super::Kind::Any;
use super::{Outcome, any_type, bool_type, fail_at, first_type, function, parameter};
use crate::convert::convert;

const V: super::Parameter = parameter("v", Any).null().unknown().marked();

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("tostring", [V], super::string_type, |a, _| to(&a[0], &Type::String)),
    function!("tonumber", [V], super::number_type, |a, _| to(&a[0], &Type::Number)),
    function!("tobool", [V], bool_type, |a, _| to(&a[0], &Type::Bool)),
    function!("tolist", [V], any_type, |a, _| to(&a[0], &Type::list(Type::Dynamic))),
    function!("toset", [V], any_type, |a, _| to(&a[0], &Type::set(Type::Dynamic))),
    function!("tomap", [V], any_type, |a, _| to(&a[0], &Type::map(Type::Dynamic))),
    function!("sensitive", [V], first_type, |a, _| Ok(a[0].clone().sensitive())),
    function!("nonsensitive", [V], first_type, |a, _| {
        let mut value = a[0].clone();
        value.marks = value.marks.without(Marks::SENSITIVE);
        Ok(value)
    }),
    function!("issensitive", [V], bool_type, |a, _| match a[0].marks.is_sensitive() || a[0].is_known() {
        true => Ok(Value::bool(a[0].marks.is_sensitive())),
        false => Ok(Value::unknown(Type::Bool)),
    }),
    function!("ephemeralasnull", [V], first_type, |a, _| {
        Ok(a[0].transform(&mut |_, value| {
            if value.marks.is_ephemeral() { Value::null(value.ty()) } else { value }
        }))
    }),
    function!("type", [V], super::string_type, |a, _| Ok(Value::string(a[0].ty().to_string()))),
];

fn to(value: &Value, ty: &Type) -> Outcome {
    convert(value, ty).or_else(|error| fail_at(0, error.to_string()))
}
