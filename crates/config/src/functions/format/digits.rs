//! The digits of numbers as the verbs of `format` write them.

use pve_model::Number;

/// A whole number in decimal digits, in another radix.
pub(super) fn in_radix(decimal: &str, radix: u32) -> String {
    if radix == 10 {
        return decimal.to_string();
    }
    let mut digits: Vec<u32> = decimal.chars().filter_map(|c| c.to_digit(10)).collect();
    let mut result = Vec::new();
    while !digits.is_empty() {
        let mut rest = 0;
        let mut quotient = Vec::with_capacity(digits.len());
        for digit in digits {
            let current = rest * 10 + digit;
            if !quotient.is_empty() || current >= radix {
                quotient.push(current / radix);
            }
            rest = current % radix;
        }
        result.extend(char::from_digit(rest, radix));
        digits = quotient;
    }
    if result.is_empty() { "0".to_string() } else { result.iter().rev().collect() }
}

/// A number as `0.DIGITS * 10^point`; no digits for zero, none at all for infinity.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    fn of(number: &Number) -> Option<Decimal> {
        let text = number.to_string();
        let (negative, plain) = match text.strip_prefix('-') {
            Some(plain) => (true, plain),
            None => (false, text.as_str()),
        };
        if !plain.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let leading = all.iter().take_while(|digit| **digit == 0).count();
        let mut digits = all[leading..].to_vec();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { whole.len() as i64 - leading as i64 };
        Some(Decimal { negative, digits, point })
    }

    /// Keeps so many digits, rounding half to even.
    fn round(&mut self, keep: i64) {
        let Ok(keep) = usize::try_from(keep) else {
            self.digits.clear();
            self.point = 0;
            return;
        };
        if keep >= self.digits.len() {
            return;
        }
        let rest = self.digits.split_off(keep);
        let odd = self.digits.last().is_some_and(|digit| digit % 2 == 1);
        let up = rest[0] > 5 || (rest[0] == 5 && (rest[1..].iter().any(|digit| *digit > 0) || odd));
        if up {
            loop {
                match self.digits.pop() {
                    Some(9) => {}
                    Some(digit) => {
                        self.digits.push(digit + 1);
                        break;
                    }
                    None => {
                        self.digits.push(1);
                        self.point += 1;
                        break;
                    }
                }
            }
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    fn digit(&self, index: i64) -> char {
        let digit =
            usize::try_from(index).ok().and_then(|index| self.digits.get(index)).copied().unwrap_or(0);
        char::from(b'0' + digit)
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    fn plain(&self, places: usize) -> String {
        let mut text = self.sign().to_string();
        if self.point > 0 {
            text.extend((0..self.point).map(|index| self.digit(index)));
        } else {
            text.push('0');
        }
        if places > 0 {
            text.push('.');
            text.extend((0..places as i64).map(|place| self.digit(self.point + place)));
        }
        text
    }

    fn scientific(&self, places: usize) -> String {
        let mut text = format!("{}{}", self.sign(), self.digit(0));
        if places > 0 {
            text.push('.');
            text.extend((1..=places as i64).map(|index| self.digit(index)));
        }
        let exponent = if self.digits.is_empty() { 0 } else { self.point - 1 };
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("e{sign}{:02}", exponent.abs()));
        text
    }
}

pub(super) fn fixed(number: &Number, places: usize) -> String {
    let Some(mut decimal) = Decimal::of(number) else { return number.to_string() };
    decimal.round(decimal.point + places as i64);
    decimal.plain(places)
}

pub(super) fn exponential(number: &Number, places: usize) -> String {
    let Some(mut decimal) = Decimal::of(number) else { return number.to_string() };
    decimal.round(1 + places as i64);
    decimal.scientific(places)
}

/// Digits before the point from which the shortest form has an exponent.
const SHORTEST_LIMIT: i64 = 21;

/// With few digits before or after the point plain, else with an exponent; without a precision as many digits as
/// tell the number apart.
pub(super) fn general(number: &Number, precision: Option<usize>) -> String {
    let Some(mut decimal) = Decimal::of(number) else { return number.to_string() };
    if let Some(precision) = precision {
        decimal.round(precision.max(1) as i64);
    }
    let count = decimal.digits.len().max(1);
    let limit = match precision {
        None => SHORTEST_LIMIT,
        Some(precision) if precision > count && count as i64 >= decimal.point => count as i64,
        Some(precision) => precision.max(1) as i64,
    };
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    if exponent < -4 || exponent >= limit {
        return decimal.scientific(count - 1);
    }
    let places = usize::try_from(decimal.digits.len() as i64 - decimal.point).unwrap_or(0);
    decimal.plain(places)
}
