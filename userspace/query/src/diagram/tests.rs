//! Diagrams of queries, box by box.

use super::{BoxKind, Diagram, Runs};
use crate::{FlowTable, Planner};

fn diagram(sql: &str) -> Diagram {
    Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}")).diagram()
}

fn titles(diagram: &Diagram) -> Vec<&str> {
    diagram.boxes.iter().map(|one| one.title.as_str()).collect()
}

fn kinds(diagram: &Diagram) -> Vec<BoxKind> {
    diagram.boxes.iter().map(|one| one.kind).collect()
}

/// Whether each box follows the one before it, and no other one.
fn is_chain(diagram: &Diagram) -> bool {
    let expected: Vec<(usize, usize)> = (1..diagram.boxes.len()).map(|place| (place - 1, place)).collect();
    diagram.arrows == expected
}

const MATRIX: &str =
    "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('300 seconds')";
const SWEEP: &str = "SELECT src_ip, count(*) AS probes FROM
     (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 GROUP BY src_ip, dst_ip, tumble('60 seconds'))
     GROUP BY src_ip HAVING count(*) >= 500";
const TALKERS: &str =
    "SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, hop('1 second', '10 seconds')
     ORDER BY octets DESC LIMIT 10";

#[test]
fn a_traffic_matrix_is_a_chain() {
    let diagram = diagram(MATRIX);
    assert_eq!(titles(&diagram), ["flows", "GROUP BY src_as, dst_as", "tumble 5 minutes", "result"]);
    let kinds_expected = [BoxKind::Source, BoxKind::Aggregate, BoxKind::Window, BoxKind::Output];
    assert_eq!(kinds(&diagram), kinds_expected);
    let runs: Vec<Runs> = diagram.boxes.iter().map(|one| one.runs).collect();
    assert_eq!(runs, [Runs::Reader, Runs::Worker, Runs::Window, Runs::Window]);
    assert_eq!(diagram.boxes[0].lines.len(), 1);
    for column in ["ts", "src_as", "dst_as", "octets"] {
        assert!(diagram.boxes[0].lines[0].contains(column), "{:?}", diagram.boxes[0].lines);
    }
    assert_eq!(diagram.boxes[1].lines, ["sum(octets)"]);
    assert_eq!(diagram.boxes[2].lines, ["1 pane of 5 minutes"]);
    assert_eq!(diagram.boxes[3].lines, ["src_as", "dst_as", "octets"]);
    assert!(is_chain(&diagram), "{:?}", diagram.arrows);
}

#[test]
fn what_is_above_the_split_runs_once_a_window() {
    let sweep = diagram(SWEEP);
    let expected = [
        "flows",
        "WHERE packets = 1",
        "GROUP BY src_ip, dst_ip",
        "tumble 1 minute",
        "GROUP BY src_ip",
        "HAVING count(*) >= 500",
        "result",
    ];
    assert_eq!(titles(&sweep), expected);
    assert_eq!((sweep.boxes[2].runs, sweep.boxes[4].runs), (Runs::Worker, Runs::Window));
    assert_eq!(sweep.boxes[4].lines, ["count(*)"]);
    assert!(is_chain(&sweep), "{:?}", sweep.arrows);
    let talkers = diagram(TALKERS);
    let expected = [
        "packets",
        "GROUP BY src_ip",
        "hop 1 second over 10 seconds",
        "ORDER BY octets DESC",
        "LIMIT 10",
        "result",
    ];
    assert_eq!(titles(&talkers), expected);
    assert_eq!(talkers.boxes[2].lines, ["10 panes of 1 second"]);
    assert_eq!(talkers.boxes[3].lines, ["then by src_ip"]);
}

#[test]
fn conditions_are_written_as_a_person_would() {
    for (condition, expected) in [
        ("protocol = 6", "WHERE protocol = 6"),
        ("src_ip = '10.0.0.1' AND dst_port < 1024", "WHERE src_ip = '10.0.0.1' AND dst_port < 1024"),
        ("src_ip IS NULL", "WHERE src_ip IS NULL"),
        ("src_mac = '00:11:22:33:44:55'", "WHERE src_mac = '00:11:22:33:44:55'"),
        ("interface LIKE 'it''s%'", "WHERE interface LIKE 'it''s%'"),
        (
            "(dst_port = 53 OR src_port = 53) AND protocol = 17",
            "WHERE (dst_port = 53 OR src_port = 53) AND protocol = 17",
        ),
        ("octets - 1 > 2 * (ttl + 3)", "WHERE octets - 1 > 2 * (ttl + 3)"),
        ("cidr(src_ip, '10.0.0.0/8')", "WHERE cidr(src_ip, '10.0.0.0/8')"),
    ] {
        let sql = format!("SELECT count(*) FROM packets WHERE {condition} GROUP BY tumble('1 second')");
        assert_eq!(diagram(&sql).boxes[1].title, expected, "{condition}");
    }
    let sql = "SELECT protocol, count(*) AS packets FROM packets WHERE protocol IN (6, 17)
               GROUP BY protocol, tumble('60 seconds')";
    let title = diagram(sql).boxes[1].title.clone();
    let alike = ["WHERE protocol IN (6, 17)", "WHERE protocol = 6 OR protocol = 17"];
    assert!(alike.contains(&title.as_str()), "{title}");
}

#[test]
fn both_sides_of_a_join_read_one_source() {
    let diagram = diagram(
        "SELECT a.src_ip, a.n, b.m FROM
         (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('10 seconds')) a JOIN
         (SELECT dst_ip, count(*) AS m FROM packets GROUP BY dst_ip, tumble('10 seconds')) b ON a.src_ip = b.dst_ip",
    );
    let count = |kind: BoxKind| diagram.boxes.iter().filter(|one| one.kind == kind).count();
    assert_eq!((count(BoxKind::Source), count(BoxKind::Aggregate), count(BoxKind::Window)), (1, 2, 2));
    let place = diagram.boxes.iter().position(|one| one.kind == BoxKind::Join).unwrap();
    assert_eq!(diagram.boxes[place].title, "JOIN ON src_ip = dst_ip");
    assert_eq!(diagram.arrows.iter().filter(|(_, to)| *to == place).count(), 2, "{:?}", diagram.arrows);
}

#[test]
fn a_union_and_what_it_computes_are_below_the_groups() {
    let diagram = diagram(
        "SELECT p, sum(o) AS o FROM (SELECT src_port AS p, octets AS o FROM packets WHERE protocol = 6 UNION ALL
         SELECT dst_port, octets FROM packets WHERE protocol = 17) GROUP BY p, tumble('1 second')",
    );
    let place = diagram.boxes.iter().position(|one| one.kind == BoxKind::Union).unwrap();
    assert_eq!(diagram.boxes[place].runs, Runs::Worker);
    assert_eq!(diagram.arrows.iter().filter(|(_, to)| *to == place).count(), 2, "{:?}", diagram.arrows);
    assert_eq!(diagram.boxes[place + 1].title, "GROUP BY p");
    assert_eq!(diagram.boxes[place + 1].lines, ["sum(o)"]);
}

#[test]
fn frames_of_window_functions_are_written_where_they_were() {
    let over = |what: &str| {
        let sql = format!(
            "SELECT src_ip, {what} AS x FROM
             (SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second'))"
        );
        let texts = diagram(&sql).boxes.into_iter().flat_map(|one| [vec![one.title], one.lines].concat());
        texts.collect::<Vec<_>>().join("\n")
    };
    let framed = over("sum(n) OVER (ORDER BY n ROWS 3 PRECEDING)");
    assert!(framed.contains("ORDER BY n ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)"), "{framed}");
    for usual in ["rank() OVER (ORDER BY n DESC)", "sum(n) OVER (PARTITION BY src_ip)"] {
        let said = over(usual);
        assert!(said.contains(usual), "{said}");
    }
}

#[test]
fn rows_have_no_window() {
    let diagram = diagram("SELECT src_ip, octets * 8 AS bits FROM packets WHERE dst_port = 53 LIMIT 5");
    let expected = ["packets", "WHERE dst_port = 53", "octets * 8 AS bits", "LIMIT 5", "result"];
    assert_eq!(titles(&diagram), expected);
    assert_eq!(diagram.boxes[4].lines, ["src_ip", "bits"]);
    assert!(is_chain(&diagram), "{:?}", diagram.arrows);
}

#[test]
fn it_is_said_who_counts_flows() {
    let query = Planner::new().plan(TALKERS).unwrap();
    for (table, runs) in [(FlowTable::Kernel, Runs::Kernel), (FlowTable::Cache, Runs::Reader)] {
        let diagram = query.over_packet_flows(table).0.diagram();
        assert_eq!(diagram.boxes[0].runs, runs);
        assert!(diagram.boxes[0].lines[0].starts_with("counted by flow"), "{:?}", diagram.boxes[0].lines);
    }
}

#[test]
fn flows_that_the_kernel_counts_are_its_box() {
    let query = Planner::new().plan("SELECT count(*) FROM flows GROUP BY tumble('1 second')").unwrap();
    let runs = |query: &crate::ContinuousQuery| query.diagram().boxes[0].runs;
    assert_eq!(runs(&query), Runs::Reader);
    assert_eq!(runs(&query.over_packet_flows(FlowTable::Kernel).0), Runs::Kernel);
}

#[test]
fn a_long_title_is_cut_and_stands_among_the_details() {
    let ports: Vec<String> = (1..100).map(|port| port.to_string()).collect();
    let sql = format!(
        "SELECT count(*) FROM flows WHERE dst_port IN ({}) GROUP BY tumble('1 second')",
        ports.join(", ")
    );
    let filter = diagram(&sql).boxes[1].clone();
    assert!(filter.title.ends_with('…') && filter.title.chars().count() <= 61, "{}", filter.title);
    assert!(filter.lines[0].contains("98, 99"), "{:?}", filter.lines);
}

#[test]
fn where_a_query_runs_is_told_of_its_source() {
    let diagram = diagram(&format!("{TALKERS} ON SENSORS 'pop-*', 'lab-1'"));
    assert_eq!(diagram.boxes[0].lines[1..], ["on sensors 'pop-*', 'lab-1'"]);
    assert_eq!(titles(&diagram).len(), 6);
}
