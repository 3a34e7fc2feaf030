//! How soon a query sees its first batch, and what changes cost the others, while packets come as fast as the
//! engine takes them: queries are added and dropped beside one that was there before.
//!
//! Prints one line: how many changes there were, the median, the 99th percentile and the longest time in milliseconds
//! from the call to the first row, and packets a second meanwhile; then the same rate of a run without changes.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement fails by panicking, and prints")]

use datafusion::arrow::array::RecordBatch;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_engine::{Engine, EngineOptions, Event, Subscription, WhenFull, subscription};
use tapline_query::Planner;
use tapline_record::column::BURST_ROWS;
use tapline_record::{
    BatchBuilder, EventTime, PACKETS, PacketColumn, PacketRow, Stream, StreamId, Watermarks,
};
use tapline_sources::{Demand, Progress, Source, Step, SystemClock};

const BATCH_ROWS: usize = 4096;
const CHANGES: usize = 1_000;

/// Packets of some flows without an end, a second for each million.
struct Flood {
    rows: Vec<PacketRow>,
    builder: BatchBuilder,
    second: i64,
    is_ready: bool,
    batches: u64,
}

impl Flood {
    fn new() -> Self {
        let present = [PacketColumn::Ts, PacketColumn::SrcPort, PacketColumn::DstPort, PacketColumn::Octets];
        let present = present.iter().fold(0, |bits, column| bits | column.bit());
        let row = |number: usize| PacketRow {
            src_port: (number % 61) as u16,
            dst_port: (number % 7) as u16,
            octets: 100,
            present,
            ..PacketRow::default()
        };
        let builder = BatchBuilder::new(&PACKETS, &[], BATCH_ROWS);
        Self { rows: (0..BATCH_ROWS).map(row).collect(), builder, second: 0, is_ready: false, batches: 0 }
    }
}

impl Source for Flood {
    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.relayout(demand)
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.builder.relayout(demand.columns(StreamId::Packets).unwrap_or_default());
        Ok(())
    }

    fn is_live(&self) -> bool {
        false
    }

    fn step(&mut self) -> Step {
        self.is_ready = true;
        self.batches += 1;
        self.second = (self.batches / 256) as i64;
        Step::Read
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&PACKETS]
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        if !std::mem::take(&mut self.is_ready) {
            return None;
        }
        let time = self.second * 1_000_000_000;
        self.rows.iter_mut().for_each(|row| row.ts = time);
        for burst in self.rows.chunks(BURST_ROWS) {
            self.builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        Some(self.builder.finish())
    }

    fn watermarks(&self) -> Watermarks {
        let mut watermarks = Watermarks::END;
        watermarks.set(StreamId::Packets, self.latest());
        watermarks
    }

    fn latest(&self) -> EventTime {
        EventTime(self.second * 1_000_000_000)
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: StreamId, _: u64) {}

    fn end(&mut self) {}

    fn recycle(&mut self, _: StreamId, batch: RecordBatch) {
        self.builder.recycle(batch);
    }

    fn progress(&self) -> Progress {
        Progress { octets: 0, total_octets: None, frames: self.batches * BATCH_ROWS as u64 }
    }

    fn report(&mut self) {}
}

/// An engine with one query over a flood, and where its results go.
fn start() -> (Engine, Subscription) {
    let (subscriber, results) = subscription(64, WhenFull::Lose);
    let options = EngineOptions::default();
    let mut engine =
        Engine::start(options, Arc::new(SystemClock), subscriber.clone()).expect("there is room for threads");
    let query = plan("SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('10 seconds')");
    engine.add_query(query, subscriber).expect("it joins");
    engine.add_sources(vec![Box::new(Flood::new())]).expect("it prepares");
    (engine, results)
}

fn plan(sql: &str) -> tapline_query::ContinuousQuery {
    Planner::new().plan(sql).expect("it is right")
}

/// Packets a second since a moment when so many had been read.
fn rate(engine: &Engine, (since, frames): (Instant, u64)) -> f64 {
    (engine.progress().frames - frames) as f64 / since.elapsed().as_secs_f64() / 1e6
}

fn main() {
    let (mut engine, results) = start();
    let planner = Planner::new();
    let mut latencies = vec![];
    let begun = (Instant::now(), engine.progress().frames);
    for change in 0..CHANGES {
        let sql = format!(
            "SELECT dst_port, sum(octets) FROM packets WHERE src_port < {} GROUP BY dst_port, tumble('5 seconds')",
            1 + change % 60
        );
        let query = planner.plan(&sql).expect("it is right");
        let (subscriber, _) = subscription(1, WhenFull::Lose);
        let asked = Instant::now();
        let id = engine.add_query(query, subscriber).expect("it joins");
        let has_rows = |engine: &Engine| {
            engine.snapshot().queries.iter().any(|query| query.id == id && query.ledger.delivered > 0)
        };
        while !has_rows(&engine) {
            std::thread::sleep(Duration::from_micros(50));
        }
        latencies.push(asked.elapsed().as_secs_f64() * 1e3);
        engine.drop_query(id);
    }
    let changed = rate(&engine, begun);
    let begun = (Instant::now(), engine.progress().frames);
    std::thread::sleep(Duration::from_secs(3));
    let alone = rate(&engine, begun);
    engine.end_input();
    let mut first = None;
    while let Ok(Some(event)) = results.next(Duration::from_secs(5)) {
        if let Event::Ended { ledger, .. } = event {
            first = Some(ledger);
            break;
        }
    }
    let frames = engine.progress().frames;
    engine.join().expect("no thread died");
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!(
        "{CHANGES} queries added and dropped: first row after {:.2} ms (median), {:.2} ms (99 %), {:.2} ms (longest); \
         {changed:.1} M packets/s meanwhile, {alone:.1} M without changes",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("the query that was there before: {first:?} of {frames} packets");
}
