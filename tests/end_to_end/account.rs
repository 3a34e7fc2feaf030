//! The account that a run prints, and its results, as numbers.

use harness::Finished;
use harness::csv::read_csv;
use serde_json::Value;
use std::collections::BTreeMap;
use tapline_trafficgen::exports::Truth;

/// Fates of an exporter's units: offered, delivered, control, undecodable, lost.
pub(crate) type Fates = [u64; 5];

/// Asks for the account as JSON, which [`fates`] and [`remark`] read.
pub(crate) const AS_JSON: [&str; 2] = ["--summary", "json"];

/// The account, which is the last line of standard error.
pub(crate) fn summary(run: &Finished) -> Value {
    let line = run.stderr.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

/// The fates of all exporters together.
pub(crate) fn fates(run: &Finished) -> Fates {
    let mut sum = [0; 5];
    for exporter in summary(run)["exporters"].as_array().unwrap() {
        let names = ["offered", "delivered", "control", "undecodable", "lost"];
        let numbers = names.map(|name| exporter[name].as_u64().unwrap());
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
    let [offered, fates @ ..] = sum;
    assert_eq!(offered, fates.iter().sum::<u64>(), "the fates add up:\n{}", run.stderr);
    sum
}

/// How often the remark of this text was made, of whatever.
pub(crate) fn remark(run: &Finished, text: &str) -> u64 {
    let summary = summary(run);
    let of = |owner: &Value| owner["remarks"].as_array().cloned().unwrap_or_default();
    let owners = ["sources", "exporters"].iter().flat_map(|list| summary[list].as_array().unwrap());
    let remarks = owners.flat_map(of).chain(of(&summary)).filter(|remark| remark["what"] == text);
    remarks.map(|remark| remark["count"].as_u64().unwrap()).sum()
}

/// Records, packets and octets by pair of autonomous systems.
pub(crate) type Matrix = BTreeMap<(u32, u32), [u64; 3]>;

/// The query whose results [`matrix`] reads, `window` being empty or a comma and a window.
pub(crate) fn matrix_query(window: &str) -> String {
    format!(
        "SELECT src_as, dst_as, count(*) AS records, sum(packets) AS packets, sum(octets) AS octets \
         FROM flows GROUP BY src_as, dst_as{window}"
    )
}

/// The results, windows added up.
pub(crate) fn matrix(run: &Finished) -> Matrix {
    let csv = read_csv(run.success());
    let position = |name: &str| csv.header.iter().position(|column| column == name).unwrap();
    let mut matrix = Matrix::new();
    for row in &csv.rows {
        let number = |name: &str| row[position(name)].parse::<u64>().unwrap();
        let pair = (number("src_as") as u32, number("dst_as") as u32);
        let sums = matrix.entry(pair).or_default();
        for (sum, name) in sums.iter_mut().zip(["records", "packets", "octets"]) {
            *sum += number(name);
        }
    }
    matrix
}

/// What the sender knows.
pub(crate) fn truth_matrix(truth: &Truth) -> Matrix {
    let pairs = truth.pairs.iter();
    pairs.map(|(&pair, amount)| (pair, [amount.records, amount.packets, amount.octets])).collect()
}

/// Records in all.
pub(crate) fn records(matrix: &Matrix) -> u64 {
    matrix.values().map(|[records, ..]| records).sum()
}
