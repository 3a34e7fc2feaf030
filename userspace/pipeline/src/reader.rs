//! The capture thread: whatever a source reads in, batches dealt out to the workers.

use crate::coverage::CoverageReporter;
use crate::ring::{Cord, StopFlag, send};
use crate::sink::Progress;
use crate::source::{Source, Step};
use arrow_array::RecordBatch;
use rtrb::{Consumer, Producer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tapline_operators::StreamBatch;
use tapline_record::{EventTime, INTERFACE_COUNTERS, LEDGER, Stream};

/// How far the watermark of a silent source must have come to be told again, in nanoseconds.
const TELL_NS: i64 = 100_000_000;

/// While an input is silent, what came so far waits no longer than this for a full batch; …
const HOLD: Duration = Duration::from_millis(20);
/// … while it is not, no longer than this.
const HOLD_MAX: Duration = Duration::from_millis(200);
/// How long a live source is read on, when its input is to end, for what it has received already.
const REST: Duration = Duration::from_millis(300);
/// Batches of a live source that a worker is woken for; fewer wait for it to look by itself. The more it takes in
/// one turn, the less it costs.
const WAKE_BATCHES: usize = 4;

/// The reader's ends of one worker's rings.
pub(crate) struct Lane {
    pub(crate) batches: Producer<StreamBatch>,
    pub(crate) used: Consumer<StreamBatch>,
    /// Wakes the worker.
    pub(crate) worker: Cord,
}

/// What the reader has done so far, for whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct ReaderProgress {
    octets: AtomicU64,
    frames: AtomicU64,
}

impl ReaderProgress {
    fn note(&self, progress: Progress) {
        self.octets.store(progress.octets, Ordering::Relaxed);
        self.frames.store(progress.frames, Ordering::Relaxed);
    }

    /// How far the reader has come of so many octets.
    pub(crate) fn of(&self, total_octets: Option<u64>) -> Progress {
        let octets = self.octets.load(Ordering::Relaxed);
        Progress { octets, total_octets, frames: self.frames.load(Ordering::Relaxed) }
    }
}

/// Reads until the source ends, or the run, or whoever started it has seen enough. Gives the rows that were
/// dropped because the workers had no room for them: a live source does not wait.
pub(crate) fn read(
    source: &mut dyn Source,
    mut dealer: Dealer<'_>,
    progress: &ReaderProgress,
    stop: &StopFlag<'_>,
) -> u64 {
    dealer.waits |= source.waits();
    let mut dealt_all = Instant::now();
    let mut ends_at = None;
    while !stop.is_set() {
        if stop.input_ends() && Instant::now() >= *ends_at.get_or_insert_with(|| dealer.end_of_input()) {
            break;
        }
        let step = source.step();
        if step == Step::End || step == Step::Idle && ends_at.is_some() {
            break;
        }
        dealer.collect_used(source);
        let all = dealt_all.elapsed() >= if step == Step::Idle { HOLD } else { HOLD_MAX };
        // A watermark may be told when no rows are left that are older.
        if !dealer.deal(source, all, stop) || all && !dealer.tell_watermark(source, stop) {
            return dealer.dropped;
        }
        if all {
            dealt_all = Instant::now();
        }
        progress.note(source.progress());
    }
    source.end();
    dealer.waits = true;
    dealer.deal(source, true, stop);
    dealer.dropped
}

/// Deals batches out to the lanes, one after the other.
pub(crate) struct Dealer<'a> {
    lanes: Vec<Lane>,
    /// Whom to tell how much of a live source arrived; its rows are dropped when a lane is full.
    live: Option<CoverageReporter>,
    /// Whether it waits for room in a lane.
    waits: bool,
    next: usize,
    /// The number of the next batch of any source.
    sequence: &'a AtomicU64,
    dropped: u64,
    /// The last watermark that every worker was told.
    told: EventTime,
}

impl<'a> Dealer<'a> {
    pub(crate) const fn new(
        lanes: Vec<Lane>,
        sequence: &'a AtomicU64,
        live: Option<CoverageReporter>,
    ) -> Self {
        Self { waits: live.is_none(), lanes, live, next: 0, sequence, dropped: 0, told: EventTime::MIN }
    }

    /// When to stop reading an input that is to end now: what a live one has received already is part of it.
    fn end_of_input(&self) -> Instant {
        Instant::now() + if self.live.is_some() { REST } else { Duration::ZERO }
    }

    /// Deals the batches of `source` that are full, or all of them; says whether to go on.
    fn deal(&mut self, source: &mut dyn Source, all: bool, stop: &StopFlag<'_>) -> bool {
        let watermark = source.watermark();
        if let Some(coverage) = &mut self.live {
            coverage.miss(source.newly_missing());
        }
        let dropped_before = self.dropped;
        let goes_on = source.hand_over(all, &mut |stream, batch| self.send(stream, batch, watermark, stop));
        source.note_dropped(self.dropped - dropped_before);
        goes_on
    }

    fn send(
        &mut self,
        stream: &'static Stream,
        batch: RecordBatch,
        watermark: EventTime,
        stop: &StopFlag<'_>,
    ) -> bool {
        let lane = self.next;
        self.next = (lane + 1) % self.lanes.len();
        let ring = &mut self.lanes[lane].batches;
        let is_ledger = [&LEDGER, &INTERFACE_COUNTERS].iter().any(|other| std::ptr::eq(stream, *other));
        if let Some(coverage) = self.live.as_mut().filter(|_| !is_ledger && batch.num_rows() > 0) {
            let has_room = self.waits || !ring.is_full();
            coverage.note(stream, &batch, has_room);
            if !has_room {
                self.dropped += batch.num_rows() as u64;
                return !stop.is_set();
            }
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let is_sent = send(ring, StreamBatch { stream, batch, sequence, watermark }, stop);
        let capacity = ring.buffer().capacity();
        if self.waits || capacity - ring.slots() >= WAKE_BATCHES.min(capacity) {
            self.lanes[lane].worker.ring();
        }
        is_sent
    }

    /// Tells every worker how far a silent source has come, by a batch without rows.
    fn tell_watermark(&mut self, source: &mut dyn Source, stop: &StopFlag<'_>) -> bool {
        let watermark = source.watermark();
        if self.live.is_none() || watermark < self.told.plus(TELL_NS) {
            return true;
        }
        self.told = watermark;
        let (stream, batch) = source.no_rows();
        (0..self.lanes.len()).all(|_| self.send(stream, batch.clone(), watermark, stop))
    }

    /// Takes back the batches that the workers are done with.
    fn collect_used(&mut self, source: &mut dyn Source) {
        for lane in &mut self.lanes {
            while let Ok(used) = lane.used.pop() {
                source.recycle(used.stream, used.batch);
            }
        }
    }
}
