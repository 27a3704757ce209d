//! What is found about the instances of one declaration: which of them it is about, and once for all that have it.

use pve_config::syntax::Diagnostic;
use pve_model::ModulePath;

/// Says which module instance an error is about: one declaration can be wrong in one instance only.
pub(crate) fn located(found: Vec<Diagnostic>, path: &ModulePath) -> Vec<Diagnostic> {
    if path.0.is_empty() {
        return found;
    }
    let place = format!("(in {path})");
    found
        .into_iter()
        .map(|mut diagnostic| {
            if !diagnostic.detail.contains("(in module.") {
                diagnostic.detail = format!("{} {place}", diagnostic.detail).trim_start().to_string();
            }
            diagnostic
        })
        .collect()
}

/// What is found, where instances of one declaration have the same faults: once, with the first of them and how many more
/// there are.
pub(crate) fn once(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut told: Vec<(Diagnostic, usize)> = Vec::new();
    for diagnostic in found {
        let of = |one: &Diagnostic| (one.severity, one.span, one.hint.clone(), one.related.clone());
        let is_same = |(other, _): &&mut (Diagnostic, usize)| {
            other.summary == diagnostic.summary
                && text(&other.detail) == text(&diagnostic.detail)
                && of(other) == of(&diagnostic)
        };
        match told.iter_mut().find(is_same) {
            Some((first, more)) => *more += usize::from(first.detail != diagnostic.detail),
            None => told.push((diagnostic, 0)),
        }
    }
    let told = told.into_iter().map(|(diagnostic, more)| match diagnostic.detail.strip_suffix(')') {
        Some(lead) if more > 0 => Diagnostic { detail: format!("{lead} and {more} more)"), ..diagnostic },
        _ => diagnostic,
    });
    told.collect()
}

/// A detail without the instance that it is about.
fn text(detail: &str) -> &str {
    let place = detail.strip_suffix(')').and_then(|detail| detail.rsplit_once("(in "));
    place.map_or(detail, |(text, _)| text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(detail: &str) -> Diagnostic {
        Diagnostic::error_without_span("Unsupported argument", detail)
    }

    #[test]
    fn the_faults_of_instances_are_told_once_with_how_many_have_them() {
        let found = [
            "No x. (in module.vm[\"a\"])",
            "No x. (in module.vm[\"b\"])",
            "No y. (in module.vm[\"b\"])",
            "No x. (in module.vm[\"c\"])",
            "Whole.",
            "Whole.",
        ];
        let told = once(found.into_iter().map(fault).collect());
        let told: Vec<&str> = told.iter().map(|diagnostic| &*diagnostic.detail).collect();
        assert_eq!(told, ["No x. (in module.vm[\"a\"] and 2 more)", "No y. (in module.vm[\"b\"])", "Whole."]);
        let other = Diagnostic { hint: Some("h".into()), ..fault("No x. (in module.vm[\"b\"])") };
        assert_eq!(once(vec![fault("No x. (in module.vm[\"a\"])"), other]).len(), 2);
    }
}
