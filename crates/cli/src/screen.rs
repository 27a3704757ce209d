//! Printing that survives a reader who goes away: `pve log | head` ends well, and an apply whose terminal is gone goes
//! on and records what it does. The macros of the standard library, which panic then, are replaced throughout.

use std::fmt::Arguments;
use std::io::Write as _;

/// Writes to standard output. When nobody reads it there is nobody to tell.
pub fn output(text: Arguments<'_>) {
    let _ = std::io::stdout().write_fmt(text);
}

/// Writes to standard error.
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
    ($($argument:tt)*) => { $crate::screen::status(format_args!("{}\n", format_args!($($argument)*))) };
}
