//! What expressions mean.
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use pve_config::convert::{Defaults, TypeConstraint, convert, unify};
use pve_config::evaluate::{Resolved, Scope, ScopeError, evaluate};
use pve_config::functions::{Context, names};
use pve_config::syntax::{Diagnostic, SourceId, parse_expression};
use pve_model::types::AttributeType;
use pve_model::{Type, Value, ValueKind};

struct Names(Context);

impl Names {
    fn new() -> Names {
        Names(Context::new(".", jiff::Timestamp::UNIX_EPOCH))
    }
}

impl Scope for Names {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        let value = match (root, steps.first().copied()) {
            ("var", Some("secret")) => Value::string("hunter2").sensitive(),
            ("var", Some("later")) => Value::unknown(Type::String),
            ("var", Some("list")) => Value::list(Type::String, vec![Value::string("a"), Value::string("b")]),
            ("var", Some("vm")) => Value::object(
                [("cores".into(), Value::number(4)), ("name".into(), Value::string("web"))].into(),
            ),
            _ => {
                let detail = "It is not declared.".into();
                return Err(ScopeError { summary: "There is no such name".into(), detail, hint: None });
            }
        };
        Ok(Resolved { value, consumed: 1 })
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}

fn value(text: &str) -> Value {
    result(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

fn result(text: &str) -> Result<Value, Vec<Diagnostic>> {
    let parsed = parse_expression(SourceId(0), text);
    assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
    evaluate(&parsed.value.unwrap(), &Names::new())
}

fn fault(text: &str) -> Diagnostic {
    result(text).unwrap_err().remove(0)
}

/// Both expressions have the same value.
#[track_caller]
fn same(text: &str, expected: &str) {
    assert_eq!(value(text), value(expected), "{text}");
}

#[test]
fn operators_bind_and_calculate_as_in_arithmetic() {
    same("1 + 2 * 3", "7");
    same("7 / 2", "3.5");
    same("-5 % 3", "-2");
    same("10 - 0.9", "9.1");
    same("1 == \"1\"", "false");
}

#[test]
fn sensitive_values_mark_what_is_made_of_them() {
    for text in ["\"x${var.secret}\"", "upper(var.secret)", "var.secret == \"x\"", "true ? 1 : var.secret"] {
        assert!(value(text).marks.is_sensitive(), "{text}");
    }
    assert!(!value("[var.secret]").marks.is_sensitive());
    assert!(!value("length([var.secret])").marks.is_sensitive());
}

#[test]
fn unknown_values_keep_what_is_known_of_them() {
    let ValueKind::Unknown(Type::String, Some(known)) = value("\"vm-${var.later}\"").kind else { panic!() };
    assert_eq!(known.prefix.as_deref(), Some("vm-"));
    same("startswith(\"vm-${var.later}\", \"vm\")", "true");
    same("\"vm-${var.later}\" == null", "false");
    same("false && var.later == \"x\"", "false");
    assert_eq!(value("var.later == \"x\"").ty(), Type::Bool);
}

#[test]
fn conditionals_have_one_type() {
    same("true ? 1 : \"a\"", "\"1\"");
    same("true ? null : 1", "tonumber(null)");
    assert!(fault("true ? [1] : {}").summary.contains("different types"));
}

#[test]
fn for_makes_tuples_and_objects() {
    same("[for i, v in var.list : \"${i}${v}\" if v != \"a\"]", "[\"1b\"]");
    same("{for v in [\"a\", \"b\", \"a\"] : v => 1...}", "{a = [1, 1], b = [1]}");
    assert!(fault("{for v in [1, 1] : v => v}").summary.contains("twice"));
}

#[test]
fn splats_take_lists_single_values_and_null() {
    same("[{a = 1}, {a = 2}][*].a", "[1, 2]");
    same("var.vm[*].name", "[\"web\"]");
    same("null[*]", "[]");
}

#[test]
fn errors_point_at_the_fault_and_show_values() {
    let found = fault("1 + var.vm.name");
    assert_eq!(found.span.map(|span| (span.start, span.end)), Some((4, 15)));
    assert!(found.detail.contains("var.vm.name is \"web\""), "{}", found.detail);
    let found = fault("1 + var.secret");
    assert!(!found.detail.contains("hunter2"), "{}", found.detail);
    assert!(fault("var.vm.core").hint.unwrap().contains("cores"));
    assert!(fault("uper(\"a\")").hint.unwrap().contains("upper"));
}

#[test]
fn functions_calculate() {
    same("merge({a = 1}, {b = 2})", "{a = 1, b = 2}");
    same("lookup({a = 1}, \"b\", 2)", "2");
    same("flatten([[1], [[2]]])", "[1, 2]");
    same("cidrhost(\"10.0.0.0/24\", 5)", "\"10.0.0.5\"");
    same("cidrhost(\"10.0.0.0/24\", -1)", "\"10.0.0.255\"");
    same("cidrsubnet(\"10.0.0.0/16\", 8, 3)", "\"10.0.3.0/24\"");
    same("cidrsubnets(\"10.0.0.0/16\", 8, 4)", "tolist([\"10.0.0.0/24\", \"10.0.16.0/20\"])");
    same("format(\"%03d|%-4s|%.1f\", 7, \"a\", 2.25)", "\"007|a   |2.2\"");
    same("regex(\"(\\\\d+)-(\\\\w)\", \"12-a\")", "[\"12\", \"a\"]");
    same("replace(\"a1b2\", \"/[0-9]/\", \"-\")", "\"a-b-\"");
    same("formatdate(\"YYYY-MM-DD'T'hh\", timeadd(\"2026-01-31T23:30:00Z\", \"1h\"))", "\"2026-02-01T00\"");
    same(
        "yamldecode(yamlencode({a = [1, {b = \"x\"}], c = \"l1\\nl2\\n\"}))",
        "{a = [1, {b = \"x\"}], c = \"l1\\nl2\\n\"}",
    );
    same("jsondecode(jsonencode([1, null, \"<é>\"]))", "[1, null, \"<é>\"]");
    same("base64gunzip(base64gzip(\"text\"))", "\"text\"");
    same("sha256(\"\")", "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"");
    same("try(tonumber(\"x\"), 1)", "1");
    same("can(tonumber(\"x\"))", "false");
    same("templatestring(\"%%{for n in names}$${n}-%%{endfor}\", {names = [\"a\", \"b\"]})", "\"a-b-\"");
    same("plantimestamp()", "\"1970-01-01T00:00:00Z\"");
}

#[test]
fn functions_that_differ_at_each_call_are_unknown_in_a_plan() {
    for text in ["uuid()", "timestamp()", "bcrypt(\"x\")"] {
        assert!(!value(text).is_known(), "{text}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let found = fault("cidrhost(\"10.0.0.0\", 1)");
    assert_eq!(found.span.map(|span| (span.start, span.end)), Some((9, 19)));
    assert!(fault("upper()").detail.contains("str"));
    assert!(fault("upper(null)").detail.contains("null"));
}

#[test]
fn every_function_takes_unknown_arguments_without_panic() {
    for name in names() {
        for count in 0..4 {
            let arguments = vec!["var.later"; count].join(", ");
            let _ = result(&format!("{name}({arguments})"));
            let arguments = vec!["[]"; count].join(", ");
            let _ = result(&format!("{name}({arguments})"));
            let arguments = vec!["\"\""; count].join(", ");
            let _ = result(&format!("{name}({arguments})"));
            let arguments = vec!["-1"; count].join(", ");
            let _ = result(&format!("{name}({arguments})"));
        }
    }
}

#[test]
fn conversion_goes_into_parts() {
    let target = Type::object([("ports", Type::list(Type::Number))]);
    let given = value("{ports = [\"80\", 443], other = 1}");
    assert_eq!(convert(&given, &target).unwrap(), value("{ports = tolist([80, 443])}"));
    let error = convert(&value("{ports = [\"x\"]}"), &target).unwrap_err();
    assert_eq!(error.path, ".ports[0]");
}

#[test]
fn any_is_what_the_parts_have_in_common() {
    let converted = convert(&value("[1, \"a\", null]"), &Type::list(Type::Dynamic)).unwrap();
    assert_eq!(converted.ty(), Type::list(Type::String));
    assert!(convert(&value("[1, [2]]"), &Type::list(Type::Dynamic)).is_err());
    assert_eq!(unify(&[Type::Number, Type::Bool]), None);
}

#[test]
fn defaults_fill_what_is_left_out() {
    let attribute = |ty, optional| AttributeType { ty, optional };
    let disk = Type::Object(std::sync::Arc::new(
        [("name".into(), attribute(Type::String, false)), ("size".into(), attribute(Type::Number, true))]
            .into(),
    ));
    let inner = Defaults { values: [("size".into(), Value::number(8))].into(), ..Defaults::default() };
    let constraint = TypeConstraint {
        ty: Type::list(disk),
        defaults: Defaults { children: [("".into(), inner)].into(), ..Defaults::default() },
    };
    let disks = constraint.apply(&value("[{name = \"a\"}, {name = \"b\", size = 1}]")).unwrap();
    assert_eq!(disks, value("tolist([{name = \"a\", size = 8}, {name = \"b\", size = 1}])"));
}
