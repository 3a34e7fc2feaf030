//! The account that a run prints, and its results, as numbers.

use harness::Finished;
use harness::csv::Csv;
use std::collections::BTreeMap;
use tapline_trafficgen::exports::Truth;

/// Fates of an exporter's units: offered, delivered, control, undecodable, lost.
pub(crate) type Fates = [u64; 5];

/// The fates of all exporters together.
pub(crate) fn fates(run: &Finished) -> Fates {
    let mut sum = [0; 5];
    for line in run.stderr.lines().filter(|line| line.contains(": offered ") && line.contains(" + lost ")) {
        let (_, account) = line.split_once(": offered ").unwrap();
        let numbers = numbers_in(&format!("offered {account}"));
        assert_eq!(numbers.len(), 5, "{line}");
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
    let [offered, fates @ ..] = sum;
    assert_eq!(offered, fates.iter().sum::<u64>(), "the fates add up:\n{}", run.stderr);
    sum
}

/// The number before `text` in the summary, 0 if it is not there.
pub(crate) fn remark(run: &Finished, text: &str) -> u64 {
    let parts = run.stderr.split([';', '\n', ':']).filter(|part| part.contains(text));
    parts.filter_map(|part| numbers_in(part).first().copied()).sum()
}

/// Numbers of a text, whose digits are grouped by spaces.
fn numbers_in(text: &str) -> Vec<u64> {
    let mut numbers = vec![];
    let mut digits = String::new();
    for word in text.split_ascii_whitespace().chain(["end"]) {
        if word.chars().all(|letter| letter.is_ascii_digit()) {
            digits.push_str(word);
        } else if !digits.is_empty() {
            numbers.extend(digits.parse::<u64>());
            digits.clear();
        }
    }
    numbers
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
    let csv = Csv::parse(run.success());
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
