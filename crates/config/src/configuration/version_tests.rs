//! Versions and constraints against what Terraform's documentation and its version library say of them.

use super::{Version, VersionConstraint};

fn version(text: &str) -> Version {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn allows(constraint: &str, text: &str) -> bool {
    let constraint: VersionConstraint = constraint.parse().unwrap_or_else(|error| panic!("{error}"));
    constraint.allows(&version(text))
}

#[test]
fn versions_are_ordered_as_semantic_versions_are() {
    // The chain of https://semver.org/#spec-item-11, with a release before and after it.
    let chain = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.0.1",
        "1.0.10",
        "1.2",
    ];
    for pair in chain.windows(2) {
        assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
    }
    assert_eq!(version("1.2"), version("v1.2.0"));
    assert_eq!(version("1.2.0+a"), version("1.2.0+b"));
}

#[test]
fn versions_are_shown_with_all_their_numbers() {
    for (text, shown) in [
        ("v1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("1.2.3beta1", "1.2.3-beta1"),
        ("1.2.3.4-rc.1+b", "1.2.3.4-rc.1+b"),
    ] {
        assert_eq!(version(text).to_string(), shown, "{text}");
    }
}

#[test]
fn what_is_no_version_is_refused() {
    for text in [
        "",
        "v",
        "1.",
        ".1",
        "1..2",
        "1.x",
        "latest",
        "1.2.3-",
        "1.2.3+",
        "1.2 .3",
        "1.2.3-a..b",
        "99999999999999999999",
    ] {
        assert!(text.parse::<Version>().is_err(), "{text:?}");
    }
}

#[test]
fn what_is_no_constraint_is_refused() {
    for text in ["", ",", "1.0,", "=> 1.0", ">> 1.0", "~1.0", "^1.0", "1.x", ">= ", "> 1.0 < 2.0"] {
        assert!(text.parse::<VersionConstraint>().is_err(), "{text:?}");
    }
}

#[test]
fn operators_compare() {
    let cases = [
        ("1.0", "1.0.0", true),
        ("= 1.0.0", "1.0.1", false),
        ("=1.2.3", "1.2.3", true),
        ("!= 1.0.0", "1.0.0", false),
        ("!= 1.0.0", "1.0.1", true),
        ("> 1.0.0", "1.0.0", false),
        ("> 1.0.0", "1.0.1", true),
        (">= 1.0.0", "1.0.0", true),
        ("< 1.0.0", "0.9.9", true),
        ("< 1.0.0", "1.0.0", false),
        ("<= 1.0.0", "1.0.0", true),
        (">= 1.2.0, < 2.0.0", "1.9.9", true),
        (">= 1.2.0,<2.0.0", "2.0.0", false),
        (">= 1.0, != 1.5.0, < 2", "1.5.0", false),
    ];
    for (constraint, text, expected) in cases {
        assert_eq!(allows(constraint, text), expected, "{constraint} and {text}");
    }
}

#[test]
fn the_pessimistic_operator_lets_only_the_last_written_number_rise() {
    let cases = [
        ("~> 1.0.4", "1.0.5", true),
        ("~> 1.0.4", "1.0.10", true),
        ("~> 1.0.4", "1.0.3", false),
        ("~> 1.0.4", "1.1.0", false),
        ("~> 1.1", "1.2.0", true),
        ("~> 1.1", "1.10.3", true),
        ("~> 1.1", "1.0.9", false),
        ("~> 1.1", "2.0.0", false),
        // With one number there is none that must stay.
        ("~> 1", "1.4.0", true),
        ("~> 1", "2.0.0", true),
        ("~> 1", "0.9.0", false),
        ("~> 1.0.9.5", "1.0.9.6", true),
        ("~> 1.0.9.5", "1.0.10", false),
    ];
    for (constraint, text, expected) in cases {
        assert_eq!(allows(constraint, text), expected, "{constraint} and {text}");
    }
}

#[test]
fn pre_releases_fit_only_what_names_their_numbers() {
    let cases = [
        ("> 2.0", "2.1.0-beta", false),
        (">= 2.1.0-beta", "2.1.0-beta", true),
        (">= 2.1.0-a", "2.1.0-beta", true),
        (">= 2.1.0-a", "2.1.1-beta", false),
        (">= 2.0.0", "2.1.0-beta", false),
        (">= 2.1.0-a", "2.1.1", true),
        ("< 2.1.0-b", "2.1.0-a", true),
        ("~> 2.1.0-a", "2.1.0-beta", true),
        ("~> 2.1.0-a", "2.1.0", false),
        ("~> 2.1", "2.1.0-beta", false),
        ("2.1.0-beta", "2.1.0-beta", true),
        ("!= 2.1.0", "2.1.0-beta", true),
    ];
    for (constraint, text, expected) in cases {
        assert_eq!(allows(constraint, text), expected, "{constraint} and {text}");
    }
}

#[test]
fn a_pre_release_is_selected_only_when_it_is_asked_for_exactly() {
    let selects = |constraint: &str, text: &str| {
        constraint.parse::<VersionConstraint>().is_ok_and(|constraint| constraint.selects(&version(text)))
    };
    assert!(selects("1.0.0-beta1", "1.0.0-beta1"));
    assert!(!selects(">= 1.0.0-beta1", "1.0.0-beta2"));
    assert!(!selects("!= 1.0.0", "1.0.0-beta2"));
    assert!(selects(">= 1.0.0-beta1", "1.0.0"));
}
