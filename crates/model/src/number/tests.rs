//! Arithmetic and text of numbers.

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
    let texts = ["0.1", "1234567890.5", "12345678901", "123456.7890123", "0.00001", "9999999999.6", "1e40"];
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
