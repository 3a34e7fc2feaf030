//! Where a node tells what happens: sentences on standard error, with levels where the journal reads it.

use crate::message::say;
use crate::summary;
use tapline_catalog::{Level, Tell};
use tapline_sources::Notice;

/// Sentences on standard error.
#[derive(Debug)]
pub(crate) struct NodeLog {
    allowed_lateness_ms: u32,
    /// The journal takes the level as a number before the line.
    is_journal: bool,
}

impl NodeLog {
    pub(crate) fn new(allowed_lateness_ms: u32) -> Self {
        Self { allowed_lateness_ms, is_journal: std::env::var_os("JOURNAL_STREAM").is_some() }
    }
}

impl Tell for NodeLog {
    fn say(&self, level: Level, what: &str) {
        let (number, name) = match level {
            Level::Info => (6, ""),
            Level::Warning => (4, "warning: "),
            Level::Error => (3, "error: "),
        };
        if self.is_journal { say!("<{number}>{what}") } else { say!("{name}{what}") }
    }

    fn notice(&self, notice: &Notice) {
        self.say(Level::Warning, &summary::notice(notice, self.allowed_lateness_ms));
    }
}
