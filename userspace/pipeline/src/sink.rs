//! Where results go.

use std::io;
use tapline_operators::WindowResult;
use tapline_sources::{Notice, Progress};

/// Takes the results of a run's queries, on the thread that started the run. An error ends the run.
pub trait Sink {
    /// Takes what a query answers; queries are numbered from 0 in the order in which they were given.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, result: &WindowResult) -> io::Result<()>;

    /// Takes what somebody should hear of while the run goes on.
    fn notice(&mut self, _notice: &Notice) {}

    /// Called now and then while there are no results: a moment to show the ones before.
    ///
    /// # Errors
    /// When they cannot be shown.
    fn idle(&mut self, progress: Progress) -> io::Result<()>;
}
