//! Sensors and an aggregator without a network: what they say of rows that were dealt out at random is what one query
//! says of all rows at once.
//!
//! Rows are dealt out to sensors, which cut them at random moments. What they make of their cuts goes through octets,
//! is shuffled, held back, and merged; panes are given, and windows made of them. The answer must be that of one worker
//! over all rows, for a fixed list of shapes and many seeds.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod answer;
mod sensor;
mod traffic;
mod world;

use answer::expected;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_aggregate::{Merging, PartMaker, Results, fingerprint, half_id};
use tapline_delivery::{Kind, Merge as _};
use tapline_engine::{HeldLimits, QueryId, QueryLimits, Status};
use tapline_query::{ContinuousQuery, Planner};
use tapline_record::{PacketColumn, PacketRow};
use tapline_trafficgen::random::Random;
use traffic::{BEGIN_NS, SECOND_NS, packets, packets_apart};
use world::{QUERY, Record, World};

/// Reference queries, as far as they read packets, and shapes that are put together in their own way.
const SHAPES: [&str; 20] = [
    "SELECT protocol, count(*) AS packets FROM packets WHERE protocol IN (6, 17) GROUP BY protocol, tumble('10 seconds')",
    "SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, hop('1 second', '10 seconds') ORDER BY octets DESC NULLS LAST, src_ip LIMIT 3",
    "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM packets WHERE octets < 700 GROUP BY src_ip, dst_ip, tumble('20 seconds')) GROUP BY src_ip HAVING count(*) >= 2",
    "SELECT src_ip, dst_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, dst_ip, tumble('7 seconds')",
    "SELECT count(*) AS n, sum(octets) AS o, min(ts) AS a, max(ts) AS b, avg(octets) AS c FROM packets GROUP BY tumble('10 seconds')",
    "SELECT tumble('10 seconds') AS w, count(*) AS n FROM packets GROUP BY tumble('10 seconds')",
    "SELECT src_ip, max(octets) AS m FROM packets GROUP BY src_ip, hop('6 seconds', '10 seconds') HAVING count(*) > 2",
    "SELECT protocol, approx_distinct(src_ip) AS d FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT protocol, quantile(octets, 0.5) AS q FROM packets GROUP BY protocol, hop('5 seconds', '10 seconds')",
    "SELECT protocol, top_k(dst_port, 2) AS t FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT a.src_ip, a.n, b.n AS m FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds')) a JOIN (SELECT dst_ip, count(*) AS n FROM packets WHERE protocol = 6 GROUP BY dst_ip, tumble('10 seconds')) b ON a.src_ip = b.dst_ip",
    "SELECT a.src_ip, a.n, b.n AS m FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, hop('5 seconds', '10 seconds')) a LEFT JOIN (SELECT dst_ip, count(*) AS n FROM packets WHERE protocol = 6 GROUP BY dst_ip, hop('5 seconds', '10 seconds')) b ON a.src_ip = b.dst_ip",
    "SELECT src_ip AS ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds') UNION ALL SELECT dst_ip, count(*) FROM packets GROUP BY dst_ip, tumble('10 seconds')",
    "SELECT ip, sum(octets) AS o FROM (SELECT src_ip AS ip, octets FROM packets UNION ALL SELECT dst_ip, octets FROM packets) GROUP BY ip, tumble('10 seconds')",
    "SELECT max(n) AS a, min(n) AS b, count(*) AS c FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds'))",
    "SELECT protocol, count(DISTINCT src_ip) AS d, sum(octets) AS o FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT protocol, stddev(octets) AS s, bool_or(octets > 100) AS b FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT src_ip, n, rank() OVER (ORDER BY n DESC) AS r FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds'))",
    "SELECT src_ip, count(*) AS n FROM packets WHERE protocol = 99 GROUP BY src_ip, tumble('10 seconds')",
    "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('500 milliseconds')",
];

const SEEDS: u64 = 6;

fn plan(planner: &Planner, sql: &str) -> Arc<ContinuousQuery> {
    Arc::new(planner.plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}")))
}

#[test]
fn what_sensors_say_together_is_what_one_says_of_all_rows() {
    let planner = Planner::new();
    for sql in SHAPES {
        let query = plan(&planner, sql);
        for seed in 0..SEEDS {
            let mut random = Random::new(seed, "fleet");
            let rows = packets(&mut random, 300);
            let mut world = World::new(&query, QueryLimits::default());
            let mut records = world.cut(&rows, &mut random);
            random.shuffle(&mut records);
            world.send(&records);
            world.give();
            let statuses = world.answer.statuses();
            assert!(
                statuses.iter().all(|status| *status == Status::Final),
                "{sql}, seed {seed}: {statuses:?}"
            );
            assert_eq!(world.answer.rows(), expected(&query, &rows).rows(), "{sql}, seed {seed}");
        }
    }
}

#[test]
fn what_comes_late_is_a_revision_that_says_all() {
    let planner = Planner::new();
    let mut revised = 0;
    for sql in SHAPES {
        let query = plan(&planner, sql);
        for seed in 0..SEEDS {
            let mut random = Random::new(seed, "late");
            let rows = packets(&mut random, 300);
            let mut world = World::new(&query, QueryLimits::default());
            let mut records = world.cut(&rows, &mut random);
            random.shuffle(&mut records);
            let late = records.split_off(records.len() / 2);
            world.send(&records);
            world.give();
            for some in late.chunks(late.len().div_ceil(3).max(1)) {
                world.send(some);
                world.give();
            }
            let statuses = world.answer.statuses();
            revised += statuses.iter().filter(|status| **status == Status::Revised).count();
            let is_whole = |status: &Status| matches!(status, Status::Final | Status::Revised);
            assert!(statuses.iter().all(is_whole), "{sql}, seed {seed}: {statuses:?}");
            assert_eq!(world.answer.rows(), expected(&query, &rows).rows(), "{sql}, seed {seed}");
        }
    }
    assert!(revised > 100, "{revised} windows are revised");
}

#[test]
fn a_process_that_takes_over_makes_the_same_results() {
    let planner = Planner::new();
    for sql in SHAPES {
        let query = plan(&planner, sql);
        for seed in 0..SEEDS / 3 {
            let mut random = Random::new(seed, "takes over");
            let rows = packets(&mut random, 200);
            let mut world = World::new(&query, QueryLimits::default());
            let mut records = world.cut(&rows, &mut random);
            random.shuffle(&mut records);
            for some in records.chunks(records.len().div_ceil(4).max(1)) {
                world.send(some);
                if random.percent(50) {
                    world.give();
                }
                world.restart(random.percent(50));
            }
            world.give();
            let statuses = world.answer.statuses();
            let is_whole = |status: &Status| matches!(status, Status::Final | Status::Revised);
            assert!(statuses.iter().all(is_whole), "{sql}, seed {seed}: {statuses:?}");
            assert_eq!(world.answer.rows(), expected(&query, &rows).rows(), "{sql}, seed {seed}");
        }
    }
}

#[test]
fn completeness_is_that_of_all_sensors() {
    let query = plan(&Planner::new(), SHAPES[4]);
    let mut random = Random::new(1, "completeness");
    let rows = packets(&mut random, 300);
    let mut world = World::new(&query, QueryLimits::default());
    world.missing_each_second = 1.0;
    let records = world.cut(&rows, &mut random);
    world.send(&records);
    world.give();
    let mut known = 0;
    for (window, completeness) in world.answer.completeness() {
        let delivered = rows.iter().filter(|row| window.contains(&row.ts)).count() as f64;
        let expected = delivered / (delivered + world.missing_in(&window));
        assert!((completeness.unwrap() - expected).abs() < 1e-9, "{completeness:?}, not {expected}");
        known += 1;
    }
    assert!(known > 3);
}

#[test]
fn a_sensor_that_is_not_there_makes_completeness_unknown_and_one_that_joins_makes_windows_partial() {
    let query = plan(&Planner::new(), SHAPES[4]);
    let mut random = Random::new(2, "absent");
    let rows = packets(&mut random, 300);
    let mut world = World::new(&query, QueryLimits::default());
    world.whole_after = BEGIN_NS + 15 * SECOND_NS;
    let records = world.cut(&rows, &mut random);
    // Nothing of the last sensor has come when windows are given.
    let (there, absent): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.sensor < 2);
    world.send(&there);
    world.give();
    assert!(world.answer.completeness().iter().all(|(_, completeness)| completeness.is_none()));
    let windows = world.answer.by_window().into_iter();
    let partial = windows.filter(|(_, status)| *status == Status::Partial);
    let seconds: Vec<i64> = partial.map(|(start, _)| (start - BEGIN_NS) / SECOND_NS).collect();
    assert_eq!(seconds, [0, 10]);
    world.send(&absent);
    world.give();
    assert!(world.answer.completeness().iter().all(|(_, completeness)| completeness.is_some()));
    assert_eq!(world.answer.rows(), expected(&query, &rows).rows());
}

#[test]
fn groups_beyond_the_cap_are_folded_and_no_row_is_lost() {
    let sql =
        "SELECT dst_port, octets, count(*) AS n FROM packets GROUP BY dst_port, octets, tumble('1 minute')";
    let query = plan(&Planner::new(), sql);
    let few = QueryLimits { groups_max: 20, ..QueryLimits::default() };
    let held = HeldLimits { octets_max: 0, ..HeldLimits::default() };
    let no_room = QueryLimits { held, ..QueryLimits::default() };
    for (limits, groups_max) in [(few, 20), (no_room, 255)] {
        let mut random = Random::new(3, "cap");
        let rows = packets(&mut random, 2000);
        let mut world = World::new(&query, limits);
        let records = world.cut(&rows, &mut random);
        world.send(&records);
        world.give();
        let counts = world.answer.counts();
        assert_eq!(counts.iter().sum::<i64>(), 2000, "{counts:?}");
        assert!(counts.len() <= groups_max + 1, "{} rows", counts.len());
        let statuses = world.answer.statuses();
        assert!(statuses.contains(&Status::Folded), "{statuses:?}");
    }
}

#[test]
fn a_revision_that_leaves_no_row_says_so() {
    let sql = "SELECT count(*) AS n FROM packets GROUP BY tumble('1 minute') HAVING count(*) < 250";
    let query = plan(&Planner::new(), sql);
    let mut random = Random::new(4, "taken back");
    let rows = packets(&mut random, 300);
    let mut world = World::new(&query, QueryLimits::default());
    let mut records = world.cut(&rows, &mut random);
    let late = records.split_off(records.len() / 2);
    world.send(&records);
    world.give();
    assert!(!world.answer.rows().is_empty());
    world.send(&late);
    world.give();
    assert_eq!(world.answer.rows(), Vec::<String>::new());
    assert_eq!(world.answer.statuses(), [Status::Revised]);
}

#[test]
fn two_ends_that_disagree_refuse_with_a_sentence() {
    let planner = Planner::new();
    let query = plan(&planner, SHAPES[0]);
    let other = plan(&planner, SHAPES[4]);
    let mut random = Random::new(5, "refused");
    let rows = packets(&mut random, 50);
    let mut world = World::new(&query, QueryLimits::default());
    let records = world.cut_as(&other, &rows, &mut random);
    let refused = world.try_send(&records);
    assert!(refused.iter().all(|why| why.contains("the same version, and the same query")), "{refused:?}");
    assert_eq!(refused.len(), records.len());
    assert_ne!(fingerprint(&query, 0), fingerprint(&other, 0));
    // The payload says its own version, whatever the head says.
    let mut records = world.cut(&rows, &mut random);
    records.iter_mut().for_each(|record| record.payload[0] += 1);
    let refused = world.try_send(&records);
    assert!(refused[0].contains("of version 4, and version 3 is read here"), "{refused:?}");
}

#[test]
fn garbage_harms_nobody() {
    let query = plan(&Planner::new(), SHAPES[0]);
    let merging = Merging::default();
    merging.add_query(QUERY, &query, &QueryLimits::default()).unwrap();
    let (half, mut random) = (half_id(QUERY, 0), Random::new(6, "garbage"));
    let rows = packets(&mut random, 200);
    let mut world = World::new(&query, QueryLimits::default());
    let records = world.cut(&rows, &mut random);
    let mut state = merging.empty(half);
    for record in &records {
        let before = merging.encode(half, &state);
        for _ in 0..20 {
            let mut payload = record.payload.clone();
            let place = random.below(payload.len() as u64) as usize;
            payload[place] ^= 1 << random.below(8);
            // A change may be one that nobody can tell: then it counts as it is.
            if merging.merge(half, &mut state, &payload).is_err() {
                assert_eq!(merging.encode(half, &state), before, "what is refused changes nothing");
            } else {
                state = merging.decode(half, &before).unwrap();
            }
        }
    }
}

/// A query without an aggregate.
const ROWS: &str = "SELECT ts, src_ip, dst_port, octets FROM packets WHERE protocol <> 1";

fn plan_rows(sql: &str) -> Arc<ContinuousQuery> {
    Arc::new(Planner::new().plan(sql).unwrap().of_sensors().unwrap())
}

/// How many of these rows are of which second.
fn seconds(rows: &[PacketRow]) -> BTreeMap<i64, usize> {
    let mut seconds = BTreeMap::new();
    let is_asked = |row: &&PacketRow| row.present & PacketColumn::Protocol.bit() != 0 && row.protocol != 1;
    for row in rows.iter().filter(is_asked) {
        *seconds.entry(row.ts.div_euclid(SECOND_NS) * SECOND_NS).or_default() += 1;
    }
    seconds
}

/// How many rows were given of which second.
fn by_second(lines: &[String]) -> BTreeMap<i64, usize> {
    let mut seconds = BTreeMap::new();
    for line in lines {
        *seconds.entry(line.split('|').next().unwrap().parse().unwrap()).or_default() += 1;
    }
    seconds
}

#[test]
fn rows_are_in_the_order_of_sensors_and_of_their_records_however_they_come() {
    let query = plan_rows(ROWS);
    let mut revised = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed, "rows");
        let rows = packets(&mut random, 300);
        let mut world = World::new(&query, QueryLimits::default());
        let records = world.cut(&rows, &mut random);
        // They are made sensor by sensor, and cut by cut.
        world.send(&records);
        world.give();
        let in_order = world.answer.rows_as_given();
        assert!(world.answer.statuses().iter().all(|status| *status == Status::Final));
        assert_eq!(by_second(&in_order), seconds(&rows), "seed {seed}");
        let mut world = World::new(&query, QueryLimits::default());
        let mut shuffled = records;
        random.shuffle(&mut shuffled);
        for some in shuffled.chunks(shuffled.len().div_ceil(3)) {
            world.send(some);
            world.restart(random.percent(50));
            world.give();
        }
        assert_eq!(world.answer.rows_as_given(), in_order, "seed {seed}");
        revised += world.answer.statuses().iter().filter(|status| **status == Status::Revised).count();
    }
    assert!(revised > 0, "some came late");
}

#[test]
fn rows_end_where_their_limit_is_reached() {
    let (all, some) = (plan_rows(ROWS), plan_rows(&format!("{ROWS} LIMIT 70 OFFSET 20")));
    let mut random = Random::new(9, "limit");
    let rows = packets(&mut random, 300);
    let answers = [&all, &some].map(|query| {
        let mut world = World::new(query, QueryLimits::default());
        let records = world.cut(&rows, &mut Random::new(9, "cuts"));
        world.send(&records);
        world.give();
        world.answer.rows_as_given()
    });
    let [all, some] = answers;
    assert_eq!(some, all[20..90]);
}

#[test]
fn rows_that_come_late_are_given_as_long_as_their_limit_is_not_reached() {
    let query = plan_rows(&format!("{ROWS} LIMIT 1000"));
    for seed in 0..10 {
        let mut random = Random::new(seed, "late rows");
        // So few that at first nothing has come for most windows.
        let rows = packets(&mut random, 60);
        let mut world = World::new(&query, QueryLimits::default());
        let records = world.cut(&rows, &mut random);
        let (first, rest) = records.split_at(records.len() / 3);
        for some in [first, rest] {
            world.send(some);
            world.give();
        }
        assert_eq!(by_second(&world.answer.rows()), seconds(&rows), "seed {seed}");
    }
}

#[test]
fn rows_that_there_is_no_room_for_are_refused_and_told_to_be_missing() {
    let query = plan_rows(ROWS);
    let mut random = Random::new(10, "no room");
    let rows = packets(&mut random, 300);
    let held = HeldLimits { windows_max: 1_000, octets_max: 20_000 };
    let mut world = World::new(&query, QueryLimits { held, ..QueryLimits::default() });
    let records = world.cut(&rows, &mut random);
    let refused = world.try_send(&records);
    assert!(refused.iter().any(|why| why.contains("as many octets of rows as it may")), "{refused:?}");
    world.give();
    let whole = seconds(&rows);
    let given = by_second(&world.answer.rows());
    assert!(given.values().sum::<usize>() < whole.values().sum::<usize>());
    for (window, completeness) in world.answer.completeness() {
        let is_whole = given[&window.start] == whole[&window.start];
        assert!(is_whole || completeness.is_none_or(|part| part < 1.0), "{window:?}: {completeness:?}");
    }
}

/// A query of which each row is a group.
const LONG: &str = "SELECT ts, src_ip, dst_ip, dst_port, octets, count(*) AS n FROM packets GROUP BY ts, src_ip, dst_ip, dst_port, octets, tumble('1 hour')";

#[test]
fn a_long_pane_is_handed_on_in_several_parts() {
    let query = plan(&Planner::new(), LONG);
    let mut random = Random::new(7, "long");
    let rows = packets_apart(&mut random, 90_000);
    let mut world = World::new(&query, QueryLimits::default());
    world.cuts_max = 1;
    let records = world.cut(&rows, &mut random);
    let (merging, half) = (Merging::default(), half_id(QUERY, 0));
    merging.add_query(QUERY, &query, &QueryLimits::default()).unwrap();
    let pane_of = |record: &Record| match &record.head.kind {
        Kind::Part(part) => Some(part.pane),
        Kind::Gone(_) => None,
    };
    let (mut whole, mut again) = (merging.empty(half), merging.empty(half));
    for record in records.iter().filter(|record| pane_of(record) == pane_of(&records[0])) {
        merging.merge(half, &mut whole, &record.payload).unwrap();
    }
    let parts = merging.encode_apart(half, &whole);
    assert!(parts.len() > 1 && parts.iter().all(|(octets, _)| octets.len() <= 512 << 10), "{}", parts.len());
    assert!((parts.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
    parts.iter().for_each(|(octets, _)| merging.merge(half, &mut again, octets).unwrap());
    assert_eq!(merging.encode_apart(half, &again).len(), parts.len(), "together they are the pane");
}

#[test]
fn long_panes_are_sent_in_several_parts() {
    let query = plan(&Planner::new(), LONG);
    let mut random = Random::new(7, "long");
    let rows = packets_apart(&mut random, 90_000);
    let mut world = World::new(&query, QueryLimits::default());
    (world.cuts_max, world.missing_each_second) = (1, 1.0);
    let records = world.cut(&rows, &mut random);
    assert!(records.iter().all(|record| record.payload.len() <= 512 << 10));
    assert!(records.len() >= 6, "{} parts of three panes", records.len());
    world.send(&records);
    world.give();
    assert_eq!(world.answer.rows(), expected(&query, &rows).rows());
    let accounted: u64 = records.iter().map(Record::records).sum();
    let offered = 90_000.0 + world.missing_in(&(i64::MIN..i64::MAX));
    assert!((accounted as f64 - offered).abs() < 100.0, "{accounted} of {offered}");
}

#[test]
fn queries_come_and_go() {
    let planner = Planner::new();
    let query = plan(&planner, SHAPES[0]);
    let mut random = Random::new(8, "come and go");
    let rows = packets(&mut random, 100);
    let mut world = World::new(&query, QueryLimits::default());
    let records = world.cut(&rows, &mut random);
    world.send(&records);
    world.forget_query();
    world.give();
    assert_eq!(world.answer.rows(), Vec::<String>::new());
    let (rows, limits) = (planner.plan("SELECT ts FROM packets").unwrap(), QueryLimits::default());
    assert!(PartMaker::new(1, &rows, &limits).is_err());
    assert!(Results::new(0).add_query(1, QueryId(1), &rows, &limits).is_err());
}
