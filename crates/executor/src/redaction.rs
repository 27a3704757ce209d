//! Takes sensitive values out of what others say: a cluster repeats parameters in its messages.

use pve_model::{Value, ValueKind};

/// What stands in place of a sensitive value.
pub const SENSITIVE: &str = "(sensitive value)";

/// Shorter texts are left: they would be found in the middle of ordinary words, and be told by that.
const SHORTEST: usize = 4;

/// The sensitive texts of values.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// The longest first, so that none is left in part.
    texts: Vec<String>,
}

impl Redaction {
    /// Of every text and number in `values` that is sensitive or within something sensitive, as it is and as it stands
    /// between quotes; of a text of several lines each line, too.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Redaction {
        Redaction::default().with(values)
    }

    /// With those of more values.
    #[must_use]
    pub fn with<'v>(self, values: impl IntoIterator<Item = &'v Value>) -> Redaction {
        let mut texts = self.texts;
        values.into_iter().for_each(|value| collect(value, false, &mut texts));
        texts.retain(|text| text.len() >= SHORTEST);
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Redaction { texts }
    }

    /// The message without them.
    pub fn redact(&self, message: &str) -> String {
        self.texts.iter().fold(message.to_string(), |message, text| message.replace(text.as_str(), SENSITIVE))
    }
}

fn collect(value: &Value, within: bool, texts: &mut Vec<String>) {
    let sensitive = within || value.marks.is_sensitive();
    match &value.kind {
        ValueKind::String(text) if sensitive => {
            for text in text.lines().chain([&**text]).map(str::trim) {
                texts.push(text.to_string());
                texts.push(serde_json::json!(text).to_string().trim_matches('"').to_string());
            }
        }
        ValueKind::Number(number) if sensitive => texts.push(number.to_string()),
        _ => {}
    }
    value.children().for_each(|(_, child)| collect(child, sensitive, texts));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn texts_within_sensitive_values_are_taken_out_and_others_are_not() {
        let account = Value::object(BTreeMap::from([("password".into(), Value::string("hunter2-hunter2"))]));
        let values = Value::object(BTreeMap::from([
            ("name".into(), Value::string("web-1")),
            ("account".into(), account.sensitive()),
            ("key".into(), Value::string("-----BEGIN\nMIIEabcd\n").sensitive()),
            ("switch".into(), Value::string("on").sensitive()),
        ]));
        let redaction = Redaction::of([&values]);
        let message = "web-1 on pve: cipassword: 'hunter2-hunter2' is malformed; key: MIIEabcd";
        let expected = "web-1 on pve: cipassword: '(sensitive value)' is malformed; key: (sensitive value)";
        assert_eq!(redaction.redact(message), expected);
    }

    #[test]
    fn numbers_and_quoted_texts_are_taken_out_too() {
        let values = [Value::number(482_913).sensitive(), Value::string("it\"s\nme").sensitive()];
        let redaction = Redaction::of(&values[..1]).with(&values[1..]);
        let message = r#"pin 482913 of {"key":"it\"s\nme"}"#;
        assert_eq!(redaction.redact(message), r#"pin (sensitive value) of {"key":"(sensitive value)"}"#);
    }

    #[test]
    fn a_text_that_contains_another_is_taken_out_whole() {
        let values = [Value::string("secret").sensitive(), Value::string("secret-of-all").sensitive()];
        assert_eq!(Redaction::of(&values).redact("it was secret-of-all"), "it was (sensitive value)");
    }
}
