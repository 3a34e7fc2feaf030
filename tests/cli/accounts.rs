//! What became of the rows of each query: the table `ledger` and the summary say the same.

use super::{capture, query};
use serde_json::Value;
use std::collections::BTreeMap;

/// Delivered, used and filtered, by query.
type Fates = BTreeMap<String, [u64; 3]>;

const NAMES: [&str; 3] = ["delivered", "used", "filtered"];

fn fates(objects: &[Value], name: &str) -> Fates {
    let of = |object: &Value| {
        let counts = NAMES.map(|count| object[count].as_u64().unwrap());
        (object[name].as_str().unwrap().to_owned(), counts)
    };
    objects.iter().map(of).collect()
}

#[test]
fn the_ledger_and_the_summary_say_the_same_of_each_query() {
    let queries = [
        "SELECT protocol, count(*) FROM packets WHERE protocol = 6 GROUP BY protocol, tumble('1 second')",
        "SELECT src_ip FROM packets WHERE octets > 100",
        "SELECT source, sum(offered) AS offered, sum(delivered) AS rows FROM ledger WHERE source IS NOT NULL GROUP BY source",
        "SELECT query_name, sum(query_delivered) AS delivered, sum(query_used) AS used, sum(query_filtered) AS filtered, \
         sum(offered) AS offered FROM ledger WHERE query_name IS NOT NULL GROUP BY query_name",
    ];
    for workers in ["1", "3"] {
        let options = ["--format", "json", "--summary", "json", "--workers", workers];
        let run = query(capture(), &[&options[..], &queries].concat());
        let rows = run.success().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rows: Vec<_> = rows.filter(|row| row.get("query_name").is_some()).collect();
        let summary: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
        let (known, mut told) =
            (fates(summary["queries"].as_array().unwrap(), "query"), fates(&rows, "query_name"));
        // The rows about queries reach two of them, and there are no further rows about that.
        told.get_mut("query_3").unwrap().iter_mut().zip([4, 0, 4]).for_each(|(count, more)| *count += more);
        told.get_mut("query_4").unwrap().iter_mut().zip([4, 4, 0]).for_each(|(count, more)| *count += more);
        assert_eq!(told, known, "{workers} workers");
        assert!(known["query_1"][2] > 0 && summary["sources"][0]["delivered"] == known["query_1"][0]);
        assert!(rows.iter().all(|row| row["offered"] == 0), "what sources were offered is theirs");
    }
}
