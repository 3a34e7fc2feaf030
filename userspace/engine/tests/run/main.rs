//! Whole runs over sources that are made up: what is answered, what is lost and counted, and how runs fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cuts;
mod fake;
mod limits;
mod suspended;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use arrow_array::Int64Array;
use fake::{FakeSource, Kept, packets};
use tapline_engine::{
    EndReason, Engine, EngineError, EngineOptions, Event, HeldLimits, QueryId, QueryLimits, Report, Status,
    WhenFull, WindowResult, subscription,
};
use tapline_query::Planner;
use tapline_sources::{Source, SystemClock};

const BY_PORT: &str = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds')";
const ROWS: &str = "SELECT src_port FROM packets";

fn boxed(sources: Vec<FakeSource>) -> Vec<Box<dyn Source>> {
    sources.into_iter().map(|source| Box::new(source) as Box<dyn Source>).collect()
}

/// An engine with so many workers and batches on the way to each.
fn engine(workers: usize, ring: usize) -> Engine {
    let options = EngineOptions { workers, ring_capacity_batches: ring, ..EngineOptions::default() };
    let (observer, _) = subscription(1, WhenFull::Lose);
    Engine::start(options, Arc::new(SystemClock), observer).unwrap()
}

/// Runs queries over sources until these end.
fn run_with(
    sources: Vec<FakeSource>,
    queries: &[&str],
    (workers, ring): (usize, usize),
    kept: &mut Kept,
) -> Result<Report, EngineError> {
    let mut engine = engine(workers, ring);
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    for sql in queries {
        engine.add_query(Planner::new().plan(sql).unwrap(), subscriber.clone())?;
    }
    engine.add_sources(boxed(sources))?;
    engine.drain();
    kept.read(&events, queries.len());
    engine.join()
}

/// The last column of a result's rows, added up.
fn sum(result: &WindowResult) -> i64 {
    let of = |rows: &arrow_array::RecordBatch| {
        let last = rows.column(rows.num_columns() - 1);
        last.as_any().downcast_ref::<Int64Array>().unwrap().values().iter().sum::<i64>()
    };
    result.rows.iter().map(of).sum()
}

/// Windows by their start in seconds, with what they saw and how much it was.
fn windows(kept: &Kept, query: u32) -> Vec<(i64, Status, i64)> {
    let of_query = kept.results.iter().filter(|result| result.query.0 == query);
    let start = |result: &WindowResult| result.window.unwrap().start.0 / 1_000_000_000;
    of_query.map(|result| (start(result), result.status, sum(result))).collect()
}

#[test]
fn windows_are_the_same_for_any_number_of_workers() {
    let rows = packets((0..30).flat_map(|second| [second; 40]), 53);
    for workers in [1, 2, 4] {
        let mut kept = Kept::default();
        let source = FakeSource::file(&rows, 7);
        run_with(vec![source], &[BY_PORT], (workers, 2), &mut kept).unwrap();
        let expected = [0, 10, 20].map(|start| (start, Status::Final, 400));
        assert_eq!(windows(&kept, 0), expected, "{workers} workers");
        assert!(kept.results.iter().all(|result| result.completeness.is_none()), "a file loses nothing");
        let ledger = kept.ledger(0);
        assert_eq!((ledger.delivered, ledger.used), (1200, 1200));
    }
}

#[test]
fn sources_of_one_stream_add_up() {
    let [early, late] = [packets(0..20, 53), packets(5..25, 443)];
    let mut kept = Kept::default();
    let sources = vec![FakeSource::file(&early, 3), FakeSource::file(&late, 5)];
    run_with(sources, &[BY_PORT], (2, 4), &mut kept).unwrap();
    let expected = [(0, Status::Final, 15), (10, Status::Final, 20), (20, Status::Final, 5)];
    assert_eq!(windows(&kept, 0), expected);
}

#[test]
fn a_file_waits_for_a_slow_sink_and_loses_nothing() {
    let rows = packets((0..100).flat_map(|second| [second; 20]), 53);
    let source = FakeSource::file(&rows, 20);
    let counted = source.counted();
    let mut kept = Kept { first_takes: Duration::from_millis(200), ..Kept::default() };
    run_with(vec![source], &[BY_PORT], (1, 1), &mut kept).unwrap();
    assert_eq!(windows(&kept, 0).iter().map(|(.., rows)| rows).sum::<i64>(), 2000);
    assert_eq!(counted.dropped.load(Ordering::Relaxed), 0);
}

#[test]
fn what_a_live_source_loses_is_counted_and_its_windows_say_so() {
    // Each packet is a result of its own, so that the sink holds everything up at once.
    let rows = packets((0..4000).flat_map(|second| [second; 5]), 53);
    let source = FakeSource::live(&rows, 5, Duration::ZERO);
    let counted = source.counted();
    let mut kept = Kept { first_takes: Duration::from_millis(500), ..Kept::default() };
    let queries = [ROWS, "SELECT count(*) AS n FROM packets GROUP BY tumble('1000 seconds')"];
    let report = run_with(vec![source], &queries, (1, 16), &mut kept).unwrap();
    let dropped = counted.dropped.load(Ordering::Relaxed);
    assert!(dropped > 0, "the sink was slower than the source");
    assert_eq!(report.rows_dropped, dropped);
    let delivered = kept.ledger(1).delivered;
    assert_eq!(delivered + dropped, rows.len() as u64);
    assert_eq!(windows(&kept, 1).iter().map(|(.., rows)| rows).sum::<i64>(), delivered as i64);
    // What the merger could not be told in time is unknown; of the first window it was told.
    let of_windows = kept.results.iter().filter(|result| result.query.0 == 1);
    let missing = of_windows.filter_map(|result| result.completeness).map(|complete| 1.0 - complete);
    assert!(missing.fold(0.0, f64::max) > 0.0, "some window says that it lacks rows");
}

#[test]
fn a_file_beside_a_live_source_waits_and_the_live_one_does_not() {
    let rows = packets((0..2000).flat_map(|second| [second; 5]), 53);
    let sources = vec![FakeSource::file(&rows, 5), FakeSource::live(&rows, 5, Duration::ZERO)];
    let [file, live] = [0, 1].map(|number: usize| sources[number].counted());
    let mut kept = Kept { first_takes: Duration::from_millis(500), ..Kept::default() };
    run_with(sources, &[ROWS], (1, 1), &mut kept).unwrap();
    let dropped = live.dropped.load(Ordering::Relaxed);
    assert_eq!(file.dropped.load(Ordering::Relaxed), 0);
    assert!(dropped > 0);
    assert_eq!(kept.ledger(0).delivered, 2 * rows.len() as u64 - dropped);
}

#[test]
fn input_that_is_ended_leaves_its_last_window_partial() {
    let source = FakeSource::live(&packets(0..15, 53), 3, Duration::from_secs(60));
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    let (mut kept, mut engine) = (Kept::default(), engine(2, 16));
    engine.add_query(Planner::new().plan(BY_PORT).unwrap(), subscriber).unwrap();
    engine.add_sources(boxed(vec![source])).unwrap();
    engine.end_input();
    kept.read(&events, 1);
    assert!(engine.join().unwrap().is_cut);
    assert_eq!(windows(&kept, 0), [(0, Status::Final, 10), (10, Status::Partial, 5)]);
}

#[test]
fn every_source_tells_its_account_at_the_end() {
    let sources = vec![FakeSource::file(&packets(0..3, 53), 1), FakeSource::file(&[], 1)];
    let counted: Vec<_> = sources.iter().map(FakeSource::counted).collect();
    run_with(sources, &[ROWS], (1, 4), &mut Kept::default()).unwrap();
    assert!(counted.iter().all(|counted| counted.reports.load(Ordering::Relaxed) == 1));
}

#[test]
fn who_asks_for_an_account_waits_for_no_layout() {
    let source = FakeSource::live(&packets(0..15, 53), 3, Duration::from_secs(60));
    let (counted, is_unprepared) = (source.counted(), Arc::clone(&source.is_unprepared));
    let reports = || counted.reports.load(Ordering::Relaxed);
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    let (mut kept, mut engine) = (Kept::default(), engine(2, 16));
    let plan = |sql| Planner::new().plan(sql).unwrap();
    engine.add_query(plan(BY_PORT), subscriber.clone()).unwrap();
    engine.add_sources(boxed(vec![source])).unwrap();
    is_unprepared.store(true, Ordering::Relaxed);
    engine.add_query(plan("SELECT octets FROM packets"), subscriber).unwrap();
    engine.ask_for_reports();
    let patience = Instant::now();
    while reports() == 0 {
        assert!(patience.elapsed() < Duration::from_secs(10), "it waits for the layout");
        sleep(Duration::from_millis(1));
    }
    is_unprepared.store(false, Ordering::Relaxed);
    engine.end_input();
    kept.read(&events, 2);
    engine.join().unwrap();
}

#[test]
fn a_limit_that_is_reached_is_told() {
    let source = FakeSource::live(&packets(0..100, 53), 10, Duration::from_secs(60));
    let (subscriber, events) = subscription(1, WhenFull::Wait);
    let (mut kept, mut engine) = (Kept::default(), engine(2, 16));
    let query = Planner::new().plan("SELECT octets FROM packets LIMIT 15").unwrap();
    engine.add_query(query, subscriber).unwrap();
    engine.add_sources(boxed(vec![source])).unwrap();
    kept.read(&events, 1);
    assert_eq!(kept.satisfied, [QueryId(0)]);
    assert_eq!(kept.results.iter().map(sum).sum::<i64>(), 15 * 100);
    engine.stop();
    engine.join().unwrap();
}

#[test]
fn a_source_that_cannot_be_bound_is_told_to_whoever_adds_it() {
    let mut source = FakeSource::file(&packets(0..100, 53), 10);
    source.fails_to_bind = true;
    let error = run_with(vec![source], &[], (1, 4), &mut Kept::default()).unwrap_err();
    assert_eq!(error.to_string(), "there is no such thing");
}

#[test]
fn a_query_that_fails_ends_alone() {
    let rows = packets(0..100, 53);
    for workers in [1, 2] {
        let mut kept = Kept::default();
        let division = "SELECT 1 / (src_port - 53) FROM packets";
        let source = FakeSource::file(&rows, 10);
        run_with(vec![source], &[BY_PORT, division], (workers, 4), &mut kept).unwrap();
        assert_eq!(kept.ended[&QueryId(1)].0, EndReason::Failed("Divide by zero error".to_owned()));
        assert_eq!(kept.ended[&QueryId(0)].0, EndReason::Input);
        assert_eq!(kept.ledger(0).used, 100);
        assert!(windows(&kept, 0).iter().all(|(_, status, rows)| (*status, *rows) == (Status::Final, 10)));
    }
}

#[test]
fn a_query_that_comes_later_sees_the_rest_and_others_lose_nothing() {
    let rows = packets((0..2000).flat_map(|second| [second; 5]), 53);
    let mut source = FakeSource::live(&rows, 5, Duration::from_secs(60));
    source.is_lossless = true;
    let (subscriber, events) = subscription(4096, WhenFull::Wait);
    let (mut kept, mut engine) = (Kept::default(), engine(2, 16));
    let plan = |sql| Planner::new().plan(sql).unwrap();
    let first = engine.add_query(plan(BY_PORT), subscriber.clone()).unwrap();
    engine.add_sources(boxed(vec![source])).unwrap();
    let by_octets = "SELECT octets, count(*) AS n FROM packets GROUP BY octets, tumble('10 seconds')";
    let second = engine.add_query(plan(by_octets), subscriber.clone()).unwrap();
    let third = engine.add_query(plan(BY_PORT), subscriber).unwrap();
    engine.drop_query(third);
    engine.end_input();
    kept.read(&events, 3);
    engine.join().unwrap();
    assert_eq!(kept.ended[&third].0, EndReason::Dropped);
    let all = windows(&kept, first.0);
    let rest = windows(&kept, second.0);
    assert_eq!(all.iter().map(|(.., rows)| rows).sum::<i64>() as u64, kept.ledger(first.0).used);
    assert_eq!(rest.iter().map(|(.., rows)| rows).sum::<i64>() as u64, kept.ledger(second.0).used);
    // Behind the window that the second query came into, both saw the same; that one it knows to be partial.
    let whole: Vec<_> = rest.iter().filter(|(_, status, _)| *status == Status::Final).collect();
    assert!(whole.iter().all(|window| all.contains(window)), "{whole:?}");
    let partial = rest.iter().filter(|(_, status, _)| *status == Status::Partial).count();
    assert!(partial <= 2, "the window that it came into, and the last one");
}

#[test]
fn a_stream_goes_on_where_another_source_takes_it_up() {
    let accounts = "SELECT count(*) AS n FROM ledger GROUP BY tumble('1 day')";
    for workers in [1, 2] {
        let (subscriber, events) = subscription(64, WhenFull::Wait);
        let (observer, told) = subscription(64, WhenFull::Wait);
        let options = EngineOptions { workers, ..EngineOptions::default() };
        let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
        let plan = |sql| Planner::new().plan(sql).unwrap();
        let by_port = engine.add_query(plan(BY_PORT), subscriber.clone()).unwrap();
        // Its rows come of no source, and go on when those have ended.
        engine.add_query(plan(accounts), subscriber).unwrap();
        engine.add_sources(boxed(vec![FakeSource::live(&packets(0..15, 53), 3, Duration::ZERO)])).unwrap();
        let ended = told.next(Duration::from_secs(60)).unwrap();
        assert!(matches!(ended, Some(Event::SourceEnded { failure: None, .. })), "{ended:?}");
        // Longer than workers take to hear of the accounts' watermark.
        sleep(Duration::from_millis(300));
        engine.add_sources(boxed(vec![FakeSource::live(&packets(15..25, 53), 3, Duration::ZERO)])).unwrap();
        engine.drain();
        let mut kept = Kept::default();
        kept.read(&events, 2);
        engine.join().unwrap();
        let expected = [(0, Status::Final, 10), (10, Status::Final, 10), (20, Status::Final, 5)];
        assert_eq!(windows(&kept, by_port.0), expected, "{workers} workers");
        assert_eq!(kept.ledger(by_port.0).late, 0);
    }
}

#[test]
fn windows_are_given_early_and_at_last_the_same() {
    // Every third row is five seconds behind.
    let seconds = (0..60).map(|second| if second % 3 == 2 { second - 5 } else { second });
    let rows = packets(seconds.flat_map(|second| [second.max(0); 10]), 53);
    for workers in [1, 2] {
        let (subscriber, events) = subscription(1, WhenFull::Wait);
        let (mut kept, mut engine) = (Kept::default(), engine(workers, 2));
        let sql = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('20 seconds')";
        let plan = || Planner::new().plan(sql).unwrap();
        let plainly = engine.add_query(plan(), subscriber.clone()).unwrap();
        let early = engine.add_query(plan().with_early(4_000_000_000).unwrap(), subscriber).unwrap();
        let mut source = FakeSource::file(&rows, 5);
        source.lateness_ns = 5_000_000_000;
        engine.add_sources(boxed(vec![source])).unwrap();
        engine.drain();
        kept.read(&events, 2);
        engine.join().unwrap();
        let (given_early, last): (Vec<_>, Vec<_>) =
            windows(&kept, early.0).into_iter().partition(|(_, status, _)| *status == Status::Early);
        assert_eq!(last, windows(&kept, plainly.0), "{workers} workers");
        assert_eq!(kept.ledger(early.0), kept.ledger(plainly.0));
        for (start, _, all) in last {
            let of_window = given_early.iter().filter(|(early, ..)| *early == start);
            let counts: Vec<i64> = of_window.map(|(.., rows)| *rows).collect();
            assert!((1..=4).contains(&counts.len()), "{counts:?}");
            assert!(counts.is_sorted() && counts.iter().all(|count| *count <= all), "{counts:?} of {all}");
        }
    }
}

#[test]
fn queries_that_share_a_fold_fail_alone() {
    let rows = packets(0..100, 53);
    let queries = [
        BY_PORT,
        "SELECT src_port, sum(1 / (src_port - 53)) AS n FROM packets GROUP BY src_port, tumble('10 seconds')",
        "SELECT src_port, sum(octets) AS n FROM packets GROUP BY src_port, tumble('10 seconds')",
    ];
    for workers in [1, 2] {
        let mut kept = Kept::default();
        run_with(vec![FakeSource::file(&rows, 10)], &queries, (workers, 4), &mut kept).unwrap();
        let [counts, divides, sums] = [0, 1, 2].map(|query| kept.ended[&QueryId(query)].clone());
        assert_eq!(divides.0, EndReason::Failed("Divide by zero error".to_owned()));
        assert_eq!([counts.0, sums.0], [EndReason::Input, EndReason::Input]);
        assert_eq!([counts.1.used, sums.1.used], [100, 100]);
        let all = (0..10).map(|window| (window * 10, Status::Final));
        let expected =
            |rows: i64| all.clone().map(|(start, status)| (start, status, rows)).collect::<Vec<_>>();
        assert_eq!(windows(&kept, 0), expected(10));
        assert_eq!(windows(&kept, 2), expected(1000));
    }
}

/// Rows of so many seconds in disorder, none of them late.
fn scattered(seconds: i64) -> FakeSource {
    let rows = packets((0..10 * seconds).map(|row| (row * 7_919) % seconds), 53);
    let mut source = FakeSource::file(&rows, 20);
    source.lateness_ns = seconds * 1_000_000_000;
    source
}

#[test]
fn windows_that_there_is_no_room_for_are_closed_and_what_comes_for_them_is_counted() {
    const BY_SECOND: &str = "SELECT count(*) AS n FROM packets GROUP BY tumble('1 second')";
    const SLIDING: &str = "SELECT count(*) AS n FROM packets GROUP BY hop('1 second', '2 seconds')";
    let roomy = EngineOptions { workers: 1, ..EngineOptions::default() };
    let held = |held| QueryLimits { held, ..QueryLimits::default() };
    let few = EngineOptions {
        limits: held(HeldLimits { windows_max: 100, ..HeldLimits::default() }),
        ..roomy.clone()
    };
    let little = EngineOptions {
        limits: held(HeldLimits { octets_max: 100_000, ..HeldLimits::default() }),
        ..roomy.clone()
    };
    let little_in_all = EngineOptions { octets_held_max: 200_000, ..roomy.clone() };
    for (options, has_room) in [(roomy, true), (few, false), (little, false), (little_in_all, false)] {
        let (observer, _) = subscription(1, WhenFull::Lose);
        let mut engine = Engine::start(options, Arc::new(SystemClock), observer).unwrap();
        let (subscriber, events) = subscription(1, WhenFull::Wait);
        for sql in [BY_SECOND, SLIDING] {
            engine.add_query(Planner::new().plan(sql).unwrap(), subscriber.clone()).unwrap();
        }
        engine.add_sources(boxed(vec![scattered(1_000)])).unwrap();
        engine.drain();
        let mut kept = Kept::default();
        kept.read(&events, 2);
        engine.join().unwrap();
        for (query, times_seen) in [(0, 1), (1, 2)] {
            let (given, ledger) = (windows(&kept, query), kept.ledger(query));
            assert!(ledger.adds_up() && ledger.delivered == 10_000, "{ledger:?}");
            assert_eq!(ledger.dropped == 0, has_room, "{ledger:?}");
            let mut starts: Vec<i64> = given.iter().map(|(start, ..)| *start).collect();
            assert!(starts.len() <= 1_001);
            starts.dedup();
            assert_eq!(starts.len(), given.len(), "a window is given once");
            assert!(given.iter().all(|(_, status, rows)| *status != Status::Final || *rows >= 10));
            let rows: i64 = given.iter().map(|(.., rows)| rows).sum();
            assert!(rows <= times_seen * ledger.used as i64);
            if query == 0 {
                assert_eq!(rows, ledger.used as i64, "what is used is in a result");
            }
        }
    }
}
