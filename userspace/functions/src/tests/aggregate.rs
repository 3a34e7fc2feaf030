//! Aggregates: against exact answers, over any number of partitions, and their refusals.

use super::session::{refusal, rows, session};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_record::address::mapped_v4;

const ROWS: usize = 12_000;
const FEW_GROUPS: u64 = 7;
const MANY_GROUPS: u64 = 3_000;
/// Columns with many different values, of every width and kind.
const VALUES: [&str; 11] = ["u8", "u16", "u32", "u64", "i32", "f32", "f64", "ip", "mac", "txt", "ts"];

/// A value that depends on its row alone, skewed towards small ones; every eleventh is NULL.
fn value_of(row: usize) -> Option<u64> {
    let mixed = (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let share = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    (row % 11 != 5).then_some((share * share * 60_000.0) as u64)
}

fn group_of(row: usize) -> u64 {
    (row as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32
}

fn column<A: FromIterator<Option<T>>, T>(rows: &[usize], convert: impl Fn(u64) -> T) -> A {
    rows.iter().map(|row| value_of(*row).map(&convert)).collect()
}

fn octets<const N: usize>(rows: &[usize], convert: impl Fn(u64) -> [u8; N]) -> ArrayRef {
    let values = rows.iter().map(|row| value_of(*row).map(&convert));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, N as i32).unwrap())
}

fn batch(rows: &[usize]) -> RecordBatch {
    let groups = |groups: u64| rows.iter().map(move |row| group_of(*row) % groups);
    let times: TimestampNanosecondArray = column(rows, |value| value as i64 * 1_000_000_007);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("few", Arc::new(UInt64Array::from_iter_values(groups(FEW_GROUPS)))),
        ("many", Arc::new(UInt64Array::from_iter_values(groups(MANY_GROUPS)))),
        ("flag", Arc::new(column::<BooleanArray, _>(rows, |value| value % 3 == 0))),
        ("u8", Arc::new(column::<UInt8Array, _>(rows, |value| value as u8))),
        ("u16", Arc::new(column::<UInt16Array, _>(rows, |value| value as u16))),
        ("u32", Arc::new(column::<UInt32Array, _>(rows, |value| value as u32))),
        ("u64", Arc::new(column::<UInt64Array, _>(rows, |value| value * 1_000_003))),
        ("i32", Arc::new(column::<Int32Array, _>(rows, |value| 9_000 - value as i32))),
        ("f32", Arc::new(column::<Float32Array, _>(rows, |value| value as f32 / 8.0 - 500.0))),
        ("f64", Arc::new(column::<Float64Array, _>(rows, |value| (value as f64 - 9_000.0) / 7.0))),
        ("ip", octets(rows, |value| mapped_v4([10, 0, (value >> 8) as u8, value as u8]))),
        ("mac", octets(rows, |value| [2, 0, 0, 0, (value >> 8) as u8, value as u8])),
        ("txt", Arc::new(column::<StringArray, _>(rows, |value| format!("host-{value}")))),
        ("ts", Arc::new(times.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))
        .unwrap()
}

/// The table in so many partitions of several batches each.
fn table(partitions: usize, config: SessionConfig) -> SessionContext {
    let of_partition = |partition| (0..ROWS).filter(move |row| row % partitions == partition);
    let batches = |partition| of_partition(partition).collect::<Vec<_>>().chunks(500).map(batch).collect();
    session(config.with_target_partitions(partitions), (0..partitions).map(batches).collect())
}

fn one_partition() -> SessionContext {
    table(1, SessionConfig::new())
}

#[test]
fn partitions_do_not_change_results() {
    // The third hands rows on as states of their own.
    let passing_on = SessionConfig::new()
        .set_u64("datafusion.execution.skip_partial_aggregation_probe_rows_threshold", 0)
        .set_str("datafusion.execution.skip_partial_aggregation_probe_ratio_threshold", "0.0");
    let tables = [one_partition(), table(4, SessionConfig::new()), table(4, passing_on)];
    let numbers = ["u8", "u16", "u32", "u64", "i32", "f32", "f64"];
    let aggregates = VALUES.iter().map(|x| format!("approx_distinct({x}), top_k({x}, 2)"));
    let aggregates = aggregates.chain(numbers.iter().map(|x| format!("quantile({x}, 0.9)")));
    let aggregates = aggregates.collect::<Vec<_>>().join(", ");
    // Of up to 1024 values top_k is exact.
    let small = "WHERE u64 < 1000 * 1000003";
    for sql in [
        format!("SELECT {aggregates} FROM t {small}"),
        format!("SELECT few, {aggregates} FROM t {small} GROUP BY few ORDER BY few"),
        format!("SELECT many, {aggregates} FROM t GROUP BY many ORDER BY many"),
        "SELECT few, quantile(u32, 0.5) FILTER (WHERE flag), approx_distinct(ip) FILTER (WHERE flag), \
         top_k(u8, 3) FILTER (WHERE flag) FROM t GROUP BY few ORDER BY few"
            .to_owned(),
    ] {
        let want = rows(&tables[0], &sql);
        assert_eq!(rows(&tables[1], &sql), want, "{sql}");
        assert_eq!(rows(&tables[2], &sql), want, "{sql}");
    }
}

/// The values of column `f64` by group, sorted.
fn sorted_by_group() -> BTreeMap<u64, Vec<f64>> {
    let mut groups: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for row in 0..ROWS {
        let values = groups.entry(group_of(row) % FEW_GROUPS).or_default();
        values.extend(value_of(row).map(|value| (value as f64 - 9_000.0) / 7.0));
    }
    groups.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
    groups
}

#[test]
fn quantiles_are_within_a_hundredth() {
    let table = table(4, SessionConfig::new());
    for q in [0.0, 0.01, 0.25, 0.5, 0.95, 1.0] {
        let found = rows(&table, &format!("SELECT quantile(f64, {q:?}) FROM t GROUP BY few ORDER BY few"));
        assert_eq!(found.len(), FEW_GROUPS as usize);
        for (found, values) in found.iter().zip(sorted_by_group().values()) {
            let found: f64 = found.parse().unwrap();
            let truth = values[(q * (values.len() - 1) as f64) as usize];
            assert!((found - truth).abs() <= 0.01 * truth.abs(), "{found} for {truth} at {q}");
        }
    }
}

#[test]
fn numbers_of_every_type_agree() {
    let table = one_partition();
    let quantile = |x: &str| rows(&table, &format!("SELECT quantile({x}, 1.0 / 2) FROM t"));
    for kind in ["SMALLINT", "BIGINT", "BIGINT UNSIGNED", "DECIMAL(9, 3)", "REAL", "DOUBLE"] {
        assert_eq!(quantile(&format!("CAST(u8 AS {kind})")), quantile("u8"), "{kind}");
    }
    assert_eq!(rows(&table, "SELECT quantile(u8, 0), quantile(u8, 1) FROM t"), ["0.0 | 255.0"]);
    let durations = "SELECT arrow_cast(quantile(d, 0.0), 'Int64'), \
        arrow_cast(quantile(d, 1), 'Int64') BETWEEN 253000000 AND 257000000, arrow_typeof(quantile(d, 1)) \
        FROM (SELECT arrow_cast(CAST(u8 AS BIGINT) * 1000, 'Duration(Microsecond)') AS d FROM t)";
    assert_eq!(rows(&table, durations), ["0 | true | Duration(ns)"]);
}

#[test]
fn distinct_counts_are_near() {
    let table = table(4, SessionConfig::new());
    for x in VALUES.iter().chain(&["flag"]) {
        let sql = format!("SELECT approx_distinct({x}), count(DISTINCT {x}) FROM t");
        let cells: Vec<f64> = rows(&table, &sql)[0].split(" | ").map(|cell| cell.parse().unwrap()).collect();
        assert!((cells[0] - cells[1]).abs() <= 0.03 * cells[1], "{x}: {cells:?}");
    }
    assert_eq!(rows(&table, "SELECT approx_distinct(flag), approx_distinct(NULL) FROM t"), ["2 | 0"]);
}

#[test]
fn the_most_frequent_come_first_and_ties_by_value() {
    let table = table(4, SessionConfig::new());
    for x in ["u8", "f32", "flag", "ip", "txt", "ts"] {
        let listed = "SELECT unnest(top_k({x}, 20)) AS e FROM t WHERE u32 < 300".replace("{x}", x);
        let found =
            rows(&table, &format!("SELECT get_field(e, 'value'), get_field(e, 'count') FROM ({listed})"));
        let want = format!(
            "SELECT {x}, count({x}) FROM t WHERE u32 < 300 AND {x} IS NOT NULL GROUP BY {x} \
             ORDER BY count({x}) DESC, {x} LIMIT 20"
        );
        assert_eq!(found, rows(&table, &want), "{x}");
    }
}

#[test]
fn among_many_values_the_frequent_are_found() {
    // Each of ten values makes up a hundredth, far above one in 512.
    let value = "CASE WHEN u16 % 10 = 0 THEN u16 % 100 ELSE 100 + u16 END";
    let distinct = format!("SELECT count(DISTINCT {value}) > 2000 FROM t");
    let found = format!(
        "SELECT get_field(e, 'value'), get_field(e, 'count') FROM (SELECT unnest(top_k({value}, 10)) AS e FROM t)"
    );
    let exact = format!("SELECT {value} AS v, count(*) AS n FROM t WHERE u16 IS NOT NULL GROUP BY v");
    for partitions in [1, 4] {
        let table = table(partitions, SessionConfig::new());
        assert_eq!(rows(&table, &distinct), ["true"]);
        let joined = format!(
            "SELECT f.* FROM ({found}) AS f(v, n), ({exact}) AS e(v, n) \
             WHERE f.v = e.v AND f.v < 100 AND f.n <= e.n AND f.n >= e.n - {ROWS} / 513"
        );
        assert_eq!(rows(&table, &joined).len(), 10, "{:?}", rows(&table, &found));
    }
}

#[test]
fn nothing_gives_null_or_zero() {
    let table = table(4, SessionConfig::new());
    let aggregates = "quantile(u32, 0.5), top_k(ip, 3), approx_distinct(txt)";
    for from in ["t WHERE u32 > 1000000", "t WHERE u32 IS NULL"] {
        assert_eq!(rows(&table, &format!("SELECT {aggregates} FROM {from}")), [" |  | 0"]);
    }
    let filtered = aggregates.replace("),", ") FILTER (WHERE u8 < 0),");
    let groups = rows(&table, &format!("SELECT {filtered} FILTER (WHERE u8 < 0) FROM t GROUP BY few"));
    assert_eq!(groups.len(), FEW_GROUPS as usize);
    assert!(groups.iter().all(|cells| cells == " |  | 0"), "{groups:?}");
}

#[test]
fn a_running_window_keeps_counting() {
    let sql = "SELECT quantile(v, 1.0) OVER (ORDER BY v), approx_distinct(v) OVER (ORDER BY v) \
               FROM (VALUES (1), (2), (3)) AS n(v)";
    assert_eq!(rows(&one_partition(), sql), ["1.0 | 1", "2.0 | 2", "3.0 | 3"]);
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let cases = [
        ("quantile(u32, 1.5)", "quantile: q is 1.5; write a number from 0 to 1, e.g. 0.95"),
        ("quantile(u32, -0.1)", "quantile: q is -0.1; write"),
        ("quantile(u32, NULL)", "quantile: q is NULL; write"),
        ("quantile(u32, f64)", "quantile: q is not a literal; write a number from 0 to 1, e.g. 0.95"),
        (
            "quantile(txt, 0.5)",
            "quantile: the first argument is Utf8, neither a number nor a duration; write e.g. quantile(octets, 0.95)",
        ),
        (
            "quantile(ts, 0.5)",
            "quantile: the first argument is Timestamp(ns, \"UTC\"), neither a number nor a duration",
        ),
        ("quantile(u32, 'half')", "quantile: q is Utf8, not a number"),
        ("quantile(u32)", "quantile: 1 arguments were given, two are needed"),
        ("quantile(DISTINCT u32, 0.5)", "quantile: DISTINCT has no meaning here; write it without"),
        ("top_k(u32, 0)", "top_k: k is 0; write a number from 1 to 1000, e.g. top_k(dst_port, 10)"),
        ("top_k(u32, 1001)", "top_k: k is 1001; write"),
        ("top_k(u32, -1)", "top_k: k is -1; write"),
        ("top_k(u32, u8)", "top_k: k is not a literal; write"),
        ("top_k(u32, 2.5)", "top_k: k is Float64, not a whole number; write a number from 1 to 1000"),
        ("top_k(u32)", "top_k: 1 arguments were given, two are needed"),
        ("approx_distinct(u32, u8)", "approx_distinct: 2 arguments were given, one is needed"),
        ("approx_distinct(struct(u32))", "approx_distinct: Struct"),
        ("approx_distinct(DISTINCT u32)", "approx_distinct: DISTINCT has no meaning here"),
    ];
    let table = one_partition();
    for (expression, sentence) in cases {
        let error = refusal(&table, &format!("SELECT {expression} FROM t"));
        assert!(error.contains(sentence), "{expression}: {error}");
    }
}
