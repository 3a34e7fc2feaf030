//! Queries that are forwarded, on threads: cuts come while sources are read, and the last one when all is suspended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::boxed;
use crate::fake::{FakeSource, packets};
use tapline_engine::{
    Beginning, CoveredSecond, Cut, EndReason, Engine, EngineOptions, Event, NewQuery, QueryLimits, RowLimits,
    WhenFull, subscription,
};
use tapline_query::Planner;
use tapline_record::{EventTime, StreamId};
use tapline_sources::SystemClock;

const SQL: &str = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds')";
const SECONDS: i64 = 3_000;

fn rows(cut: &Cut) -> u64 {
    let panes = cut.queries.iter().flat_map(|query| &query.panes);
    panes.map(|pane| pane.parts.rows()).sum()
}

/// Waits for a cut that was begun.
fn wait_for(engine: &mut Engine) -> Cut {
    let begun = Instant::now();
    loop {
        if let Some(cut) = engine.take_cut() {
            return cut;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "a cut hangs");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn cuts_add_up_to_all_that_was_read() {
    for (workers, ports) in [(1, 1), (2, 3)] {
        let options = EngineOptions { workers, ring_capacity_batches: 10_000, ..EngineOptions::default() };
        let (observer, notices) = subscription(100, WhenFull::Lose);
        let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
        let (query, limits) = (Planner::new().plan(SQL).unwrap(), QueryLimits::default());
        let new = NewQuery { name: "forwarded", query, limits, from: Beginning::Anew };
        let query = engine.add_forwarded(new).unwrap();
        // They stay until they are asked to end.
        let source = |port| FakeSource::live(&packets(0..SECONDS, port), 50, Duration::from_secs(60));
        engine.add_sources(boxed((0..ports).map(source).collect())).unwrap();
        let all = SECONDS as u64 * u64::from(ports);
        let mut sum = 0;
        for number in 1.. {
            assert!(engine.cut());
            let cut = wait_for(&mut engine);
            assert_eq!((cut.number, cut.queries[0].query), (number, query));
            sum += rows(&cut);
            if sum == all {
                break;
            }
        }
        let (report, _) = engine.suspend().unwrap();
        let left: u64 = report.cuts.iter().map(rows).sum();
        assert_eq!(left, 0, "all were in the cuts before");
        assert_eq!(report.snapshot.queries[0].ledger.used, all);
        let ends = std::iter::from_fn(|| notices.next(Duration::ZERO).ok().flatten());
        let ends = ends.filter(|event| matches!(event, Event::Ended { reason: EndReason::Input, .. }));
        assert_eq!(ends.count(), 1);
    }
}

#[test]
fn who_goes_on_behind_cuts_tells_of_all_panes_since_then() {
    const SECOND_NS: i64 = 1_000_000_000;
    let options = EngineOptions { workers: 1, ring_capacity_batches: 10_000, ..EngineOptions::default() };
    let (observer, _notices) = subscription(100, WhenFull::Lose);
    let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
    let (query, limits) = (Planner::new().plan(SQL).unwrap(), QueryLimits::default());
    let (given_until, whole_after) = (EventTime(-25 * SECOND_NS), EventTime(4 * SECOND_NS));
    let from = Beginning::Behind { given_until, whole_after };
    engine.add_forwarded(NewQuery { name: "forwarded", query, limits, from }).unwrap();
    let missing = |second| CoveredSecond { stream: StreamId::Packets, second, delivered: 0.0, missing: 3.0 };
    engine.miss(vec![missing(-12)]);
    let source = FakeSource::live(&packets(0..SECONDS, 1), 50, Duration::from_secs(60));
    engine.add_sources(boxed(vec![source])).unwrap();
    let (mut sum, mut panes) = (0, BTreeMap::new());
    while sum < SECONDS as u64 {
        assert!(engine.cut());
        let cut = wait_for(&mut engine);
        assert_eq!(cut.queries[0].whole_after, whole_after.plus(1));
        sum += rows(&cut);
        for pane in &cut.queries[0].panes {
            let missing: f64 = pane.covered.iter().map(|second| second.missing).sum();
            *panes.entry(pane.pane.start.0 / SECOND_NS).or_insert(0.0) += missing;
        }
    }
    let before: Vec<(i64, f64)> = panes.range(..0).map(|(start, missing)| (*start, *missing)).collect();
    assert_eq!(before, [(-30, 0.0), (-20, 3.0), (-10, 0.0)]);
    engine.suspend().unwrap();
}

#[test]
fn a_stream_that_no_source_is_to_carry_holds_up_no_cut() {
    const BOTH: &str = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds') UNION ALL \
                        SELECT src_port, count(*) FROM flows GROUP BY src_port, tumble('10 seconds')";
    for is_told in [false, true] {
        let options = EngineOptions { workers: 2, ring_capacity_batches: 10_000, ..EngineOptions::default() };
        let (observer, _notices) = subscription(100, WhenFull::Lose);
        let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
        if is_told {
            engine.expect(&[StreamId::Packets]);
        }
        let (query, limits) = (Planner::new().plan(BOTH).unwrap(), QueryLimits::default());
        engine.add_forwarded(NewQuery { name: "forwarded", query, limits, from: Beginning::Anew }).unwrap();
        let source = FakeSource::live(&packets(0..SECONDS, 1), 50, Duration::from_secs(60));
        engine.add_sources(boxed(vec![source])).unwrap();
        let (mut sum, mut watermark, mut cuts) = (0, EventTime::MIN, 0);
        while sum < SECONDS as u64 || is_told && watermark == EventTime::MIN {
            assert!(engine.cut());
            let cut = wait_for(&mut engine);
            (sum, watermark, cuts) = (sum + rows(&cut), cut.queries[0].watermark, cuts + 1);
            assert!(cuts < 2_000, "nothing is said of how far it has come");
            sleep(Duration::from_millis(5));
        }
        assert_eq!(watermark > EventTime::MIN, is_told);
        engine.suspend().unwrap();
    }
}

#[test]
fn of_rows_there_are_no_more_in_cuts_than_may_be_sent_and_the_others_are_told() {
    const SECOND_NS: i64 = 1_000_000_000;
    let options = EngineOptions { workers: 2, ring_capacity_batches: 10_000, ..EngineOptions::default() };
    let (observer, _notices) = subscription(100, WhenFull::Lose);
    let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
    let query = Planner::new().plan("SELECT src_port, octets FROM packets").unwrap().of_sensors().unwrap();
    let forwarded = RowLimits { rows_max: 3, ..RowLimits::default() };
    let limits = QueryLimits { forwarded, ..QueryLimits::default() };
    engine.add_forwarded(NewQuery { name: "forwarded", query, limits, from: Beginning::Anew }).unwrap();
    // The last batch has the third row of the last pane that is sent.
    let read = packets((0..100).flat_map(|second| [second; 5]), 1);
    engine.add_sources(boxed(vec![FakeSource::live(&read, 7, Duration::from_secs(60))])).unwrap();
    let (mut cuts, mut sum) = (vec![], 0);
    while sum < 300 {
        assert!(engine.cut());
        let cut = wait_for(&mut engine);
        sum += rows(&cut);
        cuts.push(cut);
    }
    let (report, _) = engine.suspend().unwrap();
    cuts.extend(report.cuts);
    let (mut sent, mut left_out) = (BTreeMap::new(), 0);
    for pane in cuts.iter().flat_map(|cut| &cut.queries).flat_map(|query| &query.panes) {
        *sent.entry(pane.pane.start.0 / SECOND_NS).or_insert(0) += pane.parts.rows();
        left_out += pane.unread.left_out;
    }
    sent.retain(|_, rows| *rows > 0);
    assert!(sent.len() == 100 && sent.values().all(|rows| *rows == 3), "{sent:?}");
    let query = &report.snapshot.queries[0];
    assert_eq!((left_out, query.rows_beyond), (200, 200));
    assert_eq!((query.ledger.delivered, query.ledger.used, query.ledger.dropped), (500, 300, 200));
}
