//! The capture thread: whatever a source reads in, batches dispatched to the workers.

use crate::coverage::CoverageReporter;
use crate::ring::{StopFlag, Unparker, send};
use arrow_array::RecordBatch;
use rtrb::{Consumer, Producer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tapline_operators::StreamBatch;
use tapline_record::{Stream, Watermarks};
use tapline_sources::{Notice, Progress, Source, Step};

/// How far a watermark must have come to be told without a batch, in nanoseconds.
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

/// What a worker is given of a source.
pub(crate) enum Feed {
    /// Rows, and how far the source has come with them.
    Batch(StreamBatch, Watermarks),
    /// How far it has come since.
    Watermarks(Watermarks),
}

/// The reader's ends of one worker's rings.
pub(crate) struct WorkerLink {
    pub(crate) feed: Producer<Feed>,
    pub(crate) used: Consumer<StreamBatch>,
    /// Wakes the worker.
    pub(crate) worker: Unparker,
    /// The last watermarks that the worker was told.
    pub(crate) told: Watermarks,
}

impl WorkerLink {
    /// Tells the worker how far the source has come, unless that is hardly further than it was told, or there is no
    /// room now: what holds later says more.
    fn tell(&mut self, watermarks: Watermarks) {
        if watermarks.have_moved(&self.told, TELL_NS) && self.feed.push(Feed::Watermarks(watermarks)).is_ok()
        {
            self.told = watermarks;
            self.worker.unpark();
        }
    }
}

/// The reader's ends of the rings to the merger, of a live source.
pub(crate) struct LiveEnds {
    /// How much of it arrived.
    pub(crate) coverage: CoverageReporter,
    /// What somebody should hear of.
    pub(crate) notices: Producer<Notice>,
}

impl LiveEnds {
    /// What there is no room for waits in the source.
    fn pass_on_notices(&mut self, source: &mut dyn Source) {
        while !self.notices.is_full()
            && let Some(notice) = source.notice()
        {
            // There is room: this thread alone fills the ring.
            let _ = self.notices.push(notice);
        }
    }
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
    mut dispatcher: Dispatcher<'_>,
    progress: &ReaderProgress,
    stop: &StopFlag<'_>,
) -> u64 {
    dispatcher.waits |= source.waits();
    dispatcher.streams = source.streams();
    // Workers hear how far a live source has come before its first rows, which may be late as well.
    dispatcher.dispatch(source, true, stop);
    let mut dispatched_all = Instant::now();
    let mut ends_at = None;
    while !stop.is_set() {
        if stop.input_ends() && Instant::now() >= *ends_at.get_or_insert_with(|| dispatcher.end_of_input()) {
            break;
        }
        let step = source.step();
        if step == Step::End || step == Step::Idle && ends_at.is_some() {
            break;
        }
        dispatcher.collect_used(source);
        let all = dispatched_all.elapsed() >= if step == Step::Idle { HOLD } else { HOLD_MAX };
        if !dispatcher.dispatch(source, all, stop) {
            return dispatcher.dropped;
        }
        if all {
            dispatched_all = Instant::now();
        }
        progress.note(source.progress());
    }
    source.end();
    dispatcher.waits = true;
    dispatcher.dispatch(source, true, stop);
    dispatcher.dropped
}

/// Dispatches batches to the workers, one after the other.
pub(crate) struct Dispatcher<'a> {
    links: Vec<WorkerLink>,
    /// Whom to tell of a live source; its rows are dropped when a worker's ring is full.
    live: Option<LiveEnds>,
    /// Whether it waits for room in a ring.
    waits: bool,
    next: usize,
    /// The number of the next batch of any source.
    sequence: &'a AtomicU64,
    dropped: u64,
    /// Those of the source, asked for once.
    streams: Vec<&'static Stream>,
}

impl<'a> Dispatcher<'a> {
    pub(crate) const fn new(links: Vec<WorkerLink>, sequence: &'a AtomicU64, live: Option<LiveEnds>) -> Self {
        Self { waits: live.is_none(), links, live, next: 0, sequence, dropped: 0, streams: vec![] }
    }

    /// When to stop reading an input that is to end now: what a live one has received already is part of it.
    fn end_of_input(&self) -> Instant {
        Instant::now() + if self.live.is_some() { REST } else { Duration::ZERO }
    }

    /// Dispatches the batches of `source` that are full, or all of them, and tells how far it has come; says whether to go on.
    fn dispatch(&mut self, source: &mut dyn Source, all: bool, stop: &StopFlag<'_>) -> bool {
        if let Some(live) = &mut self.live {
            live.coverage.miss(source.newly_missing());
            live.pass_on_notices(source);
        }
        for position in 0..self.streams.len() {
            let stream = self.streams[position];
            while self.may_take(stream)
                && let Some(batch) = source.take(stream.id, all)
            {
                if !self.send(source, stream, batch, stop) {
                    return false;
                }
            }
        }
        let watermarks = source.watermarks();
        self.links.iter_mut().for_each(|link| link.tell(watermarks));
        true
    }

    /// Whether a batch of `stream` may be taken from its source now: what must not be lost stays there until there is
    /// room for it.
    fn may_take(&self, stream: &Stream) -> bool {
        !stream.id.is_lossless() || self.waits || !self.links[self.next].feed.is_full()
    }

    /// Sends a batch to the next worker; one that there is no room for is dropped and counted, unless the source waits.
    fn send(
        &mut self,
        source: &mut dyn Source,
        stream: &'static Stream,
        batch: RecordBatch,
        stop: &StopFlag<'_>,
    ) -> bool {
        let number = self.next;
        self.next = (number + 1) % self.links.len();
        let link = &mut self.links[number];
        let has_room = self.waits || !link.feed.is_full();
        if let Some(live) = self.live.as_mut().filter(|_| !stream.id.is_lossless()) {
            live.coverage.note(stream.id, &batch, source.counts_packets(stream.id), has_room);
        }
        if !has_room {
            let rows = batch.num_rows() as u64;
            self.dropped += rows;
            source.note_dropped(stream.id, rows);
            source.recycle(stream.id, batch);
            return !stop.is_set();
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let watermarks = source.watermarks();
        link.told = watermarks;
        let is_sent =
            send(&mut link.feed, Feed::Batch(StreamBatch { stream, batch, sequence }, watermarks), stop);
        let capacity = link.feed.buffer().capacity();
        if self.waits || capacity - link.feed.slots() >= WAKE_BATCHES.min(capacity) {
            link.worker.unpark();
        }
        is_sent
    }

    /// Takes back the batches that the workers are done with.
    fn collect_used(&mut self, source: &mut dyn Source) {
        for link in &mut self.links {
            while let Ok(used) = link.used.pop() {
                source.recycle(used.stream.id, used.batch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Parker;
    use arrow_array::{ArrayRef, TimestampNanosecondArray};
    use rtrb::RingBuffer;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use tapline_record::{EventTime, LEDGER, PACKETS, StreamId};
    use tapline_sources::Demand;

    /// Has a batch of two packets ready at each call of [`Source::step`], and a row of the ledger.
    #[derive(Default)]
    struct Ready {
        packets: u32,
        ledger_rows: u32,
        dropped: u64,
    }

    fn rows(rows: usize) -> RecordBatch {
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![7; rows]));
        RecordBatch::try_from_iter([("ts", times)]).unwrap()
    }

    impl Source for Ready {
        fn bind(&mut self, _: &Demand) -> io::Result<()> {
            Ok(())
        }

        fn is_live(&self) -> bool {
            true
        }

        fn step(&mut self) -> Step {
            self.packets += 1;
            self.ledger_rows += 1;
            Step::Read
        }

        fn streams(&self) -> Vec<&'static Stream> {
            vec![&PACKETS, &LEDGER]
        }

        fn take(&mut self, stream: StreamId, _: bool) -> Option<RecordBatch> {
            let batches = if stream == StreamId::Packets {
                std::mem::take(&mut self.packets)
            } else {
                std::mem::take(&mut self.ledger_rows)
            };
            (batches > 0).then(|| rows(2 * batches as usize))
        }

        fn watermarks(&self) -> Watermarks {
            let mut watermarks = Watermarks::END;
            watermarks.set(StreamId::Packets, EventTime(7));
            watermarks
        }

        fn newly_missing(&mut self) -> i64 {
            0
        }

        fn note_dropped(&mut self, _: StreamId, rows: u64) {
            self.dropped += rows;
        }

        fn end(&mut self) {}

        fn recycle(&mut self, _: StreamId, _: RecordBatch) {}

        fn progress(&self) -> Progress {
            Progress::default()
        }

        fn report(&mut self) {}
    }

    #[test]
    fn a_live_source_never_waits_for_a_worker_that_hangs() {
        let (feed, mut hangs) = RingBuffer::new(2);
        let (_back, used) = RingBuffer::new(2);
        let (reports, _log) = RingBuffer::new(64);
        let link = WorkerLink {
            feed,
            used,
            worker: Unparker(Arc::new(Parker::default())),
            told: Watermarks::BEGINNING,
        };
        let (notices, _told) = RingBuffer::new(1);
        let live = LiveEnds { coverage: CoverageReporter::new(reports), notices };
        let (sequence, input_ends) = (AtomicU64::new(0), AtomicBool::new(false));
        let stop = StopFlag::new(&input_ends);
        let mut dispatcher = Dispatcher::new(vec![link], &sequence, Some(live));
        let mut source = Ready::default();
        dispatcher.streams = source.streams();
        let mut dispatch = |source: &mut Ready| {
            source.step();
            assert!(dispatcher.dispatch(source, true, &stop));
        };
        (0..10).for_each(|_| dispatch(&mut source));
        assert_eq!(
            (source.dropped, source.ledger_rows),
            (2 * 9, 9),
            "rows of packets and turns of the ledger"
        );
        while hangs.pop().is_ok() {}
        dispatch(&mut source);
        let given = std::iter::from_fn(|| hangs.pop().ok());
        let streams: Vec<_> = given.filter_map(|feed| stream_of(&feed)).collect();
        assert_eq!(streams, [StreamId::Packets, StreamId::Ledger], "what waited comes when there is room");
        assert_eq!(source.ledger_rows, 0);
    }

    fn stream_of(feed: &Feed) -> Option<StreamId> {
        match feed {
            Feed::Batch(batch, _) => Some(batch.stream.id),
            Feed::Watermarks(_) => None,
        }
    }
}
