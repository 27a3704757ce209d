//! Prose in lines that fit on the screen.

/// A narrower screen than this is left to the terminal.
const NARROWEST: usize = 20;

/// How wide lines may be: what `COLUMNS` says, else the size of the terminal. What is no terminal has no width: a line
/// in a file or a pipe is for programs, too.
pub fn terminal_width(is_terminal: bool) -> Option<usize> {
    if !is_terminal {
        return None;
    }
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    told.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
}

/// The text with lines that are too long broken between words and continued under a hanging indent. Words are never
/// broken, nor is what stands in backticks or quotes; lines behind the first that begin with a blank are code and stay.
pub fn wrap(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| *width >= NARROWEST) else { return text.to_string() };
    let lines = text.split('\n').enumerate().map(|(place, line)| {
        if columns(line) <= width || (place > 0 && line.starts_with(' ')) {
            line.to_string()
        } else {
            wrap_line(line, width)
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let blanks = line.len() - line.trim_start_matches(' ').len();
    let comment = if line[blanks..].starts_with("# ") { "# " } else { "" };
    let lead = format!("{}{comment}", " ".repeat(blanks));
    let hang = format!("{lead}  ");
    let mut wrapped = lead.clone();
    let mut column = columns(&lead);
    let mut is_first = true;
    for word in words(&line[lead.len()..]) {
        let needed = columns(word);
        if !is_first && column + 1 + needed > width {
            wrapped.push('\n');
            wrapped.push_str(&hang);
            column = columns(&hang);
        } else if !is_first {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += needed;
        is_first = false;
    }
    wrapped
}

/// Words, and what stands in backticks or double quotes as one of them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        let behind = at + c.len_utf8();
        match c {
            ' ' => {
                words.push(&text[start..at]);
                start = behind;
                at = behind;
            }
            '`' | '"' => at = text[behind..].find(c).map_or(behind, |end| behind + end + 1),
            _ => at = behind,
        }
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// How many columns a text takes; sequences that colour it take none.
fn columns(text: &str) -> usize {
    let mut count = 0;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_under_a_hanging_indent() {
        assert_eq!(wrap("Hint: go to the project folder", Some(20)), "Hint: go to the\n  project folder");
        assert_eq!(wrap("  # (made again for a reason)", Some(20)), "  # (made again for\n  #   a reason)");
        assert_eq!(wrap("one\ntwo three four five six", Some(20)), "one\ntwo three four five\n  six");
    }

    #[test]
    fn code_and_long_words_stay_whole() {
        assert_eq!(
            wrap("Apply it with `pve apply a.plan` now", Some(20)),
            "Apply it with\n  `pve apply a.plan`\n  now"
        );
        assert_eq!(
            wrap("see https://pve1.example.org:8006/api2/json", Some(20)),
            "see\n  https://pve1.example.org:8006/api2/json"
        );
        let code = "As in:\n  resource \"a\" \"b\" { count = 1 }";
        assert_eq!(wrap(code, Some(20)), code);
        assert_eq!(wrap("a lone \" is only a sign", Some(20)), "a lone \" is only a\n  sign");
    }

    #[test]
    fn colours_take_no_room_and_nothing_is_broken_without_a_width() {
        let colourful = "\u{1b}[31mError:\u{1b}[0m it failed here";
        assert_eq!(wrap(colourful, Some(21)), colourful);
        let long = "a word and many more of them in one line";
        assert_eq!(wrap(long, None), long);
        assert_eq!(terminal_width(false), None);
    }
}
