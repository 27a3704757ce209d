//! Numbers of the configuration language: 512-bit binary floating point, as the reference has it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use dashu_base::{Abs, Sign};
use dashu_float::round::mode::HalfEven;
use dashu_float::{DBig, FBig};
use dashu_int::IBig;

/// Bits of the mantissa.
pub const PRECISION: usize = 512;

type Float = FBig<HalfEven, 2>;

/// A number. Whole numbers within 128 bits are kept as such, so that ordinary arithmetic is fast; both forms of one
/// number never exist side by side. Zero has a sign, as in the reference: `-0` equals `0` and is written `-0`.
#[derive(Clone)]
pub struct Number(Repr);

#[derive(Clone)]
enum Repr {
    Int(i128),
    NegativeZero,
    Float(Arc<Float>),
    Infinite(Sign),
}

/// Why an arithmetic operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArithmeticError {
    /// `0/0` or a remainder of or by something infinite or zero.
    #[error("the result is not a number")]
    NotANumber,
}

impl Number {
    fn zero(sign: Sign) -> Number {
        Number(if sign == Sign::Negative { Repr::NegativeZero } else { Repr::Int(0) })
    }

    fn from_float(float: Float) -> Number {
        if float.repr().is_infinite() {
            return Number(Repr::Infinite(float.sign()));
        }
        if float.repr().significand().is_zero() {
            return Number(Repr::Int(0));
        }
        // A whole number has an exponent of zero or more once the significand is normalised.
        if float.repr().exponent() >= 0
            && float.repr().exponent() < 128
            && let Ok(int) = i128::try_from(float.to_int().value())
        {
            return Number(Repr::Int(int));
        }
        Number(Repr::Float(Arc::new(float.with_precision(PRECISION).value())))
    }

    fn to_float(&self) -> Float {
        match &self.0 {
            Repr::Int(int) => Float::from(IBig::from(*int)).with_precision(PRECISION).value(),
            Repr::NegativeZero => Float::ZERO.with_precision(PRECISION).value(),
            Repr::Float(float) => (**float).clone(),
            Repr::Infinite(Sign::Positive) => Float::INFINITY,
            Repr::Infinite(Sign::Negative) => Float::NEG_INFINITY,
        }
    }

    fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::Infinite(_))
    }

    fn sign(&self) -> Sign {
        match &self.0 {
            Repr::Int(int) if *int < 0 => Sign::Negative,
            Repr::Int(_) => Sign::Positive,
            Repr::NegativeZero => Sign::Negative,
            Repr::Float(float) => float.sign(),
            Repr::Infinite(sign) => *sign,
        }
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Int(0) | Repr::NegativeZero)
    }

    /// Whether the number is whole.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Repr::Int(_) | Repr::NegativeZero => true,
            Repr::Float(float) => float.repr().exponent() >= 0,
            Repr::Infinite(_) => false,
        }
    }

    /// The number as an `i64`, if it is whole and within range.
    pub fn to_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(int) => i64::try_from(int).ok(),
            Repr::NegativeZero => Some(0),
            _ => None,
        }
    }

    /// The number as an `i128`, if it is whole and within range.
    pub fn to_i128(&self) -> Option<i128> {
        match self.0 {
            Repr::Int(int) => Some(int),
            Repr::NegativeZero => Some(0),
            _ => None,
        }
    }

    /// The nearest `f64`.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::Int(int) => *int as f64,
            Repr::NegativeZero => -0.0,
            Repr::Float(float) => float.to_f64().value(),
            Repr::Infinite(Sign::Positive) => f64::INFINITY,
            Repr::Infinite(Sign::Negative) => f64::NEG_INFINITY,
        }
    }

    /// A number from an `f64`; `None` when it is not a number.
    pub fn from_f64(value: f64) -> Option<Number> {
        if value.is_infinite() {
            return Some(Number(Repr::Infinite(if value > 0.0 { Sign::Positive } else { Sign::Negative })));
        }
        if value == 0.0 && value.is_sign_negative() {
            return Some(Number(Repr::NegativeZero));
        }
        Float::try_from(value).ok().map(|f| Number::from_float(f.with_precision(PRECISION).value()))
    }

    /// At most ten significant digits, with an exponent where the number is large or small.
    pub(crate) fn to_short_text(&self) -> String {
        match self.0 {
            Repr::Int(int) if int.unsigned_abs() < 10_u128.pow(10) => int.to_string(),
            Repr::Int(_) | Repr::Float(_) => short_decimal(&self.to_string()),
            Repr::NegativeZero | Repr::Infinite(_) => self.to_string(),
        }
    }

    /// Sum. Errors with opposite infinities.
    pub fn add(&self, other: &Number) -> Result<Number, ArithmeticError> {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return Ok(Number(Repr::Int(sum)));
        }
        match (&self.0, &other.0) {
            (Repr::Infinite(a), Repr::Infinite(b)) if a != b => Err(ArithmeticError::NotANumber),
            (Repr::Infinite(_), _) => Ok(self.clone()),
            (_, Repr::Infinite(_)) => Ok(other.clone()),
            (_, Repr::NegativeZero) => Ok(self.clone()),
            (Repr::NegativeZero, _) => Ok(other.clone()),
            _ => Ok(Number::from_float(sum(self.to_float(), other.to_float()))),
        }
    }

    /// Difference. Errors with equal infinities.
    pub fn subtract(&self, other: &Number) -> Result<Number, ArithmeticError> {
        self.add(&other.negate())
    }

    /// Product. Errors for zero times infinity.
    pub fn multiply(&self, other: &Number) -> Result<Number, ArithmeticError> {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(product) = a.checked_mul(*b)
            && product != 0
        {
            return Ok(Number(Repr::Int(product)));
        }
        if self.is_infinite() || other.is_infinite() {
            if self.is_zero() || other.is_zero() {
                return Err(ArithmeticError::NotANumber);
            }
            return Ok(Number(Repr::Infinite(self.sign() * other.sign())));
        }
        if self.is_zero() || other.is_zero() {
            return Ok(Number::zero(self.sign() * other.sign()));
        }
        Ok(Number::from_float(self.to_float() * other.to_float()))
    }

    /// Quotient; dividing by zero is infinite. Errors for `0/0` and infinity by infinity.
    pub fn divide(&self, other: &Number) -> Result<Number, ArithmeticError> {
        match (self.is_infinite(), other.is_infinite()) {
            (true, true) => return Err(ArithmeticError::NotANumber),
            (true, false) => return Ok(Number(Repr::Infinite(self.sign() * other.sign()))),
            (false, true) => return Ok(Number::zero(self.sign() * other.sign())),
            (false, false) => {}
        }
        if other.is_zero() {
            return if self.is_zero() {
                Err(ArithmeticError::NotANumber)
            } else {
                Ok(Number(Repr::Infinite(self.sign() * other.sign())))
            };
        }
        if self.is_zero() {
            return Ok(Number::zero(self.sign() * other.sign()));
        }
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let (Some(0), Some(quotient)) = (a.checked_rem(*b), a.checked_div(*b))
        {
            return Ok(Number(Repr::Int(quotient)));
        }
        Ok(Number::from_float(self.to_float() / other.to_float()))
    }

    /// Remainder with the sign of the dividend. Errors when the divisor is zero or the dividend infinite.
    pub fn remainder(&self, other: &Number) -> Result<Number, ArithmeticError> {
        if other.is_zero() || self.is_infinite() {
            return Err(ArithmeticError::NotANumber);
        }
        if other.is_infinite() {
            return Ok(self.clone());
        }
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(rest) = a.checked_rem(*b)
        {
            return Ok(Number(Repr::Int(rest)));
        }
        let quotient = self.divide(other)?.truncate();
        self.subtract(&quotient.multiply(other)?)
    }

    /// The number with its sign turned.
    pub fn negate(&self) -> Number {
        match &self.0 {
            Repr::Int(0) => Number(Repr::NegativeZero),
            Repr::NegativeZero => Number(Repr::Int(0)),
            Repr::Int(int) => match int.checked_neg() {
                Some(negated) => Number(Repr::Int(negated)),
                None => Number::from_float(-self.to_float()),
            },
            Repr::Float(float) => Number::from_float(-(**float).clone()),
            Repr::Infinite(sign) => Number(Repr::Infinite(-*sign)),
        }
    }

    /// The number without its sign.
    pub fn absolute(&self) -> Number {
        if self.sign() == Sign::Negative { self.negate() } else { self.clone() }
    }

    /// The whole part.
    pub fn truncate(&self) -> Number {
        match &self.0 {
            Repr::Float(float) => Number::from_float(float.trunc()),
            Repr::NegativeZero => Number(Repr::Int(0)),
            Repr::Int(_) | Repr::Infinite(_) => self.clone(),
        }
    }

    /// The greatest whole number that is not greater.
    pub fn floor(&self) -> Number {
        match &self.0 {
            Repr::Float(float) => Number::from_float(float.floor()),
            Repr::NegativeZero => Number(Repr::Int(0)),
            Repr::Int(_) | Repr::Infinite(_) => self.clone(),
        }
    }

    /// The least whole number that is not less.
    pub fn ceil(&self) -> Number {
        match &self.0 {
            Repr::Float(float) => Number::from_float(float.ceil()),
            Repr::NegativeZero => Number(Repr::Int(0)),
            Repr::Int(_) | Repr::Infinite(_) => self.clone(),
        }
    }
}

/// The exact sum, rounded once. Where one of the two is far below the precision of the other that would take memory
/// for nothing.
fn sum(a: Float, b: Float) -> Float {
    const FARTHEST: isize = 8 * PRECISION as isize;
    if (a.repr().exponent() - b.repr().exponent()).abs() > FARTHEST {
        return a + b;
    }
    (a.with_precision(0).value() + b.with_precision(0).value()).with_precision(PRECISION).value()
}

macro_rules! from_integer {
    ($($t:ty),*) => {$(
        impl From<$t> for Number {
            fn from(value: $t) -> Number {
                Number(Repr::Int(i128::from(value)))
            }
        }
    )*};
}
from_integer!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

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

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Int(a), Repr::Int(b)) => a.cmp(b),
            _ => self.to_float().cmp(&other.to_float()),
        }
    }
}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::Int(int) => int.hash(state),
            Repr::NegativeZero => 0_i128.hash(state),
            Repr::Float(float) => float.to_f64().value().to_bits().hash(state),
            Repr::Infinite(sign) => (*sign == Sign::Positive).hash(state),
        }
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
fn short_decimal(plain: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn decimal_fractions_add_up() {
        assert_eq!(number("0.1").add(&number("0.2")).unwrap(), number("0.3"));
        assert_eq!(number("0.1").to_string(), "0.1");
        assert_eq!(number("1e-3").to_string(), "0.001");
    }

    #[test]
    fn large_integers_do_not_wrap() {
        let big = number("170141183460469231731687303715884105727");
        assert_eq!(big.add(&Number::from(1)).unwrap().to_string(), "170141183460469231731687303715884105728");
        assert_eq!(number("1e40").to_string(), format!("1{}", "0".repeat(40)));
    }

    #[test]
    fn a_third_has_the_digits_of_the_reference() {
        let third = Number::from(1).divide(&Number::from(3)).unwrap();
        assert_eq!(third.to_string(), format!("0.{}5", "3".repeat(154)));
    }

    #[test]
    fn division_by_zero_is_infinite_and_zero_by_zero_is_nothing() {
        assert_eq!(Number::from(1).divide(&Number::from(0)).unwrap().to_string(), "+Inf");
        assert_eq!(Number::from(0).divide(&Number::from(0)), Err(ArithmeticError::NotANumber));
    }

    #[test]
    fn exponents_that_fill_the_memory_are_refused() {
        assert_eq!(number("1e100000").to_string().len(), 100_001);
        for text in ["1e1000000000", "1e-1000000000", "1e99999999999999999999", "1e", "1e+-2"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }

    #[test]
    fn zero_has_a_sign_that_equality_ignores() {
        let (zero, negative) = (Number::from(0), number("-0.0"));
        assert_eq!(negative.to_string(), "-0");
        assert_eq!(zero.negate().to_string(), "-0");
        assert_eq!(negative, zero);
        assert_eq!(negative.negate().to_string(), "0");
        assert_eq!(zero.multiply(&number("-3")).unwrap().to_string(), "-0");
        assert_eq!(zero.divide(&number("-3")).unwrap().to_string(), "-0");
        assert_eq!(number("1").divide(&negative).unwrap().to_string(), "-Inf");
        assert_eq!(negative.add(&zero).unwrap().to_string(), "0");
        assert_eq!(negative.add(&negative).unwrap().to_string(), "-0");
        assert_eq!(number("-5").add(&number("5")).unwrap().to_string(), "0");
        assert_eq!(number("-4").remainder(&number("2")).unwrap().to_string(), "0");
        assert_eq!(number("2.5").remainder(&number("0.1")).unwrap().to_string(), "0");
        assert_eq!(number("-0.5").ceil().to_string(), "0");
        assert_eq!(negative.to_f64().to_bits(), (-0.0_f64).to_bits());
    }

    #[test]
    fn short_texts_have_ten_digits_at_most() {
        let texts =
            ["0.1", "1234567890.5", "12345678901", "123456.7890123", "0.00001", "9999999999.6", "1e40"];
        let short = texts.map(|text| number(text).to_short_text());
        let expected = ["0.1", "1234567890", "1.23456789e+10", "123456.789", "1e-05", "1e+10", "1e+40"];
        assert_eq!(short, expected);
        assert_eq!(number("-12345678905.5").to_short_text(), "-1.234567891e+10");
    }

    #[test]
    fn remainder_keeps_the_sign_of_the_dividend() {
        assert_eq!(number("5.5").remainder(&number("2")).unwrap(), number("1.5"));
        assert_eq!(number("-5").remainder(&number("3")).unwrap(), number("-2"));
    }
}
