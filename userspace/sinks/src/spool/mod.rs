//! Results that wait on disk for a sink that is away for longer than memory lasts, over a restart, too.
//!
//! ```text
//! thread of the outlet ──append──► folder, bounded in octets ──► thread of its own ──take_all──► Sink
//! ```
//! Every result goes through the folder, so that there is one way only, and what was appended survives the process; what
//! is synced, several times a second, survives a power cut. A result is in the folder until the sink has taken it; after
//! a crash some are given again, with the same [`ResultId`](crate::ResultId). What the bound leaves no room for are the
//! oldest results, which are counted as lost. The sink behind must hold nothing: what it took is safe.

mod backlog;
mod folder;
mod record;

use crate::outlet::{RETRY_FIRST, RETRY_MAX, Told, Turn};
use crate::sink::{Parcel, Refusal, Sink};
use backlog::{Backlog, Batch, Step};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tapline_record::EventTime;
use tapline_sources::{Clock, SystemClock};

/// How long, at the end, what waits may be sent; the rest waits for the next start.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// How long a sink that hangs is waited for besides.
const HANGS_WITHIN: Duration = Duration::from_secs(5);

/// Where results wait, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// Octets of its files.
    pub octets_max: u64,
}

/// A sink that takes whatever comes, and gives it to another one as soon as that takes it.
pub struct Spool {
    options: SpoolOptions,
    told: Told,
    /// Until the folder could be opened.
    sink: Option<Box<dyn Sink>>,
    backlog: Option<Arc<Backlog>>,
    thread: Option<JoinHandle<()>>,
    /// When the first result was given that is not synced, by query.
    unsynced: BTreeMap<String, EventTime>,
}

impl Spool {
    /// Puts a folder before a sink; it is opened as soon as that can be.
    #[must_use]
    pub fn new(options: SpoolOptions, sink: Box<dyn Sink>, told: Told) -> Self {
        Self { options, told, sink: Some(sink), backlog: None, thread: None, unsynced: BTreeMap::new() }
    }

    /// The folder, and what sends from it, as soon as it could be opened.
    fn open(&mut self) -> Result<&Backlog, String> {
        if self.backlog.is_none() {
            let backlog = Arc::new(Backlog::open(self.options.clone())?);
            self.thread = self.sink.take().map(|sink| self.start(&backlog, sink)).transpose()?;
            self.backlog = Some(backlog);
        }
        self.backlog.as_deref().ok_or_else(|| "it has no folder".to_owned())
    }

    fn start(&self, backlog: &Arc<Backlog>, sink: Box<dyn Sink>) -> Result<JoinHandle<()>, String> {
        let sender = Sender { backlog: Arc::clone(backlog), sink, told: Arc::clone(&self.told) };
        let thread = thread::Builder::new().name("out of spool".to_owned()).spawn(|| sender.run());
        thread.map_err(|error| format!("a thread cannot be started: {error}; start the node anew"))
    }
}

impl Sink for Spool {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let backlog = self.open().map_err(Refusal::Later)?;
        let record = record::encode(parcel).map_err(|error| Refusal::Never(error.to_string()))?;
        if record.len() as u64 > backlog.record_octets_max() {
            let (octets, most) = (record.len(), backlog.record_octets_max());
            let why = format!(
                "its {octets} octets are more than the {most} that a spool has room for; raise spool_octets_max"
            );
            return Err(Refusal::Never(why));
        }
        backlog.append(&parcel.origin.name, &record).map_err(Refusal::Later)?;
        self.unsynced.entry(parcel.origin.name.clone()).or_insert(parcel.given);
        Ok(())
    }

    fn tend(&mut self, _: EventTime) -> Result<(), String> {
        self.open()?.sync()?;
        self.unsynced.clear();
        Ok(())
    }

    fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        self.unsynced.clone()
    }

    fn held(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.waiting())
    }

    fn lost(&mut self) -> BTreeMap<String, u64> {
        self.backlog.as_ref().map_or_else(BTreeMap::new, |backlog| backlog.take_lost())
    }

    fn trouble(&self) -> Option<String> {
        self.backlog.as_ref().and_then(|backlog| backlog.trouble())
    }

    /// What is not sent by then waits for the next start.
    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        let Some(backlog) = &self.backlog else { return Ok(()) };
        backlog.end(FINISH_WITHIN);
        let is_done = backlog.wait_for_end(FINISH_WITHIN + HANGS_WITHIN);
        // What hangs is left behind.
        if let Some(thread) = self.thread.take().filter(|_| is_done) {
            let _ = thread.join();
        }
        backlog.sync()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some(backlog) = &self.backlog {
            backlog.end(Duration::ZERO);
        }
    }
}

/// What gives results from the folder to the sink.
struct Sender {
    backlog: Arc<Backlog>,
    sink: Box<dyn Sink>,
    told: Told,
}

impl Sender {
    fn run(mut self) {
        // A sink that panics ends alone; what waits is safe.
        if catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            self.backlog.set_trouble(Some("its thread died; please report this".to_owned()));
        }
        self.backlog.ended();
    }

    fn serve(&mut self) {
        let mut pause = Duration::ZERO;
        loop {
            let outcome = match self.backlog.next(pause) {
                Step::Send(batch) => self.send(&batch),
                Step::Stuck(why) => Err(why),
                Step::Idle if pause > Duration::ZERO => Ok(()),
                Step::Idle => self.sink.tend(SystemClock.now()),
                Step::End => break,
            };
            self.backlog.lose(self.sink.lost());
            pause = match outcome {
                Ok(()) => Duration::ZERO,
                Err(_) => (pause * 2).clamp(RETRY_FIRST, RETRY_MAX),
            };
            self.backlog.set_trouble(outcome.err());
        }
        if let Err(why) = self.sink.finish(SystemClock.now()) {
            (self.told)(Turn::Worse, &why);
        }
    }

    fn send(&mut self, batch: &Batch) -> Result<(), String> {
        let (taken, outcome) = self.sink.take_all(&batch.parcels);
        let (is_next_lost, outcome) = match outcome {
            Ok(()) => (false, Ok(())),
            Err(Refusal::Later(why)) => (false, Err(why)),
            Err(Refusal::Never(why)) => {
                let query = batch.parcels.get(taken).map_or("", |parcel| parcel.origin.name.as_str());
                (self.told)(Turn::Worse, &format!("a result of `{query}` is lost: {why}"));
                (true, Ok(()))
            }
        };
        // Where it cannot be noted, results are sent once more after a crash, and known again.
        let _ = self.backlog.settle(batch, taken, is_next_lost);
        outcome
    }
}

#[cfg(test)]
mod tests;
