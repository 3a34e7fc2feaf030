//! The merger: what the workers give in, results out, on the thread that started the run.

use crate::coverage::CoverageLog;
use crate::ring::{Parker, StopFlag};
use crate::run::RunError;
use crate::sink::Sink;
use crate::worker::Message;
use rtrb::Consumer;
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::{QueryId, QueryMerger, WindowResult};
use tapline_record::ledger::QueryLedger;
use tapline_sources::{Notice, Progress};

/// A merger that waits looks after so long whether results are to be shown, or a worker has died.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Messages that are taken from one worker before the next one gets its turn.
const MESSAGES_PER_TURN: usize = 64;

/// Merges what all workers give for all queries.
pub(crate) struct Merger {
    pub(crate) queries: Vec<QueryMerger>,
    pub(crate) workers: Vec<Consumer<Message>>,
    pub(crate) ledgers: Vec<QueryLedger>,
    pub(crate) done: usize,
    pub(crate) results: Vec<WindowResult>,
    pub(crate) coverage: CoverageLog,
    /// Of each live source.
    pub(crate) notices: Vec<Consumer<Notice>>,
    /// Where it waits for messages.
    pub(crate) parker: Arc<Parker>,
}

impl Merger {
    /// Works until all workers are done, or nothing more can change any result: then no query's rows
    /// were all seen, and there is no account of them.
    pub(crate) fn run(
        mut self,
        sink: &mut dyn Sink,
        progress: &dyn Fn() -> Progress,
        stop: &StopFlag<'_>,
    ) -> Result<Vec<QueryLedger>, RunError> {
        while self.done < self.workers.len() && !self.is_satisfied() {
            if self.take_messages(sink)? {
                continue;
            }
            if self.gone() > self.done {
                return Err(RunError::WorkerDied);
            }
            sink.idle(progress()).map_err(RunError::Sink)?;
            let workers = &self.workers;
            self.parker.park(WAIT_MAX, || workers.iter().any(|messages| !messages.is_empty()));
        }
        stop.stop();
        self.coverage.collect();
        for query in 0..self.queries.len() {
            self.queries[query]
                .finish(stop.input_ends(), &mut self.results)
                .map_err(|error| failed(query, &error))?;
            self.give(query, sink)?;
        }
        let is_whole = self.done == self.workers.len();
        Ok(if is_whole { self.ledgers } else { vec![] })
    }

    /// Workers that will say nothing more; all of them but those that died have said that they are done.
    fn gone(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_abandoned() && worker.is_empty()).count()
    }

    fn is_satisfied(&self) -> bool {
        self.queries.iter().all(QueryMerger::is_satisfied)
    }

    /// Takes what has come; says whether there was anything.
    fn take_messages(&mut self, sink: &mut dyn Sink) -> Result<bool, RunError> {
        let mut any = false;
        self.coverage.collect();
        for notices in &mut self.notices {
            while let Ok(notice) = notices.pop() {
                sink.notice(&notice);
            }
        }
        for worker in 0..self.workers.len() {
            for _ in 0..MESSAGES_PER_TURN {
                let Ok(message) = self.workers[worker].pop() else { break };
                any = true;
                self.take(worker, message, sink)?;
            }
        }
        Ok(any)
    }

    fn take(&mut self, worker: usize, message: Message, sink: &mut dyn Sink) -> Result<(), RunError> {
        match message {
            Message::Output { query, output } => {
                let merger = &mut self.queries[query];
                merger.accept(output, &mut self.results).map_err(|error| failed(query, &error))?;
                self.give(query, sink)
            }
            Message::Watermarks(watermarks) => {
                for query in 0..self.queries.len() {
                    let merger = &mut self.queries[query];
                    merger
                        .advance(worker, &watermarks, &mut self.results)
                        .map_err(|error| failed(query, &error))?;
                    self.give(query, sink)?;
                }
                Ok(())
            }
            Message::Late { query, rows } => {
                let streams = self.queries[query].streams();
                self.coverage.note_late(QueryId(query as u32), streams, rows);
                Ok(())
            }
            Message::Done(ledgers) => {
                self.done += 1;
                self.ledgers.iter_mut().zip(ledgers).for_each(|(sum, ledger)| *sum += ledger);
                Ok(())
            }
            Message::Failed { query, error } => Err(failed(query, &error)),
        }
    }

    fn give(&mut self, query: usize, sink: &mut dyn Sink) -> Result<(), RunError> {
        let (coverage, streams) = (&self.coverage, self.queries[query].streams());
        let write = |mut result: WindowResult| {
            result.completeness = result.window.and_then(|window| coverage.of(result.query, streams, window));
            sink.write(&result)
        };
        self.results.drain(..).try_for_each(write).map_err(RunError::Sink)
    }
}

pub(crate) fn failed(query: usize, error: &tapline_operators::QueryFailure) -> RunError {
    let text = error.find_root().message().into_owned();
    RunError::Query { query, message: text.lines().next().unwrap_or_default().to_owned() }
}
