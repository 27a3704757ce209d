//! Versions and version constraints: `~> 1.2, != 1.2.5`.
//!
//! The rules are those of Terraform's `version` arguments: <https://developer.hashicorp.com/terraform/language/expressions/version-constraints>.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version such as `1.2.3`, `v1.2`, or `1.0.0-beta.2+build`.
#[derive(Debug, Clone)]
pub struct Version {
    /// The numbers; at least three, filled up with zeros.
    numbers: Vec<u64>,
    /// How many of them were written.
    written: usize,
    pre_release: String,
    build: String,
}

/// A text is no version or no version constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It is no version.
    #[error("\"{0}\" is no version; a version is three numbers with dots, such as 1.2.3 or 1.2.3-beta1")]
    Version(String),
    /// It is no constraint.
    #[error(
        "\"{0}\" is no version constraint; constraints are such as \"~> 1.2\" or \">= 1.2.0, < 2.0.0\", with the operators =, !=, >, >=, <, <= and ~>"
    )]
    Constraint(String),
}

impl Version {
    /// Whether it is a version before a release: `1.0.0-beta`.
    pub fn is_pre_release(&self) -> bool {
        !self.pre_release.is_empty()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        parse_version(text).ok_or_else(|| VersionError::Version(text.into()))
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (main, build) = match text.split_once('+') {
        Some((main, build)) => (main, Some(build)),
        None => (text, None),
    };
    let end = main.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(main.len());
    let (numbers, rest) = main.split_at(end);
    let mut numbers: Vec<u64> =
        numbers.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let pre_release = match rest.strip_prefix('-') {
        Some(pre_release) if !is_identifiers(pre_release) => return None,
        Some(pre_release) => pre_release,
        None => rest,
    };
    let fits = |text: &str| is_identifiers(text);
    if !(pre_release.is_empty() || fits(pre_release)) || build.is_some_and(|build| !fits(build)) {
        return None;
    }
    let written = numbers.len();
    numbers.resize(written.max(3), 0);
    let (pre_release, build) = (pre_release.to_string(), build.unwrap_or_default().to_string());
    Some(Version { numbers, written, pre_release, build })
}

/// Whether a text is parts with dots between them, as they follow a `-` or `+`.
fn is_identifiers(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '~');
    text.split('.').all(|part| !part.is_empty() && part.chars().all(fits))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        if !self.pre_release.is_empty() {
            write!(f, "-{}", self.pre_release)?;
        }
        if self.build.is_empty() { Ok(()) } else { write!(f, "+{}", self.build) }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of semantic versions; builds do not count.
impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        compare_numbers(&self.numbers, &other.numbers)
            .then_with(|| compare_pre_releases(&self.pre_release, &other.pre_release))
    }
}

fn compare_numbers(a: &[u64], b: &[u64]) -> Ordering {
    let at = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or_default();
    (0..a.len().max(b.len()))
        .map(|index| at(a, index).cmp(&at(b, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_pre_releases(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// What a `version` argument asks for: all of its parts must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionConstraint {
    text: String,
    parts: Vec<(Operator, Version)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// `~>`: only the last number that was written may be greater.
    Pessimistic,
}

impl VersionConstraint {
    /// Whether a version fits. A pre-release fits `>`, `>=`, `<`, `<=` and `~>` only when these name a pre-release of
    /// the same numbers.
    pub fn allows(&self, version: &Version) -> bool {
        self.parts.iter().all(|(operator, bound)| operator.allows(bound, version))
    }

    /// Whether it names a version before a release, such as `1.6.0-beta1`.
    pub fn names_pre_release(&self) -> bool {
        self.parts.iter().any(|(_, bound)| bound.is_pre_release())
    }

    /// Whether a version may be selected from a registry's list: a pre-release only when it is asked for exactly.
    pub fn selects(&self, version: &Version) -> bool {
        let exact = |(operator, bound): &(Operator, Version)| {
            *operator == Operator::Equal && bound == version && bound.pre_release == version.pre_release
        };
        self.allows(version) && (!version.is_pre_release() || self.parts.iter().any(exact))
    }
}

impl FromStr for VersionConstraint {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<VersionConstraint, VersionError> {
        let parts = text.split(',').map(|part| parse_part(part.trim()));
        match parts.collect::<Option<Vec<_>>>() {
            Some(parts) => Ok(VersionConstraint { text: text.trim().into(), parts }),
            None => Err(VersionError::Constraint(text.into())),
        }
    }
}

fn parse_part(text: &str) -> Option<(Operator, Version)> {
    let operators = [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("~>", Operator::Pessimistic),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("=", Operator::Equal),
    ];
    let found = operators.iter().find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)));
    let (operator, version) = found.unwrap_or((Operator::Equal, text));
    Some((operator, parse_version(version.trim_start())?))
}

impl fmt::Display for VersionConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Operator {
    fn allows(self, bound: &Version, version: &Version) -> bool {
        let order = version.cmp(bound);
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            _ if !comparable(bound, version) => false,
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Pessimistic => {
                let fixed = bound.written.saturating_sub(1);
                order.is_ge()
                    && bound.is_pre_release() == version.is_pre_release()
                    && version.numbers.len() >= bound.numbers.len()
                    && bound.numbers.iter().zip(&version.numbers).take(fixed).all(|(a, b)| a == b)
            }
        }
    }
}

/// Whether a pre-release may be compared with a bound at all.
fn comparable(bound: &Version, version: &Version) -> bool {
    match (bound.is_pre_release(), version.is_pre_release()) {
        (_, false) => true,
        (false, true) => false,
        (true, true) => compare_numbers(&bound.numbers, &version.numbers).is_eq(),
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
