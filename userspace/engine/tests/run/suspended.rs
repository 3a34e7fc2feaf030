//! Engines that are suspended, and others that go on with what they held: together they answer what one alone does.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fake::{FakeSource, Kept, packets};
use crate::{boxed, engine};
use tapline_engine::{
    Beginning, Engine, Held, NewQuery, QueryLimits, Status, SuspendedWindows, WhenFull, WindowResult,
    subscription,
};
use tapline_query::{ContinuousQuery, Planner};
use tapline_record::{EventTime, PacketRow};

/// Queries of every shape that has windows of time; of the second ones, windows are given early.
const QUERIES: [(&str, Option<i64>); 9] = [
    (
        "SELECT src_port, count(*) AS n, sum(octets) AS o FROM packets GROUP BY src_port, tumble('10 seconds')",
        None,
    ),
    ("SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds')", None),
    ("SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, hop('2 seconds', '10 seconds')", None),
    ("SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, hop('3 seconds', '7 seconds')", None),
    (
        "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('20 seconds')",
        Some(4_000_000_000),
    ),
    (
        "SELECT src_port, avg(octets) AS a, approx_distinct(src_port) AS d, quantile(octets, 0.5) AS q, top_k(src_port, 2) AS t FROM packets GROUP BY src_port, tumble('10 seconds')",
        None,
    ),
    (
        "SELECT count(DISTINCT src_port) AS n, min(ts) AS first, max(ts) AS last FROM packets GROUP BY tumble('10 seconds')",
        None,
    ),
    (
        "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds') HAVING count(*) > 3 ORDER BY n DESC LIMIT 2",
        None,
    ),
    (
        "SELECT a.src_port, a.n, b.o FROM (SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds')) a JOIN (SELECT src_port, sum(octets) AS o FROM packets WHERE octets > 0 GROUP BY src_port, tumble('10 seconds')) b ON a.src_port = b.src_port",
        None,
    ),
];

fn rows() -> Vec<PacketRow> {
    let mut rows: Vec<PacketRow> = (1..=5)
        .flat_map(|port| packets((0..60).filter(move |second| (second * port) % 7 < 4), port as u16))
        .collect();
    rows.sort_by_key(|row| row.ts);
    rows
}

fn plan((sql, early): (&str, Option<i64>)) -> ContinuousQuery {
    let query = Planner::new().plan(sql).unwrap();
    early.map_or(query.clone(), |every| query.with_early(every).unwrap())
}

/// What was held, by way of octets.
fn copied(held: &Held, query: &ContinuousQuery) -> Held {
    let (head, states) = held.windows.encode(query).unwrap();
    let states: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    let windows = SuspendedWindows::decode(&head, &states, query).unwrap();
    assert_eq!(windows, held.windows);
    Held { windows, unread: held.unread.clone() }
}

/// Reads these rows in engines that are suspended behind each part of them, but for the last one.
fn run(query: (&str, Option<i64>), parts: &[&[PacketRow]], workers: usize) -> Vec<WindowResult> {
    let (mut held, mut results, mut used) = (None, vec![], 0);
    for (number, rows) in parts.iter().enumerate() {
        let mut engine = engine(workers, 10_000);
        let (subscriber, events) = subscription(10_000, WhenFull::Wait);
        let beginning =
            held.take().map_or(Beginning::Anew, |held| Beginning::With(copied(&held, &plan(query))));
        let limits = QueryLimits::default();
        let new = NewQuery { name: "it", query: plan(query), limits, from: beginning };
        let id = engine.add(new, subscriber).unwrap();
        let is_last = number + 1 == parts.len();
        let stays = if is_last { Duration::ZERO } else { Duration::from_secs(60) };
        engine.add_sources(boxed(vec![FakeSource::live(rows, 7, stays)])).unwrap();
        if is_last {
            engine.drain();
            engine.join().unwrap();
        } else {
            wait_for(&engine, rows.len() as u64);
            let (report, suspended) = engine.suspend().unwrap();
            assert!(report.is_cut);
            let [(of, windows)]: [_; 1] = suspended.queries.try_into().unwrap();
            assert_eq!(of, id);
            held = Some(windows);
        }
        let mut kept = Kept::default();
        kept.read(&events, 1);
        used += kept.ledger(0).used;
        results.extend(kept.results);
    }
    assert_eq!(used, parts.iter().map(|rows| rows.len() as u64).sum::<u64>());
    results
}

fn wait_for(engine: &Engine, rows: u64) {
    let begun = Instant::now();
    while engine.snapshot().queries[0].ledger.delivered < rows {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", engine.snapshot());
        sleep(Duration::from_millis(1));
    }
}

/// Results by window, status and, where they are early, which of the window's they are; rows in some order.
fn texts(results: &[WindowResult]) -> BTreeMap<(i64, &'static str, usize), Vec<String>> {
    let mut texts = BTreeMap::new();
    for result in results {
        let rows = result.rows.iter().flat_map(|batch| {
            (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns()))
        });
        let (start, mut number) = (result.window.unwrap().start.0, 0);
        while texts.contains_key(&(start, result.status.name(), number)) {
            number += 1;
        }
        let mut rows: Vec<String> = rows.collect();
        rows.sort();
        texts.insert((start, result.status.name(), number), rows);
    }
    texts
}

#[test]
fn what_is_gone_on_with_is_as_if_nothing_had_happened() {
    let rows = rows();
    for query in QUERIES {
        let whole = texts(&run(query, &[&rows], 1));
        assert!(whole.keys().any(|(_, status, _)| *status == Status::Final.name()));
        for (cuts, workers) in
            [([1, 2], 1), ([57, 58], 2), ([61, 130], 1), ([100, 101], 3), ([20, rows.len() - 1], 2)]
        {
            let parts = [&rows[..cuts[0]], &rows[cuts[0]..cuts[1]], &rows[cuts[1]..]];
            assert_eq!(texts(&run(query, &parts, workers)), whole, "{query:?} {cuts:?}");
        }
    }
}

#[test]
fn time_stands_for_a_stream_that_nobody_carries() {
    let rows = rows();
    let mut engine = engine(1, 10_000);
    let (subscriber, events) = subscription(10_000, WhenFull::Wait);
    let queries = [QUERIES[0], ("SELECT count(*) AS n FROM flows GROUP BY tumble('10 seconds')", None)];
    for query in queries {
        engine.add_query(plan(query), subscriber.clone()).unwrap();
    }
    engine.add_sources(boxed(vec![FakeSource::live(&rows, 7, Duration::from_secs(60))])).unwrap();
    wait_for(&engine, rows.len() as u64);
    let (_, suspended) = engine.suspend().unwrap();
    drop(events);
    let [packets, flows]: [_; 2] = suspended.queries.try_into().unwrap();
    assert!(packets.1.windows.earliest() > EventTime(0), "its windows have closed up to there");
    assert_eq!(flows.1.windows.earliest(), EventTime::MIN, "what comes for it later is in time");
}
