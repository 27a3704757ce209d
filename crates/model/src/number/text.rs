//! Numbers as text: reading, and the plain and short forms that the reference writes.

use std::fmt;
use std::str::FromStr;

use dashu_base::{Abs, Sign};
use dashu_float::round::mode::HalfEven;
use dashu_float::{DBig, FBig};

use super::{Float, Number, PRECISION, Repr};

/// Beyond it, a short text would be a number of very many digits.
const GREATEST_EXPONENT: i64 = 100_000;

/// Why a text is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number")]
pub struct ParseNumberError(String);

impl FromStr for Number {
    type Err = ParseNumberError;

    /// Reads decimal notation, with or without fraction and exponent. An exponent is from -100000 to 100000.
    fn from_str(text: &str) -> Result<Number, ParseNumberError> {
        let fail = || ParseNumberError(text.to_string());
        let plain = text.strip_prefix('-').unwrap_or(text);
        let shape_is_right = plain.starts_with(|c: char| c.is_ascii_digit())
            && plain.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        if !shape_is_right {
            return Err(fail());
        }
        let negative = plain.len() < text.len();
        match text.parse::<i128>() {
            Ok(0) if negative => return Ok(Number(Repr::NegativeZero)),
            Ok(int) => return Ok(Number(Repr::Int(int))),
            Err(_) => {}
        }
        let exponent = plain.split_once(['e', 'E']).map_or("0", |(_, exponent)| exponent);
        if exponent.parse::<i64>().map_err(|_| fail())?.abs() > GREATEST_EXPONENT {
            return Err(fail());
        }
        let decimal = DBig::from_str(text).map_err(|_| fail())?;
        let binary = decimal.with_rounding::<HalfEven>().with_base_and_precision::<2>(PRECISION).value();
        let number = Number::from_float(binary);
        Ok(if negative && number.is_zero() { Number(Repr::NegativeZero) } else { number })
    }
}

/// Plain decimal notation with as few digits as read back equal.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(int) => write!(f, "{int}"),
            Repr::NegativeZero => f.write_str("-0"),
            Repr::Float(float) => f.write_str(&shortest_decimal(float)),
            Repr::Infinite(Sign::Positive) => f.write_str("+Inf"),
            Repr::Infinite(Sign::Negative) => f.write_str("-Inf"),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 512 bits are 154.1 decimal digits, so 156 always read back equal.
const ENOUGH_DIGITS: usize = 156;

fn shortest_decimal(float: &Float) -> String {
    let sign = if float.sign() == Sign::Negative { "-" } else { "" };
    let magnitude = float.clone().abs();
    let reads_back = |digits: usize| -> Option<String> {
        let decimal = magnitude.clone().with_base_and_precision::<10>(digits).value();
        let text = plain_notation(&decimal);
        let back = Number::from_str(&text).ok()?.to_float();
        (back == magnitude).then_some(text)
    };
    let (mut low, mut high) = (1, ENOUGH_DIGITS);
    let mut best = None;
    while low <= high {
        let middle = usize::midpoint(low, high);
        match reads_back(middle) {
            Some(text) => {
                best = Some(text);
                high = middle - 1;
            }
            None => low = middle + 1,
        }
    }
    let text = best.unwrap_or_else(|| {
        plain_notation(&magnitude.clone().with_base_and_precision::<10>(ENOUGH_DIGITS).value())
    });
    format!("{sign}{text}")
}

fn plain_notation(decimal: &FBig<HalfEven, 10>) -> String {
    place_point(&decimal.repr().significand().to_string(), decimal.repr().exponent())
}

/// The digits times ten to the exponent, in plain notation.
fn place_point(digits: &str, exponent: isize) -> String {
    if exponent >= 0 {
        return format!("{digits}{}", "0".repeat(exponent.unsigned_abs()));
    }
    let fraction = exponent.unsigned_abs();
    if digits.len() > fraction {
        let (whole, rest) = digits.split_at(digits.len() - fraction);
        format!("{whole}.{rest}")
    } else {
        format!("0.{}{digits}", "0".repeat(fraction - digits.len()))
    }
}

/// The plain decimal rounded to ten digits, as C's `%.10g` writes it.
pub(super) fn short_decimal(plain: &str) -> String {
    const MOST: usize = 10;
    let (sign, magnitude) = match plain.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", plain),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let mut digits: Vec<u8> = all[leading..].bytes().map(|digit| digit - b'0').collect();
    let mut exponent = whole.len() as i64 - leading as i64 - 1;
    if digits.len() > MOST {
        let rest = digits.split_off(MOST);
        let is_half = rest[0] == 5 && rest[1..].iter().all(|digit| *digit == 0);
        if rest[0] > 5 || rest[0] == 5 && (!is_half || digits[MOST - 1] % 2 == 1) {
            let kept = digits.iter().rposition(|digit| *digit < 9);
            digits.truncate(kept.map_or(0, |at| at + 1));
            match digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    digits.push(1);
                    exponent += 1;
                }
            }
        }
    }
    let used = digits.iter().rposition(|digit| *digit != 0).map_or(1, |at| at + 1);
    let text: String = digits[..used].iter().map(|digit| char::from(digit + b'0')).collect();
    if (-4..MOST as i64).contains(&exponent) {
        let exponent = exponent as isize - (text.len() as isize - 1);
        return format!("{sign}{}", place_point(&text, exponent));
    }
    let point = if text.len() > 1 { "." } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}{point}{}e{exponent_sign}{:02}", &text[..1], &text[1..], exponent.abs())
}
