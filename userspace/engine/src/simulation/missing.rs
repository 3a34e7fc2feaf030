//! What goes missing while no rows come of whoever notices it: other sources of the same input may have some.

use super::script::SECOND_NS;
use super::stage::{Random, SetClock, Stage};
use crate::EngineOptions;
use crate::subscription::{Event, WhenFull, subscription};
use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tapline_query::Planner;
use tapline_record::column::BURST_ROWS;
use tapline_record::{
    BatchBuilder, EventTime, PACKETS, PacketColumn, PacketRow, Stream, StreamId, Watermarks,
};
use tapline_sources::{Clock, Demand, Progress, Source, Step};

const BY_SECOND: &str = "SELECT count(*) FROM packets GROUP BY tumble('1 second')";

/// What an interface gives to one of those who share it.
#[derive(Clone, Default)]
struct Wire {
    /// Packets that come now, and those that are lost.
    packets: Arc<AtomicUsize>,
    lost: Arc<AtomicI64>,
}

/// One of those who share an interface.
struct Sharer {
    wire: Wire,
    clock: Arc<SetClock>,
    columns: Vec<usize>,
    ready: usize,
    latest: EventTime,
}

impl Sharer {
    fn source(wire: &Wire, clock: &Arc<SetClock>) -> Box<dyn Source> {
        let (wire, clock) = (wire.clone(), Arc::clone(clock));
        Box::new(Self { wire, clock, columns: vec![], ready: 0, latest: EventTime::MIN })
    }
}

impl Source for Sharer {
    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.columns = demand.columns(StreamId::Packets).unwrap_or_default().to_vec();
        Ok(())
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.bind(demand)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn step(&mut self) -> Step {
        self.ready = self.wire.packets.swap(0, Ordering::Relaxed);
        if self.ready > 0 { Step::Read } else { Step::Idle }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&PACKETS]
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        let count = Some(mem::take(&mut self.ready)).filter(|count| *count > 0)?;
        self.latest = self.clock.now();
        let (ts, present) = (self.latest.0, PacketColumn::Ts.bit());
        let rows = vec![PacketRow { ts, present, ..PacketRow::default() }; count];
        let mut builder = BatchBuilder::new(&PACKETS, &self.columns, count);
        for burst in rows.chunks(BURST_ROWS) {
            builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        Some(builder.finish())
    }

    fn watermarks(&self) -> Watermarks {
        let mut watermarks = Watermarks::END;
        watermarks.set(StreamId::Packets, self.clock.now());
        watermarks
    }

    fn latest(&self) -> EventTime {
        self.latest
    }

    fn newly_missing(&mut self) -> i64 {
        self.wire.lost.swap(0, Ordering::Relaxed)
    }

    fn note_dropped(&mut self, _: StreamId, _: u64) {}

    fn end(&mut self) {}

    fn recycle(&mut self, _: StreamId, _: RecordBatch) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn report(&mut self) {}
}

#[test]
fn what_one_reader_loses_while_others_have_the_rows_is_missing_when_it_was_noticed() {
    for seed in 1..8 {
        let (mut random, stage, clock) = (Random(seed), Stage::default(), Arc::new(SetClock::default()));
        let (busy, silent) = (Wire::default(), Wire::default());
        let options = EngineOptions { workers: 2, ..EngineOptions::default() };
        let (mut engine, _notices) = stage.engine_by(Arc::clone(&clock) as _, options);
        let (subscriber, told) = subscription(64, WhenFull::Lose);
        engine.add_query(Planner::new().plan(BY_SECOND).unwrap(), subscriber).unwrap();
        clock.advance(10 * SECOND_NS);
        engine.add_sources([&busy, &silent].map(|wire| Sharer::source(wire, &clock)).into()).unwrap();
        for tenth in 1..100 {
            clock.advance(SECOND_NS / 10);
            match tenth {
                33 => silent.lost.store(7, Ordering::Relaxed),
                65 => silent.packets.store(1, Ordering::Relaxed),
                _ if tenth % 10 == 2 => busy.packets.store(7, Ordering::Relaxed),
                _ => {}
            }
            (0..200).for_each(|_| assert!(stage.step(&mut random)));
        }
        let mut completeness = BTreeMap::new();
        while let Ok(Some(event)) = told.next(Duration::ZERO) {
            let Event::Result(result) = event else { continue };
            completeness.insert(result.window.unwrap().start.0 / SECOND_NS, result.completeness);
        }
        let expected = (11..19).map(|second| (second, Some(if second == 13 { 0.5 } else { 1.0 })));
        assert!(
            completeness.range(11..19).map(|(second, is)| (*second, *is)).eq(expected),
            "{completeness:?}"
        );
    }
}
