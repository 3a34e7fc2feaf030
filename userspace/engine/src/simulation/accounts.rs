//! Accounts while queries run: what is published, what `ledger` says of it, and what is told of sources that vanish.

use super::script::{SECOND_NS, Script};
use super::stage::{Random, SetClock, Stage};
use crate::subscription::{Event, Subscription, WhenFull, subscription};
use crate::{Engine, EngineOptions, QueryId, QuerySnapshot, Snapshot, SourceId, WaitingLimits};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tapline_query::Planner;
use tapline_sources::Source;

const BY_PORT: &str =
    "SELECT src_port, count(*) FROM packets WHERE src_port < 1 GROUP BY src_port, tumble('10 seconds')";

/// By query, all columns that are about queries, added up.
const OF_QUERIES: &str = "SELECT query_name, sum(query_delivered), sum(query_used), sum(query_filtered), sum(query_late), \
     sum(query_dropped), sum(query_folded), sum(query_results_lost) FROM ledger WHERE query_name IS NOT NULL GROUP BY query_name";

type Sums = BTreeMap<String, [i64; 7]>;

fn plan(sql: &str) -> tapline_query::ContinuousQuery {
    Planner::new().plan(sql).unwrap()
}

/// So many seconds, a few packets in each.
fn seconds(count: i64) -> Arc<Vec<i64>> {
    Arc::new((0..count).flat_map(|second| [second; 7]).collect())
}

fn sources(scripts: impl IntoIterator<Item = Script>) -> Vec<Box<dyn Source>> {
    scripts.into_iter().map(|script| Box::new(script) as Box<dyn Source>).collect()
}

/// Adds up what a query of the form of [`OF_QUERIES`] answered.
fn add(sums: &mut Sums, event: &Event, ledger: QueryId) {
    let Event::Result(result) = event else { return };
    for rows in result.rows.iter().filter(|_| result.query == ledger) {
        for (row, name) in rows.column(0).as_string::<i32>().iter().enumerate() {
            let sum = sums.entry(name.unwrap().to_owned()).or_default();
            for (place, value) in sum.iter_mut().enumerate() {
                *value += rows.column(1 + place).as_primitive::<Int64Type>().value(row);
            }
        }
    }
}

fn events(events: &Subscription) -> impl Iterator<Item = Event> {
    std::iter::from_fn(|| events.next(Duration::ZERO).ok().flatten())
}

/// What a snapshot says of queries, in the order of the columns.
fn published(snapshot: &Snapshot) -> Sums {
    let amounts = |query: &QuerySnapshot| {
        let ledger = query.ledger;
        assert!(ledger.adds_up(), "{ledger:?}");
        let fates = [ledger.delivered, ledger.used, ledger.filtered, ledger.late, ledger.dropped];
        let [delivered, used, filtered, late, dropped] = fates;
        [delivered, used, filtered, late, dropped, ledger.folded, query.results_lost]
            .map(|count| i64::try_from(count).unwrap())
    };
    snapshot.queries.iter().map(|query| (query.name.to_string(), amounts(query))).collect()
}

fn run_to_the_end(stage: &Stage, random: &mut Random) {
    while stage.step(random) {}
}

/// A query that reads the ledger is told of itself only what it counted before its last rows: here nothing.
fn without(mut sums: Sums, query: &str) -> Sums {
    sums.remove(query);
    sums
}

#[test]
fn of_files_the_ledger_says_of_queries_what_is_published_at_the_end() {
    for (seed, workers) in [(1, 1), (2, 2), (3, 4)] {
        let (mut random, stage) = (Random(seed), Stage::default());
        let (mut engine, _) = stage.engine(workers, 4);
        let (subscriber, told) = subscription(1 << 12, WhenFull::Lose);
        engine.add_named_query("ports", plan(BY_PORT), subscriber.clone()).unwrap();
        let ledger = engine.add_named_query("ledger", plan(OF_QUERIES), subscriber.clone()).unwrap();
        engine.add_named_query("rows", plan("SELECT src_port FROM packets"), subscriber).unwrap();
        let scripts = (0..3).map(|port| Script::new(seconds(40 + 9 * i64::from(port)), port, 5, false));
        engine.add_sources(sources(scripts)).unwrap();
        engine.drain();
        run_to_the_end(&stage, &mut random);
        let mut sums = Sums::new();
        events(&told).for_each(|event| add(&mut sums, &event, ledger));
        let snapshot = engine.snapshot();
        assert_eq!(sums, without(published(&snapshot), "ledger"), "seed {seed}");
        let rows = 7 * (40 + 49 + 58);
        assert_eq!(sums["ports"][..3], [rows, 7 * 40, rows - 7 * 40]);
        assert_eq!(sums["rows"][..2], [rows, rows]);
        assert_eq!(snapshot.sources.iter().map(|source| source.ledger.delivered as i64).sum::<i64>(), rows);
    }
}

#[test]
fn of_live_sources_it_says_so_second_by_second_and_ends() {
    let (mut random, stage) = (Random(4), Stage::default());
    let clock = Arc::new(SetClock::default());
    let options = EngineOptions { workers: 2, ring_capacity_batches: 4, ..EngineOptions::default() };
    let (mut engine, _) = stage.engine_by(Arc::clone(&clock) as _, options);
    let (subscriber, told) = subscription(1 << 16, WhenFull::Lose);
    engine.add_named_query("ports", plan(BY_PORT), subscriber.clone()).unwrap();
    let windowed = format!("{OF_QUERIES}, tumble('1 second')");
    let ledger = engine.add_named_query("ledger", plan(&windowed), subscriber.clone()).unwrap();
    engine.add_sources(sources([Script::new(seconds(400), 0, 5, true)])).unwrap();
    let (mut sums, mut looks) = (Sums::new(), 0);
    for _ in 0..40 {
        (0..60).for_each(|_| {
            stage.step(&mut random);
        });
        clock.advance(SECOND_NS / 4);
        let before = sums.get("ports").copied();
        events(&told).for_each(|event| add(&mut sums, &event, ledger));
        looks += i32::from(sums.get("ports").copied() != before);
        let known = published(&engine.snapshot());
        let is_told = |(name, told): (&String, &[i64; 7])| told[0] <= known[name][0];
        assert!(sums.iter().all(is_told), "what is told was published before: {sums:?} {known:?}");
    }
    assert!(looks > 3, "rows came while it ran: {looks}");
    // A query that comes later is told of all from its beginning, and itself counts rows about queries.
    let late = engine.add_named_query("late", plan(&windowed), subscriber).unwrap();
    engine.drain();
    run_to_the_end(&stage, &mut random);
    let mut later = Sums::new();
    for event in events(&told) {
        add(&mut sums, &event, ledger);
        add(&mut later, &event, late);
    }
    let known = published(&engine.snapshot());
    assert_eq!(sums["ports"], known["ports"]);
    assert!(sums["ledger"][0] > 0, "it counts itself");
    assert!(known["ledger"][0] - sums["ledger"][0] <= 4, "but for its last rows: {sums:?} {known:?}");
    assert!(later.is_empty() || later["ports"][0] < known["ports"][0], "a sum of changes since it came");
}

#[test]
fn results_that_nobody_takes_are_counted_everywhere() {
    let (mut random, stage) = (Random(5), Stage::default());
    let (mut engine, _) = stage.engine(2, 4);
    let (slow, never_read) = subscription(1, WhenFull::Lose);
    let (subscriber, told) = subscription(64, WhenFull::Lose);
    engine.add_named_query("ports", plan(BY_PORT), slow).unwrap();
    let ledger = engine.add_named_query("ledger", plan(OF_QUERIES), subscriber).unwrap();
    engine.add_sources(sources([Script::new(seconds(100), 0, 5, false)])).unwrap();
    engine.drain();
    run_to_the_end(&stage, &mut random);
    let mut sums = Sums::new();
    events(&told).for_each(|event| add(&mut sums, &event, ledger));
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.queries[0].results_lost, 9, "of ten windows there was room for one");
    assert_eq!(never_read.lost(), 10, "nor was there room for the end");
    assert!((0..=9).contains(&sums["ports"][6]), "as far as they were closed when the input ended");
    assert_eq!(snapshot.queries[1].results_lost, 0);
}

#[test]
fn rows_of_live_sources_that_nothing_waits_for_are_dropped_and_counted() {
    for seed in 1..5 {
        let (mut random, stage) = (Random(seed), Stage::default());
        let waiting = WaitingLimits { rows_max: 10, ..WaitingLimits::default() };
        let options =
            EngineOptions { workers: 3, ring_capacity_batches: 1 << 10, waiting, ..EngineOptions::default() };
        let (mut engine, _) = stage.engine_by(Arc::new(SetClock::default()), options);
        let (subscriber, told) = subscription(1 << 12, WhenFull::Lose);
        engine.add_query(plan("SELECT ts FROM packets"), subscriber).unwrap();
        engine.add_sources(sources([Script::new(seconds(200), 0, 5, true)])).unwrap();
        engine.drain();
        run_to_the_end(&stage, &mut random);
        let mut times = vec![];
        for event in events(&told) {
            let Event::Result(result) = event else { continue };
            let rows =
                result.rows.iter().map(|rows| rows.column(0).as_primitive::<TimestampNanosecondType>());
            rows.for_each(|rows| times.extend_from_slice(rows.values()));
        }
        let ledger = engine.snapshot().queries[0].ledger;
        assert!(times.is_sorted(), "what comes is in its order");
        assert!(ledger.adds_up() && ledger.delivered == 7 * 200 && ledger.dropped > 0, "{ledger:?}");
        assert_eq!(times.len() as u64, ledger.used, "seed {seed}");
    }
}

/// Runs two live sources of which the first vanishes; gives what the observer heard.
fn vanish(seed: u64) -> (Engine, Vec<Event>, Subscription) {
    let (mut random, stage) = (Random(seed), Stage::default());
    let (mut engine, observed) = stage.engine(2, 1 << 10);
    let (subscriber, told) = subscription(1 << 12, WhenFull::Lose);
    let all = "SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('10 seconds')";
    engine.add_query(plan(all), subscriber).unwrap();
    let first = Script::new(seconds(20), 0, 5, true).that_vanishes();
    engine.add_sources(sources([first, Script::new(seconds(200), 1, 5, true)])).unwrap();
    engine.drain();
    run_to_the_end(&stage, &mut random);
    let heard = events(&observed).collect();
    (engine, heard, told)
}

#[test]
fn a_source_that_vanishes_is_told_once_and_the_others_go_on() {
    for seed in 1..6 {
        let (engine, heard, told) = vanish(seed);
        let ends = heard.iter().filter_map(|event| match event {
            Event::SourceEnded { source, failure } => Some((*source, failure.clone())),
            _ => None,
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        let gone = Some("it is gone; bring it back".to_owned());
        assert_eq!(ends, [(SourceId(0), gone.clone()), (SourceId(1), None)]);
        let snapshot = engine.snapshot();
        let stand = snapshot.sources.iter().map(|source| (source.has_ended, source.failure.clone()));
        assert_eq!(stand.collect::<Vec<_>>(), [(true, gone), (true, None)]);
        let mut counts = BTreeMap::new();
        for event in events(&told) {
            let Event::Result(result) = event else { continue };
            for rows in &result.rows {
                let ports = rows.column(0).as_primitive::<arrow_array::types::UInt16Type>().values();
                let sums = rows.column(1).as_primitive::<Int64Type>().values();
                ports.iter().zip(sums).for_each(|(port, count)| *counts.entry(*port).or_insert(0) += count);
            }
        }
        assert_eq!(counts, BTreeMap::from([(0, 7 * 20), (1, 7 * 200)]), "seed {seed}");
    }
}
