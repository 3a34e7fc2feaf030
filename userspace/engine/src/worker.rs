//! The machine of a worker: batches in, partial aggregates of every query out.
//!
//! Batches are taken in turns: all that wait, which one operator after the other processes. An operator's group
//! table is in the cache only while it works, so its turn should last. Operators are those of a run, which one query
//! has for itself or several share.

use crate::accounts::OpenInput;
use crate::barrier::Barrier;
use crate::coverage::{Report, Unread};
use crate::feed::{Feed, Position};
use crate::held::Charge;
use crate::machine::{Machine, Turn};
use crate::query_state::QueryState;
use crate::ring::{Flags, Unparker};
use crate::run::Run;
use rtrb::{Consumer, Producer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_operators::{Commons, LowerOutput, QueryId, SourceId, StreamBatch, WorkerId};
use tapline_record::ledger::QueryLedger;
use tapline_record::{Epoch, Reach, StreamId, Watermarks};

/// A worker that waits looks again after so long: it is woken when there is much to do.
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How far its watermark must have come for a worker to wake the merger for it, in nanoseconds.
const TELL_NS: i64 = 50_000_000;

/// What a worker says to the merger.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something for a query, which is charged for it on the way; of batches by this layout or later ones.
    Output { query: QueryId, output: LowerOutput, charge: Charge, since: Epoch },
    /// This worker will give no pane that closes where its streams have come to, or earlier. That is said to queries
    /// which came with this layout or before: streams that came with a later one may not be carried yet.
    Reach(Reach, Epoch),
    /// How much of live sources arrived in batches by this layout.
    Coverage(Report, Epoch),
    /// Where the next layout of a source begins.
    Barrier(Barrier),
    /// So many more rows were not read by a query, of batches by this layout or later ones.
    Unread { query: QueryId, rows: Unread, since: Epoch },
    /// All that came before the cut is said.
    Cut,
    /// A query that is over has left this worker.
    Left(QueryId),
    /// All is said.
    Done,
}

/// What a worker is asked for.
pub(crate) enum WorkerOrder {
    /// To take the feeds of new sources, all of them before the first batch of any.
    AddSources(Vec<WorkerInput>),
    /// To know a query.
    AddQuery(QueryId, WorkerQuery),
    /// To run lower halves, in place of those of the same number for layouts before.
    StartRun(Run),
    /// To say when all is said that came by layouts before this one.
    Cut(Epoch),
}

/// How much arrived, by the layout of the batches at that time.
type Reports = BTreeMap<Epoch, Report>;

/// One worker's ends of the rings to one source.
pub(crate) struct WorkerInput {
    pub(crate) source: SourceId,
    pub(crate) feed: Consumer<Feed>,
    pub(crate) used: Producer<StreamBatch>,
    /// How far the source has come.
    pub(crate) watermarks: Watermarks,
    /// How far that is behind what has arrived, by stream.
    pub(crate) lateness_ns: [i64; StreamId::COUNT],
    /// The layout of what comes next.
    pub(crate) epoch: Epoch,
    pub(crate) has_ended: bool,
    /// Until this worker is done with all that came of it.
    pub(crate) open: Option<OpenInput>,
}

/// A query on one worker.
pub(crate) struct WorkerQuery {
    pub(crate) state: Arc<QueryState>,
    /// The fates of its rows in runs that are over.
    past: QueryLedger,
    /// The fates of all its rows.
    ledger: QueryLedger,
}

impl WorkerQuery {
    pub(crate) fn new(state: Arc<QueryState>) -> Self {
        Self { state, past: QueryLedger::default(), ledger: QueryLedger::default() }
    }
}

/// One thing to do.
pub(crate) struct Task {
    /// Rows of an input.
    pub(crate) batch: Option<(SourceId, StreamBatch)>,
    /// How far all sources have come with them.
    pub(crate) reach: Reach,
    /// The layout that all of them have come to.
    pub(crate) epoch: Epoch,
}

/// Runs the lower halves of all queries over every so many-th batch.
pub(crate) struct Worker {
    id: WorkerId,
    orders: Consumer<WorkerOrder>,
    inputs: Vec<WorkerInput>,
    queries: BTreeMap<QueryId, WorkerQuery>,
    runs: Vec<Run>,
    /// What runs compute once for all of them, and what that holds.
    commons: Commons,
    commons_held: Charge,
    messages: Producer<Message>,
    /// What there was no room for yet.
    outbox: VecDeque<Message>,
    turn: Vec<Task>,
    flags: Arc<Flags>,
    /// Where it waits for batches.
    parker: Unparker,
    /// Wakes the merger.
    merger: Unparker,
    /// What the merger was told last, and the layout.
    told: (Reach, Epoch),
    /// How far each stream had come when some source carried it last.
    carried: Reach,
    /// The first layout behind the cut that is under way.
    cut: Option<Epoch>,
    is_done: bool,
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        orders: Consumer<WorkerOrder>,
        messages: Producer<Message>,
        flags: Arc<Flags>,
        [parker, merger]: [Unparker; 2],
    ) -> Self {
        Self {
            id,
            orders,
            inputs: vec![],
            queries: BTreeMap::new(),
            runs: vec![],
            commons: Commons::default(),
            commons_held: Charge::default(),
            messages,
            outbox: VecDeque::new(),
            turn: vec![],
            flags,
            parker,
            merger,
            told: (Reach::BEGINNING, Epoch::default()),
            carried: Reach::BEGINNING,
            cut: None,
            is_done: false,
        }
    }

    /// The same, which charges this for what it holds for no query alone.
    pub(crate) fn charging(self, commons_held: Charge) -> Self {
        Self { commons_held, ..self }
    }

    /// Takes the orders that came.
    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.pop() {
            match order {
                WorkerOrder::AddSources(inputs) => self.inputs.extend(inputs),
                WorkerOrder::AddQuery(id, query) => drop(self.queries.insert(id, query)),
                WorkerOrder::StartRun(run) => self.start_run(run),
                WorkerOrder::Cut(epoch) => self.cut = Some(epoch),
            }
        }
    }

    /// Starts a run; the one that it replaces goes on with what comes by layouts before.
    fn start_run(&mut self, mut run: Run) {
        // Queries that are over may have left before the run was known here.
        let gone: Vec<QueryId> = run.queries().filter(|query| !self.queries.contains_key(query)).collect();
        gone.into_iter().for_each(|query| run.leave(query));
        let has_input = !self.inputs.is_empty();
        for before in &mut self.runs {
            if !before.make_room_for(&mut run) {
                continue;
            }
            before.go_alone();
            if has_input {
                // Both may have rows of one pane.
                before.give_parts();
                run.give_parts();
            }
        }
        run.join(&mut self.commons);
        self.runs.push(run);
    }

    /// Takes what waits of all sources. Orders that were given before some of it are taken before it is looked at.
    fn take_turn(&mut self) {
        let mut reports = Reports::new();
        for input in 0..self.inputs.len() {
            self.take_from(input, &mut reports);
        }
        self.take_orders();
        for (epoch, report) in reports {
            self.say(Message::Coverage(report, epoch));
        }
    }

    /// Takes what waits of one source.
    fn take_from(&mut self, number: usize, reports: &mut Reports) {
        let is_abandoned = self.inputs[number].feed.is_abandoned();
        let mut report = |epoch: Epoch, coverage: Report| {
            if !coverage.is_empty() {
                reports.entry(epoch).or_default().extend(coverage);
            }
        };
        while let Ok(feed) = self.inputs[number].feed.pop() {
            let (batch, position) = match feed {
                Feed::Batch(batch, position) => (Some(batch), position),
                Feed::Advance(position) => (None, position),
                Feed::End(position) => {
                    self.inputs[number].has_ended = true;
                    (None, position)
                }
                Feed::Barrier(barrier, coverage) => {
                    report(self.inputs[number].epoch, coverage);
                    self.inputs[number].epoch = barrier.epoch;
                    self.inputs[number].watermarks = barrier.watermarks;
                    self.say(Message::Barrier(barrier));
                    continue;
                }
            };
            let Position { watermarks, coverage } = position;
            report(self.inputs[number].epoch, coverage);
            self.inputs[number].watermarks = watermarks;
            let batch = batch.map(|batch| (self.inputs[number].source, batch));
            let reach = self.reach();
            self.turn.push(Task { batch, reach, epoch: self.epoch() });
        }
        // A source that stopped without a word has ended, too.
        self.inputs[number].has_ended |= is_abandoned;
    }

    /// How far all sources have come. A stream that none carries stays where it was while sources may still be added:
    /// what another one brings of it goes on from there. Whoever reads another one, too, does not wait for one that none
    /// is to carry.
    fn reach(&mut self) -> Reach {
        let reach =
            |input: &WorkerInput| Reach::at(input.watermarks, input.watermarks.ahead_by(&input.lateness_ns));
        let all = self.inputs.iter().fold(Reach::END, |all, input| all.and(reach(input)));
        // Suspended, time stays where it was, too: somebody goes on from there.
        if self.flags.drains() && !self.flags.suspends() {
            return all;
        }
        self.carried = all.or_where_at_end(&self.carried);
        Reach { silent: self.flags.silent(), ..self.carried }
    }

    /// The layout that all sources have come to.
    fn epoch(&self) -> Epoch {
        self.inputs.iter().map(|input| input.epoch).min().unwrap_or(Barrier::LAST)
    }

    /// Runs all queries over what was taken.
    fn process(&mut self) {
        let begun = Instant::now();
        self.commons.begin(self.turn.iter().map(|task| task.batch.as_ref().map(|(_, batch)| batch)));
        let uses = u32::try_from(self.commons.uses()).unwrap_or(u32::MAX);
        let each = begun.elapsed().checked_div(uses).unwrap_or_default();
        self.runs.iter_mut().for_each(|run| run.process(&self.turn, (&self.commons, each)));
        self.commons.end();
        self.commons_held.set(self.commons.octets());
        self.tell_all();
        self.end_runs();
        self.let_leave();
        if let Some(last) = self.turn.last() {
            self.tell(last.reach, last.epoch);
        }
        self.give_back();
    }

    /// The layout that all inputs have come to of which something may still come.
    fn passed(&self) -> Epoch {
        let epochs = self.inputs.iter().filter(|input| !input.has_ended).map(|input| input.epoch);
        epochs.min().unwrap_or(Epoch(u64::MAX))
    }

    /// Says that all is said that came before a cut, when all inputs have come to it: those that have ended, or come
    /// behind it, hold up nobody.
    fn come_to_cut(&mut self) {
        let passed = self.passed();
        if self.cut.take_if(|cut| *cut <= passed).is_some() {
            self.end_runs();
            self.say(Message::Cut);
            self.merger.unpark();
        }
    }

    /// Ends the runs that no batch will come for any more: others are in their place.
    fn end_runs(&mut self) {
        let passed = self.passed();
        if self.runs.iter().all(|run| !run.has_passed(passed)) {
            return;
        }
        self.runs.iter_mut().filter(|run| run.has_passed(passed)).for_each(Run::finish);
        self.tell_all();
        let Self { runs, queries, .. } = self;
        runs.retain(|run| {
            let ends = run.has_passed(passed);
            for query in run.queries().filter(|_| ends) {
                queries.get_mut(&query).into_iter().for_each(|query| query.past += run.ledger());
            }
            !ends
        });
    }

    /// Passes on what queries gave, and what became of their rows.
    fn tell_all(&mut self) {
        let Self { id, queries, runs, outbox, .. } = self;
        queries.values_mut().for_each(|query| query.ledger = query.past);
        for run in runs.iter() {
            let ledger = run.ledger();
            for query in run.queries() {
                queries.get_mut(&query).into_iter().for_each(|query| query.ledger += ledger);
            }
        }
        queries.values().for_each(|known| known.state.tell(*id, &known.ledger));
        for run in runs.iter_mut() {
            let (since, rows) = (run.since(), run.newly_unread());
            if rows != Unread::default() {
                outbox.extend(run.queries().map(|query| Message::Unread { query, rows, since }));
            }
            run.take_outputs(|query, output| {
                if let Some(known) = queries.get(&query).filter(|known| known.state.over().is_none()) {
                    let charge = known.state.charge_for(&output);
                    outbox.push_back(Message::Output { query, output, charge, since });
                }
            });
        }
        if !outbox.is_empty() {
            self.empty_outbox();
            self.merger.unpark();
        }
    }

    /// Takes leave of the queries that are over.
    fn let_leave(&mut self) {
        let over = self.queries.extract_if(.., |_, query| query.state.over().is_some());
        let over: Vec<QueryId> = over.map(|(id, _)| id).collect();
        for query in over {
            self.runs.iter_mut().for_each(|run| run.leave(query));
            self.say(Message::Left(query));
            self.merger.unpark();
        }
        self.runs.retain(|run| !run.is_abandoned());
    }

    /// Gives the batches back to their sources.
    fn give_back(&mut self) {
        for (source, batch) in self.turn.drain(..).filter_map(|task| task.batch) {
            if let Some(input) = self.inputs.iter_mut().find(|input| input.source == source) {
                // A full ring of used batches only costs their memory.
                let _ = input.used.push(batch);
            }
        }
    }

    /// Forgets sources that have ended, unless the input was ended: then more would have come of them, and what is
    /// open where they stopped is not whole.
    fn forget_ended(&mut self) {
        self.inputs.iter_mut().filter(|input| input.has_ended).for_each(|input| input.open = None);
        if !self.flags.input_ends() {
            self.inputs.retain(|input| !input.has_ended);
        }
    }

    /// Tells the merger how far this worker has come, unless that is hardly further than it was told.
    fn tell(&mut self, reach: Reach, epoch: Epoch) {
        if reach.has_moved(&self.told.0, TELL_NS) || epoch > self.told.1 {
            self.told = (reach, epoch);
            self.say(Message::Reach(reach, epoch));
            self.merger.unpark();
        }
    }

    /// Tells the merger something, now or when there is room.
    fn say(&mut self, message: Message) {
        self.outbox.push_back(message);
        self.empty_outbox();
    }

    /// Says what waits; whether that is all.
    fn empty_outbox(&mut self) -> bool {
        while !self.messages.is_full()
            && let Some(message) = self.outbox.pop_front()
        {
            // There is room: this thread alone fills the ring.
            let _ = self.messages.push(message);
        }
        self.outbox.is_empty()
    }

    /// Whether no batch will come any more.
    fn is_at_end(&self) -> bool {
        self.flags.drains() && self.orders.is_empty() && self.inputs.iter().all(|input| input.has_ended)
    }

    /// Gives what is left of every query.
    fn finish(&mut self) {
        self.let_leave();
        for run in &mut self.runs {
            if self.flags.suspends() {
                // Somebody else will have rows of the same panes.
                run.give_parts();
            }
            run.finish();
        }
        self.tell_all();
        self.say(Message::Done);
        self.is_done = true;
        self.merger.unpark();
    }
}

impl Machine for Worker {
    fn step(&mut self) -> Turn {
        if self.flags.is_stopped() || self.messages.is_abandoned() {
            return Turn::Ended;
        }
        if !self.empty_outbox() {
            return Turn::Blocked;
        }
        if self.is_done {
            return Turn::Ended;
        }
        let is_last = self.flags.drains();
        self.take_orders();
        self.forget_ended();
        self.take_turn();
        let has_turn = !self.turn.is_empty();
        if has_turn {
            self.process();
        }
        self.come_to_cut();
        if has_turn {
            return Turn::Worked;
        }
        if is_last && self.is_at_end() {
            self.finish();
            return Turn::Worked;
        }
        self.let_leave();
        Turn::Idle
    }

    fn has_work(&self) -> bool {
        let inputs = &self.inputs;
        let has_input =
            |input: &WorkerInput| !input.feed.is_empty() || input.feed.is_abandoned() && !input.has_ended;
        !self.orders.is_empty() || inputs.iter().any(has_input) || self.is_at_end() || self.flags.is_stopped()
    }

    fn waits_at(&self) -> Option<(&Unparker, Duration)> {
        Some((&self.parker, WAIT_MAX))
    }
}
