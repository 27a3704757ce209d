//! The canonical layout. Expected texts are what `terraform fmt` 1.11 prints.
#![expect(clippy::expect_used, reason = "what fails should end the test")]

use pve_config::syntax::{SourceId, format};

#[track_caller]
fn check(input: &str, expect: &str) {
    let once = format(SourceId(0), input).expect("valid text");
    assert_eq!(once, expect);
    assert_eq!(format(SourceId(0), &once).expect("valid text"), once, "twice");
}

#[test]
fn equals_signs_and_comments_of_neighbouring_lines_align() {
    check(
        "a=1\nlong_name =2 # x\nb = 3#y\n\nc=4\nd = {\ne=5\n}\n",
        "a         = 1\nlong_name = 2 # x\nb         = 3 #y\n\nc = 4\nd = {\n  e = 5\n}\n",
    );
}

#[test]
fn lines_are_indented_by_open_brackets() {
    check(
        "resource a \"b\" {\nx = [\n1,\n      2\n]\n      # c\ny {\nz = f({\na = 1\n})\n}\n}\n",
        "resource \"a\" \"b\" {\n  x = [\n    1,\n    2\n  ]\n  # c\n  y {\n    z = f({\n      a = 1\n    })\n  }\n}\n",
    );
}

#[test]
fn spaces_stand_between_tokens_by_kind() {
    check(
        "a = [ 1,2 , - 3 ]\nb = f ( x , y... )\nc = ! d\ne = x . y [ 0 ]\ng = {a=1,b=2}\nh = {}\ni = 1-2\nj = -1\n",
        "a = [1, 2, -3]\nb = f(x, y...)\nc = !d\ne = x.y[0]\ng = { a = 1, b = 2 }\nh = {}\ni = 1 - 2\nj = -1\n",
    );
    check(
        "a = [for x in[1]:x]\nb = \"x${ y }z\"\nc = x?1:2\n",
        "a = [for x in [1] : x]\nb = \"x${y}z\"\nc = x ? 1 : 2\n",
    );
}

#[test]
fn heredocs_keep_their_text() {
    check("a {\nb = <<-E\n    x  y\n  E\nc=1\n}\n", "a {\n  b = <<-E\n    x  y\n  E\n  c = 1\n}\n");
}

#[test]
fn old_forms_are_rewritten() {
    check("a = \"${b.c}\"\nd = \"${e}${f}\"\n", "a = b.c\nd = \"${e}${f}\"\n");
    check("a = \"${f(\"${b}\")}\"\n", "a = f(\"${b}\")\n");
    check("a = \"${\nb ?\n1 : 2\n}\"\n", "a = (b ?\n1 : 2)\n");
    check("variable v {\ntype = \"list\"\n}\n", "variable \"v\" {\n  type = list(string)\n}\n");
    check("variable \"v\" {\ntype = map\n}\n", "variable \"v\" {\n  type = map(any)\n}\n");
}

#[test]
fn line_ends_and_last_lines_stay() {
    check("a=1\r\nb = 2\r\n", "a = 1\r\nb = 2\r\n");
    check("a=1", "a = 1");
    check("a=1\n\n\n\nb=2\n   \n", "a = 1\n\n\n\nb = 2\n\n");
}

#[test]
fn faulty_texts_are_refused() {
    assert!(format(SourceId(0), "a = \n").is_err());
}
