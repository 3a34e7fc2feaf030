//! Where a query joins a source.

use tapline_operators::SourceId;
use tapline_record::{Epoch, EventTime, Watermarks};

/// Goes through the rings behind the last batch of one layout and before the first one of the next: queries that were
/// added with it see everything behind, and nothing before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier {
    pub(crate) source: SourceId,
    /// The layout that begins.
    pub(crate) epoch: Epoch,
    /// No row before is later than this.
    pub(crate) latest: EventTime,
    /// The number of the batch that comes next.
    pub(crate) sequence: u64,
    /// Whether the source waits for room, so that nothing of it need be dropped behind it.
    pub(crate) waits: bool,
    /// Whether it reads on when results of it were taken, so that none of them need be lost.
    pub(crate) stays: bool,
    /// How far the source has come: of streams that it carries from here on, nowhere.
    pub(crate) watermarks: Watermarks,
}

impl Barrier {
    /// The one behind everything: the source has ended, so that every query has joined it.
    pub(crate) const LAST: Epoch = Epoch(u64::MAX);
}
