//! What queries may take: groups, octets, rows a second, a part of the rows.

use std::sync::Arc;
use std::time::Duration;

use crate::fake::{FakeSource, Kept, packets};
use crate::{ROWS, boxed, sum, windows};
use tapline_engine::{
    Beginning, Engine, EngineOptions, Event, HeldLimits, NewQuery, QueryId, QueryLimits, Status, WhenFull,
    subscription,
};
use tapline_query::Planner;
use tapline_record::{PacketColumn, PacketRow};
use tapline_sources::SystemClock;

const BY_PORTS: &str =
    "SELECT src_port, dst_port, count(*) AS n FROM packets GROUP BY src_port, dst_port, tumble('10 seconds')";
const BY_PORTS_AND_SIZE: &str = "SELECT src_port, dst_port, octets, count(*) AS n FROM packets GROUP BY src_port, dst_port, octets, tumble('10 seconds')";

/// In each of so many seconds, packets of so many flows, of which each is new; every tenth is of the one heavy hitter.
fn flood(seconds: i64, flows: u32) -> Vec<PacketRow> {
    let second = |second: i64| {
        let row = &packets([second], 0)[0];
        let flow = |flow: u32| PacketRow {
            src_port: if flow.is_multiple_of(10) { 0 } else { (flow >> 16) as u16 + 1 },
            dst_port: if flow.is_multiple_of(10) { 0 } else { flow as u16 },
            present: row.present | PacketColumn::DstPort.bit(),
            ..*row
        };
        (0..flows).map(move |number| second as u32 * flows + number).map(flow).collect::<Vec<_>>()
    };
    (0..seconds).flat_map(second).collect()
}

fn engine(options: EngineOptions) -> Engine {
    Engine::start(options, Arc::new(SystemClock), subscription(1, WhenFull::Lose).0).unwrap()
}

/// Runs queries over these rows; gives what came, and the most octets that were held.
fn run(options: EngineOptions, rows: &[PacketRow], queries: &[&str]) -> (Kept, u64) {
    let mut engine = engine(options);
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    for sql in queries {
        engine.add_query(Planner::new().plan(sql).unwrap(), subscriber.clone()).unwrap();
    }
    engine.add_sources(boxed(vec![FakeSource::file(rows, 1_000)])).unwrap();
    engine.drain();
    let (mut kept, mut most) = (Kept::default(), 0);
    while kept.ended.len() < queries.len() {
        let held: u64 = engine.snapshot().queries.iter().map(|query| query.octets_held).sum();
        most = most.max(held);
        match events.next(Duration::from_millis(1)).unwrap() {
            Some(Event::Result(result)) => kept.results.push(result),
            Some(Event::Ended { query, reason, ledger }) => drop(kept.ended.insert(query, (reason, ledger))),
            _ => {}
        }
    }
    let left = engine.join().unwrap().snapshot.queries.into_iter();
    let left: Vec<u64> = left.map(|query| query.octets_held + query.groups_held).collect();
    assert!(left.iter().all(|held| *held == 0), "all is given back: {left:?}");
    (kept, most)
}

/// Rows of each window, whatever they say; and the heavy hitter's.
fn totals(kept: &Kept, query: u32) -> (Vec<i64>, Vec<i64>) {
    let of_query = || kept.results.iter().filter(|result| result.query.0 == query);
    let mut starts: Vec<_> = of_query().map(|result| result.window.unwrap().start).collect();
    starts.dedup();
    let totals = starts.iter().map(|start| {
        of_query().filter(|result| result.window.unwrap().start == *start).map(sum).sum::<i64>()
    });
    let heavy = of_query().filter(|result| result.status != Status::Folded).map(|result| {
        let most = result.rows.iter().flat_map(|rows| {
            let counts = rows.column(rows.num_columns() - 1);
            counts.as_any().downcast_ref::<arrow_array::Int64Array>().unwrap().values().to_vec()
        });
        most.max().unwrap()
    });
    (totals.collect(), heavy.collect())
}

#[test]
fn a_flood_takes_no_more_than_it_may_and_nothing_is_lost() {
    let rows = flood(40, 20_000);
    for workers in [1, 2] {
        let roomy = EngineOptions { workers, ..EngineOptions::default() };
        let limits = QueryLimits::default();
        let few = EngineOptions { limits: QueryLimits { groups_max: 2_000, ..limits }, ..roomy.clone() };
        let octets_max = 6 << 20;
        let held = HeldLimits { octets_max, ..HeldLimits::default() };
        let little = EngineOptions { limits: QueryLimits { held, ..limits }, ..roomy.clone() };
        let little_in_all = EngineOptions { octets_held_max: octets_max, ..roomy.clone() };
        let queries = [BY_PORTS, BY_PORTS_AND_SIZE];
        let (_, needed) = run(roomy, &rows, &queries);
        assert!(needed > 4 * octets_max as u64, "{needed} octets are no flood");
        for (options, most_of_all) in
            [(few, None), (little, Some(2 * octets_max)), (little_in_all, Some(octets_max))]
        {
            let (kept, most) = run(options, &rows, &queries);
            if let Some(may) = most_of_all {
                assert!(most as f64 <= 1.05 * may as f64, "{most} octets of {may}, by {workers} workers");
                // A pane has a third, as long as no others are held.
                assert!(most as f64 >= 0.3 * may as f64, "it used {most} octets of {may}");
            }
            for query in [0, 1] {
                let ledger = kept.ledger(query);
                assert!(ledger.adds_up() && ledger.used == 800_000 && ledger.folded > 0, "{ledger:?}");
                let (totals, heavy) = totals(&kept, query);
                assert_eq!(totals, [200_000; 4]);
                assert_eq!(heavy, [20_000; 4]);
            }
        }
    }
}

#[test]
fn queries_share_where_they_may_take_the_same() {
    let rows = flood(10, 1_000);
    let mut engine = engine(EngineOptions { workers: 1, ..EngineOptions::default() });
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    for (name, groups_max) in [("all", 1 << 20), ("few", 100), ("fewer", 10)] {
        let (query, from) = (Planner::new().plan(BY_PORTS).unwrap(), Beginning::Anew);
        let limits = QueryLimits { groups_max, ..QueryLimits::default() };
        engine.add(NewQuery { name, query, limits, from }, subscriber.clone()).unwrap();
    }
    engine.add_sources(boxed(vec![FakeSource::file(&rows, 100)])).unwrap();
    engine.drain();
    let mut kept = Kept::default();
    kept.read(&events, 3);
    engine.join().unwrap();
    let groups = |query: u32| {
        let of_query = kept.results.iter().filter(|result| result.query.0 == query);
        let whole = of_query.filter(|result| result.status != Status::Folded);
        whole.map(|result| result.rows[0].num_rows()).collect::<Vec<_>>()
    };
    assert_eq!([groups(0), groups(1), groups(2)], [[9_001], [100], [10]]);
}

#[test]
fn a_query_gives_as_many_rows_in_a_second_as_it_may() {
    let mut engine = engine(EngineOptions { workers: 2, ..EngineOptions::default() });
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    let (query, from) = (Planner::new().plan(ROWS).unwrap(), Beginning::Anew);
    let limits = QueryLimits { rows_per_second_max: Some(10), ..QueryLimits::default() };
    engine.add(NewQuery { name: "rows", query, limits, from }, subscriber).unwrap();
    let began = std::time::Instant::now();
    engine.add_sources(boxed(vec![FakeSource::file(&packets(0..10_000, 53), 100)])).unwrap();
    engine.drain();
    let mut kept = Kept::default();
    kept.read(&events, 1);
    engine.join().unwrap();
    let (ledger, seconds) = (kept.ledger(0), began.elapsed().as_secs() + 2);
    assert!(ledger.adds_up() && ledger.delivered == 10_000, "{ledger:?}");
    assert!(ledger.used >= 10 && ledger.used <= 10 * seconds, "{ledger:?} in {seconds} s");
    let given = kept.results.iter().flat_map(|result| &result.rows).map(|rows| rows.num_rows() as u64);
    assert_eq!(given.sum::<u64>(), ledger.used);
}

#[test]
fn a_sample_is_as_large_as_it_was_asked_for_and_completeness_says_so() {
    const JOINED: &str = "SELECT a.n + b.n AS n FROM (SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds')) a CROSS JOIN (SELECT count(*) AS n FROM packets WHERE src_port = 53 GROUP BY tumble('10 seconds')) b";
    for sql in ["SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds')", JOINED] {
        let mut engine = engine(EngineOptions { workers: 1, ..EngineOptions::default() });
        let (subscriber, events) = subscription(1, WhenFull::Wait);
        let (query, from) = (Planner::new().plan(sql).unwrap(), Beginning::Anew);
        let limits = QueryLimits { is_alone: true, ..QueryLimits::default() };
        let id = engine.add(NewQuery { name: "it", query, limits, from }, subscriber).unwrap();
        engine.sample(id, 4);
        // One window: what is left out counts in the second that is the latest at that moment.
        let rows = packets((0..10).flat_map(|second| [second; 400]), 53);
        let mut source = FakeSource::live(&rows, 500, Duration::from_millis(50));
        source.is_lossless = true;
        engine.add_sources(boxed(vec![source])).unwrap();
        engine.drain();
        let mut kept = Kept::default();
        kept.read(&events, 1);
        engine.join().unwrap();
        let ledger = kept.ledger(0);
        assert_eq!((ledger.delivered, ledger.used, ledger.dropped), (4_000, 1_000, 3_000), "{sql}");
        let times = if sql == JOINED { 2 } else { 1 };
        let counts: Vec<i64> = windows(&kept, 0).into_iter().map(|(_, _, count)| count).collect();
        assert_eq!(counts, [1_000 * times]);
        assert_eq!(kept.results[0].completeness, Some(0.25));
    }
}

#[test]
fn a_query_that_is_ended_from_outside_says_why() {
    let mut engine = engine(EngineOptions { workers: 2, ..EngineOptions::default() });
    let (subscriber, events) = subscription(10, WhenFull::Wait);
    let query = engine.add_query(Planner::new().plan(BY_PORTS).unwrap(), subscriber).unwrap();
    engine.add_sources(boxed(vec![FakeSource::live(&flood(1, 10), 10, Duration::from_secs(60))])).unwrap();
    engine.fail_query(query, "it costs too much".to_owned());
    let mut kept = Kept::default();
    kept.read(&events, 1);
    assert_eq!(kept.ended[&QueryId(0)].0, tapline_engine::EndReason::Failed("it costs too much".to_owned()));
    engine.stop();
}
