//! What queries look up: refusals, and that they see the table as it is.

use crate::{ContinuousQuery, Planner, Step};
use datafusion::arrow::array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch};
use std::path::Path;
use std::sync::Arc;
use tapline_lookup::{Refreshed, Tables};
use tapline_record::address::parse_ip;
use tapline_trafficgen::mmdb::{Value, database};

/// Tables of addresses, numbers and texts, and the folder that holds their files.
struct Given {
    folder: tempfile::TempDir,
    tables: Arc<Tables>,
}

const NETS: &str = "prefix,name,weight\n10.0.0.0/8,ten,1\n10.1.0.0/16,first,2\n2001:db8::/32,six,3\n";

fn given() -> Given {
    let folder = tempfile::tempdir().unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let asn = Value::Map(vec![
        ("autonomous_system_number", Value::Number(64_500)),
        ("autonomous_system_organization", text("Example")),
    ]);
    let country = Value::Map(vec![("country", Value::Map(vec![("iso_code", text("DE"))]))]);
    let of = |value| database("test", &[("10.0.0.0".parse().unwrap(), 8, value)]);
    let files = [
        ("nets.csv", NETS.as_bytes().to_vec()),
        ("ports.csv", b"port,name\n443,https\n53,dns\n".to_vec()),
        ("texts.csv", b"text,site\n10.1.2.3,here\nother,there\nanother,there\n".to_vec()),
        ("asn.mmdb", of(&asn)),
        ("country.mmdb", of(&country)),
    ];
    let files = files.map(|(name, octets)| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        format!("{}={}", Path::new(name).file_stem().unwrap().display(), path.display()).parse().unwrap()
    });
    Given { folder, tables: Arc::new(Tables::open(files.to_vec()).unwrap()) }
}

impl Given {
    fn plan(&self, sql: &str) -> ContinuousQuery {
        Planner::with_tables(&self.tables).plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn refusal(&self, expression: &str) -> String {
        let sql = format!("SELECT {expression} AS x FROM packets");
        Planner::with_tables(&self.tables).plan(&sql).expect_err(&sql).to_string()
    }

    /// Writes the file of `nets` and reads it.
    fn rewrite(&self, text: &str) -> Vec<Refreshed> {
        std::fs::write(self.folder.path().join("nets.csv"), text).unwrap();
        self.tables.reload()
    }
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let given = given();
    for (expression, sentence) in [
        ("lookup('nts', src_ip)", "lookup: 'nts' is no lookup table; did you mean 'nets'?"),
        ("lookup('zzz', src_ip)", "lookup: 'zzz' is no lookup table; give it with --lookup zzz=FILE"),
        (
            "lookup(src_ip, 'nets')",
            "lookup: the first argument is not a literal name; write lookup('table', key)",
        ),
        ("lookup('nets')", "lookup: it takes two or three arguments; write lookup('table', key)"),
        ("lookup('nets', src_ip, 'nme')", "lookup: 'nme' is no column of 'nets'; did you mean 'name'?"),
        (
            "lookup('nets', src_ip, 'zzz')",
            "lookup: 'zzz' is no column of 'nets', which has name, weight, prefix",
        ),
        ("lookup('nets', src_ip, protocol)", "lookup: the third argument is not a literal name"),
        (
            "lookup('nets', '10.0.0')",
            "lookup: '10.0.0' is not one of the addresses and prefixes that are the keys of 'nets'",
        ),
        (
            "lookup('nets', dst_port)",
            "lookup: the key is UInt16, and the keys of 'nets' are addresses and prefixes",
        ),
        (
            "lookup('nets', src_mac)",
            "lookup: the key is mac, and the keys of 'nets' are addresses and prefixes",
        ),
        ("lookup('ports', src_ip)", "lookup: the key is address, and the keys of 'ports' are whole numbers"),
        (
            "lookup('ports', 'https')",
            "lookup: 'https' is not one of the whole numbers that are the keys of 'ports'",
        ),
        (
            "lookup('texts', dst_port)",
            "lookup: the key is UInt16, and the keys of 'texts' are texts; text(x) makes text",
        ),
        ("asn(dst_port)", "asn: the first argument is UInt16, not an address"),
        ("country('x')", "country: 'x' is not an address"),
        ("mac_vendor('x')", "mac_vendor: 'x' is not a MAC address; write e.g."),
        ("mac_vendor(src_ip)", "mac_vendor: the argument is address, not a MAC address"),
    ] {
        let refusal = given.refusal(expression);
        assert!(refusal.starts_with(sentence), "{expression}: {refusal}");
        assert!(refusal.contains("at line 1, column"), "{expression}: {refusal}");
    }
    let none = Planner::new().plan("SELECT asn(src_ip) FROM packets").unwrap_err().to_string();
    assert!(
        none.starts_with("asn: there is no MaxMind file that says it; give one with --lookup asn="),
        "{none}"
    );
}

/// What the only expression of a query over packets gives for one row of an address.
fn projected(query: &ContinuousQuery, address: &str) -> String {
    let branch = &query.lowers[0].branches[0];
    let Some(Step::Project(expressions, _)) = branch.steps.last() else { panic!("it computes something") };
    let ips = FixedSizeBinaryArray::try_from_iter(parse_ip(address).into_iter()).unwrap();
    let batch = RecordBatch::try_from_iter([("src_ip", Arc::new(ips) as ArrayRef)]).unwrap();
    let value = expressions[0].evaluate(&batch).unwrap().into_array(1).unwrap();
    let values = datafusion::arrow::util::display::array_value_to_string(&value, 0).unwrap();
    assert_eq!(value.len(), 1);
    values
}

#[test]
fn queries_that_run_see_a_new_table() {
    let given = given();
    let of_column = given.plan("SELECT lookup('nets', src_ip) || '!' AS x FROM packets");
    let of_literal = given.plan("SELECT concat(src_ip, lookup('nets', ip('10.1.0.1'))) AS x FROM packets");
    // Literals that come together with a call while the plan is optimised.
    let merged = [
        "SELECT concat(src_ip, lookup('nets', ip)) AS x FROM (SELECT src_ip, ip('10.1.0.1') AS ip FROM packets)",
        "SELECT concat(src_ip, lookup('nets', coalesce(ip('10.1.0.1'), src_ip))) AS x FROM packets",
        "SELECT concat(src_ip, lookup('nets', CASE WHEN true THEN ip('10.1.0.1') ELSE dst_ip END)) AS x FROM packets",
    ]
    .map(|sql| given.plan(sql));
    assert_eq!(projected(&of_column, "10.1.2.3"), "first!");
    assert_eq!(projected(&of_literal, "10.1.2.3"), "10.1.2.3first");
    assert!(merged.iter().all(|query| projected(query, "10.1.2.3") == "10.1.2.3first"));
    let taken = given.rewrite("prefix,name,weight,more\n10.1.0.0/16,other,5,x\n");
    assert_eq!(taken, [Refreshed::Taken("nets".to_owned(), 1)]);
    assert_eq!(projected(&of_column, "10.1.2.3"), "other!");
    assert_eq!(projected(&of_literal, "10.1.2.3"), "10.1.2.3other");
    assert!(merged.iter().all(|query| projected(query, "10.1.2.3") == "10.1.2.3other"));
    let refused = given.rewrite("prefix,name,weight,more\n10.1.0.0/16,mine,heavy,x\n");
    assert!(
        matches!(&refused[..], [Refreshed::Refused(why)] if why.contains("line 2: 'heavy' is no whole number")),
        "{refused:?}"
    );
    assert_eq!(projected(&of_column, "10.1.2.3"), "other!");
}

#[test]
fn lookups_stand_wherever_an_expression_may() {
    let given = given();
    for sql in [
        "SELECT lookup('nets', src_ip) AS net, count(*) AS n FROM packets WHERE lookup('nets', dst_ip) = 'ten'
         GROUP BY lookup('nets', src_ip), tumble('10 seconds') ORDER BY n DESC LIMIT 5",
        "SELECT lookup('nets', '10.0.0.1') AS net, count(*) AS n FROM packets GROUP BY 1, tumble('10 seconds')",
        "SELECT src_ip, asn(src_ip) AS asn, count(*) FROM flows GROUP BY src_ip, tumble('10 seconds') HAVING country(src_ip) = 'DE'",
        "SELECT sum(lookup('nets', src_ip, 'weight')) AS w FROM packets WHERE lookup('ports', dst_port) IS NOT NULL",
        "SELECT src_mac, mac_vendor(src_mac) AS vendor FROM packets WHERE country(src_ip) IN ('DE', 'FR')",
        "SELECT count(*) FILTER (WHERE lookup('nets', '10.0.0.1') = 'ten') FROM packets WHERE lookup('nets', '10.0.0.1') = 'ten'",
    ] {
        let plan = given.plan(sql).describe();
        assert!(plan.contains("lookup(") || plan.contains("asn(") || plan.contains("mac_vendor("), "{plan}");
    }
}

#[test]
fn queries_share_folds_when_they_look_up_the_same_in_the_same_tables() {
    let (given, others) = (given(), given());
    let sql = |table: &str, more: &str| {
        format!(
            "SELECT lookup('{table}', src_ip) AS x, count(*) AS n{more} FROM packets GROUP BY 1, tumble('10 seconds')"
        )
    };
    let one = given.plan(&sql("nets", "")).shape();
    assert!(one.is_some() && one == given.plan(&sql("nets", ", sum(octets) AS o")).shape());
    assert_ne!(one, given.plan(&sql("asn", "")).shape());
    assert_ne!(one, others.plan(&sql("nets", "")).shape(), "these are other tables");
}
