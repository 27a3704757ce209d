//! Templates of paths and ids: texts with the names of attributes in braces. `{a|b}` is the one of them that is set.

use pve_model::{Value, ValueKind};

/// The pieces of a template: what stands before each name, and the name; the last one has none.
fn pieces(template: &str) -> Vec<(&str, Option<&str>)> {
    let mut rest = template;
    let mut pieces = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        pieces.push((before, Some(name)));
        rest = after;
    }
    pieces.push((rest, None));
    pieces
}

/// The names in a template.
pub(crate) fn names(template: &str) -> Vec<&str> {
    pieces(template).into_iter().filter_map(|(_, name)| name).flat_map(|name| name.split('|')).collect()
}

/// The template with the values of its attributes. `None` while one of them is unset or unknown.
pub(crate) fn fill(template: &str, value: &Value) -> Option<String> {
    filled(template, value, |text| text)
}

/// A path with the values of its attributes, escaped, and the parameters behind its `?`. Those that are unset are left
/// out.
pub(crate) fn fill_path(template: &str, value: &Value) -> (String, Vec<(String, String)>) {
    let (path, query) = template.split_once('?').unwrap_or((template, ""));
    let path = filled(path, value, |text| escape(&text)).unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let params = pairs.filter_map(|(name, part)| Some((name.to_string(), fill(part, value)?)));
    (path, params.collect())
}

fn filled(template: &str, value: &Value, change: impl Fn(String) -> String) -> Option<String> {
    let mut text = String::new();
    for (before, name) in pieces(template) {
        text.push_str(before);
        if let Some(name) = name {
            let mut names = name.split('|');
            text.push_str(&change(names.find_map(|name| plain(value.get(name)?))?));
        }
    }
    Some(text)
}

/// A text, number or bool as it is written in a path. An empty text counts as unset.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) if !text.is_empty() => Some(text.to_string()),
        ValueKind::Number(_) => Some(pve_model::codec::to_plain_json(value).to_string()),
        ValueKind::Bool(value) => Some(u8::from(*value).to_string()),
        _ => None,
    }
}

/// What a text says of the attributes of a template. `None` when it is not of that form.
pub(crate) fn parse<'t>(template: &'t str, text: &str) -> Option<Vec<(&'t str, String)>> {
    let pieces = pieces(template);
    let mut rest = text.strip_prefix(pieces.first()?.0)?;
    let mut found = Vec::new();
    for pair in pieces.windows(2) {
        let [(_, Some(name)), (separator, next)] = pair else { return None };
        if name.contains('|') {
            return None;
        }
        let part = match (separator.is_empty(), next) {
            (true, None) => std::mem::take(&mut rest),
            _ => {
                let (part, after) = rest.split_once(separator)?;
                rest = after;
                part
            }
        };
        if part.is_empty() {
            return None;
        }
        found.push((*name, part.to_string()));
    }
    rest.is_empty().then_some(found)
}

/// A segment of a path: everything is escaped that would end it.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            _ if b"-._~:@!$'()*+,;=".contains(&byte) => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn ids_are_taken_apart_as_they_are_put_together() {
        let parts = [("path", Value::string("/vms/1 0")), ("who", Value::string("a@pve!t"))];
        let value =
            Value::object(parts.into_iter().map(|(k, v)| (Arc::from(k), v)).collect::<BTreeMap<_, _>>());
        let id = fill("{path}?{who}", &value).unwrap();
        assert_eq!(id, "/vms/1 0?a@pve!t");
        let found = parse("{path}?{who}", &id).unwrap();
        assert_eq!(found, [("path", "/vms/1 0".to_string()), ("who", "a@pve!t".to_string())]);
        assert_eq!(parse("{node}:{name}", "pve"), None);
        assert_eq!(parse("{node}:{name}", "pve:"), None);
        assert_eq!(parse("cluster", "cluster"), Some(vec![]));
        assert_eq!(
            fill_path("/a/{path}?who={who}&none={absent}", &value),
            ("/a/%2Fvms%2F1%200".into(), vec![("who".into(), "a@pve!t".into())])
        );
    }
}
