//! Emphasis in terminals.
//!
//! Takes text, gives it back with or without escape sequences: without where the output is no terminal or the
//! environment says `NO_COLOR`.

use std::io::{self, IsTerminal};

/// A heading on standard output.
pub fn heading(text: &str) -> String {
    paint("1", text, io::stdout().is_terminal())
}

/// A literal piece of input, such as SQL or a command, on standard output.
pub fn literal(text: &str) -> String {
    paint("36", text, io::stdout().is_terminal())
}

/// What is about to be done, on standard error.
pub fn step(text: &str) -> String {
    paint("1", text, io::stderr().is_terminal())
}

/// The word before a failure, on standard error.
pub fn error(text: &str) -> String {
    paint("1;31", text, io::stderr().is_terminal())
}

/// The word before something that may matter, on standard error.
pub fn warning(text: &str) -> String {
    paint("1;33", text, io::stderr().is_terminal())
}

fn paint(code: &str, text: &str, is_terminal: bool) -> String {
    let plain = !is_terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}
