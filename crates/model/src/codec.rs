//! Values as JSON: plain by type (state, outputs, Terraform's formats) and lossless (saved plans).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::number::Number;
use crate::types::Type;
use crate::value::{Marks, Refinement, Value, ValueKind};

/// Why JSON cannot be read as a value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} where {expected} was expected")]
pub struct DecodeError {
    expected: String,
    found: String,
}

/// The value as plain JSON, marks dropped, unknown parts null. A part of type `any` by `ty` is wrapped as
/// `{"type": ..., "value": ...}` so that it can be read back.
pub fn encode(value: &Value, ty: &Type) -> Json {
    if *ty == Type::Dynamic && !value.is_null() && value.is_known() {
        let own = value.ty();
        return json!({"type": own.to_json(), "value": encode(value, &own)});
    }
    encode_parts(value, &|part, step| match (ty, step) {
        (Type::List(t) | Type::Set(t) | Type::Map(t), _) => encode(part, t),
        (Type::Tuple(ts), Step::Index(i)) => ts.get(i).map_or(Json::Null, |t| encode(part, t)),
        (Type::Object(attributes), Step::Name(name)) => {
            attributes.get(name).map_or(Json::Null, |a| encode(part, &a.ty))
        }
        _ => to_plain_json(part),
    })
}

/// The value as plain JSON as Terraform shows it: marks dropped, unknown parts null.
pub fn to_plain_json(value: &Value) -> Json {
    encode_parts(value, &|part, _| to_plain_json(part))
}

enum Step<'a> {
    Index(usize),
    Name(&'a str),
}

fn encode_parts(value: &Value, encode_part: &dyn Fn(&Value, Step<'_>) -> Json) -> Json {
    match &value.kind {
        ValueKind::Null(_) | ValueKind::Unknown(..) => Json::Null,
        ValueKind::Bool(value) => json!(value),
        ValueKind::Number(number) => number_to_json(number),
        ValueKind::String(text) => json!(&**text),
        ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
            values.iter().enumerate().map(|(i, v)| encode_part(v, Step::Index(i))).collect()
        }
        ValueKind::Map(_, values) | ValueKind::Object(values) => {
            let entries: Map<String, Json> =
                values.iter().map(|(k, v)| (k.to_string(), encode_part(v, Step::Name(k)))).collect();
            Json::Object(entries)
        }
    }
}

/// A JSON number; one beyond 64 bits that is not exactly a double becomes a string, which reads back as a number.
fn number_to_json(number: &Number) -> Json {
    if let Some(int) = number.to_i64() {
        return json!(int);
    }
    if let Some(int) = number.to_i128().and_then(|int| u64::try_from(int).ok()) {
        return json!(int);
    }
    let text = number.to_string();
    match text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
        Some(double) if double.to_string().parse::<Number>().is_ok_and(|back| back == *number) => {
            Json::Number(double)
        }
        _ => Json::String(text),
    }
}

/// Reads what [`encode`] wrote for `ty`. Attributes that are missing are null, unexpected ones are dropped, so that
/// a state survives a schema that gained or lost an attribute.
///
/// # Errors
/// When the JSON has another shape than the type.
pub fn decode(json: &Json, ty: &Type) -> Result<Value, DecodeError> {
    let mismatch = || DecodeError { expected: ty.to_string(), found: describe(json).to_string() };
    if json.is_null() {
        return Ok(Value::null(ty.plain()));
    }
    Ok(match ty {
        Type::Dynamic => {
            let own = json.get("type").and_then(Type::from_json).ok_or_else(mismatch)?;
            decode(json.get("value").unwrap_or(&Json::Null), &own)?
        }
        Type::Bool => Value::bool(json.as_bool().ok_or_else(mismatch)?),
        Type::Number => Value::number(number_from_json(json).ok_or_else(mismatch)?),
        Type::String => Value::string(json.as_str().ok_or_else(mismatch)?),
        Type::List(t) => Value::list(t.plain(), decode_all(json.as_array().ok_or_else(mismatch)?, t)?),
        Type::Set(t) => Value::set(t.plain(), decode_all(json.as_array().ok_or_else(mismatch)?, t)?),
        Type::Map(t) => {
            let entries = json.as_object().ok_or_else(mismatch)?;
            let values = entries
                .iter()
                .map(|(k, v)| Ok((Arc::from(k.as_str()), decode(v, t)?)))
                .collect::<Result<BTreeMap<_, _>, DecodeError>>()?;
            Value::map(t.plain(), values)
        }
        Type::Tuple(ts) => {
            let parts = json.as_array().filter(|parts| parts.len() == ts.len()).ok_or_else(mismatch)?;
            Value::tuple(parts.iter().zip(ts.iter()).map(|(v, t)| decode(v, t)).collect::<Result<_, _>>()?)
        }
        Type::Object(attributes) => {
            let entries = json.as_object().ok_or_else(mismatch)?;
            let values = attributes
                .iter()
                .map(|(name, a)| {
                    Ok((name.clone(), decode(entries.get(&**name).unwrap_or(&Json::Null), &a.ty)?))
                })
                .collect::<Result<BTreeMap<_, _>, DecodeError>>()?;
            Value::object(values)
        }
    })
}

fn decode_all(parts: &[Json], ty: &Type) -> Result<Vec<Value>, DecodeError> {
    parts.iter().map(|part| decode(part, ty)).collect()
}

/// A value from JSON without a type: objects and tuples, as `jsondecode` gives them.
pub fn from_plain_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::null(Type::Dynamic),
        Json::Bool(value) => Value::bool(*value),
        Json::Number(_) => number_from_json(json).map_or(Value::null(Type::Number), Value::number),
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(parts) => Value::tuple(parts.iter().map(from_plain_json).collect()),
        Json::Object(entries) => {
            Value::object(entries.iter().map(|(k, v)| (Arc::from(k.as_str()), from_plain_json(v))).collect())
        }
    }
}

fn number_from_json(json: &Json) -> Option<Number> {
    match json {
        Json::Number(number) => number.to_string().parse().ok(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn describe(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// The lossless form: unknown parts, nulls with their types and marks survive.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        lossless(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let json = Json::deserialize(deserializer)?;
        from_lossless(&json).ok_or_else(|| D::Error::custom("not a value"))
    }
}

fn lossless(value: &Value) -> Json {
    let all = |values: &[Value]| values.iter().map(lossless).collect::<Vec<_>>();
    let entries = |values: &BTreeMap<Arc<str>, Value>| {
        values.iter().map(|(k, v)| (k.to_string(), lossless(v))).collect::<Map<_, _>>()
    };
    let plain = match &value.kind {
        ValueKind::Null(ty) => json!({"null": ty}),
        ValueKind::Unknown(ty, None) => json!({"unknown": ty}),
        ValueKind::Unknown(ty, Some(r)) => {
            json!({"unknown": ty, "not_null": r.not_null, "prefix": r.prefix.as_deref(), "min": r.min_length, "max": r.max_length})
        }
        ValueKind::Bool(value) => json!(value),
        ValueKind::Number(number) => json!({"number": number.to_string()}),
        ValueKind::String(text) => json!(&**text),
        ValueKind::List(ty, values) => json!({"list": all(values), "of": ty}),
        ValueKind::Set(ty, values) => json!({"set": all(values), "of": ty}),
        ValueKind::Map(ty, values) => json!({"map": entries(values), "of": ty}),
        ValueKind::Tuple(values) => json!({"tuple": all(values)}),
        ValueKind::Object(values) => json!({"object": entries(values)}),
    };
    match (value.marks.is_sensitive(), value.marks.is_ephemeral()) {
        (false, false) => plain,
        (sensitive, ephemeral) => json!({"marked": plain, "sensitive": sensitive, "ephemeral": ephemeral}),
    }
}

fn from_lossless(json: &Json) -> Option<Value> {
    let all = |json: &Json| json.as_array()?.iter().map(from_lossless).collect::<Option<Vec<_>>>();
    let entries = |json: &Json| {
        json.as_object()?
            .iter()
            .map(|(k, v)| Some((Arc::from(k.as_str()), from_lossless(v)?)))
            .collect::<Option<BTreeMap<Arc<str>, Value>>>()
    };
    let body = match json {
        Json::Bool(value) => return Some(Value::bool(*value)),
        Json::String(text) => return Some(Value::string(text.as_str())),
        Json::Object(body) => body,
        _ => return None,
    };
    let of = || body.get("of").and_then(Type::from_json);
    let (tag, content) = body.iter().next()?;
    Some(match tag.as_str() {
        "null" => Value::null(Type::from_json(content)?),
        "unknown" if body.len() == 1 => Value::unknown(Type::from_json(content)?),
        "unknown" => Value::unknown_refined(
            Type::from_json(content)?,
            Refinement {
                not_null: body.get("not_null")?.as_bool()?,
                prefix: body.get("prefix")?.as_str().map(Arc::from),
                min_length: body.get("min")?.as_u64(),
                max_length: body.get("max")?.as_u64(),
            },
        ),
        "number" => match content.as_str()? {
            "+Inf" => Value::number(Number::from_f64(f64::INFINITY)?),
            "-Inf" => Value::number(Number::from_f64(f64::NEG_INFINITY)?),
            text => Value::number(text.parse::<Number>().ok()?),
        },
        "list" => Value::list(of()?, all(content)?),
        "set" => Value::set(of()?, all(content)?),
        "map" => Value::map(of()?, entries(content)?),
        "tuple" => Value::tuple(all(content)?),
        "object" => Value::object(entries(content)?),
        "marked" => {
            let flag = |name: &str| body.get(name).and_then(Json::as_bool).unwrap_or(false);
            let mut value = from_lossless(content)?;
            if flag("sensitive") {
                value = value.with_marks(Marks::SENSITIVE);
            }
            if flag("ephemeral") {
                value = value.with_marks(Marks::EPHEMERAL);
            }
            value
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AttributeType;

    // What is read is compared with what is configured, whose types have no `optional` left.
    #[test]
    fn what_may_be_left_out_is_no_part_of_the_type_of_a_value() {
        let part = |optional| AttributeType { ty: Type::String, optional };
        let object =
            Type::Object(Arc::new(BTreeMap::from([("a".into(), part(true)), ("b".into(), part(false))])));
        let ty = Type::map(object);
        let value = decode(&json!({"x": {"b": "text"}}), &ty).unwrap();
        assert_eq!(value.ty(), Type::map(Type::object([("a", Type::String), ("b", Type::String)])));
        assert_eq!(decode(&Json::Null, &ty).unwrap().ty(), value.ty());
    }

    fn sample() -> Value {
        let mut object = BTreeMap::new();
        object.insert(Arc::from("a"), Value::number(12).sensitive());
        object.insert(Arc::from("b"), Value::unknown(Type::list(Type::String)));
        object.insert(Arc::from("c"), Value::set(Type::String, vec![Value::string("y"), Value::string("x")]));
        object.insert(Arc::from("d"), Value::null(Type::Bool));
        Value::object(object)
    }

    #[test]
    fn lossless_json_keeps_unknowns_nulls_and_marks() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), sample());
    }

    #[test]
    fn plain_json_reads_back_by_type_and_wraps_any() {
        let ty = Type::object([("v", Type::Dynamic), ("n", Type::Number)]);
        let mut object = BTreeMap::new();
        object.insert(Arc::from("v"), Value::tuple(vec![Value::string("x"), Value::bool(true)]));
        object.insert(Arc::from("n"), Value::number("0.1".parse::<Number>().unwrap()));
        let value = Value::object(object);
        let json = encode(&value, &ty);
        assert_eq!(json["v"]["type"], json!(["tuple", ["string", "bool"]]));
        assert_eq!(decode(&json, &ty).unwrap(), value);
        assert!(decode(&json!({"n": "many"}), &ty).is_err());
    }
}
