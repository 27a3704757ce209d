//! `format`, `formatlist` and their verbs.

use pve_model::{Number, Type, Value, ValueKind};

use super::Kind::{Any, String as Text};
use super::{FunctionError, Outcome, any_type, fail, fail_at, function, parameter, string_type};
use crate::convert::convert;

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!(
        "format",
        [parameter("format", Text)],
        ..parameter("args", Any).null().unknown(),
        string_type,
        |a, _| match a[1..].iter().all(Value::is_wholly_known) {
            true => render(super::text(a, 0), &a[1..]).map(Value::string),
            false => Ok(Value::unknown(Type::String)),
        }
    ),
    function!(
        "formatlist",
        [parameter("format", Text)],
        ..parameter("args", Any).null().unknown(),
        any_type,
        list
    ),
];

fn list(arguments: &[Value], _: &super::Context) -> Outcome {
    let format = super::text(arguments, 0);
    let is_list = |value: &Value| matches!(value.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_));
    let rest = &arguments[1..];
    if rest.iter().any(|value| is_list(value) && !value.is_known()) {
        return Ok(Value::unknown(Type::list(Type::String)));
    }
    let lengths: Vec<usize> =
        rest.iter().filter(|value| is_list(value)).filter_map(Value::elements).map(<[Value]>::len).collect();
    let length = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|other| *other != length) {
        return fail("all lists must have the same length");
    }
    let mut texts = Vec::with_capacity(length);
    for i in 0..length {
        let row: Vec<Value> = rest
            .iter()
            .map(|value| match value.elements() {
                Some(elements) if is_list(value) => elements[i].clone(),
                _ => value.clone(),
            })
            .collect();
        texts.push(if row.iter().all(Value::is_wholly_known) {
            Value::string(render(format, &row)?)
        } else {
            Value::unknown(Type::String)
        });
    }
    Ok(Value::list(Type::String, texts))
}

/// One verb: `%[3]+08.2f`.
#[derive(Default)]
struct Verb {
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
    letter: char,
}

fn render(format: &str, arguments: &[Value]) -> Result<String, FunctionError> {
    let mut text = String::new();
    let mut next = 0;
    let mut highest = 0;
    let mut explicit = false;
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        if characters.peek() == Some(&'%') {
            characters.next();
            text.push('%');
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = characters.peek() {
            match flag {
                '+' => verb.plus = true,
                '-' => verb.minus = true,
                ' ' => verb.space = true,
                '0' => verb.zero = true,
                '#' => verb.sharp = true,
                _ => break,
            }
            characters.next();
        }
        let mut digits = || {
            let mut number = String::new();
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            number
        };
        verb.width = digits().parse().ok();
        let has_precision = characters.next_if_eq(&'.').is_some();
        if has_precision {
            let mut number = String::new();
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            verb.precision = Some(number.parse().unwrap_or(0));
        }
        if characters.next_if_eq(&'[').is_some() {
            let number: String = std::iter::from_fn(|| characters.next_if(|c| *c != ']')).collect();
            characters.next();
            match number.parse::<usize>() {
                Ok(place) if place >= 1 => next = place - 1,
                _ => return fail_at(0, "an argument number in brackets must be 1 or more"),
            }
            explicit = true;
        }
        let Some(letter) = characters.next() else {
            return fail_at(0, "the format ends in the middle of a verb");
        };
        verb.letter = letter;
        let Some(argument) = arguments.get(next) else {
            let needed = next + 1;
            return fail_at(0, format!("not enough arguments for %{letter}: {needed} needed"));
        };
        next += 1;
        highest = highest.max(next);
        text.push_str(&verb.render(argument, next)?);
    }
    if !explicit && highest < arguments.len() {
        return fail_at(highest + 1, format!("too many arguments; only {highest} used by the format"));
    }
    Ok(text)
}

impl Verb {
    fn render(&self, value: &Value, argument: usize) -> Result<String, FunctionError> {
        if value.is_null() && self.letter != 'v' && self.letter != '#' {
            return fail_at(argument, format!("%{} cannot show null", self.letter));
        }
        let number = || match convert(value, &Type::Number).ok().as_ref().and_then(Value::as_number).cloned()
        {
            Some(number) => Ok(number),
            None => fail_at(argument, format!("%{} needs a number", self.letter)),
        };
        let body = match self.letter {
            'v' if self.sharp => return Ok(self.pad(super::encoding::json_text(value))),
            'v' => match &value.kind {
                ValueKind::Number(number) => self.sign(number.to_string()),
                ValueKind::String(text) => self.cut(text),
                ValueKind::Bool(flag) => flag.to_string(),
                _ => super::encoding::json_text(value),
            },
            't' => match convert(value, &Type::Bool).ok().and_then(|value| value.as_bool()) {
                Some(flag) => flag.to_string(),
                None => return fail_at(argument, "%t needs true or false"),
            },
            's' | 'q' => match convert(value, &Type::String).ok().as_ref().and_then(Value::as_str) {
                Some(text) if self.letter == 's' => self.cut(text),
                Some(text) => super::encoding::json_text(&Value::string(self.cut(text))),
                None => return fail_at(argument, format!("%{} needs a string", self.letter)),
            },
            'd' => {
                let number = number()?;
                self.sign(number.truncate().to_string())
            }
            'b' => self.sign(radix(&number()?, 2, argument)?),
            'o' => self.sign(radix(&number()?, 8, argument)?),
            'x' => self.sign(radix(&number()?, 16, argument)?),
            'X' => self.sign(radix(&number()?, 16, argument)?.to_uppercase()),
            'f' | 'F' => self.sign(fixed(&number()?, self.precision.unwrap_or(6))),
            'e' | 'E' => {
                let text = scientific(number()?.to_f64(), self.precision.unwrap_or(6));
                self.sign(if self.letter == 'E' { text.to_uppercase() } else { text })
            }
            'g' | 'G' => {
                let text = general(&number()?, self.precision);
                self.sign(if self.letter == 'G' { text.to_uppercase() } else { text })
            }
            other => return fail_at(0, format!("there is no verb %{other}")),
        };
        Ok(self.pad(body))
    }

    fn sign(&self, text: String) -> String {
        match (text.starts_with('-'), self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    /// A precision cuts strings, counted in grapheme clusters.
    fn cut(&self, text: &str) -> String {
        use unicode_segmentation::UnicodeSegmentation;
        match self.precision {
            Some(length) => text.graphemes(true).take(length).collect(),
            None => text.to_string(),
        }
    }

    fn pad(&self, text: String) -> String {
        use unicode_segmentation::UnicodeSegmentation;
        let missing = self.width.unwrap_or(0).saturating_sub(text.graphemes(true).count());
        if missing == 0 {
            text
        } else if self.minus {
            format!("{text}{}", " ".repeat(missing))
        } else if self.zero {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{text}", " ".repeat(missing))
        }
    }
}

fn radix(number: &Number, base: u32, argument: usize) -> Result<String, FunctionError> {
    let Some(mut rest) = number.truncate().to_i128().map(i128::unsigned_abs) else {
        return fail_at(argument, "the number is too large");
    };
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        let digit = u32::try_from(rest % u128::from(base)).unwrap_or(0);
        digits.push(char::from_digit(digit, base).unwrap_or('0'));
        rest /= u128::from(base);
    }
    let sign = if number.to_f64() < 0.0 { "-" } else { "" };
    Ok(format!("{sign}{}", digits.iter().rev().collect::<String>()))
}

/// Decimal notation with a fixed number of digits, rounded half to even on the exact value.
fn fixed(number: &Number, digits: usize) -> String {
    let plain = number.to_string();
    let (sign, magnitude) = match plain.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", plain.as_str()),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return plain;
    }
    let mut kept: Vec<u8> =
        whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(digits)).collect();
    let rest = fraction.as_bytes().get(digits..).unwrap_or_default();
    let half = rest.first().is_some_and(|digit| *digit > b'5')
        || (rest.first() == Some(&b'5')
            && (rest[1..].iter().any(|digit| *digit != b'0')
                || kept.last().is_some_and(|digit| digit % 2 == 1)));
    if half {
        let mut at = kept.len();
        loop {
            if at == 0 {
                kept.insert(0, b'1');
                break;
            }
            at -= 1;
            if kept[at] == b'9' {
                kept[at] = b'0';
            } else {
                kept[at] += 1;
                break;
            }
        }
    }
    let text: String = kept.iter().map(|digit| char::from(*digit)).collect();
    let (whole, fraction) = text.split_at(text.len() - digits);
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}

fn general(number: &Number, precision: Option<usize>) -> String {
    let value = number.to_f64();
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let limit = precision.map_or(21, |precision| i32::try_from(precision.max(1)).unwrap_or(21));
    if exponent < -4 || exponent >= limit {
        let digits = precision.map_or(17, |precision| precision.max(1) - 1);
        let text = if precision.is_none() { format!("{value:e}") } else { format!("{value:.digits$e}") };
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        let (sign, power) = power.strip_prefix('-').map_or(('+', power), |rest| ('-', rest));
        return format!("{mantissa}e{sign}{power:0>2}");
    }
    match precision {
        None => number.to_string(),
        Some(precision) => {
            let digits = usize::try_from(limit - 1 - exponent).unwrap_or(0).min(precision.max(1) + 5);
            let text = fixed(number, digits);
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_string()
            } else {
                text
            }
        }
    }
}
