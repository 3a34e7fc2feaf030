//! Wrong SQL: exit code 2, the place in the text, and what would be right.

use super::{assert_failed, capture, query};

/// The query, and parts of the answer.
const REFUSED: [(&str, &[&str]); 18] = [
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
];

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
