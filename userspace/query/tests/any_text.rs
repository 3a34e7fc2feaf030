//! No text makes the planner panic: not random characters, not SQL's words in any order, not queries
//! with some words changed. Each is planned or refused.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::LazyLock;
use tapline_query::Planner;

static PLANNER: LazyLock<Planner> = LazyLock::new(Planner::new);

const QUERIES: &[&str] = &[
    "SELECT protocol , count ( * ) FROM packets GROUP BY protocol , tumble ( '60 seconds' )",
    "SELECT src_ip , sum ( octets ) AS o FROM packets GROUP BY src_ip , hop ( '5 seconds' , '20 seconds' ) ORDER BY o DESC LIMIT 3",
    "SELECT src_ip , count ( * ) AS n FROM ( SELECT src_ip , dst_ip FROM flows WHERE packets = 1 GROUP BY src_ip , dst_ip ) GROUP BY src_ip HAVING count ( * ) >= 2",
    "SELECT a . src_ip , a . n , b . n FROM ( SELECT src_ip , count ( * ) AS n FROM packets GROUP BY src_ip ) a LEFT JOIN ( SELECT dst_ip , count ( * ) AS n FROM packets GROUP BY dst_ip ) b ON a . src_ip = b . dst_ip",
    "SELECT src_ip AS ip , count ( * ) FROM packets GROUP BY src_ip UNION ALL SELECT dst_ip , count ( * ) FROM packets GROUP BY dst_ip",
    "SELECT DISTINCT protocol , dst_port FROM packets WHERE octets > 500 ORDER BY 1 LIMIT 5 OFFSET 2",
    "SELECT count ( DISTINCT src_ip ) FILTER ( WHERE protocol = 6 ) , quantile ( octets , 0.5 ) , top_k ( dst_port , 3 ) FROM packets",
    "WITH web AS ( SELECT src_ip , octets FROM packets WHERE dst_port IN ( 80 , 443 ) ) SELECT src_ip , sum ( octets ) FROM web GROUP BY src_ip , tumble_rows ( 100 )",
    "SELECT network ( src_ip , 24 , 48 ) , service ( protocol , dst_port ) , text ( dst_ip ) , mac_vendor ( src_mac ) FROM packets WHERE cidr ( src_ip , '10.0.0.0/8' ) AND src_ip = '10.0.0.1'",
    "SELECT src_ip , rank ( ) OVER ( ORDER BY n DESC ) FROM ( SELECT src_ip , count ( * ) AS n FROM packets GROUP BY src_ip )",
    "SELECT CASE WHEN octets < 100 THEN 'small' ELSE 'large' END AS size , count ( * ) FROM packets GROUP BY 1",
    "SELECT src_ip FROM packets WHERE octets > ( SELECT avg ( octets ) FROM packets ) AND EXISTS ( SELECT 1 FROM flows )",
    "SELECT date_trunc ( 'second' , ts ) , octets / 100 , - octets % 7 , octets :: varchar || 'x' FROM packets WHERE interface LIKE 'eth%'",
    "SELECT f . element ( 95 ) , sum ( element ( 9 , 12235 ) ) , f . * FROM flows f WHERE element_text ( 82 ) LIKE 'Gi%' GROUP BY element ( 95 ) ORDER BY element ( 95 )",
    "WITH flows AS ( SELECT * , element ( 61 ) FROM flows ) SELECT * EXCLUDE ( ts ) , element_octets ( 0 , 4 ) FROM flows",
    "SELECT coalesce ( src_ip , '0.0.0.0' ) || ':' || dst_port , t [ 1 ] [ 'value' ] FROM ( SELECT src_ip , dst_port , top_k ( src_mac , 2 ) AS t FROM packets WHERE ( src_ip , dst_port ) IN ( ( '10.0.0.1' , 0x50 ) ) AND payload LIKE '%GET%' GROUP BY src_ip , dst_port )",
    "SELECT extract ( epoch FROM max ( ts ) - min ( ts ) ) , quantile ( end_time - start_time , 0.5 ) , CASE src_ip WHEN '::1' THEN dst_ip ELSE '::2' END FROM flows WHERE '10.0.0.1' IN ( src_ip , dst_ip ) AND src_ip :: text ~ '1' GROUP BY src_ip , dst_ip",
    "EXPLAIN SELECT ip ( '10.0.0.1' ) , INTERVAL '1 day' , ARRAY [ 1 , 2 ] [ 1 ] , payload FROM packets",
];

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "DISTINCT",
    "AS",
    "ON",
    "JOIN",
    "LEFT",
    "FULL",
    "CROSS",
    "LATERAL",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ALL",
    "WITH",
    "RECURSIVE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "BETWEEN",
    "LIKE",
    "EXISTS",
    "OVER",
    "PARTITION",
    "ROLLUP",
    "CUBE",
    "VALUES",
    "FILTER",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "*",
    "+",
    "-",
    "/",
    "=",
    "<",
    "::",
    "packets",
    "flows",
    "src_ip",
    "octets",
    "ts",
    "payload",
    "0",
    "'x'",
];

const CALLS: &[&str] = &[
    "9223372036854775807",
    "-1",
    "1e308",
    "tumble('0 s')",
    "tumble('-1 s')",
    "tumble('99999999999 days')",
    "hop('1 ns', '1 day')",
    "tumble_rows(-5)",
    "network(src_ip, 999, -1)",
    "cidr(src_ip, '::/129')",
    "cidr(src_ip, '')",
    "ip('')",
    "ip(NULL)",
    "quantile(octets, 2)",
    "top_k(src_ip, -1)",
    "top_k(octets, 9223372036854775807)",
    "approx_distinct(*)",
    "sum(sum(octets))",
    "count()",
    "text()",
    "service(6, 'x')",
    "element(95)",
    "element(9, 12235)",
    "element_octets(65535)",
    "element(-1)",
    "INTERVAL '1'",
    "hex(payload)",
    "mac('x')",
    "nullif(src_ip, 'x')",
    "greatest(src_mac, '10.0.0.1')",
    "(src_ip, dst_ip)",
    "0xffff",
    "[1]['value']",
    "date_part('epoch', ts - ts)",
    "'\u{0}'",
    "\"\"",
];

fn word() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => select(WORDS), 1 => select(CALLS)]
}

/// A query with some of its words taken out, doubled or put for others.
fn changed_query() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), word(), 0..3_u8);
    (select(QUERIES), prop::collection::vec(change, 1..5)).prop_map(|(sql, changes)| {
        let mut words: Vec<&str> = sql.split(' ').collect();
        for (place, word, how) in changes {
            let place = place.index(words.len());
            match how {
                0 => words[place] = word,
                1 => words.insert(place, word),
                _ => drop((words.len() > 1).then(|| words.remove(place))),
            }
        }
        words.join(" ")
    })
}

/// Words in any order, nested in brackets at times.
fn any_words() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 1..24).prop_map(|words| format!("SELECT {}", words.join(" ")))
}

/// What the planner says may be anything, but it is said.
fn is_answered(sql: &str) -> bool {
    match PLANNER.plan(sql) {
        Ok(query) => !query.describe().is_empty(),
        Err(error) => !error.to_string().is_empty(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_queries_are_answered(sql in changed_query()) {
        prop_assert!(is_answered(&sql));
    }

    #[test]
    fn words_in_any_order_are_answered(sql in any_words()) {
        prop_assert!(is_answered(&sql));
    }

    #[test]
    fn any_characters_are_answered(characters in prop::collection::vec(any::<char>(), 0..60)) {
        prop_assert!(is_answered(&characters.into_iter().collect::<String>()));
    }
}

#[test]
fn deep_nesting_is_answered() {
    for depth in [10, 100, 1_000, 10_000] {
        assert!(is_answered(&format!("SELECT {}1{} FROM packets", "(".repeat(depth), ")".repeat(depth))));
        assert!(is_answered(&format!("SELECT {}octets FROM packets", "- ".repeat(depth))));
        assert!(is_answered(&format!("SELECT octets{} FROM packets", " + 1".repeat(depth))));
        assert!(is_answered(&format!(
            "SELECT count(*) FROM packets WHERE ts IS NULL{}",
            " OR octets = 1".repeat(depth)
        )));
    }
    for depth in [10, 60] {
        let (open, close) = ("SELECT * FROM (".repeat(depth), ")".repeat(depth));
        assert!(is_answered(&format!("{open}SELECT count(*) FROM packets{close}")));
    }
}
