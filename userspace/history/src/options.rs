//! What a history is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is stored where, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// How long an hour is kept after its end; `None` is for ever.
    pub keep: Option<Duration>,
    /// Octets of all files; beyond, the oldest hours go.
    pub octets_max: Option<u64>,
    /// How long a result waits for others to be in a file with.
    pub flush_after: Duration,
    /// Octets of rows that wait for that.
    pub waiting_octets_max: usize,
}

impl HistoryOptions {
    /// A history in this folder that is kept for ever.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            keep: None,
            octets_max: None,
            flush_after: Duration::from_secs(10),
            waiting_octets_max: 64 << 20,
        }
    }
}
