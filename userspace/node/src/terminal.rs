//! The terminal on which results are shown, if they are.

use std::io::{IsTerminal as _, stdin, stdout};
use terminal_size::{Width, terminal_size_of};

/// Places of a line of standard output; nothing where that is no terminal, or one that does not say.
pub(crate) fn width() -> Option<usize> {
    let (Width(width), _) = terminal_size_of(stdout())?;
    (width > 0).then_some(usize::from(width))
}

/// Whether somebody can be asked for lines, and sees what is answered.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}
