//! Numbers.

use pve_model::{Number, Type, Value};

use super::parameter::{Call, Function, Outcome, Returns, any, number};
use super::{FunctionError, float};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abs", &[number("num")], Returns::Number, |c| on(c, Number::absolute)),
    Function::new("ceil", &[number("num")], Returns::Number, |c| on(c, Number::ceil)),
    Function::new("floor", &[number("num")], Returns::Number, |c| on(c, Number::floor)),
    Function::new("signum", &[number("num")], Returns::Number, |c| Ok(Value::number(c.whole(0)?.signum()))),
    Function::new("max", &[], Returns::Number, |c| extreme(c, |a, b| a > b)).and_more(number("numbers")),
    Function::new("min", &[], Returns::Number, |c| extreme(c, |a, b| a < b)).and_more(number("numbers")),
    Function::new("log", &[number("num"), number("base")], Returns::Number, log),
    Function::new("pow", &[number("num"), number("power")], Returns::Number, |c| {
        let [base, power] = floats(c);
        from_float(float::power(base, power))
    }),
    Function::new("sum", &[any("list")], Returns::Number, sum),
    Function::new("parseint", &[any("number"), number("base")], Returns::Of(parsed_type), parse_int),
];

fn on(call: &Call<'_>, operation: impl Fn(&Number) -> Number) -> Outcome {
    match call.arguments[0].as_number() {
        Some(number) => Ok(Value::number(operation(number))),
        None => Ok(Value::unknown(Type::Number)),
    }
}

fn extreme(call: &Call<'_>, is_better: fn(&Number, &Number) -> bool) -> Outcome {
    let mut numbers = call.arguments.iter().filter_map(Value::as_number);
    let first = numbers.next().ok_or_else(|| FunctionError::new("at least one number is required"))?;
    let best = numbers.fold(first, |best, number| if is_better(number, best) { number } else { best });
    Ok(Value::number(best.clone()))
}

fn floats(call: &Call<'_>) -> [f64; 2] {
    [0, 1].map(|index: usize| call.arguments[index].as_number().map_or(0.0, Number::to_f64))
}

fn from_float(value: f64) -> Outcome {
    // The digits that tell the float apart from others are the result; more of them would be noise.
    let number = if value.is_finite() { value.to_string().parse().ok() } else { Number::from_f64(value) };
    number.map(Value::number).ok_or_else(|| FunctionError::new("the result is not a number"))
}

fn log(call: &Call<'_>) -> Outcome {
    let [number, base] = floats(call);
    from_float(float::natural_logarithm(number) / float::natural_logarithm(base))
}

fn sum(call: &Call<'_>) -> Outcome {
    let list = &call.arguments[0];
    let Some(elements) = list.elements() else {
        return Err(FunctionError::argument(0, "a list, set or tuple of numbers is required"));
    };
    if elements.is_empty() {
        return Err(FunctionError::argument(0, "an empty list has no sum"));
    }
    let mut total = Number::from(0);
    if !list.is_wholly_known() {
        return Ok(Value::unknown(Type::Number));
    }
    for (place, element) in elements.iter().enumerate() {
        if element.is_null() {
            return Err(FunctionError::argument(0, format!("element {place} is null")));
        }
        let fault = || FunctionError::argument(0, format!("element {place} is not a number"));
        let element = crate::convert::convert(element, &Type::Number).map_err(|_| fault())?;
        if let Some(number) = element.as_number() {
            total = total.add(number).map_err(|error| FunctionError::new(error.to_string()))?;
        }
    }
    Ok(Value::number(total))
}

fn parsed_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::String => Ok(Type::Number),
        _ => Err(FunctionError::argument(0, "a string is required")),
    }
}

fn parse_int(call: &Call<'_>) -> Outcome {
    let text = call.text(0);
    let base = call.whole(1)?;
    if !(2..=62).contains(&base) {
        return Err(FunctionError::argument(1, "the base must be from 2 to 62"));
    }
    let fault = || FunctionError::argument(0, format!("\"{text}\" is no whole number in base {base}"));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return Err(fault());
    }
    let mut total = Number::from(0);
    for digit in digits.chars() {
        let value = digit_value(digit, base).filter(|value| *value < base).ok_or_else(fault)?;
        total = total
            .multiply(&Number::from(base))
            .and_then(|scaled| scaled.add(&Number::from(value)))
            .map_err(|error| FunctionError::new(error.to_string()))?;
    }
    Ok(Value::number(if negative && !total.is_zero() { total.negate() } else { total }))
}

/// Up to base 36 both cases mean the same; above, upper case letters follow the lower case ones.
fn digit_value(digit: char, base: i64) -> Option<i64> {
    let offset = |from: char| i64::from(u32::from(digit) - u32::from(from));
    match digit {
        '0'..='9' => Some(offset('0')),
        'a'..='z' => Some(offset('a') + 10),
        'A'..='Z' if base <= 36 => Some(offset('A') + 10),
        'A'..='Z' => Some(offset('A') + 36),
        _ => None,
    }
}
