//! Printing that survives a reader who goes away: `pve log | head` ends well, and an apply whose terminal is gone goes
//! on and records what it does. The macros of the standard library, which panic then, are replaced throughout.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use crate::render::wrap::{terminal_width, wrap};

/// Why output did not arrive, for instance on a full disk.
static LOST: OnceLock<Error> = OnceLock::new();

/// Writes to standard output. When nobody reads it there is nobody to tell.
pub fn output(text: Arguments<'_>) {
    keep(std::io::stdout().write_fmt(text));
}

/// The first fault of standard output but for a reader who went away: what was asked for is not where it should be.
pub fn lost() -> Option<&'static Error> {
    keep(std::io::stdout().flush());
    LOST.get()
}

fn keep(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// How wide help is: as the terminal, up to what is easily read; 80 columns where it goes elsewhere.
pub fn help_width() -> usize {
    terminal_width(std::io::stdout().is_terminal()).map_or(80, |width| width.min(100))
}

/// Writes a line of prose to standard error, in lines that fit where it is a terminal.
pub fn status_line(text: Arguments<'_>) {
    let width = terminal_width(std::io::stderr().is_terminal());
    status(format_args!("{}\n", wrap(&text.to_string(), width)));
}

/// Writes to standard error as it is.
pub fn status(text: Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

macro_rules! print {
    ($($argument:tt)*) => { $crate::screen::output(format_args!($($argument)*)) };
}

macro_rules! println {
    () => { $crate::screen::output(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::screen::output(format_args!("{}\n", format_args!($($argument)*))) };
}

macro_rules! eprint {
    ($($argument:tt)*) => { $crate::screen::status(format_args!($($argument)*)) };
}

macro_rules! eprintln {
    () => { $crate::screen::status(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::screen::status_line(format_args!($($argument)*)) };
}
