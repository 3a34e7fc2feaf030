//! Where a query joins the sources that run already, and what it may have missed of them.

use crate::barrier::Barrier;
use tapline_operators::SourceId;
use tapline_record::{Epoch, EventTime};

/// How far a query has joined the sources that were there before it.
#[derive(Debug)]
pub(crate) struct Joining {
    /// Which layout the query came with.
    since: Epoch,
    /// The sources that have not come to that layout yet.
    unjoined: Vec<SourceId>,
    /// No row that it may have missed is later than this.
    whole_after: EventTime,
}

impl Joining {
    /// That of a query that came with this layout to these sources, and may have missed rows before `whole_after` anyhow.
    pub(crate) const fn new(since: Epoch, whole_after: EventTime, sources: Vec<SourceId>) -> Self {
        Self { since, unjoined: sources, whole_after }
    }

    /// Whether what is said of this layout holds for the query, too.
    pub(crate) fn knows(&self, epoch: Epoch) -> bool {
        self.since <= epoch
    }

    /// Notes where a source came to a layout; the first one that the query knows of counts. Says whether it did.
    pub(crate) fn join(&mut self, barrier: &Barrier) -> bool {
        let position = self.unjoined.iter().position(|source| *source == barrier.source);
        let Some(position) = position.filter(|_| self.knows(barrier.epoch)) else { return false };
        self.unjoined.swap_remove(position);
        self.whole_after = self.whole_after.max(barrier.latest);
        true
    }

    /// Whether all sources have come to its layout.
    pub(crate) const fn has_joined(&self) -> bool {
        self.unjoined.is_empty()
    }

    /// No row that it may have missed is later than this; until all sources have come to its layout, nobody knows.
    pub(crate) const fn whole_after(&self) -> EventTime {
        if self.has_joined() { self.whole_after } else { EventTime::MAX }
    }
}
