//! One query on the merger whose lower halves go out in cuts.
//!
//! Collects what workers give of its panes, apart what came before the cut that is under way and what came behind it, so
//! that nothing waits for a cut. What is held is charged to the query; where that is more than it may hold, the earliest
//! panes are left out, and say how many rows they lack. So does a pane of rows without an aggregate, of more than it may
//! send, cut by cut together.

use crate::barrier::Barrier;
use crate::coverage::{CoveredSecond, Unread};
use crate::cut::CutQuery;
use crate::cut_panes::HalfPanes;
use crate::held::Charge;
use crate::joining::Joining;
use crate::query_state::{EndReason, QueryState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tapline_operators::{Beyond, LowerOutput, OperatorLimits, PaneCollector, QueryId, RowQuota, WorkerId};
use tapline_query::{ContinuousQuery, LowerHalf};
use tapline_record::{Epoch, EventTime, Reach, StreamId};

const SECOND_NS: i64 = 1_000_000_000;

/// Moments of which it is remembered between two cuts how many rows were not read; earlier ones are told of later ones.
const UNREAD_MAX: usize = 1 << 16;

/// On which side of the cut that is under way something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is in the cut, or in the next one while none is under way.
    Before,
    /// It is in the one after it.
    Behind,
}

/// A query that is forwarded.
pub(crate) struct ForwardedQuery {
    pub(crate) state: Arc<QueryState>,
    /// Workers that it has left.
    pub(crate) left: usize,
    joining: Joining,
    /// The streams that each lower half reads, and all of them.
    halves: Vec<Vec<StreamId>>,
    streams: Vec<StreamId>,
    /// Width of its panes, and of the intervals after each of which nothing is taken for it any more.
    width: i64,
    closing: i64,
    /// How far each worker has come with its streams.
    reached: Vec<EventTime>,
    before: Came,
    behind: Came,
    /// How many rows may still be sent of each pane.
    quota: RowQuota,
    /// The watermark of the last cut.
    passed: EventTime,
    rows_dropped: u64,
    charge: Charge,
}

/// What came of its panes.
struct Came {
    panes: PaneCollector,
    /// Rows that were not read, of each lower half, by the moment of the latest rows then.
    unread: BTreeMap<EventTime, Vec<Unread>>,
}

impl Came {
    /// The rows that were not read at this moment, of each of so many halves.
    fn unread_at(&mut self, time: EventTime, halves: usize) -> &mut Vec<Unread> {
        while self.unread.len() > UNREAD_MAX
            && let Some((_, earliest)) = self.unread.pop_first()
            && let Some(mut next) = self.unread.first_entry()
        {
            next.get_mut().iter_mut().zip(earliest).for_each(|(known, rows)| known.add(rows));
        }
        self.unread.entry(time).or_insert_with(|| vec![Unread::default(); halves])
    }
}

impl ForwardedQuery {
    /// A query with windows of time, for so many workers.
    pub(crate) fn new(
        query: &ContinuousQuery,
        state: Arc<QueryState>,
        joining: Joining,
        workers: usize,
        limits: OperatorLimits,
    ) -> Self {
        let came = || Came { panes: PaneCollector::new(query, limits), unread: BTreeMap::new() };
        let streams = |half: &LowerHalf| half.streams().collect::<Vec<_>>();
        let halves: Vec<Vec<StreamId>> = query.lowers.iter().map(streams).collect();
        let reads = |stream: &StreamId| halves.iter().flatten().any(|of| of == stream);
        let closing = query.closing_width().unwrap_or(i64::MAX);
        let mut forwarded = Self {
            left: 0,
            joining,
            streams: StreamId::ALL.into_iter().filter(reads).collect(),
            halves,
            width: query.pane_width().unwrap_or(closing),
            closing,
            reached: vec![EventTime::MIN; workers],
            before: came(),
            behind: came(),
            quota: RowQuota::new(state.limits().sent_rows()),
            passed: EventTime::MIN,
            rows_dropped: 0,
            charge: state.charge(),
            state,
        };
        forwarded.tell_joined();
        forwarded
    }

    /// Panes that end behind this are in its first cut though nothing comes for them: another one gave those before.
    pub(crate) fn behind(self, given_until: EventTime) -> Self {
        Self { passed: given_until, ..self }
    }

    fn tell_joined(&mut self) {
        if self.joining.has_joined() {
            self.state.join();
        }
    }

    /// Notes where a source came to a new layout.
    pub(crate) fn join(&mut self, barrier: &Barrier) {
        if self.joining.join(barrier) {
            self.tell_joined();
        }
    }

    /// Notes how far a worker has come.
    pub(crate) fn advance(&mut self, worker: WorkerId, reach: &Reach, epoch: Epoch) {
        if self.joining.knows(epoch)
            && let Some(known) = self.reached.get_mut(worker.0 as usize)
        {
            let (watermark, _) = reach.least_of(self.streams.iter().copied());
            *known = watermark.max(*known);
            self.state.tell_watermark(self.watermark());
        }
    }

    /// No part comes any more of a pane that ends here or earlier.
    pub(crate) fn watermark(&self) -> EventTime {
        let reached = self.reached.iter().copied().min().unwrap_or(EventTime::MIN);
        // Where windows are given early, panes are narrower than what closes.
        let is_precise = self.closing == self.width || reached == EventTime::MAX;
        if is_precise { reached } else { reached.align_down(self.closing) }
    }

    /// The streams that it reads.
    pub(crate) fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    fn side(&mut self, side: Side) -> &mut Came {
        match side {
            Side::Before => &mut self.before,
            Side::Behind => &mut self.behind,
        }
    }

    /// Octets of what it holds.
    pub(crate) fn octets_held(&self) -> usize {
        self.before.panes.octets_held() + self.behind.panes.octets_held()
    }

    /// Collects an output of a worker.
    pub(crate) fn accept(&mut self, output: LowerOutput, charge: Charge, side: Side) {
        let begun = Instant::now();
        let came = match side {
            Side::Before => &mut self.before,
            Side::Behind => &mut self.behind,
        };
        match came.panes.accept(output, &mut self.quota) {
            Ok(None) => {}
            Ok(Some(beyond)) => {
                self.leave_out(side, beyond);
                self.state.drop_beyond(beyond.rows);
            }
            Err(error) => self.state.end(EndReason::failed(&error)),
        }
        self.state.note_window_work(begun.elapsed());
        self.charge.take_over(charge);
        while self.is_too_much() && self.drop_earliest() {}
        self.charge.set(self.octets_held());
    }

    fn panes_held(&self) -> usize {
        self.before.panes.panes() + self.behind.panes.panes()
    }

    fn is_too_much(&self) -> bool {
        let held = self.state.limits().held;
        self.panes_held() > held.windows_max || self.octets_held() > held.octets_max
    }

    /// Leaves out what came of the earliest pane, and counts its rows; says whether there was another one.
    pub(crate) fn drop_earliest(&mut self) -> bool {
        if self.panes_held() < 2 {
            return false;
        }
        let earliest = |came: &Came| came.panes.earliest().unwrap_or(EventTime::MAX);
        let is_before = earliest(&self.before) <= earliest(&self.behind);
        let side = if is_before { Side::Before } else { Side::Behind };
        let Some((pane, half, parts)) = self.side(side).panes.take_earliest() else { return false };
        let rows = parts.rows();
        self.leave_out(side, Beyond { pane, half, rows });
        self.rows_dropped += rows;
        self.state.tell_dropped(self.rows_dropped);
        self.charge.set(self.octets_held());
        true
    }

    /// Notes rows that are not in their pane.
    fn leave_out(&mut self, side: Side, Beyond { pane, half, rows }: Beyond) {
        let halves = self.halves.len();
        let of_half = self.side(side).unread_at(pane, halves).get_mut(half);
        of_half.into_iter().for_each(|of_half| of_half.left_out += rows);
    }

    /// Notes rows that it did not read; `second` is the latest one of which anything is known.
    pub(crate) fn note_unread(&mut self, rows: Unread, second: Option<i64>, side: Side) {
        let time = second.map(|second| EventTime(second.saturating_mul(SECOND_NS)));
        // Of files nobody tells seconds.
        let time = time.or_else(|| self.state.watermark()).unwrap_or(EventTime(0));
        let halves = self.halves.len();
        self.side(side).unread_at(time, halves).iter_mut().for_each(|of_half| of_half.add(rows));
    }

    /// Takes out what came before a cut, with what is charged for it; what came behind it is before the next one. Of
    /// seconds the latest come first.
    pub(crate) fn cut(
        &mut self,
        query: QueryId,
        watermark: EventTime,
        covered: &[CoveredSecond],
    ) -> (CutQuery, Charge) {
        let mut halves: Vec<HalfPanes> =
            (0..self.halves.len()).map(|half| HalfPanes::new(half, self.width)).collect();
        let charge = self.charge.split_off(self.before.panes.octets_held());
        for (start, half, parts) in self.before.panes.take() {
            if let Some(of_half) = halves.get_mut(half) {
                of_half.add(start, parts);
            }
        }
        for (time, unread) in std::mem::take(&mut self.before.unread) {
            let of_halves = halves.iter_mut().zip(unread).filter(|(_, rows)| *rows != Unread::default());
            of_halves.for_each(|(of_half, rows)| of_half.note_unread(time, rows));
        }
        let passed = self.passed;
        self.passed = watermark.max(passed);
        self.quota.pass(self.passed.plus(1 - self.width));
        for (of_half, streams) in halves.iter_mut().zip(&self.halves) {
            of_half.pass(passed, watermark);
            let seconds = covered.iter().filter(|second| streams.contains(&second.stream));
            seconds.for_each(|second| of_half.cover(second, passed));
        }
        std::mem::swap(&mut self.before, &mut self.behind);
        self.charge.set(self.octets_held());
        let whole_after = match self.joining.whole_after() {
            EventTime::MIN => EventTime::MIN,
            time => time.plus(1),
        };
        let panes = halves.into_iter().flat_map(HalfPanes::into_panes).collect();
        (CutQuery { query, watermark, whole_after, panes }, charge)
    }

    /// What came behind a cut of which the query is no part is before the next one.
    pub(crate) fn pass_cut(&mut self) {
        std::mem::swap(&mut self.before, &mut self.behind);
    }
}
