//! A source that gives packets of known times, and notes where it came to each layout.

use arrow_array::RecordBatch;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tapline_record::column::BURST_ROWS;
use tapline_record::ledger::SourceLedger;
use tapline_record::{
    BatchBuilder, EventTime, PACKETS, PacketColumn, PacketRow, Stream, StreamId, Watermarks,
};
use tapline_sources::{Demand, FlowsAsk, Progress, Source, Step};

pub(super) const SECOND_NS: i64 = 1_000_000_000;

/// Turns that it takes to tell of active flows.
pub(super) const TURNS_OF_TELLING: usize = 3;

/// What a script tells while it is played.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    /// For each order to go over to another layout, the rows that came before.
    pub(super) turns: Arc<Mutex<Vec<usize>>>,
    pub(super) dropped: Arc<AtomicU64>,
    /// Whether it is prepared for no other layout for now.
    pub(super) is_unprepared: Arc<AtomicBool>,
    /// For each turn in which it told of active flows, the orders to go over to another layout that it had followed.
    pub(super) told: Arc<Mutex<Vec<usize>>>,
    /// How often it told its account.
    pub(super) reports: Arc<AtomicU64>,
}

/// Packets of one source.
pub(super) struct Script {
    /// When each packet was, in seconds, ascending.
    seconds: Arc<Vec<i64>>,
    src_port: u16,
    batch_rows: usize,
    is_live: bool,
    taken: usize,
    ready: usize,
    columns: Vec<usize>,
    /// Whether it vanishes when all was read, instead of ending.
    vanishes: bool,
    /// Whether it reads on when results were taken.
    stays: bool,
    played: Played,
}

impl Script {
    pub(super) fn new(seconds: Arc<Vec<i64>>, src_port: u16, batch_rows: usize, is_live: bool) -> Self {
        let played = Played::default();
        Self {
            seconds,
            src_port,
            batch_rows,
            is_live,
            taken: 0,
            ready: 0,
            columns: vec![],
            vanishes: false,
            stays: false,
            played,
        }
    }

    /// The same, which is gone behind its last packet.
    pub(super) fn that_vanishes(self) -> Self {
        Self { vanishes: true, ..self }
    }

    /// The same, whose packets stay where they are until results were taken.
    pub(super) fn that_stays(self) -> Self {
        Self { stays: true, ..self }
    }

    pub(super) fn played(&self) -> Played {
        self.played.clone()
    }

    fn row(&self, second: i64) -> PacketRow {
        let present = PacketColumn::Ts.bit() | PacketColumn::SrcPort.bit() | PacketColumn::Octets.bit();
        PacketRow {
            ts: second * SECOND_NS,
            src_port: self.src_port,
            octets: 100,
            present,
            ..PacketRow::default()
        }
    }

    fn build(&mut self, demand: &Demand) {
        self.columns = demand.columns(StreamId::Packets).unwrap_or_default().to_vec();
    }
}

impl Source for Script {
    fn name(&self) -> String {
        format!("port {}", self.src_port)
    }

    fn fates(&self) -> SourceLedger {
        let (offered, dropped) = (self.taken as u64, self.played.dropped.load(Ordering::Relaxed));
        SourceLedger { offered, delivered: offered - dropped, dropped, ..SourceLedger::default() }
    }

    fn failure(&self) -> Option<String> {
        self.vanishes.then(|| "it is gone; bring it back".to_owned())
    }

    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        Ok(())
    }

    fn prepare(&mut self, _: &Demand) -> bool {
        !self.played.is_unprepared.load(Ordering::Relaxed)
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        assert_eq!(self.ready, 0, "all that was read is taken before");
        self.played.turns.lock().unwrap().push(self.taken);
        self.build(demand);
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn stays(&self) -> bool {
        self.stays
    }

    fn step(&mut self) -> Step {
        self.ready = self.batch_rows.min(self.seconds.len() - self.taken);
        if self.ready > 0 { Step::Read } else { Step::End }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&PACKETS]
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        let count = std::mem::take(&mut self.ready);
        let seconds = &self.seconds[self.taken..self.taken + count];
        let rows: Vec<PacketRow> = seconds.iter().map(|second| self.row(*second)).collect();
        self.taken += count;
        let mut builder = BatchBuilder::new(&PACKETS, &self.columns, count.max(1));
        for burst in rows.chunks(BURST_ROWS) {
            builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        (count > 0).then(|| builder.finish())
    }

    /// How many of its packets were taken so far.
    fn position(&self) -> Option<String> {
        Some(self.taken.to_string())
    }

    fn watermarks(&self) -> Watermarks {
        let mut watermarks = Watermarks::END;
        watermarks.set(StreamId::Packets, self.latest());
        watermarks
    }

    fn latest(&self) -> EventTime {
        let before = self.taken.checked_sub(1);
        before.map_or(EventTime::MIN, |last| EventTime(self.seconds[last] * SECOND_NS))
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: StreamId, rows: u64) {
        self.played.dropped.fetch_add(rows, Ordering::Relaxed);
    }

    fn tell_flows(&mut self, _: &mut FlowsAsk) -> bool {
        let mut told = self.played.told.lock().unwrap();
        told.push(self.played.turns.lock().unwrap().len());
        told.len().is_multiple_of(TURNS_OF_TELLING)
    }

    fn end(&mut self) {}

    fn recycle(&mut self, _: StreamId, _: RecordBatch) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn report(&mut self) {
        self.played.reports.fetch_add(1, Ordering::Relaxed);
    }
}
