//! Indentation, spaces and columns of lines.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::FormatToken;
use super::spacing::space_between;
use crate::syntax::lexer::TokenKind;

/// One line as up to three cells of tokens.
struct Line {
    lead: Range<usize>,
    /// From the equals sign on, if the value ends on the line.
    assign: Range<usize>,
    /// The comment at the end, if something stands before it.
    comment: Range<usize>,
}

/// Sets the spaces before all tokens.
pub(super) fn lay_out(tokens: &mut [FormatToken<'_>]) {
    let lines = split_lines(tokens);
    indent(tokens, &lines);
    for line in &lines {
        space(tokens, line.lead.clone());
        if !line.assign.is_empty() {
            tokens[line.assign.start].spaces = 1;
            space(tokens, line.assign.clone());
        }
    }
    align(tokens, &lines, |line| line.assign.clone(), |line| line.lead.clone());
    align(tokens, &lines, |line| line.comment.clone(), |line| line.lead.start..line.comment.start);
}

fn split_lines(tokens: &[FormatToken<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (index, token) in tokens.iter().enumerate() {
        if token.ends_line() {
            lines.push(split_cells(tokens, start..index + 1));
            start = index + 1;
        } else if token.kind == TokenKind::End {
            lines.push(split_cells(tokens, start..index));
            break;
        }
    }
    lines
}

fn split_cells(tokens: &[FormatToken<'_>], all: Range<usize>) -> Line {
    let ends_in_comment = all.len() > 1 && tokens[all.end - 1].kind == TokenKind::Comment;
    let comment = if ends_in_comment { all.end - 1..all.end } else { all.end..all.end };
    let cells = all.start..comment.start;
    let equals = cells.clone().skip(1).find(|index| tokens[*index].kind == TokenKind::Equal);
    let assign = match equals {
        Some(equals) if bracket_change(&tokens[equals..cells.end]) == 0 => equals,
        _ => cells.end,
    };
    Line { lead: cells.start..assign, assign: assign..cells.end, comment }
}

fn bracket_change(tokens: &[FormatToken<'_>]) -> isize {
    tokens.iter().map(FormatToken::bracket_change).sum()
}

/// Two spaces for each line that opened more brackets than it closed, until as many are closed again.
fn indent(tokens: &mut [FormatToken<'_>], lines: &[Line]) {
    let mut open: Vec<isize> = Vec::new();
    for line in lines {
        if line.lead.is_empty() {
            continue;
        }
        if tokens[line.lead.start].kind == TokenKind::Newline {
            tokens[line.lead.start].spaces = 0;
            continue;
        }
        let lead = &tokens[line.lead.clone()];
        let heredoc = lead.iter().position(|token| token.kind == TokenKind::OpenHeredoc);
        let lead = &lead[..heredoc.unwrap_or(lead.len())];
        let change = bracket_change(lead) + bracket_change(&tokens[line.assign.clone()]);
        if change < 0 {
            close(&mut open, -change);
        }
        tokens[line.lead.start].spaces = 2 * open.len();
        if change > 0 {
            open.push(change);
        }
    }
}

fn close(open: &mut Vec<isize>, mut count: isize) {
    while count > 0 {
        let Some(last) = open.last_mut() else { return };
        if count < *last {
            *last -= count;
            return;
        }
        count -= *last;
        open.pop();
    }
}

/// Spaces between the tokens of one cell.
fn space(tokens: &mut [FormatToken<'_>], cell: Range<usize>) {
    for index in cell.clone().skip(1) {
        let token = index - 1;
        let before = (token > cell.start).then(|| &tokens[token - 1]);
        let space = space_between(before, &tokens[token], &tokens[index]);
        tokens[index].spaces = usize::from(space);
    }
}

/// Puts the cells of neighbouring lines in one column, one space behind the longest `before` of them.
fn align(
    tokens: &mut [FormatToken<'_>],
    lines: &[Line],
    cell: fn(&Line) -> Range<usize>,
    before: fn(&Line) -> Range<usize>,
) {
    for chain in lines.chunk_by(|one, next| cell(one).is_empty() == cell(next).is_empty()) {
        if chain.first().is_none_or(|line| cell(line).is_empty()) {
            continue;
        }
        let widths: Vec<usize> = chain.iter().map(|line| columns(&tokens[before(line)])).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (line, width) in chain.iter().zip(widths) {
            tokens[cell(line).start].spaces = widest - width + 1;
        }
    }
}

/// The width of tokens with the spaces before them, in characters as seen.
fn columns(tokens: &[FormatToken<'_>]) -> usize {
    let width = |text: &str| {
        // A carriage return and the line feed behind it are one character as seen.
        let bytes_are_characters = text.is_ascii() && !text.contains('\r');
        if bytes_are_characters { text.len() } else { text.graphemes(true).count() }
    };
    tokens.iter().map(|token| token.spaces + width(&token.text)).sum()
}
