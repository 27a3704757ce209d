//! How a value changes: by lines of a text, by elements of a list or set, by keys of a map or object.

use std::fmt::Write as _;

use pve_model::{Value, ValueKind};
use pve_planner::difference::same;
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};

use super::paint::Paint;
use super::value::{SENSITIVE, printable, render_key, render_value};

/// The change over as many lines as it needs; lines after the first are indented by `indent` spaces. What stays the same
/// inside is counted, not shown.
pub fn render_difference(before: &Value, after: &Value, indent: usize, paint: Paint) -> String {
    if before.marks.is_sensitive() || after.marks.is_sensitive() {
        return format!("{SENSITIVE} -> {SENSITIVE}");
    }
    let renderer = Renderer { indent, paint };
    match (&before.kind, &after.kind) {
        (ValueKind::String(old), ValueKind::String(new)) if is_long(old) || is_long(new) => {
            renderer.lines(old, new)
        }
        (ValueKind::Set(_, old), ValueKind::Set(_, new)) => renderer.members(old, new),
        _ => match (before.elements(), after.elements(), before.entries(), after.entries()) {
            (Some(old), Some(new), ..) => renderer.elements(old, new),
            (_, _, Some(old), Some(new)) => renderer.keys(old, new),
            _ => format!("{} -> {}", render_value(before, indent), render_value(after, indent)),
        },
    }
}

fn is_long(text: &str) -> bool {
    text.trim_end().contains('\n')
}

type Entries = std::collections::BTreeMap<std::sync::Arc<str>, Value>;

struct Renderer {
    indent: usize,
    paint: Paint,
}

impl Renderer {
    fn lines(&self, old: &str, new: &str) -> String {
        let pad = " ".repeat(self.indent + 2);
        let mut text = String::from("<<-EOT\n");
        for change in TextDiff::from_lines(old, new).iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => self.paint.red("-"),
                ChangeTag::Insert => self.paint.green("+"),
                ChangeTag::Equal => " ".into(),
            };
            let _ = writeln!(text, "{pad}{sign} {}", printable(change.value().trim_end_matches('\n')));
        }
        let _ = write!(text, "{}EOT", " ".repeat(self.indent));
        text
    }

    fn members(&self, old: &[Value], new: &[Value]) -> String {
        let is_in = |value: &Value, others: &[Value]| others.iter().any(|other| same(value, other));
        let mut lines = String::new();
        let (kept, gone): (Vec<_>, Vec<_>) = old.iter().partition(|value| is_in(value, new));
        for value in gone {
            self.line(&mut lines, &self.paint.red("-"), &format!("{},", self.value(value)));
        }
        for value in new.iter().filter(|value| !is_in(value, old)) {
            self.line(&mut lines, &self.paint.green("+"), &format!("{},", self.value(value)));
        }
        self.enclosed('[', lines, kept.len(), ']')
    }

    fn elements(&self, old: &[Value], new: &[Value]) -> String {
        // Equal elements have equal numbers: values have no order and no hash.
        let mut known: Vec<&Value> = Vec::new();
        let mut numbered = |value| match known.iter().position(|other| same(value, other)) {
            Some(number) => number,
            None => {
                known.push(value);
                known.len() - 1
            }
        };
        let before: Vec<usize> = old.iter().map(&mut numbered).collect();
        let after: Vec<usize> = new.iter().map(&mut numbered).collect();
        let (mut lines, mut kept) = (String::new(), 0);
        for step in capture_diff_slices(Algorithm::Myers, &before, &after) {
            let (gone, come) = (&old[step.old_range()], &new[step.new_range()]);
            if matches!(step, DiffOp::Equal { .. }) {
                kept += gone.len();
                continue;
            }
            let pairs = gone.len().min(come.len());
            for (a, b) in gone.iter().zip(come) {
                let inner = format!("{},", render_difference(a, b, self.indent + 4, self.paint));
                self.line(&mut lines, &self.paint.yellow("~"), &inner);
            }
            for value in &gone[pairs..] {
                self.line(&mut lines, &self.paint.red("-"), &format!("{},", self.value(value)));
            }
            for value in &come[pairs..] {
                self.line(&mut lines, &self.paint.green("+"), &format!("{},", self.value(value)));
            }
        }
        self.enclosed('[', lines, kept, ']')
    }

    fn keys(&self, old: &Entries, new: &Entries) -> String {
        let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let (mut lines, mut kept) = (String::new(), 0);
        for name in names {
            let key = render_key(name);
            match (old.get(name), new.get(name)) {
                (Some(a), Some(b)) if same(a, b) => kept += 1,
                (Some(a), Some(b)) => {
                    let inner = render_difference(a, b, self.indent + 4, self.paint);
                    self.line(&mut lines, &self.paint.yellow("~"), &format!("{key} = {inner}"));
                }
                (Some(a), None) => {
                    self.line(&mut lines, &self.paint.red("-"), &format!("{key} = {}", self.value(a)));
                }
                (None, Some(b)) => {
                    self.line(&mut lines, &self.paint.green("+"), &format!("{key} = {}", self.value(b)));
                }
                (None, None) => {}
            }
        }
        self.enclosed('{', lines, kept, '}')
    }

    fn value(&self, value: &Value) -> String {
        render_value(value, self.indent + 4)
    }

    fn line(&self, lines: &mut String, sign: &str, text: &str) {
        let _ = writeln!(lines, "{}{sign} {text}", " ".repeat(self.indent + 2));
    }

    fn enclosed(&self, open: char, mut lines: String, kept: usize, close: char) -> String {
        if kept > 0 {
            let note = self.paint.dim(&format!("# ({kept} unchanged)"));
            let _ = writeln!(lines, "{}{note}", " ".repeat(self.indent + 4));
        }
        format!("{open}\n{lines}{}{close}", " ".repeat(self.indent))
    }
}

#[cfg(test)]
mod tests {
    use pve_model::Type;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|text| Value::string(*text)).collect()
    }

    fn shown(before: &Value, after: &Value) -> String {
        render_difference(before, after, 0, Paint::plain())
    }

    #[test]
    fn only_what_changes_inside_is_shown() {
        let list = |elements| Value::list(Type::String, texts(elements));
        assert_eq!(
            shown(&list(&["a", "b", "c"]), &list(&["a", "x", "c", "d"])),
            "[\n  ~ \"b\" -> \"x\",\n  + \"d\",\n    # (2 unchanged)\n]"
        );
        let set = |elements| Value::set(Type::String, texts(elements));
        assert_eq!(
            shown(&set(&["a", "b"]), &set(&["c", "b"])),
            "[\n  - \"a\",\n  + \"c\",\n    # (1 unchanged)\n]"
        );
        let map = |entries: &[(&str, &str)]| {
            let entries = entries.iter().map(|(key, text)| ((*key).into(), Value::string(*text)));
            Value::map(Type::String, entries.collect())
        };
        assert_eq!(
            shown(&map(&[("a", "1"), ("b", "2"), ("c", "3")]), &map(&[("b", "4"), ("c", "3"), ("d", "5")])),
            "{\n  - a = \"1\"\n  ~ b = \"2\" -> \"4\"\n  + d = \"5\"\n    # (1 unchanged)\n}"
        );
    }

    #[test]
    fn secrets_inside_are_not_shown_and_no_text_steers_the_terminal() {
        let object = |value: Value| Value::object([("k".into(), value)].into());
        let (old, new) = (Value::string("hunter2").sensitive(), Value::string("hunter3").sensitive());
        assert!(!shown(&object(old), &object(new)).contains("hunter"));
        let text = shown(&Value::string("a\nb\n"), &Value::string("a\n\u{1b}[2J\n"));
        assert!(text.contains("+ \\u001b[2J") && !text.contains('\u{1b}'), "{text}");
    }
}
