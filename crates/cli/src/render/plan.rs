//! A plan as a Terraform user reads it.

use std::fmt::Write as _;

use pve_model::plan::{Action, ActionReason, Change, OutputChange, Plan, PlanMode};
use pve_model::schema::{Block, Schema};
use pve_model::{ResourceMode, Value};

use super::blocks::{KEYS, elements, has_only_moved, pair_blocks, unchanged_note};
use super::object::heading;
use super::paint::Paint;
use super::value::{SENSITIVE, UNKNOWN, render_key, render_value};
use super::value_change::render_difference;

/// Finds the schema of a resource kind or data source.
pub type FindSchema<'a> = &'a dyn Fn(ResourceMode, &str) -> Option<&'a Schema>;

/// The plan with its summary line.
pub fn render_plan(plan: &Plan, find_schema: FindSchema<'_>, paint: Paint) -> String {
    let mut text = String::new();
    render_drift(plan, find_schema, paint, &mut text);
    render_notes(plan, paint, &mut text);
    let shown: Vec<&Change> = plan.changes.iter().filter(|change| is_shown(change)).collect();
    let outputs = plan.outputs.iter().any(|(_, output)| output.before != output.after);
    if shown.is_empty() && !outputs && plan.mode == PlanMode::RefreshOnly && !plan.drift.is_empty() {
        text.push_str("Applying this records what changed outside; the cluster is left as it is.\n");
        return text;
    }
    if shown.is_empty() && !outputs {
        text.push_str(&paint.green("No changes."));
        text.push_str(match plan.mode {
            PlanMode::Destroy => " There is nothing to destroy.\n",
            PlanMode::RefreshOnly => " The cluster is as it was recorded.\n",
            PlanMode::Normal => " The cluster matches the configuration.\n",
        });
        return text;
    }
    if !shown.is_empty() {
        text.push_str("pve will do the following:\n");
    }
    for change in &shown {
        let schema = find_schema(change.address.resource.mode, &change.address.resource.kind);
        text.push('\n');
        render_change(change, schema.map(|schema| &schema.block), paint, &mut text);
    }
    if !shown.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold(&summary(plan)));
    }
    if outputs {
        text.push_str("\nChanges to outputs:\n");
        for (name, output) in &plan.outputs {
            render_output(name, output, paint, &mut text);
        }
    }
    text
}

/// `Plan: 2 to add, 0 to change, 1 to destroy.`
pub fn summary(plan: &Plan) -> String {
    let count = |wanted: &[Action]| plan.changes.iter().filter(|c| wanted.contains(&c.action)).count();
    let replaced = [Action::DeleteThenCreate, Action::CreateThenDelete];
    let add = count(&[Action::Create]) + count(&replaced);
    let destroy = count(&[Action::Delete]) + count(&replaced);
    let mut text = String::from("Plan: ");
    let imports = plan.changes.iter().filter(|change| change.importing.is_some()).count();
    if imports > 0 {
        let _ = write!(text, "{imports} to import, ");
    }
    let _ = write!(text, "{add} to add, {} to change, {destroy} to destroy", count(&[Action::Update]));
    let forgotten = count(&[Action::Forget]);
    if forgotten > 0 {
        let _ = write!(text, ", {forgotten} to forget");
    }
    text.push('.');
    text
}

fn is_shown(change: &Change) -> bool {
    change.action != Action::NoOp || change.previous_address.is_some() || change.importing.is_some()
}

fn render_drift(plan: &Plan, find_schema: FindSchema<'_>, paint: Paint, text: &mut String) {
    if plan.drift.is_empty() {
        return;
    }
    text.push_str(&paint.prose(&paint.bold("Changed outside of pve since the last apply:")));
    text.push('\n');
    for change in &plan.drift {
        let schema = find_schema(change.address.resource.mode, &change.address.resource.kind);
        text.push('\n');
        let what = if change.after.is_none() { "is gone" } else { "has changed" };
        let deposed = change.deposed.as_ref().map(|name| format!(" (deposed object {name})"));
        let object = format!("{}{}", change.address, deposed.unwrap_or_default());
        let _ = writeln!(text, "{}", paint.prose(&format!("  # {object} {what}")));
        render_body(change, schema.map(|schema| &schema.block), paint, text);
    }
    text.push('\n');
}

fn render_notes(plan: &Plan, paint: Paint, text: &mut String) {
    if plan.notes.is_empty() {
        return;
    }
    let _ = writeln!(text, "{}\n", paint.bold("Worth knowing:"));
    for note in &plan.notes {
        let _ = writeln!(text, "{}", paint.prose(&format!("  # {}: {}", note.address, note.text)));
    }
    text.push('\n');
}

fn sign(action: Action, paint: Paint) -> String {
    match action {
        Action::NoOp => "   ".into(),
        Action::Create => paint.green("  +"),
        Action::Read => paint.cyan(" <="),
        Action::Update => paint.yellow("  ~"),
        Action::DeleteThenCreate => format!("{}/{}", paint.red("-"), paint.green("+")),
        Action::CreateThenDelete => format!("{}/{}", paint.green("+"), paint.red("-")),
        Action::Delete => paint.red("  -"),
        Action::Forget => paint.dim("  ."),
    }
}

fn render_change(change: &Change, block: Option<&Block>, paint: Paint, text: &mut String) {
    let does = match change.action {
        Action::NoOp if change.importing.is_some() => "will be imported",
        Action::NoOp => "has moved",
        Action::Create => "will be created",
        Action::Read => "will be read during apply",
        Action::Update => "will be updated in place",
        Action::DeleteThenCreate | Action::CreateThenDelete => "must be replaced",
        Action::Delete => "will be destroyed",
        Action::Forget => "will be forgotten (it stays in the cluster)",
    };
    let deposed = change.deposed.as_ref().map(|name| format!(" (deposed object {name})")).unwrap_or_default();
    let mut remark = |remark: String| {
        let _ = writeln!(text, "{}", paint.prose(&format!("  # {remark}")));
    };
    remark(format!("{} {does}", paint.bold(&format!("{}{deposed}", change.address))));
    if let Some(previous) = &change.previous_address {
        remark(format!("(moved from {previous})"));
    }
    if let Some(id) = change.importing.as_ref().filter(|_| change.action != Action::NoOp) {
        remark(format!("(imported first, as {id})"));
    }
    if let Some(reason) = change.reason.and_then(reason_text) {
        remark(format!("({reason})"));
    }
    for (path, why) in change.replace_paths.iter().filter(|(_, why)| !why.is_empty()) {
        remark(format!("({path}: {why})"));
    }
    for note in &change.notes {
        remark(format!("({note})"));
    }
    render_body(change, block, paint, text);
}

fn reason_text(reason: ActionReason) -> Option<&'static str> {
    Some(match reason {
        ActionReason::ReplaceBecauseTainted => "it is tainted: marked so, or left half-made",
        ActionReason::ReplaceByRequest => "as asked for with -replace",
        ActionReason::ReplaceByTriggers => "because of replace_triggered_by",
        // What it applies is said in a note.
        ActionReason::ReplaceToApply => return None,
        ActionReason::DeleteBecauseNoResourceConfig => "because it is not in the configuration",
        ActionReason::DeleteBecauseWrongRepetition => "because count or for_each was added or taken away",
        ActionReason::DeleteBecauseCountIndex => "because its index is not below count",
        ActionReason::DeleteBecauseEachKey => "because its key is not in for_each",
        ActionReason::DeleteBecauseNoModule => "because its module is not in the configuration",
        ActionReason::DeleteBecauseEnabledFalse => "because it is not enabled",
        ActionReason::ForgotBecauseLifecycleDestroyInState => "because of `destroy = false`",
        ActionReason::DeleteBecauseNoMoveTarget => "because it was moved to where nothing is configured",
        ActionReason::ReadBecauseConfigUnknown => "its arguments are not all known yet",
        ActionReason::ReadBecauseDependencyPending => "it depends on something that will change",
        ActionReason::ReplaceBecauseCannotUpdate => return None,
    })
}

fn render_body(change: &Change, block: Option<&Block>, paint: Paint, text: &mut String) {
    let _ = writeln!(text, "{} {} {{", sign(change.action, paint), heading(&change.address));
    let body = BodyRenderer { change, paint };
    body.render(block, change.before.as_ref(), change.after.as_ref(), 6, &pve_model::Path::default(), text);
    text.push_str("    }\n");
}

struct BodyRenderer<'a> {
    change: &'a Change,
    paint: Paint,
}

impl BodyRenderer<'_> {
    fn render(
        &self,
        block: Option<&Block>,
        before: Option<&Value>,
        after: Option<&Value>,
        indent: usize,
        path: &pve_model::Path,
        text: &mut String,
    ) {
        let names: std::collections::BTreeSet<&str> = [before, after]
            .into_iter()
            .flatten()
            .filter_map(Value::entries)
            .flat_map(|entries| entries.keys().map(|name| &**name))
            .collect();
        let is_block = |name: &str| block.is_some_and(|block| block.blocks.contains_key(name));
        let part = |value: Option<&Value>, name: &str| value.and_then(|v| v.get(name)).cloned();
        let attributes = names.iter().filter(|name| !is_block(name));
        let attributes = attributes.map(|name| (*name, part(before, name), part(after, name)));
        let (shown, hidden): (Vec<_>, Vec<_>) =
            attributes.partition(|(_, old, new)| is_different(old.as_ref(), new.as_ref()));
        let width = shown.iter().map(|(name, ..)| render_key(name).chars().count()).max().unwrap_or(0);
        for (name, old, new) in shown {
            let here = path.child(pve_model::PathStep::Attribute(name.to_string()));
            self.attribute(name, width, old.as_ref(), new.as_ref(), indent, &here, text);
        }
        let context = match before.is_some() && after.is_some() && !path.0.is_empty() {
            true => telling(&hidden),
            false => Vec::new(),
        };
        for (name, value) in &context {
            let pad = " ".repeat(indent + 2);
            let _ = writeln!(text, "{pad}{} = {}", render_key(name), render_value(value, indent + 2));
        }
        let hidden = hidden.len() - context.len();
        if hidden > 0 && before.is_some() && after.is_some() {
            let pad = " ".repeat(indent);
            let _ = writeln!(text, "{pad}{}", self.paint.dim(&format!("# ({hidden} unchanged)")));
        }
        for name in names.into_iter().filter(|name| is_block(name)) {
            let nested = block.and_then(|block| block.blocks.get(name)).map(|nested| &nested.block);
            let here = path.child(pve_model::PathStep::Attribute(name.to_string()));
            self.blocks(name, nested, part(before, name), part(after, name), indent, &here, text);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; the parts of one line")]
    fn attribute(
        &self,
        name: &str,
        width: usize,
        before: Option<&Value>,
        after: Option<&Value>,
        indent: usize,
        path: &pve_model::Path,
        text: &mut String,
    ) {
        let forces = self.change.replace_paths.iter().any(|(p, _)| p == path);
        let mark = if forces { self.paint.red(" # forces replacement") } else { String::new() };
        let (sign, shown) = match (before, after) {
            (_, Some(after)) if is_absent(before) => (self.paint.green("+"), render_value(after, indent + 2)),
            (Some(before), _) if is_absent(after) => {
                (self.paint.red("-"), format!("{} -> null", render_value(before, indent + 2)))
            }
            (Some(before), Some(after)) => {
                (self.paint.yellow("~"), render_difference(before, after, indent + 2, self.paint))
            }
            (Some(_), None) | (None, _) => return,
        };
        let pad = " ".repeat(indent);
        let _ = writeln!(text, "{pad}{sign} {:<width$} = {shown}{mark}", render_key(name));
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; the parts of one block")]
    fn blocks(
        &self,
        name: &str,
        nested: Option<&Block>,
        before: Option<Value>,
        after: Option<Value>,
        indent: usize,
        path: &pve_model::Path,
        text: &mut String,
    ) {
        let pad = " ".repeat(indent);
        if after.as_ref().is_some_and(|value| !value.is_known()) {
            let sign = if before.is_some() { self.paint.yellow("~") } else { self.paint.green("+") };
            let _ = writeln!(text, "{pad}{sign} {name} {UNKNOWN}");
            return;
        }
        let (old, new) = (elements(before.as_ref()), elements(after.as_ref()));
        let mut unchanged = 0;
        let mut moved = 0;
        let pairs = pair_blocks(nested, &old, &new);
        for (was, is) in &pairs {
            let (old, new) = (was.map(|place| &old[place]), is.map(|place| &new[place]));
            // What forces a replacement is named by its place after the change.
            let place = is.or(*was).unwrap_or_default();
            let here = path.child(pve_model::PathStep::Index(place as u64));
            let sign = match (old, new) {
                (None, _) => self.paint.green("+"),
                (_, None) => self.paint.red("-"),
                (Some(a), Some(b)) if pve_planner::difference::same(a, b) => {
                    unchanged += 1;
                    continue;
                }
                (Some(a), Some(b)) if has_only_moved(nested, a, b) => {
                    unchanged += 1;
                    moved += 1;
                    continue;
                }
                _ => self.paint.yellow("~"),
            };
            let _ = writeln!(text, "{pad}{sign} {name} {{");
            self.render(nested, old, new, indent + 4, &here, text);
            let _ = writeln!(text, "{pad}  }}");
        }
        if unchanged > 0 && self.change.before.is_some() && self.change.after.is_some() {
            let note = unchanged_note(name, unchanged, moved, &pairs);
            let _ = writeln!(text, "{pad}{}", self.paint.dim(&note));
        }
    }
}

/// What tells a block that changes from others of its kind, though it stays as it is.
fn telling<'v>(unchanged: &'v [(&str, Option<Value>, Option<Value>)]) -> Vec<(&'v str, &'v Value)> {
    let part = |wanted: &str| {
        let (name, _, value) = unchanged.iter().find(|(name, ..)| *name == wanted)?;
        let value = value.as_ref().filter(|value| value.as_str().is_some_and(|text| !text.is_empty()))?;
        (!value.marks.is_sensitive()).then_some((*name, value))
    };
    match KEYS.into_iter().find_map(part) {
        Some(key) => vec![key],
        None => ["bridge", "mac_address"].into_iter().filter_map(part).collect(),
    }
}

fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

/// Whether there is something to show of an attribute.
fn is_different(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) if !is_absent(Some(before)) && !is_absent(Some(after)) => {
            !pve_planner::difference::same(before, after)
        }
        _ => is_absent(before) != is_absent(after),
    }
}

fn render_output(name: &str, output: &OutputChange, paint: Paint, text: &mut String) {
    if output.before == output.after {
        return;
    }
    let show = |value: &Value| {
        if output.sensitive { SENSITIVE.to_string() } else { render_value(value, 4) }
    };
    let _ = match (&output.before, &output.after) {
        (None, Some(after)) => writeln!(text, "  {} {name} = {}", paint.green("+"), show(after)),
        (Some(before), None) => writeln!(text, "  {} {name} = {} -> null", paint.red("-"), show(before)),
        (Some(before), Some(after)) => {
            let difference = if output.sensitive {
                format!("{SENSITIVE} -> {SENSITIVE}")
            } else {
                render_difference(before, after, 4, paint)
            };
            writeln!(text, "  {} {name} = {difference}", paint.yellow("~"))
        }
        (None, None) => Ok(()),
    };
}
