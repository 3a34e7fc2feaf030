//! Information elements by their number, next to the columns that hold the same.

use super::account::{matrix, matrix_query, truth_matrix};
use super::sender::faulty;
use harness::tapline;
use std::path::Path;
use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Faults, Protocol, Truth};

fn write(path: &Path, protocol: Protocol) -> Truth {
    let faults = Faults { redefine_every_datagrams: 50, withhold_datagrams: 5, ..Faults::default() };
    let plan = ExportPlan::new(protocol, 7);
    let plan = if protocol.has_templates() { faulty(plan, faults) } else { plan };
    let capture = ExportCapture { plan, exporters: 3, records_per_second: 10_000, records: 50_000 };
    capture.write_pcap(std::fs::File::create(path).unwrap()).unwrap().1
}

/// The query with elements in the place of columns.
fn by_number(sql: &str) -> String {
    let columns = [("src_as,", "element(16) AS src_as,"), ("dst_as,", "element(17) AS dst_as,")];
    let sql = columns.iter().fold(sql.to_owned(), |sql, (name, element)| sql.replacen(name, element, 1));
    let sql = sql.replace("sum(packets)", "sum(element(2))").replace("sum(octets)", "sum(element(1))");
    let (select, groups) = sql.split_once("GROUP BY").unwrap();
    format!("{select}GROUP BY{}", groups.replace("src_as, dst_as", "element(16), element(0, 17)"))
}

#[test]
fn elements_add_up_as_their_columns_do() {
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV7, Protocol::NetflowV9, Protocol::Ipfix] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exports.pcap");
        let truth = write(&path, protocol);
        for window in ["", ", tumble('5 seconds')"] {
            let sql = by_number(&matrix_query(window));
            let run = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", &sql]);
            assert!(matrix(&run) == truth_matrix(&truth), "{protocol}{window}: {sql}\n{}", run.stderr);
        }
    }
}

#[test]
fn elements_stand_wherever_columns_may() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.pcap");
    write(&path, Protocol::Ipfix);
    let answer = |sql: &str| {
        let run = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", sql]);
        let mut lines: Vec<String> = run.success().lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        assert!(!lines.is_empty(), "{sql}");
        lines
    };
    let pairs = [
        (
            "SELECT protocol, count(*) FROM flows WHERE dst_port = 443 AND protocol IN (6, 17) GROUP BY protocol",
            "SELECT element(4), count(*) FROM flows WHERE element(11) = 443 AND element(4) IN (6, 17) GROUP BY 1",
        ),
        (
            "SELECT src_ip, sum(octets) FROM flows WHERE cidr(dst_ip, '0.0.0.0/1') GROUP BY src_ip ORDER BY 2 DESC LIMIT 9",
            "SELECT element(8), sum(element(1)) FROM flows f WHERE cidr(f.element(12), '0.0.0.0/1') GROUP BY 1 ORDER BY 2 DESC LIMIT 9",
        ),
        (
            "SELECT CASE WHEN octets > 9000 THEN 'large' ELSE 'small' END AS size, count(DISTINCT src_port) FROM flows GROUP BY 1",
            "SELECT CASE WHEN element(1) > 9000 THEN 'large' ELSE 'small' END AS size, count(DISTINCT element(7)) FROM flows GROUP BY 1",
        ),
        (
            "SELECT p, count(*) FROM (SELECT src_port AS p FROM flows UNION ALL SELECT dst_port FROM flows) GROUP BY p",
            "SELECT p, count(*) FROM (SELECT element(7) AS p FROM flows UNION ALL SELECT element(11) FROM flows) GROUP BY p",
        ),
        (
            "SELECT a.src_as, n, m FROM (SELECT src_as, count(*) AS n FROM flows GROUP BY src_as) a JOIN (SELECT src_as, max(octets) AS m FROM flows GROUP BY src_as) b ON a.src_as = b.src_as",
            "SELECT a.s, n, m FROM (SELECT element(16) AS s, count(*) AS n FROM flows GROUP BY 1) a JOIN (SELECT element(16) AS s, max(element(1)) AS m FROM flows GROUP BY 1) b ON a.s = b.s",
        ),
        (
            "SELECT octets FROM flows ORDER BY octets DESC LIMIT 5",
            "SELECT octets FROM flows ORDER BY element(1) DESC LIMIT 5",
        ),
        ("SELECT * FROM flows", "SELECT * FROM flows WHERE element(95) IS NULL AND element(1, 1) IS NULL"),
        (
            "SELECT f.* FROM flows f",
            "WITH e AS (SELECT f.*, element(1) AS x FROM flows f) SELECT * EXCLUDE (x) FROM e",
        ),
    ];
    for (columns, elements) in pairs {
        assert!(answer(columns) == answer(elements), "{elements}");
    }
}

#[test]
fn results_are_named_after_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.pcap");
    write(&path, Protocol::Sflow);
    let sql = "SELECT element(95), element(0, 61), element(9, 12235), element(1) AS octets, count(*) AS records \
        FROM flows GROUP BY 1, 2, 3, 4";
    let run = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", sql]);
    let expected = "element(95),element(61),\"element(9, 12235)\",octets,records\n,,,,50000\n";
    assert_eq!(run.success(), expected, "sFlow carries no elements");
    let explained = tapline(&["query", "--explain", sql]);
    let built = "columns built: flows (element(1), element(61), element(95), element(9, 12235))";
    assert!(explained.success().contains(built), "{}", explained.text());
}

#[test]
fn a_text_from_the_network_cannot_steer_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exports.pcap");
    write(&path, Protocol::NetflowV5);
    let sql = "SELECT DISTINCT element_text(4) FROM flows WHERE element(4) = 6";
    let run = tapline(&["query", "--exports", path.to_str().unwrap(), sql]);
    assert!(run.success().contains("| \\u{6} "), "{}", run.text());
    let csv = tapline(&["query", "--exports", path.to_str().unwrap(), "--format", "csv", sql]);
    assert_eq!(csv.success(), "element_text(4)\n\u{6}\n", "what programs read is as it was");
}
