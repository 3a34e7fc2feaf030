//! A worker thread: batches in, partial aggregates of every query out.
//!
//! Batches are taken in turns: all that wait, which one operator after the other processes. An operator's group
//! table is in the cache only while it works, so its turn should last.

use crate::ring::{Bell, Cord, StopFlag, send};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::{LowerOperator, LowerOutput, QueryFailure, StreamBatch};
use tapline_record::EventTime;
use tapline_record::ledger::QueryLedger;

/// A worker that waits looks again after so long: the bell rings when there is much to do.
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How far its watermark must have come for a worker to wake the merger for it, in nanoseconds.
const TELL_NS: i64 = 50_000_000;

/// What a worker says to the merger.
pub(crate) enum Message {
    /// Something for query `query`.
    Output { query: usize, output: LowerOutput },
    /// This worker will give no pane that ends earlier.
    Watermark(EventTime),
    /// So many more rows came too late for query `query`.
    Late { query: usize, rows: u64 },
    /// All is said; the fates of each query's rows.
    Done(Vec<QueryLedger>),
    /// A query cannot go on.
    Failed { query: usize, error: QueryFailure },
}

/// One worker's ends of the rings to one source.
pub(crate) struct WorkerInput {
    pub(crate) batches: Consumer<StreamBatch>,
    pub(crate) used: Producer<StreamBatch>,
    /// How far the source has come; the end of time when it has ended.
    pub(crate) watermark: EventTime,
}

/// One worker's ends of the rings, and its operators.
pub(crate) struct Worker {
    /// The lower operators, each with its query's number.
    pub(crate) operators: Vec<(usize, LowerOperator)>,
    pub(crate) queries: usize,
    pub(crate) inputs: Vec<WorkerInput>,
    pub(crate) messages: Producer<Message>,
    pub(crate) outputs: Vec<LowerOutput>,
    /// Rings when there are batches.
    pub(crate) bell: Arc<Bell>,
    /// Wakes the merger.
    pub(crate) merger: Cord,
    /// The last watermark that the merger was told.
    pub(crate) told: EventTime,
    /// The late rows of each operator that the merger was told of.
    pub(crate) told_late: Vec<u64>,
}

impl Worker {
    /// Works until the batches end.
    pub(crate) fn run(mut self, stop: &StopFlag<'_>) {
        let mut turn = vec![];
        while self.take_turn(&mut turn) {
            if stop.is_set() || !self.process(&turn, stop) {
                return;
            }
            for (input, batch) in turn.drain(..) {
                // A full ring of used batches only costs their memory.
                let _ = self.inputs[input].used.push(batch);
            }
        }
        self.finish(stop);
    }

    /// Takes the batches that wait, each with its source's number, and waits for the first one; says whether there
    /// are any, which is not so when all sources have ended.
    fn take_turn(&mut self, turn: &mut Vec<(usize, StreamBatch)>) -> bool {
        loop {
            // A source that ends may still push its last batch between the two looks.
            let have_ended = self.inputs.iter().all(|input| input.batches.is_abandoned());
            (0..self.inputs.len()).for_each(|input| self.take_from(input, turn));
            if have_ended || !turn.is_empty() {
                return !turn.is_empty();
            }
            let inputs = &self.inputs;
            self.bell.wait(WAIT_MAX, || {
                inputs.iter().any(|input| !input.batches.is_empty())
                    || inputs.iter().all(|input| input.batches.is_abandoned())
            });
        }
    }

    /// Takes the batches that wait of one source; how far they have come is how far all sources have.
    fn take_from(&mut self, input: usize, turn: &mut Vec<(usize, StreamBatch)>) {
        let has_ended = self.inputs[input].batches.is_abandoned();
        while let Ok(mut batch) = self.inputs[input].batches.pop() {
            self.inputs[input].watermark = batch.watermark;
            batch.watermark = self.inputs.iter().map(|input| input.watermark).min().unwrap_or(EventTime::MIN);
            turn.push((input, batch));
        }
        if has_ended {
            self.inputs[input].watermark = EventTime::MAX;
        }
    }

    fn process(&mut self, turn: &[(usize, StreamBatch)], stop: &StopFlag<'_>) -> bool {
        let process = |operator: &mut LowerOperator, out: &mut Vec<_>| {
            turn.iter().try_for_each(|(_, batch)| operator.process(batch, out))
        };
        let watermark = turn.iter().map(|(_, batch)| batch.watermark).max().unwrap_or(EventTime::MIN);
        self.each_operator(process, stop) && self.tell_late(stop) && self.tell(watermark, stop)
    }

    /// Tells the merger how many rows came too late since it was told last.
    fn tell_late(&mut self, stop: &StopFlag<'_>) -> bool {
        self.told_late.resize(self.operators.len(), 0);
        let late = self.operators.iter().map(|(query, operator)| (*query, operator.ledger().late));
        let news = late.zip(&mut self.told_late).filter(|((_, late), told)| late > told);
        for ((query, late), told) in news {
            let rows = late - std::mem::replace(told, late);
            if !send(&mut self.messages, Message::Late { query, rows }, stop) {
                return false;
            }
        }
        true
    }

    /// Tells the merger how far this worker has come, unless that is hardly further than it was told.
    fn tell(&mut self, watermark: EventTime, stop: &StopFlag<'_>) -> bool {
        if watermark < self.told.plus(TELL_NS) {
            return true;
        }
        self.told = watermark;
        self.say(Message::Watermark(watermark), stop)
    }

    fn finish(&mut self, stop: &StopFlag<'_>) {
        if self.each_operator(LowerOperator::finish, stop) {
            let mut ledgers = vec![QueryLedger::default(); self.queries];
            for (query, operator) in &self.operators {
                ledgers[*query] += *operator.ledger();
            }
            self.say(Message::Done(ledgers), stop);
        }
    }

    /// Tells the merger something; says whether to go on.
    fn say(&mut self, message: Message, stop: &StopFlag<'_>) -> bool {
        let is_sent = send(&mut self.messages, message, stop);
        self.merger.ring();
        is_sent
    }

    /// Lets each operator take a step and sends what it gives; says whether to go on.
    fn each_operator(
        &mut self,
        step: impl Fn(&mut LowerOperator, &mut Vec<LowerOutput>) -> Result<(), QueryFailure>,
        stop: &StopFlag<'_>,
    ) -> bool {
        for (query, operator) in &mut self.operators {
            let query = *query;
            if let Err(error) = step(operator, &mut self.outputs) {
                send(&mut self.messages, Message::Failed { query, error }, stop);
                self.merger.ring();
                return false;
            }
            let has_output = !self.outputs.is_empty();
            for output in self.outputs.drain(..) {
                if !send(&mut self.messages, Message::Output { query, output }, stop) {
                    return false;
                }
            }
            if has_output {
                self.merger.ring();
            }
        }
        true
    }
}
