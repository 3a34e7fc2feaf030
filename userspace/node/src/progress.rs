//! The progress bar, when standard error is a terminal.

use std::io::IsTerminal as _;
use tapline_sources::Progress;

/// Shows how far a run has come.
pub(crate) struct ProgressBar {
    bar: Option<indicatif::ProgressBar>,
}

impl ProgressBar {
    /// A bar, if it is wanted and somebody would see it.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let visible = is_wanted && std::io::stderr().is_terminal();
        Self { bar: visible.then(|| indicatif::ProgressBar::new(0)) }
    }

    pub(crate) fn show(&mut self, now: Progress) {
        let Some(bar) = &self.bar else { return };
        if let Some(total) = now.total_octets {
            bar.set_length(total);
        }
        bar.set_position(now.octets);
    }

    /// Lets something be said, with the bar out of the way.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
