//! What a history is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

const HOUR_SECONDS: u64 = 3600;

/// What is stored where, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// How long an hour is kept after its end; `None` is for ever.
    pub keep: Option<Duration>,
    /// Octets of all files; beyond, the oldest hours go.
    pub octets_max: Option<u64>,
    /// Which windows results of which age are put together to.
    pub rollup: Vec<RollUp>,
    /// How long a result waits for others to be in a file with.
    pub flush_after: Duration,
    /// Octets of rows that wait for that.
    pub waiting_octets_max: usize,
    /// Whether results may come again that an earlier run stored, as those of an aggregator do.
    pub comes_again: bool,
}

/// Results of an age become those of wider windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollUp {
    /// How long after its end an hour's are.
    pub after: Duration,
    /// The width of the windows; an hour consists of whole ones.
    pub window: Duration,
}

impl RollUp {
    /// Refuses windows that an hour does not consist of: results lie by hours.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn check(self) -> Result<Self, String> {
        let is_part = self.window.as_secs() > 0 && self.window.subsec_nanos() == 0;
        if is_part && HOUR_SECONDS.is_multiple_of(self.window.as_secs()) {
            return Ok(self);
        }
        Err("an hour has to consist of such windows; write 1m, 5m, 15m or 1h".to_owned())
    }
}

impl HistoryOptions {
    /// A history in this folder that is kept for ever.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            keep: None,
            octets_max: None,
            rollup: vec![],
            flush_after: Duration::from_secs(10),
            waiting_octets_max: 64 << 20,
            comes_again: false,
        }
    }
}
