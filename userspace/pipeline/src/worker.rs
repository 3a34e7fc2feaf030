//! A worker thread: batches in, partial aggregates of every query out.

use crate::ring::{Patience, StopFlag, send};
use rtrb::{Consumer, Producer};
use tapline_operators::{LowerOperator, LowerOutput, QueryFailure, StreamBatch};
use tapline_record::EventTime;
use tapline_record::ledger::QueryLedger;

/// What a worker says to the merger.
pub(crate) enum Message {
    /// Something for query `query`.
    Output { query: usize, output: LowerOutput },
    /// This worker will give no pane that ends earlier.
    Watermark(EventTime),
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
}

impl Worker {
    /// Works until the batches end.
    pub(crate) fn run(mut self, stop: &StopFlag<'_>) {
        let mut turn = 0;
        while let Some((input, mut batch)) = self.next_batch(&mut turn) {
            self.inputs[input].watermark = batch.watermark;
            batch.watermark = self.inputs.iter().map(|input| input.watermark).min().unwrap_or(EventTime::MIN);
            if stop.is_set() || !self.process(&batch, stop) {
                return;
            }
            // A full ring of used batches only costs their memory.
            let _ = self.inputs[input].used.push(batch);
        }
        self.finish(stop);
    }

    /// The next batch of any source that has one, in turn, and which source's it is; `None` when all have ended.
    fn next_batch(&mut self, turn: &mut usize) -> Option<(usize, StreamBatch)> {
        let mut patience = Patience::for_batches();
        loop {
            let mut is_any_left = false;
            for _ in 0..self.inputs.len() {
                let number = *turn % self.inputs.len();
                *turn = number + 1;
                let input = &mut self.inputs[number];
                // A source that ends may still push its last batch between the two looks.
                let has_ended = input.batches.is_abandoned();
                if let Ok(batch) = input.batches.pop() {
                    return Some((number, batch));
                }
                input.watermark = if has_ended { EventTime::MAX } else { input.watermark };
                is_any_left |= !has_ended;
            }
            if !is_any_left {
                return None;
            }
            patience.pause();
        }
    }

    fn process(&mut self, batch: &StreamBatch, stop: &StopFlag<'_>) -> bool {
        let process = |operator: &mut LowerOperator, out: &mut Vec<_>| operator.process(batch, out);
        self.each_operator(process, stop)
            && send(&mut self.messages, Message::Watermark(batch.watermark), stop)
    }

    fn finish(&mut self, stop: &StopFlag<'_>) {
        if self.each_operator(LowerOperator::finish, stop) {
            let mut ledgers = vec![QueryLedger::default(); self.queries];
            for (query, operator) in &self.operators {
                ledgers[*query] += *operator.ledger();
            }
            send(&mut self.messages, Message::Done(ledgers), stop);
        }
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
                return false;
            }
            for output in self.outputs.drain(..) {
                if !send(&mut self.messages, Message::Output { query, output }, stop) {
                    return false;
                }
            }
        }
        true
    }
}
