//! Conversion between types, and marks.

use pve_model::{Marks, Type, Value};

use super::FunctionError;
use super::parameter::{Call, Function, Outcome, Parameter, Returns, any};
use crate::convert::convert;

macro_rules! to {
    ($name:literal, $ty:expr) => {
        Function::new(
            $name,
            &[any("v").null().unknown().dynamic().marked()],
            Returns::Of(|arguments| result_type(&arguments[0], &$ty)),
            |call| change(call, &$ty),
        )
        .may_be_null()
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    to!("tostring", Type::String),
    to!("tonumber", Type::Number),
    to!("tobool", Type::Bool),
    to!("tolist", Type::list(Type::Dynamic)),
    to!("toset", Type::set(Type::Dynamic)),
    to!("tomap", Type::map(Type::Dynamic)),
    mark("sensitive", |call| Ok(call.arguments[0].clone().sensitive())),
    mark("nonsensitive", |call| {
        let mut value = call.arguments[0].clone();
        value.marks = value.marks.without(Marks::SENSITIVE);
        Ok(value)
    }),
    mark("ephemeralasnull", |call| {
        Ok(call.arguments[0].transform(&mut |_, value| {
            if value.marks.is_ephemeral() {
                let marks = value.marks.without(Marks::EPHEMERAL);
                let plain =
                    if value.is_known() { Value::null(value.ty()) } else { Value::unknown(value.ty()) };
                return plain.with_marks(marks);
            }
            value
        }))
    }),
    Function::new(
        "issensitive",
        &[any("value").null().unknown().dynamic().marked()],
        Returns::Flag,
        |call| {
            let value = &call.arguments[0];
            Ok(match value.is_known() {
                true => Value::bool(value.marks.is_sensitive()),
                false => Value::unknown(Type::Bool),
            })
        },
    ),
];

const ANYTHING: &[Parameter] = &[any("value").null().unknown().dynamic().marked()];

const fn mark(name: &'static str, run: fn(&Call<'_>) -> Outcome) -> Function {
    Function::new(name, ANYTHING, Returns::Of(|arguments| Ok(arguments[0].ty())), run).may_be_null()
}

fn result_type(value: &Value, target: &Type) -> Result<Type, FunctionError> {
    let unknown = Value::unknown(value.ty());
    convert(&unknown, target)
        .map(|found| if value.is_known() { found.ty() } else { target.clone() })
        .map_err(|error| FunctionError::argument(0, error.to_string()))
}

fn change(call: &Call<'_>, target: &Type) -> Outcome {
    let value = &call.arguments[0];
    if !value.is_known() && value.ty() != *target {
        // The type of elements is not looked at then, as in the reference.
        return Ok(Value::unknown(target.clone()).with_marks(value.marks));
    }
    convert(&call.arguments[0], target).map_err(|error| FunctionError::argument(0, error.to_string()))
}
