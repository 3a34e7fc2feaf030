//! What everybody knows of a source: how far it was read, what became of it, and whether it is to end.

use crate::dispatcher::Dispatched;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use tapline_record::EventTime;
use tapline_record::ledger::SourceLedger;
use tapline_sources::{Progress, Source};

/// A source as the threads share it.
#[derive(Debug)]
pub(crate) struct SourceState {
    name: String,
    unit: &'static str,
    is_live: bool,
    leaves: AtomicBool,
    octets: AtomicU64,
    frames: AtomicU64,
    total_octets: Option<u64>,
    fates: [AtomicU64; 7],
    latest: AtomicI64,
    rows_dropped: AtomicU64,
    records_missing: AtomicU64,
    batches_waiting: AtomicU64,
    failure: OnceLock<String>,
    has_ended: AtomicBool,
}

impl SourceState {
    pub(crate) fn new(source: &dyn Source) -> Self {
        Self {
            name: source.name(),
            unit: source.unit(),
            is_live: source.is_live(),
            leaves: AtomicBool::new(false),
            octets: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            total_octets: source.progress().total_octets,
            fates: Default::default(),
            latest: AtomicI64::new(EventTime::MIN.0),
            rows_dropped: AtomicU64::new(0),
            records_missing: AtomicU64::new(0),
            batches_waiting: AtomicU64::new(0),
            failure: OnceLock::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// What its rows name as their source.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What its fates are counted in.
    pub(crate) const fn unit(&self) -> &'static str {
        self.unit
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.is_live
    }

    /// Asks it to end: what was read so far is all of it.
    pub(crate) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    /// Tells how far it was read, what became of that, and what is known of the way to the workers.
    pub(crate) fn tell(&self, source: &dyn Source, dispatched: Dispatched) {
        let (progress, fates) = (source.progress(), source.fates());
        self.octets.store(progress.octets, Ordering::Relaxed);
        self.frames.store(progress.frames, Ordering::Relaxed);
        let SourceLedger { offered, delivered, filtered, control, undecodable, dropped, lost_before_us } =
            fates;
        let fates = [offered, delivered, filtered, control, undecodable, dropped, lost_before_us];
        self.fates.iter().zip(fates).for_each(|(cell, value)| cell.store(value, Ordering::Relaxed));
        self.latest.store(source.latest().0, Ordering::Relaxed);
        let Dispatched { rows_dropped, records_missing, batches_waiting } = dispatched;
        self.rows_dropped.store(rows_dropped, Ordering::Relaxed);
        self.records_missing.store(records_missing, Ordering::Relaxed);
        self.batches_waiting.store(batches_waiting, Ordering::Relaxed);
    }

    /// Tells why it ended before its input did; the first reason counts.
    pub(crate) fn fail(&self, failure: String) {
        let _ = self.failure.set(failure);
    }

    /// Why it ended before its input did, if that is so.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Tells that it has ended, whatever the reason.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            octets: self.octets.load(Ordering::Relaxed),
            total_octets: self.total_octets,
            frames: self.frames.load(Ordering::Relaxed),
        }
    }

    /// The fates of what it read. A reader may see some of the last turn and miss others.
    pub(crate) fn fates(&self) -> SourceLedger {
        let [offered, delivered, filtered, control, undecodable, dropped, lost_before_us] =
            self.fates.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        SourceLedger { offered, delivered, filtered, control, undecodable, dropped, lost_before_us }
    }

    /// No row of it that was given so far is later.
    pub(crate) fn latest(&self) -> EventTime {
        EventTime(self.latest.load(Ordering::Relaxed))
    }

    pub(crate) fn rows_dropped(&self) -> u64 {
        self.rows_dropped.load(Ordering::Relaxed)
    }

    /// What is known of the way to the workers.
    pub(crate) fn dispatched(&self) -> Dispatched {
        Dispatched {
            rows_dropped: self.rows_dropped(),
            records_missing: self.records_missing.load(Ordering::Relaxed),
            batches_waiting: self.batches_waiting.load(Ordering::Relaxed),
        }
    }
}
