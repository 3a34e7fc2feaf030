//! A worker thread: batches in, partial aggregates of every query out.
//!
//! Batches are taken in turns: all that wait, which one operator after the other processes. An operator's group
//! table is in the cache only while it works, so its turn should last.

use crate::reader::Feed;
use crate::ring::{Parker, StopFlag, Unparker, send};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::{LowerOperator, LowerOutput, QueryFailure, StreamBatch};
use tapline_record::Watermarks;
use tapline_record::ledger::QueryLedger;

/// A worker that waits looks again after so long: it is woken when there is much to do.
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How far its watermark must have come for a worker to wake the merger for it, in nanoseconds.
const TELL_NS: i64 = 50_000_000;

/// What a worker says to the merger.
pub(crate) enum Message {
    /// Something for query `query`.
    Output { query: usize, output: LowerOutput },
    /// This worker will give no pane that ends where its streams have come to, or earlier.
    Watermarks(Watermarks),
    /// So many more rows came too late for query `query`.
    Late { query: usize, rows: u64 },
    /// All is said; the fates of each query's rows.
    Done(Vec<QueryLedger>),
    /// A query cannot go on.
    Failed { query: usize, error: QueryFailure },
}

/// One worker's ends of the rings to one source.
pub(crate) struct WorkerInput {
    pub(crate) feed: Consumer<Feed>,
    pub(crate) used: Producer<StreamBatch>,
    /// How far the source has come.
    pub(crate) watermarks: Watermarks,
}

/// One thing to do.
struct Task {
    /// Rows of the source of this number.
    batch: Option<(usize, StreamBatch)>,
    /// How far all sources have come with them.
    watermarks: Watermarks,
}

/// One worker's ends of the rings, and its operators.
pub(crate) struct Worker {
    /// The lower operators, each with its query's number.
    pub(crate) operators: Vec<(usize, LowerOperator)>,
    pub(crate) queries: usize,
    pub(crate) inputs: Vec<WorkerInput>,
    pub(crate) messages: Producer<Message>,
    pub(crate) outputs: Vec<LowerOutput>,
    /// Where it waits for batches.
    pub(crate) parker: Arc<Parker>,
    /// Wakes the merger.
    pub(crate) merger: Unparker,
    /// The last watermarks that the merger was told.
    pub(crate) told: Watermarks,
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
            for (input, batch) in turn.drain(..).filter_map(|task| task.batch) {
                // A full ring of used batches only costs their memory.
                let _ = self.inputs[input].used.push(batch);
            }
        }
        self.finish(stop);
    }

    /// Takes what waits, and waits for the first of it; says whether there is anything, which is not so when all
    /// sources have ended.
    fn take_turn(&mut self, turn: &mut Vec<Task>) -> bool {
        loop {
            // A source that ends may still push its last batch between the two looks.
            let have_ended = self.inputs.iter().all(|input| input.feed.is_abandoned());
            (0..self.inputs.len()).for_each(|input| self.take_from(input, turn));
            if have_ended || !turn.is_empty() {
                return !turn.is_empty();
            }
            let inputs = &self.inputs;
            self.parker.park(WAIT_MAX, || {
                inputs.iter().any(|input| !input.feed.is_empty())
                    || inputs.iter().all(|input| input.feed.is_abandoned())
            });
        }
    }

    /// Takes what waits of one source.
    fn take_from(&mut self, input: usize, turn: &mut Vec<Task>) {
        let has_ended = self.inputs[input].feed.is_abandoned();
        while let Ok(feed) = self.inputs[input].feed.pop() {
            let (batch, watermarks) = match feed {
                Feed::Batch(batch, watermarks) => (Some((input, batch)), watermarks),
                Feed::Watermarks(watermarks) => (None, watermarks),
            };
            self.inputs[input].watermarks = watermarks;
            turn.push(Task { batch, watermarks: self.watermarks() });
        }
        if has_ended {
            self.inputs[input].watermarks = Watermarks::END;
        }
    }

    /// How far all sources have come.
    fn watermarks(&self) -> Watermarks {
        self.inputs.iter().fold(Watermarks::END, |all, input| all.and(input.watermarks))
    }

    fn process(&mut self, turn: &[Task], stop: &StopFlag<'_>) -> bool {
        let process = |operator: &mut LowerOperator, out: &mut Vec<_>| {
            turn.iter().try_for_each(|task| {
                task.batch.iter().try_for_each(|(_, batch)| operator.process(batch, out))?;
                operator.advance(&task.watermarks, out)
            })
        };
        let watermarks = turn.last().map_or(Watermarks::BEGINNING, |task| task.watermarks);
        self.each_operator(process, stop) && self.tell_late(stop) && self.tell(watermarks, stop)
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
    fn tell(&mut self, watermarks: Watermarks, stop: &StopFlag<'_>) -> bool {
        if !watermarks.have_moved(&self.told, TELL_NS) {
            return true;
        }
        self.told = watermarks;
        self.say(Message::Watermarks(watermarks), stop)
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
        self.merger.unpark();
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
                self.merger.unpark();
                return false;
            }
            let has_output = !self.outputs.is_empty();
            for output in self.outputs.drain(..) {
                if !send(&mut self.messages, Message::Output { query, output }, stop) {
                    return false;
                }
            }
            if has_output {
                self.merger.unpark();
            }
        }
        true
    }
}
