//! The machine of a worker: batches in, partial aggregates of every query out.
//!
//! Batches are taken in turns: all that wait, which one operator after the other processes. An operator's group
//! table is in the cache only while it works, so its turn should last.

use crate::accounts::OpenInput;
use crate::barrier::Barrier;
use crate::coverage::Report;
use crate::feed::{Feed, Position};
use crate::machine::{Machine, Turn};
use crate::query_state::{EndReason, QueryState};
use crate::ring::{Flags, Unparker};
use rtrb::{Consumer, Producer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::{LowerOperator, LowerOutput, QueryFailure, QueryId, SourceId, StreamBatch, WorkerId};
use tapline_record::ledger::QueryLedger;
use tapline_record::{Epoch, Watermarks};

/// A worker that waits looks again after so long: it is woken when there is much to do.
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How far its watermark must have come for a worker to wake the merger for it, in nanoseconds.
const TELL_NS: i64 = 50_000_000;

/// What a worker says to the merger.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something for a query.
    Output { query: QueryId, output: LowerOutput },
    /// This worker will give no pane that ends where its streams have come to, or earlier. That is said to queries which
    /// came with this layout or before: streams that came with a later one may not be carried yet.
    Watermarks(Watermarks, Epoch),
    /// How much of live sources arrived.
    Coverage(Report),
    /// Where the next layout of a source begins.
    Barrier(Barrier),
    /// So many more rows came too late for a query.
    Late { query: QueryId, rows: u64 },
    /// A query that is over has left this worker.
    Left(QueryId),
    /// All is said.
    Done,
}

/// What a worker is asked for.
pub(crate) enum WorkerOrder {
    /// To take the feeds of new sources, all of them before the first batch of any.
    AddSources(Vec<WorkerInput>),
    /// To run a query.
    AddQuery(WorkerQuery),
}

/// One worker's ends of the rings to one source.
pub(crate) struct WorkerInput {
    pub(crate) source: SourceId,
    pub(crate) feed: Consumer<Feed>,
    pub(crate) used: Producer<StreamBatch>,
    /// How far the source has come.
    pub(crate) watermarks: Watermarks,
    /// Its layout.
    pub(crate) epoch: Epoch,
    pub(crate) has_ended: bool,
    /// Until this worker is done with all that came of it.
    pub(crate) open: Option<OpenInput>,
}

/// A query on one worker.
pub(crate) struct WorkerQuery {
    pub(crate) id: QueryId,
    pub(crate) state: Arc<QueryState>,
    /// It sees the batches of this layout and of later ones.
    pub(crate) since: Epoch,
    pub(crate) operators: Vec<LowerOperator>,
    /// The late rows that the merger was told of.
    pub(crate) told_late: u64,
}

impl WorkerQuery {
    fn ledger(&self) -> QueryLedger {
        let mut sum = QueryLedger::default();
        self.operators.iter().for_each(|operator| sum += *operator.ledger());
        sum
    }

    /// Lets each operator process the turn.
    fn process(&mut self, turn: &[Task], out: &mut Vec<LowerOutput>) -> Result<(), QueryFailure> {
        let Self { operators, since, .. } = self;
        operators.iter_mut().try_for_each(|operator| {
            turn.iter().try_for_each(|task| {
                let batch = task.batch.as_ref().filter(|(_, batch)| batch.layout.epoch() >= *since);
                batch.map_or(Ok(()), |(_, batch)| operator.process(batch, out))?;
                if task.epoch >= *since { operator.advance(&task.watermarks, out) } else { Ok(()) }
            })
        })
    }
}

/// One thing to do.
struct Task {
    /// Rows of an input.
    batch: Option<(SourceId, StreamBatch)>,
    /// How far all sources have come with them.
    watermarks: Watermarks,
    /// The layout that all of them have come to.
    epoch: Epoch,
}

/// Runs the lower halves of all queries over every so many-th batch.
pub(crate) struct Worker {
    id: WorkerId,
    orders: Consumer<WorkerOrder>,
    inputs: Vec<WorkerInput>,
    queries: Vec<WorkerQuery>,
    messages: Producer<Message>,
    /// What there was no room for yet.
    outbox: VecDeque<Message>,
    turn: Vec<Task>,
    outputs: Vec<LowerOutput>,
    flags: Arc<Flags>,
    /// Where it waits for batches.
    parker: Unparker,
    /// Wakes the merger.
    merger: Unparker,
    /// The last watermarks that the merger was told, and the layout.
    told: (Watermarks, Epoch),
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
            queries: vec![],
            messages,
            outbox: VecDeque::new(),
            turn: vec![],
            outputs: vec![],
            flags,
            parker,
            merger,
            told: (Watermarks::BEGINNING, Epoch::default()),
            is_done: false,
        }
    }

    /// Takes the orders that came.
    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.pop() {
            match order {
                WorkerOrder::AddSources(inputs) => self.inputs.extend(inputs),
                WorkerOrder::AddQuery(query) => self.queries.push(query),
            }
        }
    }

    /// Takes what waits of all sources. Orders that were given before some of it are taken before it is looked at.
    fn take_turn(&mut self) {
        let mut reports = vec![];
        for input in 0..self.inputs.len() {
            self.take_from(input, &mut reports);
        }
        self.take_orders();
        if !reports.is_empty() {
            self.say(Message::Coverage(reports));
        }
    }

    /// Takes what waits of one source.
    fn take_from(&mut self, number: usize, reports: &mut Report) {
        let is_abandoned = self.inputs[number].feed.is_abandoned();
        while let Ok(feed) = self.inputs[number].feed.pop() {
            let (batch, position) = match feed {
                Feed::Batch(batch, position) => (Some(batch), position),
                Feed::Advance(position) => (None, position),
                Feed::End(position) => {
                    self.inputs[number].has_ended = true;
                    (None, position)
                }
                Feed::Barrier(barrier) => {
                    self.inputs[number].epoch = barrier.epoch;
                    self.inputs[number].watermarks = barrier.watermarks;
                    self.say(Message::Barrier(barrier));
                    continue;
                }
            };
            let Position { watermarks, coverage } = position;
            reports.extend(coverage);
            self.inputs[number].watermarks = watermarks;
            let batch = batch.map(|batch| (self.inputs[number].source, batch));
            self.turn.push(Task { batch, watermarks: self.watermarks(), epoch: self.epoch() });
        }
        // A source that stopped without a word has ended, too.
        self.inputs[number].has_ended |= is_abandoned;
    }

    /// How far all sources have come.
    fn watermarks(&self) -> Watermarks {
        self.inputs.iter().fold(Watermarks::END, |all, input| all.and(input.watermarks))
    }

    /// The layout that all sources have come to.
    fn epoch(&self) -> Epoch {
        self.inputs.iter().map(|input| input.epoch).min().unwrap_or(Barrier::LAST)
    }

    /// Runs all queries over what was taken.
    fn process(&mut self) {
        for number in 0..self.queries.len() {
            let query = &mut self.queries[number];
            if query.state.over().is_some() {
                continue;
            }
            if let Err(error) = query.process(&self.turn, &mut self.outputs) {
                query.state.end(EndReason::failed(&error));
                self.outputs.clear();
            }
            self.tell_query(number);
        }
        self.let_leave();
        if let Some(last) = self.turn.last() {
            self.tell(last.watermarks, last.epoch);
        }
        self.give_back();
    }

    /// Passes on what a query gave, and what became of its rows.
    fn tell_query(&mut self, number: usize) {
        let query = &mut self.queries[number];
        let (id, ledger) = (query.id, query.ledger());
        query.state.tell(self.id, &ledger);
        let late = ledger.late - std::mem::replace(&mut query.told_late, ledger.late);
        if late > 0 {
            self.say(Message::Late { query: id, rows: late });
        }
        if self.outputs.is_empty() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.drain(..).for_each(|output| self.say(Message::Output { query: id, output }));
        self.outputs = outputs;
        self.merger.unpark();
    }

    /// Takes leave of the queries that are over.
    fn let_leave(&mut self) {
        while let Some(number) = self.queries.iter().position(|query| query.state.over().is_some()) {
            let query = self.queries.remove(number);
            self.say(Message::Left(query.id));
            self.merger.unpark();
        }
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
    fn tell(&mut self, watermarks: Watermarks, epoch: Epoch) {
        if watermarks.have_moved(&self.told.0, TELL_NS) || epoch > self.told.1 {
            self.told = (watermarks, epoch);
            self.say(Message::Watermarks(watermarks, epoch));
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
        for number in 0..self.queries.len() {
            let query = &mut self.queries[number];
            let (operators, outputs) = (&mut query.operators, &mut self.outputs);
            if let Err(error) = operators.iter_mut().try_for_each(|operator| operator.finish(outputs)) {
                query.state.end(EndReason::failed(&error));
            }
            self.tell_query(number);
        }
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
        if !self.turn.is_empty() {
            self.process();
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
