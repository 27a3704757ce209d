//! The dedenting of `<<-` heredocs.

use std::borrow::Cow;

use super::template::Piece;

/// Takes the smallest indentation of all lines off each line. Lines of nothing but spaces do not count and
/// stay as they are; a line that starts with a sequence has no indentation.
///
/// A line is what follows a text piece that ends in a line break after `~` trimming, so a line behind a
/// trimmed one is not dedented (hclsyntax behaves so, and configurations rely on its output).
pub(super) fn dedent(pieces: &mut [Piece<'_>]) {
    let mut smallest = usize::MAX;
    let mut indented = Vec::new();
    let mut line_start = true;
    for (index, piece) in pieces.iter().enumerate() {
        let text = match piece {
            Piece::Text(text, _) => Some(text),
            _ => None,
        };
        if line_start {
            match text {
                Some(text) if text.ends_with('\n') && text.trim_start().is_empty() => {}
                Some(text) => {
                    smallest =
                        smallest.min(text.chars().take_while(|character| character.is_whitespace()).count());
                    indented.push(index);
                }
                None => smallest = 0,
            }
        }
        line_start = text.is_some_and(|text| text.ends_with('\n'));
    }
    for index in indented {
        if let Piece::Text(text, span) = &mut pieces[index] {
            let length: usize = text.chars().take(smallest).map(char::len_utf8).sum();
            span.start += length as u32;
            match text {
                Cow::Borrowed(text) => *text = &text[length..],
                Cow::Owned(text) => _ = text.drain(..length),
            }
        }
    }
}
