//! Wrong SQL: exit code 2, the place in the text, and what would be right.

use super::{assert_failed, capture, query};

/// The query, and parts of the answer.
pub(crate) const REFUSED: [(&str, &[&str]); 63] = [
    ("SELECT src_pi FROM packets", &["src_pi", "line 1, column 8", "src_ip"]),
    ("SELECT\n  octest\nFROM packets", &["octest", "line 2, column 3", "octets"]),
    ("SELECT count(*) FROM packet", &["packet", "line 1, column 22", "packets"]),
    ("SELECT count(*) FROM conversations", &["conversations", "packets", "flows"]),
    ("SELECT netwrok(src_ip, 8, 32) FROM packets", &["netwrok", "line 1, column 8", "network"]),
    ("SELEC * FROM packets", &["line 1, column 1", "SELEC"]),
    ("SELECT FROM WHERE", &["line 1"]),
    ("SELECT count(* FROM packets", &["line 1"]),
    ("DROP TABLE packets", &["SELECT"]),
    ("INSERT INTO packets VALUES (1)", &["SELECT"]),
    ("SELECT * FROM packets WHERE src_ip = '10.0.0.256'", &["10.0.0.256", "line 1, column"]),
    ("SELECT * FROM packets WHERE cidr(src_ip, '10.0.0.0/33')", &["10.0.0.0/33"]),
    ("SELECT median(octets) FROM packets", &["median", "quantile"]),
    ("SELECT array_agg(src_ip) FROM packets", &["array_agg"]),
    ("SELECT count(*) FROM packets GROUP BY tumble('1 fortnight')", &["1 fortnight"]),
    ("SELECT count(*) FROM packets GROUP BY tumble('0 seconds')", &["0 seconds"]),
    ("SELECT count(*) FROM packets GROUP BY hop('10 seconds', '5 seconds')", &["hop"]),
    ("SELECT a.ts FROM packets a JOIN packets b ON a.src_ip = b.dst_ip", &["aggregate"]),
    (
        "SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('1 s') ORDER BY window_start",
        &["window_start", "line 1, column", "leave it out"],
    ),
    ("SELECT 1", &["reads no stream", "FROM packets"]),
    ("SELECT ts FROM packets WHERE tumble('1 s') IS NULL", &["GROUP BY", "tumble('60 seconds')"]),
    ("SELECT count(*) FROM packets GROUP BY tumble('1 s'), tumble('2 s')", &["one window"]),
    (
        "SELECT count(*) FROM packets GROUP BY tumble('1 s') UNION ALL SELECT count(*) FROM packets",
        &["different windows", "no window"],
    ),
    ("SELECT protocol, count(*) FROM packets GROUP BY ROLLUP (protocol)", &["ROLLUP", "UNION ALL"]),
    ("SELECT count(*) FROM (SELECT ts FROM packets LIMIT 5)", &["LIMIT", "tumble_rows"]),
    ("SELECT ts FROM packets ORDER BY ts", &["LIMIT n"]),
    ("SELECT ts, rank() OVER (ORDER BY octets) FROM packets", &["OVER", "aggregate first"]),
    ("SELECT quantile(DISTINCT octets, 0.5) FROM packets", &["DISTINCT", "write it without"]),
    ("SELECT protocol FROM packets GROUP BY protocol, tumble_rows(0)", &["tumble_rows"]),
    ("SELECT src_ip FROM packets GROUP BY dst_ip", &["src_ip"]),
    ("SELECT ts, element() FROM flows", &["element()", "line 1, column 12", "element(95)"]),
    ("SELECT element(octets) FROM flows", &["element(octets)", "line 1, column 8", "element(9, 12235)"]),
    ("SELECT element(-1) FROM flows", &["element(-1)", "line 1, column 8"]),
    ("SELECT ts FROM flows WHERE element(65536) = 1", &["element(65536)", "line 1, column 28", "65535"]),
    ("SELECT element(4294967296, 1) FROM flows", &["element(4294967296, 1)", "literals"]),
    ("SELECT element(1, 2, 3) FROM flows", &["element(1, 2, 3)", "literals"]),
    ("SELECT element('95') FROM flows", &["element('95')", "literals"]),
    ("SELECT element_text(9.5) FROM flows", &["element_text(9.5)", "literals"]),
    (
        "SELECT count(*) FROM flows GROUP BY element(DISTINCT 1)",
        &["element(DISTINCT 1)", "line 1, column 37"],
    ),
    ("SELECT ts, element(95) FROM packets", &["element(95)", "line 1, column 12", "flows only"]),
    (
        "SELECT element(4) FROM (SELECT element(5) AS tos FROM flows)",
        &["element(4)", "line 1, column 8", "flows only", "AS gives it a name"],
    ),
    ("SELECT elment(95) FROM flows", &["elment", "did you mean element"]),
    ("SELECT src_ip, element(4) FROM flows GROUP BY src_ip", &["element(4)", "GROUP BY", "column 16"]),
    ("SELECT 1 FROM packets; SELECT 2 FROM packets", &["--output", "--format json"]),
    ("SELECT ((((((((((((((((((((((((((((((((((((((((((((((((((((((1 FROM packets", &["nested too deeply"]),
    ("SELECT * FROM packets TABLESAMPLE (10)", &["TABLESAMPLE", "LIMIT n"]),
    ("SELECT count(*) FROM packets FOR UPDATE", &["FOR", "leave it out"]),
    ("SELECT TOP 3 src_ip FROM packets", &["TOP", "LIMIT 3"]),
    ("SELECT src_ip FROM packets LIMIT 3 BY protocol", &["LIMIT BY", "row_number()"]),
    ("SELECT src_ip FROM packets PREWHERE protocol = 6", &["PREWHERE", "WHERE"]),
    ("SELECT DISTINCT ON (src_ip) src_ip, dst_ip FROM packets", &["DISTINCT ON", "GROUP BY"]),
    ("SELECT src_ip FROM packets SORT BY src_ip", &["SORT BY", "ORDER BY"]),
    ("SELECT src_ip FROM packets FORMAT JSON", &["FORMAT", "--format"]),
    ("SELECT count(*), src_ip FROM packets GROUP BY 1", &["GROUP BY 2"]),
    ("SELECT count(*) AS status FROM packets", &["status_2"]),
    ("SELECT octets, octets FROM packets", &["octets", "AS other"]),
    ("SELECT count(*) FROM packets WHERE octets > (SELECT avg(octets) FROM packets)", &["HAVING"]),
    ("SELECT count(*) FROM (SELECT ts FROM packets ORDER BY octets LIMIT 5)", &["aggregate first"]),
    (
        "SELECT count(*) FROM packets GROUP BY tumble_rows(5) UNION ALL SELECT count(*) FROM flows GROUP BY tumble_rows(5)",
        &["tumble_rows", "tumble('60 seconds')"],
    ),
    ("SELECT count(*) FROM packets GROUP BY hop('1 ms', '1 day')", &["panes", "hop('10 seconds', '1 day')"]),
    ("SELECT count(*) FROM packets GROUP BY hop('7 ms', '1 day')", &["panes"]),
    (
        "SELECT count(*) FROM packets GROUP BY hop('60 s', '60001 ms')",
        &["panes", "hop('1 minute', '1 minute')"],
    ),
    ("SELECT sum(octets) FROM packets GROUP BY src_ip, tumble(5)", &["tumble('60 seconds')"]),
];

#[test]
fn a_query_may_be_long_and_no_longer() {
    let of = |conditions: usize| {
        let sql =
            format!("SELECT count(*) FROM packets WHERE ts IS NULL{}", " OR octets > 1".repeat(conditions));
        query(capture(), &["--format", "csv", &sql])
    };
    assert_eq!(of(490).success().lines().count(), 2);
    assert_failed(&of(600), 2, &["operators", "1000", "IN ("]);
}

#[test]
fn a_run_names_so_many_elements_and_no_more() {
    let of = |ids: std::ops::Range<u32>| {
        let elements: Vec<String> = ids.map(|id| format!("element({id})")).collect();
        format!("SELECT {} FROM flows", elements.join(", "))
    };
    assert_eq!(query(capture(), &["--explain", &of(0..64), &of(10..20)]).code, Some(0));
    assert_failed(&query(capture(), &[&of(0..65)]), 2, &["65", "at most 64", "line 1, column"]);
    assert_failed(&query(capture(), &["--explain", &of(0..40), &of(30..70)]), 2, &["70", "at most 64"]);
}

#[test]
fn wrong_sql_is_refused_with_its_place_and_what_would_be_right() {
    for (sql, parts) in REFUSED {
        println!("{sql}");
        assert_failed(&query(capture(), &["--format", "csv", sql]), 2, parts);
    }
}

#[test]
fn one_wrong_query_among_several_stops_all() {
    let run =
        query(capture(), &["--format", "json", "SELECT count(*) FROM packets", "SELECT nope FROM packets"]);
    assert_failed(&run, 2, &["nope"]);
}
