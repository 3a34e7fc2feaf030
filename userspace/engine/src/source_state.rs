//! What everybody knows of a source: how far it was read, and whether it is to end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tapline_sources::Progress;

/// A source as the threads share it.
#[derive(Debug, Default)]
pub(crate) struct SourceState {
    leaves: AtomicBool,
    octets: AtomicU64,
    frames: AtomicU64,
    total_octets: Option<u64>,
    rows_dropped: AtomicU64,
    has_ended: AtomicBool,
}

impl SourceState {
    pub(crate) fn new(total_octets: Option<u64>) -> Self {
        Self { total_octets, ..Self::default() }
    }

    /// Asks it to end: what was read so far is all of it.
    pub(crate) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    /// Tells how far it was read, and the rows that workers had no room for.
    pub(crate) fn tell(&self, progress: Progress, rows_dropped: u64) {
        self.octets.store(progress.octets, Ordering::Relaxed);
        self.frames.store(progress.frames, Ordering::Relaxed);
        self.rows_dropped.store(rows_dropped, Ordering::Relaxed);
    }

    /// Tells that it has ended, whatever the reason.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            octets: self.octets.load(Ordering::Relaxed),
            total_octets: self.total_octets,
            frames: self.frames.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn rows_dropped(&self) -> u64 {
        self.rows_dropped.load(Ordering::Relaxed)
    }
}
