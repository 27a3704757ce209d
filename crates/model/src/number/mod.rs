//! Numbers of the configuration language: 512-bit binary floating point, as the reference has it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dashu_base::Sign;
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use dashu_int::IBig;

mod text;

pub use text::ParseNumberError;

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
            Repr::Int(_) | Repr::Float(_) => text::short_decimal(&self.to_string()),
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

#[cfg(test)]
mod tests;
