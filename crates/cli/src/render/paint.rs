//! Colours, which only repeat what signs and words already say, and the width of the screen they are for.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use super::wrap::{terminal_width, wrap};

/// Whether and how to colour, and how wide lines of prose may be.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    enabled: bool,
    width: Option<usize>,
}

impl Paint {
    /// Colours if `stream` is a terminal and neither `NO_COLOR` nor `-no-color` says otherwise.
    pub fn for_stream(stream: &impl IsTerminal, disabled: bool) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint {
            enabled: !disabled && !refused && stream.is_terminal(),
            width: terminal_width(stream.is_terminal()),
        }
    }

    /// No colours.
    pub fn plain() -> Paint {
        Paint { enabled: false, width: None }
    }

    /// Whether colours are on.
    pub fn is_enabled(self) -> bool {
        self.enabled
    }

    /// The width of the terminal, if it is one.
    pub fn width(self) -> Option<usize> {
        self.width
    }

    /// Prose in lines that fit.
    pub fn prose(self, text: &str) -> String {
        wrap(text, self.width)
    }

    /// The same behind something at the start of the line, with the lines that follow under the prose.
    pub fn prose_behind(self, lead: &str, text: &str) -> String {
        let taken = lead.chars().count();
        match self.width {
            None => format!("{lead}{text}"),
            Some(width) => {
                let wrapped = wrap(text, Some(width.saturating_sub(taken)));
                format!("{lead}{}", wrapped.replace('\n', &format!("\n{}", " ".repeat(taken))))
            }
        }
    }

    fn style(self, style: Style, text: &str) -> String {
        if self.enabled { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.style(Style::new().bold(), text)
    }

    /// Less important text.
    pub fn dim(self, text: &str) -> String {
        self.style(Style::new().dimmed(), text)
    }

    /// What is made, and success.
    pub fn green(self, text: &str) -> String {
        self.style(AnsiColor::Green.on_default(), text)
    }

    /// What is changed, and warnings.
    pub fn yellow(self, text: &str) -> String {
        self.style(AnsiColor::Yellow.on_default(), text)
    }

    /// What is destroyed, and errors.
    pub fn red(self, text: &str) -> String {
        self.style(AnsiColor::Red.on_default(), text)
    }

    /// What is read.
    pub fn cyan(self, text: &str) -> String {
        self.style(AnsiColor::Cyan.on_default(), text)
    }
}
