//! All queries on the merger that are forwarded, and the cut that is under way.
//!
//! Takes what workers give and say, each of batches by one layout or later ones. A cut is where a layout begins: what is
//! of layouts before is in it, what is of that one or of later ones is in the next. When all workers have come to it, it is
//! left in the queue.

use crate::barrier::Barrier;
use crate::coverage::{CoverageLog, CoveredSecond, Unread};
use crate::cut::{Cut, CutQueue};
use crate::forwarded_query::{ForwardedQuery, Side};
use crate::held::Charge;
use crate::positions::Positions;
use crate::query_state::{EndReason, QueryState};
use crate::subscription::{Event, Subscriber};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tapline_operators::{LowerOutput, QueryId, WorkerId};
use tapline_record::{Epoch, EventTime, Reach};

/// What cuts are made of.
pub(crate) struct Forwarded {
    queries: BTreeMap<QueryId, ForwardedQuery>,
    workers: usize,
    /// How much arrived before the cut that is under way, and behind it.
    before: CoverageLog,
    behind: CoverageLog,
    under_way: Option<UnderWay>,
    /// How many cuts there were.
    cuts: u64,
    queue: Arc<CutQueue>,
    positions: Arc<Positions>,
    /// Who hears of ends, and those that he was not told yet.
    observer: Subscriber,
    ended: VecDeque<Event>,
}

/// A cut that is under way.
struct UnderWay {
    /// The layout of the first batches behind it.
    epoch: Epoch,
    /// Workers that have not come to it.
    awaited: usize,
    /// How far its queries had come when it was begun. Since then workers may have gone on to what is behind it, for which
    /// nothing was promised but this.
    watermarks: BTreeMap<QueryId, EventTime>,
}

impl Forwarded {
    /// No query yet, on so many workers.
    pub(crate) fn new(
        workers: usize,
        queue: Arc<CutQueue>,
        positions: Arc<Positions>,
        observer: Subscriber,
    ) -> Self {
        Self {
            queries: BTreeMap::new(),
            workers,
            before: CoverageLog::default(),
            behind: CoverageLog::default(),
            under_way: None,
            cuts: 0,
            queue,
            positions,
            observer,
            ended: VecDeque::new(),
        }
    }

    /// Adds a query; some sources have ended already.
    pub(crate) fn add<'a>(
        &mut self,
        id: QueryId,
        mut query: ForwardedQuery,
        ended: impl Iterator<Item = &'a Barrier>,
    ) {
        ended.for_each(|last| query.join(last));
        self.queries.insert(id, query);
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<QueryState>> {
        self.queries.values().map(|query| &query.state)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// On which side of the cut something of this layout is.
    fn side(&self, epoch: Epoch) -> Side {
        let is_behind = self.under_way.as_ref().is_some_and(|cut| cut.epoch <= epoch);
        if is_behind { Side::Behind } else { Side::Before }
    }

    /// Collects an output of a worker; says how many octets are held more by that.
    pub(crate) fn accept(&mut self, id: QueryId, output: LowerOutput, charge: Charge, since: Epoch) -> usize {
        let side = self.side(since);
        let Some(query) = self.queries.get_mut(&id) else { return 0 };
        let before = query.octets_held();
        query.accept(output, charge, side);
        query.octets_held().saturating_sub(before)
    }

    /// Octets of what is held of all queries.
    pub(crate) fn octets_held(&self) -> usize {
        self.queries.values().map(ForwardedQuery::octets_held).sum()
    }

    /// Octets of the query that holds most.
    pub(crate) fn most_held(&self) -> usize {
        self.queries.values().map(ForwardedQuery::octets_held).max().unwrap_or(0)
    }

    /// Leaves out the earliest pane of that query; says whether there was another one.
    pub(crate) fn make_room(&mut self) -> bool {
        let holds_most = self.queries.values_mut().max_by_key(|query| query.octets_held());
        holds_most.is_some_and(ForwardedQuery::drop_earliest)
    }

    /// Notes how far a worker has come with all that it said of this layout.
    pub(crate) fn advance(&mut self, worker: WorkerId, reach: &Reach, epoch: Epoch) {
        self.queries.values_mut().for_each(|query| query.advance(worker, reach, epoch));
    }

    /// Notes where a source came to a new layout.
    pub(crate) fn join(&mut self, barrier: &Barrier) {
        self.queries.values_mut().for_each(|query| query.join(barrier));
    }

    /// Notes how much arrived in batches by this layout.
    pub(crate) fn note_covered(&mut self, report: &[CoveredSecond], epoch: Epoch) {
        if self.queries.is_empty() {
            return;
        }
        match self.side(epoch) {
            Side::Before => self.before.note(report),
            Side::Behind => self.behind.note(report),
        }
    }

    /// Notes what went missing before anything came.
    pub(crate) fn note_missing(&mut self, seconds: &[CoveredSecond]) {
        if !self.queries.is_empty() {
            self.before.note(seconds);
        }
    }

    /// Notes rows that a query did not read; what is known of all seconds says which ones are the latest.
    pub(crate) fn note_unread(&mut self, id: QueryId, rows: Unread, since: Epoch, known: &CoverageLog) {
        let side = self.side(since);
        if let Some(query) = self.queries.get_mut(&id) {
            let latest = known.latest(query.streams());
            query.note_unread(rows, latest, side);
        }
    }

    /// Begins a cut where this layout begins: nothing behind it was said by anybody yet.
    pub(crate) fn begin(&mut self, epoch: Epoch) {
        let watermarks = self.watermarks();
        self.under_way = Some(UnderWay { epoch, awaited: self.workers, watermarks });
    }

    fn watermarks(&self) -> BTreeMap<QueryId, EventTime> {
        self.queries.iter().map(|(id, query)| (*id, query.watermark())).collect()
    }

    /// Notes that a worker has come to the cut; when all have, it is whole.
    pub(crate) fn come(&mut self) {
        if let Some(cut) = &mut self.under_way {
            cut.awaited = cut.awaited.saturating_sub(1);
        }
        if let Some(UnderWay { epoch, watermarks, .. }) = self.under_way.take_if(|cut| cut.awaited == 0) {
            self.put(epoch, &watermarks);
        }
    }

    /// Leaves what came before this layout in the queue.
    fn put(&mut self, epoch: Epoch, watermarks: &BTreeMap<QueryId, EventTime>) {
        self.cuts += 1;
        let behind = std::mem::take(&mut self.behind);
        let mut covered = std::mem::replace(&mut self.before, behind).since(i64::MIN);
        covered.sort_by_key(|second| Reverse(second.second));
        let (mut queries, mut charges) = (vec![], vec![]);
        for (id, query) in &mut self.queries {
            let Some(watermark) = watermarks.get(id) else {
                query.pass_cut();
                continue;
            };
            let (cut, charge) = query.cut(*id, *watermark, &covered);
            // Workers leave a query that is over one after the other: rows may be missing.
            if query.state.over().is_none() {
                queries.push(cut);
                charges.push(charge);
            }
        }
        let positions = self.positions.take_before(epoch);
        self.queue.put(Cut { number: self.cuts, positions, queries }, charges);
    }

    /// Notes that a query that is over has left a worker; behind the last one it is told so.
    pub(crate) fn leave(&mut self, id: QueryId) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        query.left += 1;
        if query.left < self.workers {
            return;
        }
        if let Some(query) = self.queries.remove(&id) {
            self.end(id, &query.state);
        }
        if self.queries.is_empty() {
            (self.before, self.behind) = (CoverageLog::default(), CoverageLog::default());
        }
    }

    fn end(&mut self, id: QueryId, state: &QueryState) {
        let reason = state.over().cloned().unwrap_or(EndReason::Input);
        state.close();
        self.ended.push_back(Event::Ended { query: id, reason, ledger: state.ledger() });
    }

    /// Tells the ends that were not told yet; says whether all are.
    pub(crate) fn tell_ends(&mut self) -> bool {
        while let Some(event) = self.ended.pop_front() {
            if !self.observer.settle(event.clone()) {
                self.ended.push_front(event);
                return false;
            }
        }
        true
    }

    /// Leaves all that is left in a last cut, and ends all queries: the input has ended.
    pub(crate) fn finish(&mut self) {
        if let Some(UnderWay { epoch, watermarks, .. }) = self.under_way.take() {
            // Some worker died: nothing else is awaited at the end.
            self.put(epoch, &watermarks);
        }
        if !self.queries.is_empty() {
            let watermarks = self.watermarks();
            self.put(Epoch(u64::MAX), &watermarks);
        }
        self.abandon();
    }

    /// Ends all queries as they are.
    pub(crate) fn abandon(&mut self) {
        let queries = std::mem::take(&mut self.queries);
        queries.iter().for_each(|(id, query)| self.end(*id, &query.state));
        self.tell_ends();
    }
}
