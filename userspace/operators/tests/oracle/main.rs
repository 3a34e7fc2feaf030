//! Every query against batch DataFusion over the same rows, window by window.
//!
//! Rows are dealt out to one, two or four workers in small batches; what the workers give is merged
//! in a random order. The answer must be the one that DataFusion gives for the rows of each window,
//! for a fixed list of shapes and for queries put together at random.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod generate;
mod streaming;

use batch::{batch_answer, early_answer};
use generate::{Row, rows};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use streaming::{answers_together, streaming_answer};
use tapline_query::{Identity, Planner};

/// Who sees the rows: batch SQL has its name and its site in two columns.
const SENSOR: &str = "probe-1";
const SITE: &str = "north";

fn planner() -> Planner {
    Planner::new().with_identity(Identity { sensor: SENSOR.to_owned(), site: Some(SITE.to_owned()) })
}

/// Shapes that a splitter of plans gets wrong.
const SHAPES: [&str; 53] = [
    "SELECT protocol, count(*) FROM packets GROUP BY protocol",
    "SELECT count(*), sum(octets), min(ts), max(ts), avg(octets) FROM packets",
    "SELECT count(*) FROM packets WHERE protocol = 99",
    "SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds')",
    "SELECT tumble('10 seconds') AS w, count(*) FROM packets GROUP BY tumble('10 seconds')",
    "SELECT src_ip, sum(octets) AS o FROM packets GROUP BY src_ip, hop('5 seconds', '20 seconds')",
    "SELECT src_ip, max(octets) FROM packets GROUP BY src_ip, hop('6 seconds', '10 seconds') HAVING count(*) > 2",
    "SELECT src_ip, sum(octets) AS o FROM packets GROUP BY src_ip, tumble('10 seconds') ORDER BY o DESC NULLS LAST, src_ip LIMIT 3",
    "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM packets WHERE octets < 200 GROUP BY src_ip, dst_ip, tumble('20 seconds')) GROUP BY src_ip HAVING count(*) >= 2",
    "SELECT max(n), min(n), count(*) FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds'))",
    "SELECT a.src_ip, a.n, b.n FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds')) a JOIN (SELECT dst_ip, count(*) AS n FROM packets WHERE protocol = 6 GROUP BY dst_ip, tumble('10 seconds')) b ON a.src_ip = b.dst_ip",
    "SELECT a.src_ip, a.n, b.n FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds')) a LEFT JOIN (SELECT dst_ip, count(*) AS n FROM packets WHERE protocol = 6 GROUP BY dst_ip, tumble('10 seconds')) b ON a.src_ip = b.dst_ip",
    "SELECT src_ip AS ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds') UNION ALL SELECT dst_ip, count(*) FROM packets GROUP BY dst_ip, tumble('10 seconds')",
    "SELECT ip, sum(octets) FROM (SELECT src_ip AS ip, octets FROM packets UNION ALL SELECT dst_ip, octets FROM packets) GROUP BY ip, tumble('10 seconds')",
    "SELECT DISTINCT src_ip FROM packets",
    "SELECT DISTINCT protocol, dst_port FROM packets WHERE octets > 500",
    "SELECT protocol, count(DISTINCT src_ip) FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT protocol, count(*), count(DISTINCT src_ip), sum(octets) FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT count(DISTINCT src_ip), count(DISTINCT dst_ip), count(DISTINCT dst_port) FILTER (WHERE protocol = 6) FROM packets",
    "SELECT src_ip, count(DISTINCT dst_ip), max(DISTINCT octets), avg(octets) FROM packets GROUP BY src_ip",
    "SELECT count(*) FILTER (WHERE protocol = 6) AS tcp, count(*) FILTER (WHERE protocol = 17) AS udp FROM packets GROUP BY tumble('10 seconds')",
    "SELECT CASE WHEN octets < 100 THEN 'small' WHEN octets < 1000 THEN 'medium' ELSE 'large' END AS size, count(*) FROM packets GROUP BY 1, tumble('10 seconds')",
    "WITH web AS (SELECT src_ip, octets FROM packets WHERE dst_port IN (80, 443)) SELECT src_ip, sum(octets) FROM web GROUP BY src_ip, tumble('10 seconds')",
    "SELECT octets / 100 AS bucket, protocol, count(*) FROM packets GROUP BY octets / 100, protocol",
    "SELECT network(src_ip, 24, 48) AS net, count(*) FROM packets GROUP BY network(src_ip, 24, 48), tumble('10 seconds')",
    "SELECT src_ip, octets FROM packets WHERE cidr(src_ip, '10.0.0.0/8') AND protocol = 6",
    "SELECT ts, src_ip, octets * 2 AS twice FROM packets WHERE octets > 700",
    "SELECT ts, src_ip, octets FROM packets WHERE protocol = 6 ORDER BY octets DESC NULLS LAST, ts, src_ip LIMIT 7",
    "SELECT ts, src_ip, dst_port FROM packets LIMIT 5 OFFSET 3",
    "SELECT src_ip FROM packets UNION ALL SELECT dst_ip FROM packets WHERE protocol = 17",
    "SELECT protocol, stddev(octets), var_pop(octets), bool_or(octets > 100), bit_or(tcp_flags) FROM packets GROUP BY protocol",
    "SELECT protocol, approx_distinct(src_ip), quantile(octets, 0.5) FROM packets GROUP BY protocol, tumble('10 seconds')",
    "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip HAVING count(*) > (SELECT avg(n) FROM (SELECT count(*) AS n FROM packets GROUP BY src_ip))",
    "SELECT src_ip, n, rank() OVER (ORDER BY n DESC) FROM (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds'))",
    "SELECT protocol, text(src_ip) AS t, count(*) FROM packets GROUP BY protocol, text(src_ip), tumble('10 seconds')",
    "SELECT date_trunc('second', ts) AS second, count(*) FROM packets GROUP BY 1",
    "SELECT sum(n), min(n) FROM (SELECT count(*) AS n FROM packets WHERE protocol = 6 UNION ALL SELECT count(*) FROM packets)",
    "SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds') UNION SELECT sum(octets) FROM packets GROUP BY tumble('10 seconds')",
    "SELECT sum(protocol) - 1 AS a, sum(dst_port) * 2 AS b, sum(protocol) / count(*) AS c, max(dst_port) - min(dst_port) AS d FROM packets GROUP BY tumble('10 seconds')",
    "SELECT src_ip, sum(octets) OVER (ORDER BY src_ip ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS o FROM (SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip)",
    "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 ms')",
    "SELECT ip, count(*) AS n FROM (SELECT src_ip AS ip FROM packets WHERE protocol = 6 UNION ALL SELECT dst_ip FROM packets WHERE protocol = 6) GROUP BY ip, hop('5 seconds', '10 seconds')",
    "SELECT src_ip, sum(octets) * 8.0 / 10 AS rate FROM packets WHERE src_ip IS NOT NULL GROUP BY src_ip, tumble('10 seconds')",
    "SELECT sensor, count(*) AS n FROM packets GROUP BY sensor",
    "SELECT site, sensor, count(*), count(site), avg(octets) FROM packets GROUP BY sensor, site, tumble('10 seconds')",
    "SELECT sensor, src_ip, upper(site) AS place, sum(octets) AS o FROM packets WHERE sensor LIKE 'probe-%' GROUP BY sensor, src_ip, place, hop('5 seconds', '20 seconds')",
    "SELECT count(*), count(DISTINCT sensor), max(sensor) FILTER (WHERE protocol = 6) FROM packets WHERE sensor = 'probe-2' OR site = 'south'",
    "SELECT src_ip, count(*) AS n FROM packets WHERE site <> 'north' GROUP BY src_ip, tumble('10 seconds')",
    "SELECT site, src_ip, sensor || ':' || text(src_ip) AS place FROM packets WHERE sensor = 'probe-1' AND protocol = 6",
    "SELECT who, count(*) AS n FROM (SELECT sensor AS who FROM packets UNION ALL SELECT text(src_ip) FROM packets WHERE site = 'north') GROUP BY who, tumble('10 seconds')",
    "SELECT a.sensor, a.n, b.n AS of_tcp FROM (SELECT sensor, count(*) AS n FROM packets GROUP BY sensor, tumble('10 seconds')) a LEFT JOIN (SELECT sensor, count(*) AS n FROM packets WHERE protocol = 6 GROUP BY sensor, tumble('10 seconds')) b ON a.sensor = b.sensor",
    "SELECT ts, src_ip, octets, sensor FROM packets WHERE site = 'south' ORDER BY octets DESC NULLS LAST, ts, src_ip LIMIT 7",
];

/// Rows, how they are cut and dealt out, and in which order the parts are merged.
#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Row>,
    workers: usize,
    batch_rows: usize,
    shuffle: u64,
}

fn case() -> impl Strategy<Value = Case> {
    (rows(), prop::sample::select(vec![1_usize, 2, 4]), 1_usize..60, any::<u64>())
        .prop_map(|(rows, workers, batch_rows, shuffle)| Case { rows, workers, batch_rows, shuffle })
}

fn check(planner: &Planner, sql: &str, case: &Case) -> Result<(), TestCaseError> {
    let query = Arc::new(planner.plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}")));
    let streaming = streaming_answer(&query, case);
    let batch = batch_answer(sql, &query, &case.rows);
    prop_assert_eq!(streaming, batch, "{}", sql);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_shape_answers_as_batch_sql_does(case in case()) {
        let planner = planner();
        for sql in SHAPES {
            check(&planner, sql, &case)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_queries_answer_as_batch_sql_does(case in case(), sql in generate::query()) {
        check(&planner(), &sql, &case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is given early is what batch SQL says of the rows so far, and what is given at last does not change by it.
    #[test]
    fn windows_are_given_early(case in case(), every in prop::sample::select(vec![2_i64, 3, 7])) {
        let (planner, every) = (planner(), every * 1_000_000_000);
        let mut tried = 0;
        for sql in SHAPES {
            let query = planner.plan(sql).unwrap();
            let Ok(query) = query.with_early(every) else { continue };
            tried += 1;
            let query = Arc::new(query);
            let lines = streaming_answer(&query, &case);
            let (early, last): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.ends_with("|early"));
            prop_assert_eq!(last, batch_answer(sql, &query, &case.rows), "{}", sql);
            let early: BTreeSet<String> = early.into_iter().collect();
            let expected = early_answer(sql, &query, &case.rows, every);
            let different: Vec<_> = early.symmetric_difference(&expected).collect();
            prop_assert!(different.is_empty(), "{}: {:?}", sql, different);
        }
        prop_assert!(tried > 20, "{} shapes have windows", tried);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a query answers does not depend on what it has in common with others.
    #[test]
    fn queries_answer_together_as_alone(
        case in case(),
        queries in generate::queries_in_common(),
        turn in 1_usize..5,
    ) {
        let planner = planner();
        let planned: Vec<_> = queries.iter().map(|sql| Arc::new(planner.plan(sql).unwrap())).collect();
        let together = answers_together(&planned, &case, (turn, 1 << 20));
        for ((sql, query), answer) in queries.iter().zip(&planned).zip(together) {
            prop_assert_eq!(answer, streaming_answer(query, &case), "{} of {:?}", sql, queries);
        }
    }

    /// Groups that have no place are the same ones, together and alone, where each comes in its turn.
    #[test]
    fn queries_fold_the_same_groups_together_as_alone(
        rows in rows(),
        filters in prop::collection::vec(prop::sample::select(vec!["octets > 300", "octets > 90", "true"]), 2..5),
        groups_max in 1_usize..8,
        batch_rows in 1_usize..60,
    ) {
        let case = Case { rows, workers: 1, batch_rows, shuffle: 7 };
        let sql = |filter: &&str| {
            format!(
                "SELECT dst_port, protocol, count(*) AS n, sum(octets) AS o FROM packets WHERE {filter}
                 GROUP BY dst_port, protocol, tumble('60 seconds')"
            )
        };
        let planned: Vec<_> =
            filters.iter().map(|filter| Arc::new(Planner::new().plan(&sql(filter)).unwrap())).collect();
        let together = answers_together(&planned, &case, (2, groups_max));
        for (query, answer) in planned.iter().zip(together) {
            let alone = answers_together(std::slice::from_ref(query), &case, (1, groups_max));
            prop_assert_eq!(Some(answer), alone.into_iter().next(), "{:?}", filters);
        }
    }
}

/// More panes are open than there is room for: a pane comes in parts, and each row counts once all the same.
#[test]
fn panes_that_leave_early_add_up() {
    let query = Planner::new()
        .plan("SELECT protocol, count(*), sum(octets) FROM packets GROUP BY protocol, tumble('1 ms')");
    let query = Arc::new(query.unwrap());
    for workers in [1, 2] {
        let results = streaming::scattered_answer(&query, workers, 700, 2100);
        assert_eq!(results, vec![(3, 300); 700], "every pane has three rows of a hundred octets");
    }
}
