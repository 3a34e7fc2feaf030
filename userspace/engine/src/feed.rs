//! What flows from a source to a worker.

use crate::barrier::Barrier;
use crate::coverage::Report;
use tapline_operators::StreamBatch;
use tapline_record::Watermarks;

/// How far a source has come, and how much of it arrived on the way. What is said of records always comes with or
/// before a watermark that has passed them.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) watermarks: Watermarks,
    pub(crate) coverage: Report,
}

/// What a worker is given of a source.
#[derive(Debug)]
pub(crate) enum Feed {
    /// Rows, and how far the source has come with them.
    Batch(StreamBatch, Position),
    /// How far it has come since.
    Advance(Position),
    /// A new layout begins; behind what arrived before it.
    Barrier(Barrier, Report),
    /// Nothing more will come.
    End(Position),
}
