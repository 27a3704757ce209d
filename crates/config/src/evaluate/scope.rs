//! What names mean while an expression is evaluated.

use pve_model::Value;

use crate::functions::Context;

/// What a name leads to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The value.
    pub value: Value,
    /// How many of the attribute steps after the root the value stands for.
    pub consumed: usize,
}

/// Why a name leads nowhere.
#[derive(Clone, Debug)]
pub struct ScopeError {
    /// What is wrong, without full stop.
    pub summary: String,
    /// What is wrong, in sentences.
    pub detail: String,
    /// What the user may have meant.
    pub hint: Option<String>,
}

/// Gives names their values.
pub trait Scope {
    /// The value that `root` with the attribute steps behind it leads to, as far as the scope knows the way.
    ///
    /// # Errors
    /// When the name means nothing.
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError>;

    /// The functions that can be called.
    fn functions(&self) -> &Context;
}

/// Names bound by `for`, innermost first.
pub(super) enum Bindings<'b> {
    Empty,
    Bound { name: &'b str, value: &'b Value, outer: &'b Bindings<'b> },
}

impl<'b> Bindings<'b> {
    pub(super) fn get(&self, wanted: &str) -> Option<&Value> {
        let mut at = self;
        while let Bindings::Bound { name, value, outer } = at {
            if *name == wanted {
                return Some(value);
            }
            at = outer;
        }
        None
    }

    pub(super) fn bind(&'b self, name: &'b str, value: &'b Value) -> Bindings<'b> {
        Bindings::Bound { name, value, outer: self }
    }
}

/// The name that differs from `wanted` least, if it is near enough to be a slip of the keyboard.
pub fn closest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_keyboard_are_found() {
        assert_eq!(closest("uper", ["upper", "lower"]), Some("upper"));
        assert_eq!(closest("jsonencod", ["jsonencode", "yamlencode"]), Some("jsonencode"));
        assert_eq!(closest("zzz", ["upper", "lower"]), None);
    }
}
