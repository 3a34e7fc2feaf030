//! Dispatches the batches of a source to the workers, one after the other.

use crate::barrier::Barrier;
use crate::coverage::{CoverageReporter, Report, records_in};
use crate::feed::{Feed, Position};
use crate::ring::Unparker;
use arrow_array::RecordBatch;
use rtrb::{Consumer, Producer};
use std::collections::VecDeque;
use std::sync::Arc;
use tapline_operators::{SourceId, StreamBatch};
use tapline_record::{Epoch, EventTime, Layout, Stream, Watermarks};
use tapline_sources::Source;

/// How far a watermark must have come to be told without a batch, in nanoseconds.
const TELL_NS: i64 = 100_000_000;

/// Batches of a live source that a worker is woken for; fewer wait for it to look by itself. The more it takes in
/// one turn, the less it costs.
const WAKE_BATCHES: usize = 4;

const SECOND_NS: i64 = 1_000_000_000;

/// What is to be dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Batches that are full.
    Full,
    /// All batches.
    All,
    /// The same, and even a live source waits until there is room for what it keeps.
    Everything,
}

/// The source's ends of one worker's rings.
pub(crate) struct WorkerLink {
    pub(crate) feed: Producer<Feed>,
    pub(crate) used: Consumer<StreamBatch>,
    /// Wakes the worker.
    pub(crate) worker: Unparker,
    /// The last watermarks that the worker was told.
    pub(crate) told: Watermarks,
    /// Barriers that there was no room for yet, each behind what arrived before it; nothing may overtake them.
    pub(crate) barriers: VecDeque<(Barrier, Report)>,
}

impl WorkerLink {
    /// Whether something can be pushed now.
    fn has_room(&mut self) -> bool {
        while !self.feed.is_full()
            && let Some((barrier, coverage)) = self.barriers.pop_front()
        {
            // There is room: this thread alone fills the ring.
            let _ = self.feed.push(Feed::Barrier(barrier, coverage));
        }
        self.barriers.is_empty() && !self.feed.is_full()
    }

    /// Pushes what there is room for.
    fn push(&mut self, feed: Feed, watermarks: Watermarks) {
        self.told = watermarks;
        // There is room: this thread alone fills the ring, and was told so before.
        let _ = self.feed.push(feed);
    }
}

/// What is known of the way from a source to the workers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatched {
    /// Records whose rows were dropped because the workers had no room for them.
    pub(crate) rows_dropped: u64,
    /// Records that went missing, by the numbers of whoever sent them.
    pub(crate) records_missing: u64,
    /// Batches that wait for the worker that is furthest behind.
    pub(crate) batches_waiting: u64,
}

/// Dispatches batches to the workers.
pub(crate) struct Dispatcher {
    id: SourceId,
    links: Vec<WorkerLink>,
    layout: Arc<Layout>,
    /// The first layout with its columns.
    built_since: Epoch,
    /// How much of a live source arrived; its rows are dropped when a worker's ring is full.
    coverage: Option<CoverageReporter>,
    /// Whether it waits for room in a ring, and for results to be taken.
    waits: bool,
    stays: bool,
    next: usize,
    /// The number of the next batch.
    sequence: u64,
    dropped: u64,
    /// Records that went missing, less those that came late.
    missing: i64,
    /// Those of the source, asked for once a layout.
    streams: Vec<&'static Stream>,
    has_ended: bool,
}

impl Dispatcher {
    /// Dispatches what `source` gives by `layout`.
    pub(crate) fn new(
        id: SourceId,
        source: &dyn Source,
        links: Vec<WorkerLink>,
        layout: Arc<Layout>,
    ) -> Self {
        let coverage = source.is_live().then(CoverageReporter::default);
        let waits = coverage.is_none() || source.waits();
        let (streams, epoch) = (source.streams(), layout.epoch());
        let (next, sequence, dropped, missing, has_ended) = (0, 0, 0, 0, false);
        let mut dispatcher = Self {
            id,
            links,
            layout,
            built_since: epoch,
            coverage,
            waits,
            stays: source.stays(),
            next,
            sequence,
            dropped,
            missing,
            streams,
            has_ended,
        };
        dispatcher.put_barrier(epoch, EventTime::MIN, source.watermarks());
        dispatcher
    }

    /// What is known of the way to the workers.
    pub(crate) fn dispatched(&self) -> Dispatched {
        let waiting = |link: &WorkerLink| link.feed.buffer().capacity() - link.feed.slots();
        Dispatched {
            rows_dropped: self.dropped,
            records_missing: self.missing.max(0).unsigned_abs(),
            batches_waiting: self.links.iter().map(waiting).max().unwrap_or(0) as u64,
        }
    }

    /// Whether some worker is there no more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.links.iter().any(|link| link.feed.is_abandoned())
    }

    /// From now on nothing is dropped, however live the source is: it has ended.
    pub(crate) const fn wait(&mut self) {
        self.waits = true;
    }

    /// Dispatches the batches of `source` that are due, and tells how far it has come; says whether that was possible:
    /// where it waits, the rest stays in the source until there is room.
    pub(crate) fn dispatch(&mut self, source: &mut dyn Source, due: Due) -> bool {
        if let Some(coverage) = &mut self.coverage {
            // What it found out of before comes first: it is not among what is missing then.
            source.missed_before().iter().for_each(|missed| coverage.miss_in(missed));
            let missing = source.newly_missing();
            coverage.miss(&self.streams, missing);
            self.missing = self.missing.saturating_add(missing);
        }
        for position in 0..self.streams.len() {
            if !self.dispatch_stream(source, self.streams[position], due) {
                return false;
            }
        }
        if due != Due::Full {
            // No row is there that could say when that was: it was now. The next ones may be of another window, or come of
            // another reader of the same input.
            self.settle_missing(source);
        }
        self.tell(source.watermarks());
        true
    }

    /// Dispatches the batches of one stream; whether it need not wait for room.
    fn dispatch_stream(&mut self, source: &mut dyn Source, stream: &'static Stream, due: Due) -> bool {
        while self.may_take(source, stream) {
            let Some(batch) = source.take(stream.id, due != Due::Full) else { return true };
            self.send(source, stream, batch);
        }
        !self.waits && due != Due::Everything
    }

    /// Whether a batch of `stream` may be taken from its source now: what it keeps stays there until there is room for
    /// it.
    fn may_take(&mut self, source: &dyn Source, stream: &Stream) -> bool {
        let number = self.next_for(source, stream);
        !(self.waits || source.keeps(stream.id)) || self.links[number].has_room()
    }

    /// The worker that the next batch of `stream` is for.
    fn next_for(&self, source: &dyn Source, stream: &Stream) -> usize {
        if source.gathers(stream.id) { self.id.0 as usize % self.links.len() } else { self.next }
    }

    /// Sends a batch to the next worker; one that there is no room for is dropped and counted.
    fn send(&mut self, source: &mut dyn Source, stream: &'static Stream, batch: RecordBatch) {
        let number = self.next_for(source, stream);
        self.next = (self.next + 1) % self.links.len();
        let link = &mut self.links[number];
        let has_room = link.has_room();
        let mut report = vec![];
        if let Some(coverage) = &mut self.coverage {
            if !stream.id.is_lossless() {
                coverage.note(stream.id, &batch, source.counts_packets(stream.id), has_room);
            }
            if has_room {
                report = coverage.take();
            }
        }
        if !has_room {
            let records = records_in(&batch, source.counts_packets(stream.id));
            self.dropped += records;
            source.note_dropped(stream.id, records);
            return source.recycle(stream.id, batch);
        }
        let (source_id, layout, sequence) = (self.id, Arc::clone(&self.layout), self.sequence);
        self.sequence += 1;
        let batch = StreamBatch { source: source_id, stream, layout, batch, sequence };
        let position = Position { watermarks: source.watermarks(), coverage: report };
        link.push(Feed::Batch(batch, position), source.watermarks());
        let capacity = link.feed.buffer().capacity();
        if self.waits || capacity - link.feed.slots() >= WAKE_BATCHES.min(capacity) {
            link.worker.unpark();
        }
    }

    /// Tells each worker how far the source has come, unless that is hardly further than it was told, or there is no
    /// room now: what holds later says more. A source that was at rest, and held up nobody, goes back when it goes on.
    fn tell(&mut self, watermarks: Watermarks) {
        for link in &mut self.links {
            let has_moved =
                watermarks.have_moved(&link.told, TELL_NS) || link.told.have_moved(&watermarks, TELL_NS);
            if has_moved && link.has_room() {
                let coverage = self.coverage.as_mut().map(CoverageReporter::take).unwrap_or_default();
                link.push(Feed::Advance(Position { watermarks, coverage }), watermarks);
                link.worker.unpark();
            }
        }
    }

    /// Goes over to another layout, by which the source builds from now on. Everything before was dispatched.
    pub(crate) fn turn_to(&mut self, layout: Arc<Layout>, source: &dyn Source) {
        (self.streams, self.stays) = (source.streams(), source.stays());
        self.put_barrier(layout.epoch(), source.latest(), source.watermarks());
        self.built_since = layout.epoch();
        self.layout = layout;
        self.tell(source.watermarks());
    }

    /// Says of all that is known to be missing that it is of now: of the latest rows, or of what nobody is to wait for next.
    fn settle_missing(&mut self, source: &dyn Source) {
        let Some(coverage) = &mut self.coverage else { return };
        for stream in self.streams.iter().filter(|stream| !stream.id.is_lossless()) {
            let time = source.latest().max(source.watermarks().of(stream.id));
            // Before there was any time, nobody knows of which one it is.
            if time > EventTime::MIN && time < EventTime::MAX {
                coverage.settle(stream.id, time.0.div_euclid(SECOND_NS));
            }
        }
    }

    /// Keeps its layout when another one begins: the source cannot build by that, or need not.
    pub(crate) fn stay(&mut self, epoch: Epoch, source: &dyn Source) {
        let built_since = self.built_since;
        self.turn_to(Arc::new(self.layout.renumbered(epoch)), source);
        self.built_since = built_since;
    }

    /// The layout of what is dispatched now.
    pub(crate) fn epoch(&self) -> Epoch {
        self.layout.epoch()
    }

    /// Puts a barrier behind all that was dispatched, which is no later than `latest`.
    fn put_barrier(&mut self, epoch: Epoch, latest: EventTime, watermarks: Watermarks) {
        let Self { id: source, sequence, waits, stays, .. } = *self;
        let barrier = Barrier { source, epoch, latest, sequence, waits, stays, watermarks };
        let mut coverage = self.coverage.as_mut().map(CoverageReporter::take).unwrap_or_default();
        for link in &mut self.links {
            link.barriers.push_back((barrier, std::mem::take(&mut coverage)));
            // What is new here has gone back to the beginning.
            link.told = Watermarks::BEGINNING;
        }
    }

    /// Whether the last barrier was put behind all that was dispatched.
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Behind the last barrier, tells each worker that nothing more comes; says whether all were told.
    pub(crate) fn end(&mut self, source: &dyn Source) -> bool {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.put_barrier(Barrier::LAST, source.latest(), source.watermarks());
        }
        while let Some(link) = self.links.last_mut() {
            if !link.has_room() {
                return false;
            }
            let coverage = self.coverage.as_mut().map(CoverageReporter::take).unwrap_or_default();
            // Where it came to, and no further: whether its last windows are whole shows at the end of all.
            let watermarks = source.watermarks();
            link.push(Feed::End(Position { watermarks, coverage }), watermarks);
            self.links.pop();
        }
        true
    }

    /// Takes back the batches that the workers are done with.
    pub(crate) fn collect_used(&mut self, source: &mut dyn Source) {
        for link in &mut self.links {
            while let Ok(used) = link.used.pop() {
                if used.layout.epoch() >= self.built_since {
                    source.recycle(used.stream.id, used.batch);
                }
            }
        }
    }
}
