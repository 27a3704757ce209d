//! `format`, `formatlist` and their verbs.

use std::sync::Arc;

use pve_model::value::Refinement;
use pve_model::{Number, Type, Value, ValueKind};
use unicode_segmentation::UnicodeSegmentation;

use super::parameter::{Call, Function, Outcome, Returns, any, text};
use super::string::string;
use super::{FunctionError, json};
use crate::convert::convert;

mod digits;

use digits::{exponential, fixed, general, in_radix};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("format", &[text("format")], Returns::Text, format)
        .and_more(any("args").null().unknown().dynamic()),
    Function::new("formatlist", &[text("format")], Returns::Texts, format_list)
        .and_more(any("args").null().unknown().dynamic()),
];

fn format(call: &Call<'_>) -> Outcome {
    format_one(call.text(0), &call.arguments[1..])
}

fn format_one(format: &str, arguments: &[Value]) -> Outcome {
    if arguments.iter().all(Value::is_wholly_known) {
        return string(render(format, arguments)?);
    }
    let prefix = format.split('%').next().filter(|prefix| !prefix.is_empty()).map(Arc::from);
    Ok(Value::unknown_refined(Type::String, Refinement { not_null: true, prefix, ..Refinement::default() }))
}

fn format_list(call: &Call<'_>) -> Outcome {
    let arguments = &call.arguments[1..];
    let is_sequence = |value: &Value| {
        matches!(value.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_)) && !value.is_null()
    };
    let (mut length, mut unknown) = (None, false);
    for (index, argument) in arguments.iter().enumerate() {
        let found = match (&argument.kind, argument.ty()) {
            (_, Type::Tuple(types)) if !argument.is_null() => Some(types.len()),
            (ValueKind::Unknown(Type::Dynamic, _), _) => None,
            (ValueKind::Set(_, values), _) if values.len() > 1 && !argument.is_wholly_known() => None,
            _ if is_sequence(argument) => argument.elements().map(<[Value]>::len),
            _ => continue,
        };
        unknown |= found.is_none() || !argument.is_known();
        match (length, found) {
            (Some(length), Some(found)) if length != found => {
                let message =
                    format!("all lists must have the same length; this has {found}, one before {length}");
                return Err(FunctionError::argument(index + 1, message));
            }
            (None, found) => length = found,
            _ => {}
        }
    }
    if unknown {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let rows = (0..length.unwrap_or(1)).map(|row| {
        let values: Vec<Value> = arguments
            .iter()
            .map(|argument| match argument.elements() {
                Some(elements) if is_sequence(argument) => elements[row].clone(),
                _ => argument.clone(),
            })
            .collect();
        format_one(call.text(0), &values)
    });
    Ok(Value::list(Type::String, rows.collect::<Result<Vec<_>, _>>()?))
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

/// Widest that a verb may ask for.
const WIDEST: usize = 1 << 20;

fn render(format: &str, arguments: &[Value]) -> Result<String, FunctionError> {
    let mut result = String::new();
    let (mut next, mut highest) = (0, 0);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let mut verb = Verb::default();
        rest = verb.read(rest, &mut next)?;
        let Some(argument) = arguments.get(next) else {
            let message =
                format!("%{} asks for argument {}, and there are {}", verb.letter, next + 1, arguments.len());
            return Err(FunctionError::argument(0, message));
        };
        next += 1;
        highest = highest.max(next);
        let shown = verb.render(argument).map_err(|message| FunctionError::argument(next, message))?;
        result.push_str(&shown);
    }
    result.push_str(rest);
    if highest < arguments.len() {
        let message = format!("there are too many arguments; the format uses {highest}");
        return Err(FunctionError::argument(highest + 1, message));
    }
    Ok(result)
}

fn take_digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = &rest[..end];
    *rest = &rest[end..];
    digits
}

impl Verb {
    /// Reads what follows a percent sign; an index in brackets sets the next argument.
    fn read<'a>(&mut self, text: &'a str, next: &mut usize) -> Result<&'a str, FunctionError> {
        let fault = |message: &str| FunctionError::argument(0, message);
        let mut rest = text;
        while let Some(flag @ ('+' | '-' | ' ' | '0' | '#')) = rest.chars().next() {
            match flag {
                '+' => self.plus = true,
                '-' => self.minus = true,
                ' ' => self.space = true,
                '0' => self.zero = true,
                _ => self.sharp = true,
            }
            rest = &rest[1..];
        }
        self.read_index(&mut rest, next)?;
        let size = |digits: &str| digits.parse::<usize>().ok().filter(|size| *size <= WIDEST);
        let digits = take_digits(&mut rest);
        if !digits.is_empty() {
            self.width = Some(size(digits).ok_or_else(|| fault("the width is too large"))?);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            let digits = take_digits(&mut rest);
            let precision = if digits.is_empty() { Some(0) } else { size(digits) };
            self.precision = Some(precision.ok_or_else(|| fault("the precision is too large"))?);
        }
        self.read_index(&mut rest, next)?;
        let letter = rest
            .chars()
            .next()
            .ok_or_else(|| fault("the format ends within a verb; for a percent sign write %%"))?;
        self.letter = letter;
        Ok(&rest[letter.len_utf8()..])
    }

    fn read_index(&self, rest: &mut &str, next: &mut usize) -> Result<(), FunctionError> {
        let Some(after) = rest.strip_prefix('[') else { return Ok(()) };
        let number =
            after.split_once(']').and_then(|(number, after)| Some((number.parse::<usize>().ok()?, after)));
        match number {
            Some((number, after)) if number > 0 => {
                *next = number - 1;
                *rest = after;
                Ok(())
            }
            _ => Err(FunctionError::argument(0, "an index in brackets must be a number from 1")),
        }
    }

    fn render(&self, value: &Value) -> Result<String, String> {
        let letter = self.letter;
        if !"vtbdoxXeEfgGsq".contains(letter) {
            return Err(format!("there is no verb %{letter}"));
        }
        if value.is_null() && letter != 'v' {
            return Err(format!("%{letter} cannot show null; %v can"));
        }
        let needs = |what: &str| format!("%{letter} needs {what}");
        match letter {
            'v' => Ok(self.pad(&self.as_is(value))),
            't' => match convert(value, &Type::Bool).ok().and_then(|value| value.as_bool()) {
                Some(flag) => Ok(flag.to_string()),
                None => Err(needs("a bool")),
            },
            's' | 'q' => {
                let value = convert(value, &Type::String)
                    .map_err(|error| format!("{}: {error}", needs("a string")))?;
                let cut = self.cut(value.as_str().unwrap_or_default());
                if letter == 's' {
                    return Ok(self.pad(&cut));
                }
                let mut quoted = String::new();
                json::encode(&Value::string(cut), &mut quoted);
                Ok(self.pad(&quoted))
            }
            _ => {
                let value = convert(value, &Type::Number)
                    .map_err(|error| format!("{}: {error}", needs("a number")))?;
                let number = value.as_number().ok_or_else(|| needs("a number"))?;
                self.number(number)
            }
        }
    }

    fn as_is(&self, value: &Value) -> String {
        match &value.kind {
            ValueKind::String(text) if !self.sharp => text.to_string(),
            ValueKind::Number(number) if !self.sharp => general(number, None),
            _ => {
                let mut text = String::new();
                json::encode(value, &mut text);
                text
            }
        }
    }

    fn number(&self, number: &Number) -> Result<String, String> {
        let text = match self.letter {
            'b' | 'd' | 'o' | 'x' | 'X' => {
                if !number.is_integer() {
                    return Err(format!("%{} needs a whole number", self.letter));
                }
                self.integer(number)
            }
            'f' => fixed(number, self.precision.unwrap_or(6)),
            'e' | 'E' => exponential(number, self.precision.unwrap_or(6)),
            _ => general(number, self.precision),
        };
        let text = if self.letter.is_uppercase() { text.to_uppercase() } else { text };
        Ok(self.pad_number(&text))
    }

    fn integer(&self, number: &Number) -> String {
        let (radix, prefix) = match self.letter {
            'b' => (2, "0b"),
            'o' => (8, "0"),
            'd' => (10, ""),
            _ => (16, "0x"),
        };
        let plain = number.to_string();
        let (sign, digits) = match plain.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", plain.as_str()),
        };
        let mut digits = in_radix(digits, radix);
        if let Some(precision) = self.precision {
            let missing = precision.saturating_sub(digits.len());
            digits.insert_str(0, &"0".repeat(missing));
        }
        let prefix = if self.sharp { prefix } else { "" };
        format!("{sign}{prefix}{digits}")
    }

    /// A precision cuts strings, counted in what a reader takes for one character.
    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(length) if length > 0 => text.graphemes(true).take(length).collect(),
            _ => text.to_string(),
        }
    }

    fn pad(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.graphemes(true).count());
        match (self.minus, self.zero) {
            (true, _) => format!("{text}{}", " ".repeat(missing)),
            (false, true) => format!("{}{text}", "0".repeat(missing)),
            (false, false) => format!("{}{text}", " ".repeat(missing)),
        }
    }

    fn pad_number(&self, text: &str) -> String {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (&text[..1], digits),
            None => ("", text),
        };
        let sign = match sign {
            "" if self.plus => "+",
            "" if self.space => " ",
            "+" if !self.plus && !text.ends_with("INF") && !text.ends_with("Inf") => "",
            sign => sign,
        };
        let missing = self.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
        let has_precision = self.precision.is_some() && "bdoxX".contains(self.letter);
        if self.minus {
            format!("{sign}{digits}{}", " ".repeat(missing))
        } else if self.zero && !has_precision {
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{digits}", " ".repeat(missing))
        }
    }
}
