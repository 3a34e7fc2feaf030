//! A worker thread: batches in, partial aggregates of every query out.

use crate::ring::{StopFlag, receive, send};
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

/// One worker's ends of the rings, and its operators.
pub(crate) struct Worker {
    /// The lower operators, each with its query's number.
    pub(crate) operators: Vec<(usize, LowerOperator)>,
    pub(crate) queries: usize,
    pub(crate) batches: Consumer<StreamBatch>,
    pub(crate) used: Producer<StreamBatch>,
    pub(crate) messages: Producer<Message>,
    pub(crate) outputs: Vec<LowerOutput>,
}

impl Worker {
    /// Works until the batches end.
    pub(crate) fn run(mut self, stop: &StopFlag<'_>) {
        while let Some(batch) = receive(&mut self.batches) {
            if stop.is_set() || !self.process(&batch, stop) {
                return;
            }
            // A full ring of used batches only costs their memory.
            let _ = self.used.push(batch);
        }
        self.finish(stop);
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
