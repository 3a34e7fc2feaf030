//! The machine that merges: what the workers give in, what closed of every query out.

use crate::barrier::Barrier;
use crate::coverage::{CoverageLog, CoveredSecond};
use crate::forwarded::Forwarded;
use crate::forwarded_query::ForwardedQuery;
use crate::held::Charge;
use crate::joining::Joining;
use crate::lock::lock;
use crate::machine::{Machine, Turn};
use crate::outlet::{Item, Outlet};
use crate::query_state::{EndReason, QueryState};
use crate::ring::{Flags, Unparker};
use crate::row_rate::RowRate;
use crate::suspended::{Held, UnreadRows};
use crate::worker::Message;
use rtrb::Consumer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tapline_operators::{Closed, LowerOutput, QueryId, SourceId, Windows, WorkerId};
use tapline_record::{Epoch, EventTime, Reach};
use tapline_sources::Clock;

/// A merger that waits looks after so long whether a worker has died.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Messages that are taken from one worker before the next one gets its turn.
const MESSAGES_PER_TURN: usize = 64;

/// What the merger is asked for.
pub(crate) enum MergerOrder {
    /// To take what comes for a query, which did not read so many rows before, by second, and to give what closed.
    AddQuery { id: QueryId, query: Box<MergerQuery>, unread: UnreadRows, closed: Vec<Closed> },
    /// To collect what comes for a query, for cuts.
    AddForwarded { id: QueryId, query: Box<ForwardedQuery> },
    /// To make a cut where this layout begins.
    Cut(Epoch),
    /// To know that so much arrived before anything came.
    Cover(Vec<CoveredSecond>),
    /// To know that so much went missing before anything came.
    Miss(Vec<CoveredSecond>),
}

/// A query as the merger knows it.
pub(crate) struct MergerQuery {
    pub(crate) state: Arc<QueryState>,
    pub(crate) windows: Windows,
    pub(crate) outlet: Arc<Outlet>,
    joining: Joining,
    /// The sources that it reads, and whether each reads on when results were taken.
    reads: BTreeMap<SourceId, bool>,
    /// Workers that it has left.
    pub(crate) left: usize,
    /// Whether its subscriber was told that LIMIT is reached.
    pub(crate) is_satisfied: bool,
    /// For what is held in its windows.
    charge: Charge,
    /// How many rows it may give.
    rate: Option<RowRate>,
}

impl MergerQuery {
    /// A query that comes to sources which run already.
    pub(crate) fn new(
        state: Arc<QueryState>,
        windows: Windows,
        outlet: Arc<Outlet>,
        joining: Joining,
    ) -> Self {
        let mut query = Self {
            charge: state.charge(),
            rate: state.limits().rows_per_second_max.filter(|_| !windows.chooses_rows()).map(RowRate::new),
            state,
            windows,
            outlet,
            joining,
            reads: BTreeMap::new(),
            left: 0,
            is_satisfied: false,
        };
        query.tell_whole();
        query
    }

    /// Notes where a source came to a new layout; the first one that the query knows of counts.
    fn join(&mut self, barrier: &Barrier, out: &mut Vec<Closed>) {
        if !self.joining.knows(barrier.epoch) {
            return;
        }
        if self.joining.join(barrier) {
            self.tell_whole();
        }
        if !barrier.waits {
            self.windows.set_live(barrier.source);
        }
        self.windows.begin(barrier.source, barrier.sequence, out);
        self.note_patience(barrier);
    }

    /// Notes whether a source that it reads reads on when results were taken: of one that does not, they cannot wait, and
    /// neither can what comes of others with it.
    fn note_patience(&mut self, barrier: &Barrier) {
        let streams = self.windows.streams().iter();
        let is_read = streams.map(|stream| barrier.watermarks.of(*stream)).any(|time| time < EventTime::MAX);
        let has_ended = barrier.epoch == Barrier::LAST;
        if is_read && !has_ended {
            self.reads.insert(barrier.source, barrier.stays);
        } else if !barrier.stays {
            self.reads.remove(&barrier.source);
        }
        self.state.let_wait(!self.reads.is_empty() && self.reads.values().all(|stays| *stays));
    }

    /// Charges the query for what its windows hold.
    fn tell_held(&mut self) {
        self.charge.set(self.windows.octets_held());
    }

    /// Until all sources have come to its layout, no window is known to be whole.
    fn tell_whole(&mut self) {
        if self.joining.has_joined() {
            self.state.join();
        }
        self.windows.set_whole_after(self.joining.whole_after());
    }
}

/// Merges what all workers give for all queries.
pub(crate) struct Merger {
    orders: Consumer<MergerOrder>,
    queries: BTreeMap<QueryId, MergerQuery>,
    forwarded: Forwarded,
    workers: Vec<Consumer<Message>>,
    /// The last barriers of sources that have ended.
    ended: BTreeMap<SourceId, Barrier>,
    /// Workers that have said all.
    done: usize,
    coverage: CoverageLog,
    /// Where it leaves what it knows of that when all is suspended.
    covered: Arc<Mutex<Vec<CoveredSecond>>>,
    /// Octets of what is held for open windows of all queries, or more: what closed since is taken off now and then.
    octets_held: usize,
    octets_held_max: usize,
    clock: Arc<dyn Clock>,
    /// What an outlet had no room for.
    outbox: VecDeque<(Arc<Outlet>, Item)>,
    closed: Vec<Closed>,
    flags: Arc<Flags>,
    /// Where it waits for messages.
    parker: Unparker,
}

/// What a merger is made of, besides its rings.
pub(crate) struct MergerParts {
    pub(crate) octets_held_max: usize,
    pub(crate) covered: Arc<Mutex<Vec<CoveredSecond>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) forwarded: Forwarded,
}

impl Merger {
    pub(crate) fn new(
        orders: Consumer<MergerOrder>,
        workers: Vec<Consumer<Message>>,
        flags: Arc<Flags>,
        parker: Unparker,
        MergerParts { octets_held_max, covered, clock, forwarded }: MergerParts,
    ) -> Self {
        Self {
            orders,
            queries: BTreeMap::new(),
            forwarded,
            workers,
            ended: BTreeMap::new(),
            done: 0,
            coverage: CoverageLog::default(),
            covered,
            octets_held: 0,
            octets_held_max,
            clock,
            outbox: VecDeque::new(),
            closed: vec![],
            flags,
            parker,
        }
    }

    /// Takes what has come; says whether there was anything.
    fn take_messages(&mut self) -> bool {
        let mut any = false;
        for worker in 0..self.workers.len() {
            for _ in 0..MESSAGES_PER_TURN {
                let Ok(message) = self.workers[worker].pop() else { break };
                any = true;
                // An order that was given before the message is there by now.
                self.take_orders();
                self.take(WorkerId(worker as u32), message);
            }
        }
        any
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.pop() {
            match order {
                MergerOrder::AddQuery { id, mut query, unread, closed } => {
                    // A source may have ended between the order and this moment, or long ago: its barrier has passed.
                    self.ended.values().for_each(|last| query.join(last, &mut self.closed));
                    self.coverage.resume_unread(id, unread);
                    query.tell_held();
                    self.octets_held += query.windows.octets_held();
                    self.queries.insert(id, *query);
                    self.closed.extend(closed);
                    self.give(id);
                }
                MergerOrder::AddForwarded { id, query } => {
                    self.forwarded.add(id, *query, self.ended.values());
                }
                MergerOrder::Cut(epoch) => self.forwarded.begin(epoch),
                MergerOrder::Cover(seconds) => self.coverage.note(&seconds),
                MergerOrder::Miss(seconds) => {
                    self.coverage.note(&seconds);
                    self.forwarded.note_missing(&seconds);
                }
            }
        }
    }

    fn take(&mut self, worker: WorkerId, message: Message) {
        match message {
            Message::Output { query, output, charge, since } => self.accept(query, output, charge, since),
            Message::Reach(reach, epoch) => self.advance(worker, &reach, epoch),
            Message::Coverage(report, epoch) => {
                self.coverage.note(&report);
                self.forwarded.note_covered(&report, epoch);
            }
            Message::Barrier(barrier) => self.join(&barrier),
            Message::Unread { query, rows, since } => match self.queries.get(&query) {
                Some(merged) => self.coverage.note_unread(query, merged.windows.streams(), rows),
                None => self.forwarded.note_unread(query, rows, since, &self.coverage),
            },
            Message::Cut => self.forwarded.come(),
            Message::Left(query) => self.leave(query),
            Message::Done => self.done += 1,
        }
    }

    fn accept(&mut self, id: QueryId, output: LowerOutput, charge: Charge, since: Epoch) {
        if self.queries.contains_key(&id) {
            self.put_into_windows(id, output, charge);
        } else {
            self.octets_held += self.forwarded.accept(id, output, charge, since);
        }
        if self.octets_held > self.octets_held_max {
            self.make_room();
        }
    }

    fn put_into_windows(&mut self, id: QueryId, output: LowerOutput, charge: Charge) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let before = query.windows.octets_held();
        let begun = Instant::now();
        if let Err(error) = query.windows.accept(output, &mut self.closed) {
            query.state.end(EndReason::failed(&error));
        }
        query.state.note_window_work(begun.elapsed());
        query.state.tell_dropped(query.windows.rows_dropped());
        query.charge.take_over(charge);
        self.octets_held = (self.octets_held + query.windows.octets_held()).saturating_sub(before);
        self.give(id);
    }

    /// Closes the earliest windows of whoever holds most, until all hold no more than they may; of a query that is
    /// forwarded, its earliest pane is left out.
    fn make_room(&mut self) {
        self.octets_held = self.held();
        while self.octets_held > self.octets_held_max {
            let most = self.queries.iter_mut().max_by_key(|(_, query)| query.windows.octets_held());
            let most = most.filter(|(_, query)| query.windows.octets_held() >= self.forwarded.most_held());
            let (has_made_room, whose) = match most {
                Some((&id, query)) => (query.windows.close_earliest(&mut self.closed), Some(id)),
                None => (self.forwarded.make_room(), None),
            };
            if !has_made_room {
                return;
            }
            whose.into_iter().for_each(|id| self.give(id));
            self.octets_held = self.held();
        }
    }

    /// Octets of what is held for open windows, and for panes until the next cut.
    fn held(&self) -> usize {
        let of_windows = self.queries.values().map(|query| query.windows.octets_held());
        of_windows.sum::<usize>() + self.forwarded.octets_held()
    }

    fn advance(&mut self, worker: WorkerId, reach: &Reach, epoch: Epoch) {
        self.forwarded.advance(worker, reach, epoch);
        let Self { queries, closed, coverage, outbox, clock, .. } = self;
        for (id, query) in queries.iter_mut().filter(|(_, query)| query.joining.knows(epoch)) {
            query.windows.advance(worker, reach, closed);
            give(*id, query, closed, (coverage, clock.as_ref()), outbox);
            query.state.tell_watermark(query.windows.watermark());
        }
    }

    fn join(&mut self, barrier: &Barrier) {
        if barrier.epoch == Barrier::LAST {
            self.ended.insert(barrier.source, *barrier);
        }
        self.forwarded.join(barrier);
        let Self { queries, closed, coverage, outbox, clock, .. } = self;
        for (id, query) in queries {
            query.join(barrier, closed);
            give(*id, query, closed, (coverage, clock.as_ref()), outbox);
        }
    }

    /// Notes that a query that is over has left a worker; behind the last one it is told so.
    fn leave(&mut self, id: QueryId) {
        let Some(query) = self.queries.get_mut(&id) else { return self.forwarded.leave(id) };
        query.left += 1;
        if query.left == self.workers.len() {
            self.outbox.push_back((Arc::clone(&query.outlet), Item::End));
            self.queries.remove(&id);
            self.coverage.forget(id);
        }
    }

    fn give(&mut self, id: QueryId) {
        if let Some(query) = self.queries.get_mut(&id) {
            let known = (&self.coverage, self.clock.as_ref());
            give(id, query, &mut self.closed, known, &mut self.outbox);
        }
    }

    /// Leaves what waits with the outlets; says whether they had room.
    fn empty_outbox(&mut self) -> bool {
        while let Some((outlet, item)) = self.outbox.pop_front() {
            if let Err(item) = outlet.push(item) {
                self.outbox.push_front((outlet, item));
                return false;
            }
        }
        true
    }

    /// Whether a worker will say nothing more, though it has not said all.
    fn has_lost_worker(&self) -> bool {
        let gone = self.workers.iter().filter(|worker| worker.is_abandoned() && worker.is_empty());
        gone.count() > self.done
    }

    /// Gives what is left of all queries, or keeps what can be gone on with: the input has ended.
    fn finish(&mut self) {
        self.take_orders();
        self.forwarded.finish();
        let (is_cut, suspends) = (self.flags.input_ends(), self.flags.suspends());
        if suspends {
            *lock(&self.covered) = self.coverage.since(i64::MIN);
        }
        let Self { queries, closed, coverage, outbox, clock, .. } = self;
        for (id, mut query) in std::mem::take(queries) {
            if query.state.over().is_none() {
                let held = suspends.then(|| query.windows.suspend(closed)).flatten();
                if held.is_none() {
                    query.windows.finish(is_cut, closed);
                }
                give(id, &mut query, closed, (coverage, clock.as_ref()), outbox);
                let held = held.map(|windows| Box::new(Held { windows, unread: coverage.unread_of(id) }));
                outbox.extend(held.map(|held| (Arc::clone(&query.outlet), Item::Suspended(held))));
            }
            outbox.push_back((query.outlet, Item::End));
        }
    }

    /// Lets go of everything: only the ends are told.
    fn abandon(&mut self) {
        self.take_orders();
        self.forwarded.abandon();
        let waiting = std::mem::take(&mut self.outbox).into_iter();
        let ended = waiting.filter_map(|(outlet, item)| matches!(item, Item::End).then_some(outlet));
        let queries = std::mem::take(&mut self.queries).into_values().map(|query| query.outlet);
        for outlet in ended.chain(queries) {
            // An end is never refused.
            let _ = outlet.push(Item::End);
        }
    }

    fn fail(&self) {
        let reason = EndReason::Failed("a worker thread died; please report this".to_owned());
        let states = self.queries.values().map(|query| &query.state).chain(self.forwarded.states());
        states.for_each(|state| state.end(reason.clone()));
    }
}

/// Leaves what closed of a query with its outlet, or in the outbox, and what it is charged for that with it.
fn give(
    id: QueryId,
    query: &mut MergerQuery,
    closed: &mut Vec<Closed>,
    (coverage, clock): (&CoverageLog, &dyn Clock),
    outbox: &mut VecDeque<(Arc<Outlet>, Item)>,
) {
    if query.state.over().is_some() {
        // Workers leave it one after the other: what closes now may lack rows.
        return closed.clear();
    }
    let is_satisfied = query.windows.is_satisfied() && !std::mem::replace(&mut query.is_satisfied, true);
    if closed.is_empty() && !is_satisfied {
        return query.tell_held();
    }
    for mut item in closed.drain(..) {
        if let Closed::Window(window) = &mut item {
            let streams = query.windows.streams();
            window.completeness = window.covered().and_then(|span| coverage.of(id, streams, span));
        }
        let charge = match &mut item {
            Closed::Window(window) => query.charge.split_off(window.octets()),
            Closed::Rows(rows) => {
                if let Some(rate) = &mut query.rate {
                    query.state.drop_beyond(rate.cut(rows, clock.now()));
                    if rows.is_empty() {
                        continue;
                    }
                }
                Charge::default()
            }
            Closed::RowsEnd => Charge::default(),
        };
        query.state.note_closed();
        outbox.push_back((Arc::clone(&query.outlet), Item::Closed(Box::new(item), charge)));
    }
    query.tell_held();
    if is_satisfied {
        outbox.push_back((Arc::clone(&query.outlet), Item::Satisfied));
    }
}

impl Machine for Merger {
    fn step(&mut self) -> Turn {
        if self.flags.is_stopped() {
            self.abandon();
            return Turn::Ended;
        }
        if !self.empty_outbox() {
            return Turn::Blocked;
        }
        let are_ends_told = self.forwarded.tell_ends();
        let has_lost_worker = self.has_lost_worker();
        if has_lost_worker {
            self.fail();
        }
        if has_lost_worker || self.done == self.workers.len() {
            if self.queries.is_empty() && self.forwarded.is_empty() && self.orders.is_empty() {
                return if are_ends_told { Turn::Ended } else { Turn::Blocked };
            }
            self.finish();
            return Turn::Worked;
        }
        if self.take_messages() {
            return Turn::Worked;
        }
        self.take_orders();
        Turn::Idle
    }

    fn has_work(&self) -> bool {
        self.workers.iter().any(|messages| !messages.is_empty() || messages.is_abandoned())
            || self.flags.is_stopped()
    }

    fn waits_at(&self) -> Option<(&Unparker, Duration)> {
        Some((&self.parker, WAIT_MAX))
    }
}
