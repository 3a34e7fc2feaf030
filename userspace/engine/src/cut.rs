//! Cuts: what all sources had given by one moment, as far as queries that are forwarded read it.

use crate::coverage::{CoveredSecond, Unread};
use crate::cut_panes::HalfPanes;
use crate::held::Charge;
use crate::lock::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use tapline_operators::{Parts, QueryId, Span};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// What all sources had given by one moment and no cut before had.
#[derive(Clone, Debug)]
pub struct Cut {
    /// From 1, one after the other.
    pub number: u64,
    /// What each source wants to know if another run goes on behind this cut, by its name; of those that have ended since
    /// the cut before, too. Sources that want to know nothing are not among them.
    pub positions: Vec<(String, String)>,
    /// The queries that are forwarded and were there when the cut was begun.
    pub queries: Vec<CutQuery>,
}

/// What came for one query.
#[derive(Clone, Debug)]
pub struct CutQuery {
    /// Which one.
    pub query: QueryId,
    /// No part of a pane that ends here or earlier is in a later cut: so far all workers had come with all streams that the
    /// query reads when the cut was begun.
    pub watermark: EventTime,
    /// Panes that begin before this may lack rows from before the query was there; the beginning of time where none can.
    pub whole_after: EventTime,
    /// By lower half, and in the order of time.
    pub panes: Vec<CutPane>,
}

impl CutQuery {
    /// Lets it come on to `until`, for whoever knows that nothing comes of what it reads; it had come to `passed` in this
    /// way, or nowhere yet. The panes between are passed as those are of which no row came, at first the last one.
    pub fn pass(&mut self, query: &ContinuousQuery, passed: EventTime, until: EventTime) {
        let Some(width) = query.pane_width() else { return };
        let passed = if passed == EventTime::MIN { until.align_down(width).plus(-1) } else { passed };
        for half in 0..query.lowers.len() {
            let mut panes = HalfPanes::new(half, width);
            panes.pass(passed, until);
            self.panes.extend(panes.into_panes());
        }
        self.watermark = until;
    }
}

/// What came of one lower half for one pane since the last cut.
#[derive(Clone, Debug)]
pub struct CutPane {
    /// Which lower half of the query.
    pub half: usize,
    /// When it is.
    pub pane: Span,
    /// Partial states; none where no row reached it.
    pub parts: Parts,
    /// Records that were delivered and that went missing in its seconds, of the streams that the half reads; in any order.
    pub covered: Vec<CoveredSecond>,
    /// Rows that the query did not read while its latest rows were of this pane, and those of the pane itself that there
    /// was no room for until the cut: these are left out, too.
    pub unread: Unread,
}

/// A queue of one cut, between the merger and whoever takes cuts.
#[derive(Debug, Default)]
pub(crate) struct CutQueue(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    is_under_way: bool,
    /// Cuts that were not taken, with what their queries are charged for them: one, and at the end a last one.
    whole: VecDeque<(Cut, Vec<Charge>)>,
}

impl CutQueue {
    /// Begins a cut, unless one is under way or was not taken; says whether it has.
    pub(crate) fn begin(&self) -> bool {
        let mut queue = lock(&self.0);
        let is_free = !queue.is_under_way && queue.whole.is_empty();
        queue.is_under_way |= is_free;
        is_free
    }

    /// Leaves a cut that is whole.
    pub(crate) fn put(&self, cut: Cut, charges: Vec<Charge>) {
        let mut queue = lock(&self.0);
        queue.is_under_way = false;
        queue.whole.push_back((cut, charges));
    }

    /// Takes the earliest cut.
    pub(crate) fn take(&self) -> Option<Cut> {
        let (cut, _charges) = lock(&self.0).whole.pop_front()?;
        Some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    fn cut(number: u64) -> Cut {
        Cut { number, positions: vec![], queries: vec![] }
    }

    #[test]
    fn what_nothing_comes_of_comes_on_pane_by_pane() {
        const SECOND_NS: i64 = 1_000_000_000;
        let at = |seconds: i64| EventTime(seconds * SECOND_NS);
        let query =
            Planner::new().plan("SELECT count(*) FROM packets GROUP BY tumble('10 seconds')").unwrap();
        let passed = |passed, until| {
            let (whole_after, panes) = (EventTime::MIN, vec![]);
            let mut cut = CutQuery { query: QueryId(0), watermark: EventTime::MAX, whole_after, panes };
            cut.pass(&query, passed, until);
            assert_eq!(cut.watermark, until);
            assert!(cut.panes.iter().all(|pane| pane.half == 0 && pane.parts.is_empty()));
            cut.panes.iter().map(|pane| pane.pane.start.0 / SECOND_NS).collect::<Vec<_>>()
        };
        assert_eq!(passed(EventTime::MIN, at(35)), [20], "at first the last one");
        assert_eq!(passed(at(35), at(39)), [0; 0]);
        assert_eq!(passed(at(39), at(61)), [30, 40, 50]);
    }

    #[test]
    fn there_is_one_cut_at_a_time() {
        let queue = CutQueue::default();
        assert!(queue.begin());
        assert!(!queue.begin(), "one is under way");
        assert!(queue.take().is_none());
        queue.put(cut(1), vec![]);
        assert!(!queue.begin(), "it was not taken");
        assert_eq!(queue.take().map(|cut| cut.number), Some(1));
        assert!(queue.begin());
    }
}
