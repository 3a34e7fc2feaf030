//! Changes of the reference queries, and of what is written otherwise.

use super::{Change, Literal, Parts};
use crate::Planner;

const MATRIX: &str =
    "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('300 seconds')";
const SWEEP: &str = "SELECT src_ip, count(*) AS probes FROM
  (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 GROUP BY src_ip, dst_ip, tumble('60 seconds'))
GROUP BY src_ip HAVING count(*) >= 500";
const PROTOCOLS: &str = "SELECT protocol, count(*) AS packets -- a minute
FROM packets
WHERE protocol IN (6, 17) -- TCP, UDP
GROUP BY protocol, tumble('60 seconds')";
const TALKERS: &str = "SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, hop('1 second', '10 seconds') ORDER BY octets DESC LIMIT 10";

fn edit(sql: &str, change: &Change) -> Result<String, String> {
    let edited = Planner::new().edit(sql, Some(change), false);
    edited.map(|edited| edited.sql).map_err(|error| error.to_string())
}

fn parts(sql: &str) -> Parts {
    Planner::new().edit(sql, None, false).unwrap_or_else(|error| panic!("{sql}\n{error}")).parts
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn filter(column: &str, value: Literal, negated: bool) -> Change {
    Change::AddFilter { column: column.to_owned(), value, negated }
}

/// The text between two texts, of which the first one is there.
fn where_of(sql: &str) -> &str {
    let (_, behind) = sql.split_once("WHERE ").unwrap_or_else(|| panic!("{sql}"));
    behind.split(" GROUP BY").next().unwrap_or(behind)
}

#[test]
fn a_filter_is_added_where_the_stream_is_read() {
    let one = |sql: &str, column: &str, value: Literal| {
        let edited =
            edit(sql, &filter(column, value, false)).unwrap_or_else(|error| panic!("{sql}\n{error}"));
        where_of(&edited).to_owned()
    };
    let number = |digits: &str| Literal::Number(digits.to_owned());
    assert_eq!(one(MATRIX, "src_as", number("64500")), "src_as = 64500");
    assert_eq!(one(SWEEP, "src_ip", text("10.0.0.1")), "packets = 1 AND src_ip = '10.0.0.1'");
    assert_eq!(one(TALKERS, "src_ip", Literal::Null), "src_ip IS NULL");
    assert_eq!(one(TALKERS, "interface", text("it's")), "interface = 'it''s'");
    assert_eq!(
        edit(PROTOCOLS, &filter("dst_port", number("53"), false)).unwrap(),
        PROTOCOLS.replace("(6, 17)", "(6, 17) AND dst_port = 53"),
        "comments stay"
    );
    let named =
        "SELECT network(src_ip, 24, 64) AS net, count(*) AS n FROM packets GROUP BY net, tumble('1 second')";
    assert_eq!(one(named, "net", text("10.0.0.0")), "network(src_ip, 24, 64) = '10.0.0.0'");
    let computed =
        "SELECT octets / 100 AS size, count(*) AS n FROM packets GROUP BY octets / 100, tumble('1 second')";
    assert_eq!(one(computed, "size", number("2")), "(octets / 100) = 2");
}

#[test]
fn what_is_left_out_leaves_what_has_no_value() {
    let without = |value: Literal| edit(TALKERS, &filter("src_ip", value, true)).unwrap();
    assert_eq!(where_of(&without(text("10.0.0.1"))), "src_ip IS DISTINCT FROM '10.0.0.1'");
    assert_eq!(where_of(&without(Literal::Null)), "src_ip IS NOT NULL");
}

#[test]
fn or_is_put_in_brackets() {
    let sql = TALKERS.replace("packets GROUP", "packets WHERE dst_port = 53 OR src_port = 53 GROUP");
    let edited = edit(&sql, &filter("protocol", Literal::Number("17".to_owned()), false)).unwrap();
    assert_eq!(where_of(&edited), "(dst_port = 53 OR src_port = 53) AND protocol = 17");
    assert_eq!(parts(&edited).filters, ["(dst_port = 53 OR src_port = 53)", "protocol = 17"]);
    assert_eq!(where_of(&edit(&edited, &Change::DropFilter(1)).unwrap()), "(dst_port = 53 OR src_port = 53)");
}

#[test]
fn a_filter_is_dropped_by_its_place() {
    let sql = "SELECT count(*) AS n FROM packets WHERE ttl BETWEEN 1 AND 5 AND protocol = 6 AND
               CASE WHEN ttl = 1 AND octets = 2 THEN true ELSE false END GROUP BY tumble('1 second')";
    let filters = parts(sql).filters;
    assert_eq!(filters.len(), 3, "{filters:?}");
    assert_eq!(filters[..2], ["ttl BETWEEN 1 AND 5", "protocol = 6"]);
    for place in 0..3 {
        let mut left = filters.clone();
        left.remove(place);
        assert_eq!(parts(&edit(sql, &Change::DropFilter(place)).unwrap()).filters, left);
    }
    let refused = edit(sql, &Change::DropFilter(3)).unwrap_err();
    assert!(refused.contains("there is no filter 3: the query has 3"), "{refused}");
    let none = edit(SWEEP, &Change::DropFilter(0)).unwrap();
    assert_eq!(none, SWEEP.replace(" WHERE packets = 1", ""));
}

#[test]
fn keys_come_and_go() {
    let key = |key: &str| key.to_owned();
    let added = edit(TALKERS, &Change::AddKey(key("dst_ip"))).unwrap();
    let expected = TALKERS
        .replace("SELECT src_ip,", "SELECT src_ip, dst_ip,")
        .replace("BY src_ip,", "BY src_ip, dst_ip,");
    assert_eq!(added, expected);
    assert_eq!(edit(&added, &Change::DropKey(key("DST_IP"))).unwrap(), TALKERS);
    let inner = edit(SWEEP, &Change::AddKey(key("dst_port"))).unwrap();
    let expected = SWEEP.replace("src_ip, dst_ip FROM", "src_ip, dst_ip, dst_port FROM");
    assert_eq!(inner, expected.replace("src_ip, dst_ip, tumble", "src_ip, dst_ip, dst_port, tumble"));
    assert_eq!(parts(MATRIX).keys, ["src_as", "dst_as"]);
    let places =
        "SELECT src_ip, dst_ip, count(*) AS n FROM packets GROUP BY 1, 2, tumble('1 second') ORDER BY 3 DESC";
    let dropped = edit(places, &Change::DropKey(key("src_ip"))).unwrap();
    let expected = "SELECT dst_ip, count(*) AS n FROM packets GROUP BY 1, tumble('1 second') ORDER BY 2 DESC";
    assert_eq!(dropped, expected);
    let added = edit(places, &Change::AddKey(key("protocol"))).unwrap();
    assert!(added.contains("AS n, protocol FROM") && added.contains("BY 1, 2, protocol, tumble"), "{added}");
    let none = "SELECT count(*) AS n FROM packets GROUP BY tumble('1 second')";
    assert_eq!(parts(&edit(none, &Change::AddKey(key("ttl"))).unwrap()).keys, ["ttl"]);
    for (sql, wrong, said) in [
        (MATRIX, Change::AddKey(key("src_as")), "src_as is a key already"),
        (MATRIX, Change::AddKey(key("dst_as, src_ip")), "`dst_as, src_ip` is no key"),
        (MATRIX, Change::AddKey(key("src_ip -- no")), "is no key"),
        (MATRIX, Change::AddKey(key("sum(octets)")), "is no key"),
        (MATRIX, Change::AddKey(key("nosuch")), "nosuch"),
        (MATRIX, Change::DropKey(key("ttl")), "the query has no key ttl"),
        ("SELECT src_ip FROM packets", Change::AddKey(key("ttl")), "the query groups no rows"),
    ] {
        let refused = edit(sql, &wrong).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn aggregates_come_and_go() {
    let added = edit(MATRIX, &Change::AddAggregate("count(*) AS records".to_owned())).unwrap();
    assert_eq!(added, MATRIX.replace("AS octets", "AS octets, count(*) AS records"));
    assert_eq!(parts(&added).aggregates, ["sum(octets) AS octets", "count(*) AS records"]);
    for called in ["records", "count( * )", "count(*) AS records"] {
        assert_eq!(edit(&added, &Change::DropAggregate(called.to_owned())).unwrap(), MATRIX, "{called}");
    }
    assert!(edit(TALKERS, &Change::DropAggregate("octets".to_owned())).is_err(), "it is sorted by");
    let refused = edit(MATRIX, &Change::AddAggregate("octets".to_owned())).unwrap_err();
    assert!(refused.contains("`octets` is no aggregate"), "{refused}");
    let refused = edit(TALKERS, &filter("octets", Literal::Number("5".to_owned()), false)).unwrap_err();
    assert!(refused.contains("octets is known of groups only"), "{refused}");
}

#[test]
fn the_window_is_another_one_everywhere() {
    let window = |text: &str| Change::Window(Some(text.to_owned()));
    let edited = edit(MATRIX, &window("tumble('10 seconds')")).unwrap();
    assert_eq!(edited, MATRIX.replace("300", "10"));
    assert_eq!(parts(&edited).window.as_deref(), Some("tumble('10 seconds')"));
    let joined = "SELECT a.src_ip, a.n, b.m FROM
        (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds')) a JOIN
        (SELECT dst_ip, count(*) AS m FROM packets GROUP BY dst_ip, tumble('10 seconds')) b ON a.src_ip = b.dst_ip";
    let edited = edit(joined, &window("tumble('1 minute')")).unwrap();
    assert_eq!(edited, joined.replace("10 seconds", "1 minute"));
    let without = edit(MATRIX, &Change::Window(None)).unwrap();
    assert_eq!(without, MATRIX.replace(", tumble('300 seconds')", ""));
    assert_eq!(edit(&without, &window("tumble('300 seconds')")).unwrap(), MATRIX);
    let refused = edit(MATRIX, &window("src_ip")).unwrap_err();
    assert!(refused.contains("`src_ip` is no window"), "{refused}");
}

#[test]
fn sources_are_a_filter_on_source() {
    let sources = |names: &[&str]| Change::Sources(names.iter().map(|name| (*name).to_owned()).collect());
    let one = edit(SWEEP, &sources(&["eth0"])).unwrap();
    assert_eq!(one, SWEEP.replace("packets = 1", "packets = 1 AND source = 'eth0'"));
    let two = edit(&one, &sources(&["eth0", "it's"])).unwrap();
    assert_eq!(parts(&two).sources, ["eth0", "it's"]);
    assert_eq!(edit(&two, &sources(&[])).unwrap(), SWEEP);
    assert_eq!(edit(SWEEP, &sources(&[])).unwrap(), SWEEP);
}

#[test]
fn the_outermost_select_is_changed_where_that_is_said() {
    let change = filter("src_ip", text("10.0.0.1"), false);
    let edited = Planner::new().edit(SWEEP, Some(&change), true).unwrap().sql;
    assert!(edited.contains("tumble('60 seconds')) WHERE src_ip = '10.0.0.1'\nGROUP BY src_ip"), "{edited}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let union = "SELECT a, sum(n) AS n FROM (SELECT src_as AS a, sum(octets) AS n FROM flows GROUP BY src_as, tumble('1 second')
        UNION ALL SELECT dst_as, sum(octets) FROM flows GROUP BY dst_as, tumble('1 second')) GROUP BY a";
    let refused = edit(union, &Change::AddKey("protocol".to_owned())).unwrap_err();
    assert!(refused.contains("groups rows in several places"), "{refused}");
    let refused = edit(MATRIX, &filter("probes", Literal::Null, false)).unwrap_err();
    assert!(refused.contains("there is no column probes where flows is read"), "{refused}");
    let with = format!("WITH m AS ({MATRIX}) SELECT * FROM m");
    assert_eq!(parts(&with).keys, ["src_as", "dst_as"]);
}

#[test]
fn a_filter_that_would_be_in_some_places_only_is_refused() {
    let refused = |sql: &str, column: &str| edit(sql, &filter(column, text("10.0.0.1"), false)).unwrap_err();
    let union = "SELECT a, sum(n) AS n FROM (SELECT src_ip AS a, octets AS n FROM packets
        UNION ALL SELECT dst_ip, octets FROM packets) GROUP BY a, tumble('1 second')";
    let said = refused(union, "a");
    assert!(said.contains("there is no column a where packets is read"), "{said}");
    let both = edit(union, &filter("src_ip", text("10.0.0.1"), false)).unwrap();
    assert_eq!(both.matches("FROM packets WHERE src_ip = '10.0.0.1'").count(), 2, "{both}");
    let counted = SWEEP.replace("probes", "octets");
    let said = refused(&counted, "octets");
    assert!(said.contains("octets is computed above"), "{said}");
    let other = SWEEP.replace("SELECT src_ip, count", "SELECT src_ip AS dst_ip, count");
    assert!(refused(&other, "dst_ip").contains("dst_ip is computed above"));
    let branches = "SELECT src_ip, count(*) AS n FROM flows GROUP BY src_ip, tumble('1 second')
        UNION ALL SELECT dst_ip, count(*) FROM flows GROUP BY dst_ip, tumble('1 second')";
    let change = filter("src_ip", text("10.0.0.1"), false);
    assert!(Planner::new().edit(branches, Some(&change), true).is_err(), "neither gives the result");
}

#[test]
fn streams_are_found_however_they_are_called() {
    let change = filter("ttl", Literal::Number("5".to_owned()), false);
    for name in ["\"packets\"", "PACKETS", "packets p", "packets AS \"the packets\""] {
        let sql = TALKERS.replace("FROM packets", &format!("FROM {name}"));
        assert_eq!(where_of(&edit(&sql, &change).unwrap()), "ttl = 5", "{name}");
    }
    let hidden = "WITH packets AS (SELECT * FROM packets WHERE ttl = 5)
        SELECT count(*) AS n FROM packets GROUP BY tumble('1 second')";
    assert!(edit(hidden, &change).unwrap_err().contains("can only be changed by hand"));
}

#[test]
fn a_window_that_has_a_name_is_a_window() {
    for sql in [
        "SELECT src_ip, count(*) AS n, tumble('1 second') AS w FROM packets GROUP BY src_ip, w",
        "SELECT src_ip, count(*) AS n, tumble('1 second') FROM packets GROUP BY 1, 3",
    ] {
        let Parts { keys, window, .. } = parts(sql);
        assert_eq!((keys, window.as_deref()), (vec!["src_ip".to_owned()], Some("tumble('1 second')")));
        let other = edit(sql, &Change::Window(Some("tumble('5 seconds')".to_owned()))).unwrap();
        assert_eq!(other, sql.replace("1 second", "5 seconds"));
        let refused = edit(sql, &Change::Window(None)).unwrap_err();
        assert!(refused.contains("behind GROUP BY alone"), "{refused}");
    }
}

#[test]
fn columns_that_are_named_by_their_places_stay_where_they_are() {
    let grouped = "SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, tumble('1 second')";
    for sql in [format!("SELECT * FROM ({grouped}) ORDER BY 2"), format!("({grouped}) ORDER BY 2 DESC")] {
        for change in [
            Change::AddKey("dst_ip".to_owned()),
            Change::DropKey("src_ip".to_owned()),
            Change::AddAggregate("count(*) AS n".to_owned()),
        ] {
            let refused = edit(&sql, &change).unwrap_err();
            assert!(refused.contains("named by their places"), "{sql}: {refused}");
        }
    }
    let outer = format!("SELECT src_ip, octets FROM ({grouped}) ORDER BY 2");
    assert!(edit(&outer, &Change::AddKey("dst_ip".to_owned())).is_ok());
    assert!(edit(grouped, &Change::AddKey("2".to_owned())).unwrap_err().contains("`2` is no key"));
}

#[test]
fn only_what_names_sources_is_taken_for_a_filter_on_them() {
    let sources = |condition: &str| {
        let sql =
            format!("SELECT count(*) AS n FROM packets p WHERE {condition} GROUP BY tumble('1 second')");
        let change = Change::Sources(vec!["eth1".to_owned()]);
        (parts(&sql).sources, where_of(&edit(&sql, &change).unwrap()).to_owned())
    };
    let one = |name: &str| vec![name.to_owned()];
    assert_eq!(sources("p.source = 'eth0'"), (one("eth0"), "source = 'eth1'".to_owned()));
    assert_eq!(sources("source IN ('eth0')"), (one("eth0"), "source = 'eth1'".to_owned()));
    let computed = "source = lower('ETH0')";
    assert_eq!(sources(computed), (vec![], format!("{computed} AND source = 'eth1'")));
}

#[test]
fn where_a_query_runs_stays_at_its_end() {
    const WHERE: &str = "\nON SENSORS 'pop-*', 'lab-?'";
    for sql in [MATRIX, SWEEP, PROTOCOLS, TALKERS] {
        for change in [
            filter("src_ip", text("10.0.0.1"), false),
            Change::AddKey("site".to_owned()),
            Change::AddAggregate("max(ts) AS latest".to_owned()),
            Change::Window(Some("tumble('5 seconds')".to_owned())),
            Change::Sources(vec!["eth0".to_owned()]),
        ] {
            let edited = edit(&format!("{sql}{WHERE}"), &change).unwrap();
            assert_eq!(edited, format!("{}{WHERE}", edit(sql, &change).unwrap()), "{change:?}");
        }
    }
    let plain = "SELECT src_ip FROM packets ON SENSORS 'pop-1'";
    let edited = edit(plain, &filter("sensor", text("pop-1"), false)).unwrap();
    assert_eq!(edited, "SELECT src_ip FROM packets WHERE sensor = 'pop-1' ON SENSORS 'pop-1'");
}
