//! `cargo xtask load compare`: whether a query found what was sent.
//!
//! Takes two tables with the columns src_as, dst_as, records, packets and octets as CSV, in any order and among
//! others; rows of one pair are added up, so that windows may stand one after the other. Says what differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::exports::PairAmount;

/// Compare what was sent with what a query found.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What was sent, as `load exports` prints it
    truth: PathBuf,
    /// What a query found, as `tapline query --format csv` writes it; `-` for standard input
    found: PathBuf,
}

/// What each pair of autonomous systems has.
pub(super) type Pairs = BTreeMap<(u32, u32), PairAmount>;

/// Reads both and says what differs.
///
/// # Errors
/// When something does, or cannot be read.
pub fn run(arguments: &Arguments) -> Result<()> {
    compare(&read(&arguments.truth)?, &read(&arguments.found)?, 0)
}

/// Reads a table; `-` is standard input, read to its end.
pub(super) fn read(path: &Path) -> Result<Pairs> {
    let text =
        if path == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
    text.map_err(Into::into)
        .and_then(|text| parse(&text))
        .with_context(|| format!("{} cannot be compared", path.display()))
}

/// Says what differs; an error when something does, unless it is that records are missing, no more of them than
/// were counted as lost.
pub(super) fn compare(truth: &Pairs, found: &Pairs, lost: u64) -> Result<()> {
    let (sent, got) = (total(truth), total(found));
    eprintln!("{}", difference("records", sent.records, got.records));
    eprintln!("{}", difference("packets", sent.packets, got.packets));
    eprintln!("{}", difference("octets", sent.octets, got.octets));
    let differing = differing_pairs(truth, found);
    if differing.is_empty() {
        eprintln!("All {} pairs of autonomous systems are as they were sent.", truth.len());
        return Ok(());
    }
    show(&differing, truth, found);
    if is_loss(&differing, truth, found) && sent.records - got.records <= lost {
        eprintln!("All records that are missing were counted as lost: {lost}.");
        return Ok(());
    }
    bail!("{} of {} pairs of autonomous systems differ", differing.len(), truth.len())
}

/// Whether every pair that differs has fewer records than were sent, and no more of anything.
fn is_loss(differing: &[(u32, u32)], truth: &Pairs, found: &Pairs) -> bool {
    differing.iter().all(|pair| {
        let of = |pairs: &Pairs| pairs.get(pair).copied().unwrap_or_default();
        let (sent, got) = (of(truth), of(found));
        got.records < sent.records && got.packets <= sent.packets && got.octets <= sent.octets
    })
}

/// The first pairs that differ, each with what was sent and found.
fn show(differing: &[(u32, u32)], truth: &Pairs, found: &Pairs) {
    const SHOWN: usize = 5;
    for pair in differing.iter().take(SHOWN) {
        let of = |pairs: &Pairs| pairs.get(pair).copied().unwrap_or_default();
        let (sent, got) = (of(truth), of(found));
        eprintln!(
            "AS {} to AS {}: {}; {}",
            pair.0,
            pair.1,
            difference("records", sent.records, got.records),
            difference("octets", sent.octets, got.octets)
        );
    }
}

/// A sentence about two numbers.
fn difference(name: &str, sent: u64, found: u64) -> String {
    match found.cmp(&sent) {
        std::cmp::Ordering::Equal => format!("{name}: {sent} sent, all found"),
        std::cmp::Ordering::Less => format!("{name}: {sent} sent, {found} found, {} missing", sent - found),
        std::cmp::Ordering::Greater => {
            format!("{name}: {sent} sent, {found} found, {} too many", found - sent)
        }
    }
}

/// The pairs that are not the same in both.
fn differing_pairs(truth: &Pairs, found: &Pairs) -> Vec<(u32, u32)> {
    let not_as_sent = truth.iter().filter(|(pair, amount)| found.get(pair) != Some(amount));
    let not_sent = found.iter().filter(|(pair, _)| !truth.contains_key(pair));
    not_as_sent.chain(not_sent).map(|(pair, _)| *pair).collect()
}

fn total(pairs: &Pairs) -> PairAmount {
    pairs.values().fold(PairAmount::default(), |mut total, amount| {
        total += *amount;
        total
    })
}

/// The table in a text.
pub(super) fn parse(text: &str) -> Result<Pairs> {
    let mut pairs = Pairs::new();
    for [src_as, dst_as, records, packets, octets] in
        Csv::parse_loosely(text)?.numbers::<u64, 5>(["src_as", "dst_as", "records", "packets", "octets"])?
    {
        let pair = (u32::try_from(src_as)?, u32::try_from(dst_as)?);
        *pairs.entry(pair).or_default() += PairAmount { records, packets, octets };
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "src_as,dst_as,records,packets,octets\n1,2,3,4,500\n1,3,1,1,40\n";

    fn differing(found: &str) -> Vec<(u32, u32)> {
        differing_pairs(&parse(SENT).unwrap(), &parse(found).unwrap())
    }

    #[test]
    fn columns_and_rows_may_be_in_any_order_and_windows_add_up() {
        let found = "window_start,octets,packets,records,dst_as,src_as\n\
                     a,40,1,1,3,1\na,300,2,1,2,1\nb,200,2,2,2,1\n";
        assert_eq!(differing(found), []);
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_differs() {
        assert_eq!(differing("src_as,dst_as,records,packets,octets\n1,2,3,4,501\n"), [(1, 2), (1, 3)]);
        assert_eq!(differing(&format!("{SENT}9,9,1,1,1\n")), [(9, 9)]);
    }

    #[test]
    fn so_much_may_be_missing_as_was_counted() {
        let ends_well =
            |found: &str, lost| compare(&parse(SENT).unwrap(), &parse(found).unwrap(), lost).is_ok();
        let less = "src_as,dst_as,records,packets,octets\n1,2,2,4,450\n";
        assert_eq!([0, 1, 2].map(|lost| ends_well(less, lost)), [false, false, true]);
        let less_octets = SENT.replace("500", "499");
        let others = format!("{less}9,9,1,1,1\n");
        assert_eq!([&less_octets, &others].map(|found| ends_well(found, 9)), [false, false]);
        assert!(ends_well(SENT, 0));
    }

    #[test]
    fn differences_are_sentences() {
        assert_eq!(difference("records", 10, 7), "records: 10 sent, 7 found, 3 missing");
        assert_eq!(difference("octets", 1, 2), "octets: 1 sent, 2 found, 1 too many");
    }
}
