//! A source that gives what it was made of, and what was kept of a run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use tapline_engine::{EndReason, Event, QueryId, Subscription, WindowResult};
use tapline_record::ledger::QueryLedger;
use tapline_record::{
    BatchBuilder, EventTime, PACKETS, PacketColumn, PacketRow, Stream, StreamId, Watermarks,
};
use tapline_sources::{Demand, Progress, Source, Step};

/// Packets of UDP from a port, at a second each.
pub(crate) fn packets(seconds: impl IntoIterator<Item = i64>, src_port: u16) -> Vec<PacketRow> {
    let carried = [PacketColumn::Ts, PacketColumn::SrcPort, PacketColumn::Octets, PacketColumn::Protocol];
    let present = carried.iter().fold(0, |bits, column| bits | column.bit());
    let at = |second: i64| PacketRow {
        ts: second * 1_000_000_000,
        src_port,
        octets: 100,
        protocol: 17,
        present,
        ..PacketRow::default()
    };
    seconds.into_iter().map(at).collect()
}

/// What a fake source counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) dropped: Arc<AtomicU64>,
    pub(crate) reports: Arc<AtomicU64>,
}

/// Gives batches of packets in turn, with watermarks that no later one is behind.
pub(crate) struct FakeSource {
    batches: std::vec::IntoIter<Vec<PacketRow>>,
    ready: Option<Vec<PacketRow>>,
    columns: Vec<usize>,
    is_live: bool,
    /// How long a live one stays when it has given all.
    stays: Duration,
    ended_at: Option<Instant>,
    pub(crate) fails_to_bind: bool,
    /// Whether it is not prepared for another layout yet.
    pub(crate) is_unprepared: Arc<AtomicBool>,
    /// Whether a live one waits for room.
    pub(crate) is_lossless: bool,
    /// How far its rows may be behind what came before them.
    pub(crate) lateness_ns: i64,
    watermarks: Watermarks,
    counted: Counted,
}

impl FakeSource {
    /// A file of these rows, some at once.
    pub(crate) fn file(rows: &[PacketRow], batch_rows: usize) -> Self {
        let batches: Vec<_> = rows.chunks(batch_rows).map(<[PacketRow]>::to_vec).collect();
        Self {
            batches: batches.into_iter(),
            ready: None,
            columns: vec![],
            is_live: false,
            stays: Duration::ZERO,
            ended_at: None,
            fails_to_bind: false,
            is_unprepared: Arc::default(),
            is_lossless: false,
            lateness_ns: 0,
            watermarks: Watermarks::BEGINNING,
            counted: Counted::default(),
        }
    }

    /// The same of an interface that is silent for so long before it goes.
    pub(crate) fn live(rows: &[PacketRow], batch_rows: usize, stays: Duration) -> Self {
        Self { is_live: true, stays, ..Self::file(rows, batch_rows) }
    }

    pub(crate) fn counted(&self) -> Counted {
        self.counted.clone()
    }
}

impl Source for FakeSource {
    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        if self.fails_to_bind {
            return Err(io::Error::other("there is no such thing"));
        }
        self.columns = demand.columns(StreamId::Packets).unwrap_or_default().to_vec();
        Ok(())
    }

    fn prepare(&mut self, _: &Demand) -> bool {
        !self.is_unprepared.load(Ordering::Relaxed)
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.columns = demand.columns(StreamId::Packets).unwrap_or_default().to_vec();
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn step(&mut self) -> Step {
        self.ready = self.batches.next();
        if self.ready.is_some() {
            return Step::Read;
        }
        let ended_at = *self.ended_at.get_or_insert_with(Instant::now);
        if ended_at.elapsed() < self.stays { Step::Idle } else { Step::End }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&PACKETS]
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        let rows = self.ready.take()?;
        let latest = rows.iter().map(|row| row.ts).max()?;
        let before = self.watermarks.of(StreamId::Packets);
        let watermark = EventTime(latest).plus(-self.lateness_ns).max(before);
        self.watermarks.set(StreamId::Packets, watermark);
        let mut builder = BatchBuilder::new(&PACKETS, &self.columns, rows.len());
        for burst in rows.chunks(64) {
            builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        Some(builder.finish())
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn lateness_ns(&self, _: StreamId) -> i64 {
        self.lateness_ns
    }

    fn latest(&self) -> EventTime {
        self.watermarks.of(StreamId::Packets).plus(self.lateness_ns)
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: StreamId, rows: u64) {
        self.counted.dropped.fetch_add(rows, Ordering::Relaxed);
    }

    fn waits(&self) -> bool {
        self.is_lossless
    }

    fn end(&mut self) {}

    fn recycle(&mut self, _: StreamId, _: RecordBatch) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn report(&mut self) {
        self.counted.reports.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a run of an engine gave.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) results: Vec<WindowResult>,
    /// How each query ended, and the fates of its rows.
    pub(crate) ended: BTreeMap<QueryId, (EndReason, QueryLedger)>,
    pub(crate) satisfied: Vec<QueryId>,
    /// How long whoever reads the results takes for the first one.
    pub(crate) first_takes: Duration,
}

impl Kept {
    /// Reads events until so many queries have ended, or are satisfied.
    pub(crate) fn read(&mut self, events: &Subscription, queries: usize) {
        while self.ended.len() + self.satisfied.len() < queries {
            match events.next(Duration::from_secs(60)).unwrap().expect("a run of a minute hangs") {
                Event::Result(result) => {
                    if self.results.is_empty() {
                        std::thread::sleep(self.first_takes);
                    }
                    self.results.push(result);
                }
                Event::Ended { query, reason, ledger } => drop(self.ended.insert(query, (reason, ledger))),
                Event::Satisfied(query) => self.satisfied.push(query),
                Event::Notice(..) | Event::SourceEnded { .. } => {}
            }
        }
    }

    /// The fates of a query's rows.
    pub(crate) fn ledger(&self, query: u32) -> QueryLedger {
        self.ended[&QueryId(query)].1
    }
}
