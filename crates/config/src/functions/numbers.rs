//! Functions on numbers.

use pve_model::{Number as N, Value};

use super::Kind::{Any, Number};
use super::{Outcome, fail, fail_at, function, number_type, parameter, whole};

const NUM: super::Parameter = parameter("num", Number);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("abs", [NUM], number_type, |a, _| Ok(Value::number(number(a, 0).absolute()))),
    function!("ceil", [NUM], number_type, |a, _| Ok(Value::number(number(a, 0).ceil()))),
    function!("floor", [NUM], number_type, |a, _| Ok(Value::number(number(a, 0).floor()))),
    function!("signum", [NUM], number_type, |a, _| {
        let whole = whole(a, 0)?;
        Ok(Value::number(whole.signum()))
    }),
    function!("max", [], ..parameter("numbers", Number), number_type, |a, _| match a
        .iter()
        .filter_map(Value::as_number)
        .max()
    {
        Some(number) => Ok(Value::number(number.clone())),
        None => fail("at least one number is needed"),
    }),
    function!("min", [], ..parameter("numbers", Number), number_type, |a, _| match a
        .iter()
        .filter_map(Value::as_number)
        .min()
    {
        Some(number) => Ok(Value::number(number.clone())),
        None => fail("at least one number is needed"),
    }),
    function!("pow", [NUM, parameter("power", Number)], number_type, |a, _| {
        let (base, power) = (number(a, 0), number(a, 1));
        if let (Some(_), Some(exponent)) = (base.to_i128(), power.to_i64().filter(|e| (0..=4096).contains(e)))
        {
            let mut result = N::from(1);
            let mut exact = true;
            for _ in 0..exponent {
                match result.multiply(&base) {
                    Ok(next) => result = next,
                    Err(_) => exact = false,
                }
            }
            if exact && result.to_f64().abs() < 9_007_199_254_740_992.0 {
                return Ok(Value::number(result));
            }
        }
        from_f64(base.to_f64().powf(power.to_f64()))
    }),
    function!("log", [NUM, parameter("base", Number)], number_type, |a, _| {
        from_f64(number(a, 0).to_f64().ln() / number(a, 1).to_f64().ln())
    }),
    function!("parseint", [parameter("number", Any), parameter("base", Number)], number_type, |a, _| {
        let Some(digits) = a[0].as_str() else { return fail_at(0, "a string is needed") };
        let base = whole(a, 1)?;
        if !(2..=62).contains(&base) {
            return fail_at(1, "the base must be from 2 to 62");
        }
        parse_integer(digits, base)
    }),
];

fn number(arguments: &[Value], at: usize) -> N {
    arguments.get(at).and_then(Value::as_number).cloned().unwrap_or_else(|| N::from(0))
}

fn from_f64(value: f64) -> Outcome {
    match N::from_f64(value) {
        Some(number) => Ok(Value::number(number)),
        None => fail("the result is not a number"),
    }
}

/// Up to base 36 letters count alike in both cases; above, lower case stands before upper case.
fn parse_integer(text: &str, base: i64) -> Outcome {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut value = N::from(0);
    for c in digits.chars() {
        let digit = match c {
            '0'..='9' => i64::from(c as u32 - '0' as u32),
            'a'..='z' => i64::from(c as u32 - 'a' as u32) + 10,
            'A'..='Z' => i64::from(c as u32 - 'A' as u32) + if base <= 36 { 10 } else { 36 },
            _ => base,
        };
        if digit >= base {
            return fail_at(0, format!("{text:?} is no whole number in base {base}"));
        }
        let next = value.multiply(&N::from(base)).and_then(|shifted| shifted.add(&N::from(digit)));
        value = next.or_else(|error| fail(error.to_string()))?;
    }
    if digits.is_empty() {
        return fail_at(0, format!("{text:?} is no whole number in base {base}"));
    }
    Ok(Value::number(if negative { value.negate() } else { value }))
}
