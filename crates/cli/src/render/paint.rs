//! Colours, which only repeat what signs and words already say.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// Whether and how to colour.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    enabled: bool,
}

impl Paint {
    /// Colours if `stream` is a terminal and neither `NO_COLOR` nor `-no-color` says otherwise.
    pub fn for_stream(stream: &impl IsTerminal, disabled: bool) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { enabled: !disabled && !refused && stream.is_terminal() }
    }

    /// No colours.
    pub fn plain() -> Paint {
        Paint { enabled: false }
    }

    /// Whether colours are on.
    pub fn is_enabled(self) -> bool {
        self.enabled
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
