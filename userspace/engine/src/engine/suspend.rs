//! An engine that is suspended, and one that goes on with what it held.

use super::{Engine, Report, order};
use crate::coverage::CoveredSecond;
use crate::error::EngineError;
use crate::lock::lock;
use crate::merger::MergerOrder;
use crate::suspended::{Beginning, LateRows, Suspended};
use std::sync::Arc;
use tapline_operators::Windows;
use tapline_query::ContinuousQuery;

impl Engine {
    /// Tells how much arrived of seconds before anything is read, or what went missing in some that nobody looked at.
    pub fn cover(&mut self, seconds: Vec<CoveredSecond>) {
        order(&mut self.merger, MergerOrder::Cover(seconds));
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

    /// The windows of a query that begins somewhere, and what came too late for it before.
    pub(super) fn begin(
        &self,
        query: &ContinuousQuery,
        from: Beginning,
    ) -> Result<(Windows, LateRows), EngineError> {
        let windows =
            Windows::new(query, self.workers.len(), self.limits()).with_waiting(self.options.waiting);
        let mut windows = windows.holding(self.options.held);
        let mut late = vec![];
        if let Beginning::With(held) = from {
            windows.resume(held.windows).map_err(|error| EngineError::Query(error.to_string()))?;
            late = held.late;
        }
        Ok((windows, late))
    }
}
