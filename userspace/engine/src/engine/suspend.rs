//! An engine that is suspended, and one that goes on with what it held.

use super::{Engine, Report, order};
use crate::coverage::CoveredSecond;
use crate::error::EngineError;
use crate::lock::lock;
use crate::merger::MergerOrder;
use crate::options::QueryLimits;
use crate::suspended::{Beginning, Held, Suspended, UnreadRows};
use std::sync::Arc;
use tapline_operators::{Closed, Windows};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

impl Engine {
    /// Tells how much arrived of seconds before anything is read, as an earlier run knew it.
    pub fn cover(&mut self, seconds: Vec<CoveredSecond>) {
        order(&mut self.merger, MergerOrder::Cover(seconds));
        self.merger_parker.unpark();
    }

    /// Tells what went missing in seconds that nobody looked at; the next cut has it, too.
    pub fn miss(&mut self, seconds: Vec<CoveredSecond>) {
        order(&mut self.merger, MergerOrder::Miss(seconds));
        self.merger_parker.unpark();
    }

    /// Ends the input before its time, and waits as [`Self::join`] does; open windows of time are not given, but taken
    /// out, so that another engine can go on with them.
    ///
    /// # Errors
    /// When a thread died.
    pub fn suspend(self) -> Result<(Report, Suspended), EngineError> {
        self.flags.suspend();
        self.flags.end_input();
        let states =
            self.queries.iter().map(|(id, query)| (*id, Arc::clone(&query.state))).collect::<Vec<_>>();
        let covered = Arc::clone(&self.covered);
        let report = self.join()?;
        let queries = states.iter().filter_map(|(id, state)| Some((*id, state.take_suspended()?)));
        Ok((report, Suspended { queries: queries.collect(), covered: std::mem::take(&mut *lock(&covered)) }))
    }

    /// What a query begins with.
    pub(super) fn begin(&self, query: &ContinuousQuery, limits: &QueryLimits, from: Beginning) -> Begun {
        let anew = || {
            let windows = Windows::new(query, self.workers.len(), self.operator_limits(limits));
            windows.with_waiting(self.options.waiting).holding(limits.held)
        };
        let whole_after = from.whole_after();
        let mut begun = Begun { whole_after, windows: anew(), unread: vec![], closed: vec![] };
        if let Beginning::With(Held { windows, unread }) = from {
            begun.unread = unread;
            if begun.windows.resume(windows, &mut begun.closed).is_err() {
                // Nobody can go on with it: what was there before now is lost.
                let whole_after = whole_after.max(self.clock.now());
                return Begun { whole_after, windows: anew(), unread: vec![], closed: vec![] };
            }
        }
        begun
    }
}

/// What a query begins with.
pub(super) struct Begun {
    /// No row that it may have missed is later than this.
    pub(super) whole_after: EventTime,
    pub(super) windows: Windows,
    pub(super) unread: UnreadRows,
    /// Windows that there was no room for.
    pub(super) closed: Vec<Closed>,
}
