//! Logarithm and power of floats as the reference computes them; the platform's own differ in the last digits.

/// `base` to the power of `exponent`. Whole exponents by repeated squaring of the fraction, with the binary exponent
/// counted apart; what is left by exponential and logarithm.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    let size = exponent.abs();
    let is_plain = base.is_finite() && base != 0.0 && base != 1.0 && exponent.is_finite();
    if !is_plain || exponent == 0.0 || exponent == 1.0 || size == 0.5 || size >= 9.0e18 {
        return match exponent {
            0.5 if base.is_finite() => base.sqrt(),
            -0.5 if base.is_finite() => 1.0 / base.sqrt(),
            _ => base.powf(exponent),
        };
    }
    let (mut whole, mut rest) = (size.trunc(), size.fract());
    if rest != 0.0 && base < 0.0 {
        return f64::NAN;
    }
    let mut result = 1.0;
    if rest != 0.0 {
        if rest > 0.5 {
            rest -= 1.0;
            whole += 1.0;
        }
        result = (rest * natural_logarithm(base)).exp();
    }
    let mut binary_exponent: i64 = 0;
    let (mut fraction, mut scale) = split(base);
    let mut left = whole as i64;
    while left != 0 {
        if !(-(1 << 12)..=1 << 12).contains(&scale) {
            // The result is infinite or zero.
            binary_exponent += scale;
            break;
        }
        if left & 1 == 1 {
            result *= fraction;
            binary_exponent += scale;
        }
        fraction *= fraction;
        scale *= 2;
        if fraction < 0.5 {
            fraction += fraction;
            scale -= 1;
        }
        left >>= 1;
    }
    if exponent < 0.0 {
        result = 1.0 / result;
        binary_exponent = -binary_exponent;
    }
    scaled(result, binary_exponent)
}

/// A fraction from a half to one, with the sign, and the binary exponent that makes the number of it.
fn split(number: f64) -> (f64, i64) {
    let (number, shift) = if number.is_normal() { (number, 0) } else { (number * 2_f64.powi(54), 54) };
    let bits = number.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1022;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent - shift)
}

fn scaled(number: f64, exponent: i64) -> f64 {
    let exponent = exponent.clamp(-2200, 2200) as i32;
    // In two steps, as the power alone may be out of range.
    let half = exponent / 2;
    number * 2_f64.powi(half) * 2_f64.powi(exponent - half)
}

/// Rounds as FreeBSD's `e_log.c` does, which the reference follows; the platform's own differs in the last bit.
pub(super) fn natural_logarithm(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const L: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    if !x.is_normal() || x <= 0.0 {
        return x.ln();
    }
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1022;
    let mut fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let (f, k) = (fraction - 1.0, exponent as f64);
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2 * (L[0] + s4 * (L[2] + s4 * (L[4] + s4 * L[6])));
    let even = s4 * (L[1] + s4 * (L[3] + s4 * L[5]));
    let half = 0.5 * f * f;
    k * LN2_HIGH - ((half - (s * (half + (odd + even)) + k * LN2_LOW)) - f)
}
