//! Where results go.

use crate::notice::Notice;
use arrow_array::RecordBatch;
use std::io;

/// Takes the results of a run's queries, on the thread that started the run. An error ends the run.
pub trait Sink {
    /// Takes rows of the query with this number.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, query: usize, batch: &RecordBatch) -> io::Result<()>;

    /// Takes what somebody should hear of while the run goes on.
    fn notice(&mut self, _notice: &Notice) {}

    /// Called now and then while there are no results: a moment to show the ones before.
    ///
    /// # Errors
    /// When they cannot be shown.
    fn idle(&mut self, progress: Progress) -> io::Result<()>;
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Octets of the files that were read, after decompression where there is one.
    pub octets: u64,
    /// Octets in all, where known.
    pub total_octets: Option<u64>,
    /// Frames that were read.
    pub frames: u64,
}
