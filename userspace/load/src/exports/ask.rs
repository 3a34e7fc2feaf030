//! `cargo xtask load exports --ask`: what tapline itself found of what was sent.
//!
//! Takes a program and an address, lets it listen there and ask for the table that the sender knows and for its own
//! account, sends, and gives what it found and how many records it counts as lost.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use tapline_programs::summary::{self, Summary};
use tapline_programs::{folders, process};
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::exports::{Protocol, Truth};

use super::collect::{Collected, collect};
use super::compare::{self, Pairs};
use super::sender::{self, Options, Sent};
use super::socket;

/// What was sent, as tapline sees it.
const MATRIX: &str = "SELECT src_as, dst_as, count(*) AS records, sum(packets) AS packets, sum(octets) AS octets \
     FROM flows GROUP BY src_as, dst_as, tumble('10 seconds')";

/// What did not become rows in the units of the exporters, and rows that were dropped behind that.
const ACCOUNT: &str = "SELECT sum(undecodable + lost) FILTER (WHERE exporter IS NOT NULL) AS units, \
     sum(dropped) AS rows FROM ledger GROUP BY tumble('10 seconds')";

/// What tapline found.
#[derive(Debug)]
pub(super) struct Answer {
    protocol: Protocol,
    pairs: Pairs,
    missing: Missing,
}

/// What tapline counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing {
    /// In the unit of the exporters' numbers; what was not sent on purpose is among them.
    units: i64,
    /// Dropped for want of room, or late.
    rows: i64,
}

/// Asks `tapline`, which listens at `address` as long as it is sent to.
pub(super) fn ask(tapline: &Path, address: SocketAddr, options: &Options) -> Result<(Sent, Answer)> {
    let folder = folders::scratch(&format!("load/ask-{}", address.port()))?;
    folders::clear(&folder)?;
    let mut command = Command::new(tapline);
    command.args(["query", "--listen", &format!("udp://{address}"), "--format", "csv", "--output"]);
    command.arg(&folder).args(summary::ARGUMENTS).args([MATRIX, ACCOUNT]);
    // What is lost at the very end shows only by what comes behind it, when there is room again.
    let send = || sender::send_in_sight(address, options, || socket::drain(address).map(drop));
    let Collected { measured, sent, .. } = collect(&mut command, address, "INT", send)?;
    process::succeeded(&command, measured.output.status).with_context(|| measured.said())?;
    let summary = Summary::of(&measured.said())?;
    eprint!("{}", summary.text());
    let file = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("{} was not written", path.display()))
    };
    let answer = Answer {
        protocol: options.plan.protocol,
        pairs: compare::parse(&file("query_1.csv")?)?,
        missing: Missing::of(&file("query_2.csv")?, summary.of_query("query_1", "late")?)?,
    };
    Ok((sent, answer))
}

impl Answer {
    /// Says what differs from what was sent; an error when more does than what tapline counts as missing.
    pub(super) fn compare(&self, truth: &Truth) -> Result<()> {
        compare::compare(&truth.pairs, &self.pairs, self.missing.records(self.protocol, truth))
    }
}

impl Missing {
    /// From the account, and how many rows were late.
    fn of(account: &str, late: u64) -> Result<Self> {
        let windows = Csv::parse_loosely(account)?.numbers(["units", "rows"])?;
        let none = Self { units: 0, rows: i64::try_from(late)? };
        Ok(windows.into_iter().fold(none, |sum, [units, rows]: [i64; 2]| Self {
            units: sum.units + units,
            rows: sum.rows + rows,
        }))
    }

    /// Records that are missing, and were sent, at the most: what is counted in datagrams may be full ones.
    fn records(self, protocol: Protocol, truth: &Truth) -> u64 {
        let generated = &truth.generated;
        let unit_records = match protocol {
            Protocol::NetflowV9 => generated.records.checked_div(generated.datagrams).unwrap_or(1),
            _ => 1,
        };
        let [units, rows] = [self.units, self.rows].map(|number| u64::try_from(number).unwrap_or(0));
        (units * unit_records).saturating_sub(truth.lost.records) + rows
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::path::PathBuf;
    use std::time::Duration;

    use tapline_trafficgen::exports::{Amount, ExportPlan, Faults};

    use super::*;
    use crate::pace::{Limit, Rate};

    #[test]
    fn windows_of_the_account_add_up_and_what_was_lost_on_purpose_was_not_sent() {
        let account = "window_start,units,rows\na,9,2\nb,-3,\n";
        let missing = Missing::of(account, 1000).unwrap();
        assert_eq!(missing, Missing { units: 6, rows: 1002 });
        let amount = |datagrams| Amount { datagrams, records: 24 * datagrams, ..Amount::default() };
        let truth = Truth { generated: amount(100), lost: amount(2), ..Truth::default() };
        assert_eq!(missing.records(Protocol::NetflowV9, &truth), 4 * 24 + 1002);
        assert_eq!(missing.records(Protocol::Ipfix, &truth), 1002);
    }

    #[test]
    fn tapline_finds_what_was_sent() {
        let Some(tapline) = env::var_os("TAPLINE_BIN").map(PathBuf::from) else {
            println!("skipped: TAPLINE_BIN names no program");
            return;
        };
        for protocol in [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Sflow] {
            let faults = Faults { lose_percent: 5, ..Faults::default() };
            let options = Options {
                plan: ExportPlan { faults, ..ExportPlan::new(protocol, 1) },
                exporters: 2,
                rate: Rate::PerSecond(100_000),
                limit: Limit { duration: Duration::MAX, records: 50_000 },
                plain: false,
            };
            let (sent, mut answer) = ask(&tapline, socket::free_address().unwrap(), &options).unwrap();
            answer.compare(&sent.truth).unwrap();
            assert!(answer.missing.units > 0, "{:?}", answer.missing);
            answer.pairs.pop_last();
            assert!(answer.compare(&sent.truth).is_err(), "{protocol}: {:?}", answer.missing);
        }
    }
}
