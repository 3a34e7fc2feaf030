//! Whether each window is what it must be.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::Report;
use super::world::Settled;
use crate::given::{Amount, Given, Windows};

/// Compares each window with what was sent; gives the report, with what was found.
pub(super) fn check(settled: &Settled<'_>) -> Result<Report> {
    let mut report = settled.report;
    let last = settled.truths.iter().filter_map(|truth| truth.sent.keys().next_back()).min().copied();
    // In the last one of them, somebody looked while routers went on.
    let last = last.context("nothing was sent")?;
    let known = settled.truths.iter().flat_map(|truth| truth.sent.keys().copied());
    for start in known.filter(|start| *start < last).collect::<BTreeSet<_>>() {
        let given = settled.books.windows().get(&start);
        let given = given.with_context(|| format!("the window of {start} was not given"))?;
        compare(settled, start, given, &mut report)
            .with_context(|| format!("the window of {start}: {given:?}"))?;
    }
    let first = settled.truths.iter().filter_map(|truth| truth.sent.keys().next()).min().copied();
    let before =
        settled.books.windows().range(..first.unwrap_or(last)).find(|(_, given)| given.amount().records > 0);
    ensure!(before.is_none(), "before anything was sent, this was given: {before:?}");
    Ok(report)
}

fn compare(settled: &Settled<'_>, start: i64, given: &Given, report: &mut Report) -> Result<()> {
    let (mut sent, mut found) = (0, 0);
    for ((name, truth), at_risk) in settled.names.iter().zip(&settled.truths).zip(settled.at_risk) {
        let (reached, at_risk) = (of(&truth.reached, start), of(at_risk, start));
        let perhaps = of(&truth.perhaps, start);
        let own = given.by_sensor.get(name).copied().unwrap_or_default();
        of_sensor(own, [reached, perhaps, at_risk])
            .with_context(|| format!("of {name}, {own:?} of {reached:?}, perhaps {perhaps:?}"))?;
        let all = of(&truth.sent, start).records;
        report.sent += all;
        report.unheard += all - reached.records.max(own.records);
        report.lost += reached.records.saturating_sub(own.records);
        report.at_risk += at_risk.records;
        sent += all;
        found += own.records;
    }
    let strangers = given.by_sensor.keys().find(|name| !settled.names.contains(name));
    ensure!(strangers.is_none(), "{strangers:?} is nobody here");
    ensure!(
        found == sent || given.tells_of_loss(),
        "{} of {sent} records are missing, and nobody says so",
        sent - found
    );
    report.windows += 1;
    report.revised += u64::from(given.revision > 0);
    Ok(())
}

/// Nothing twice, and nothing lost but what was at risk, of what reached it, or may have.
fn of_sensor(own: Amount, [reached, perhaps, at_risk]: [Amount; 3]) -> Result<()> {
    let mut most = reached;
    most += perhaps;
    ensure!(own.records <= most.records && own.octets <= most.octets, "something counts twice");
    let least = Amount {
        records: reached.records.saturating_sub(at_risk.records),
        octets: reached.octets.saturating_sub(at_risk.octets),
    };
    ensure!(own.records >= least.records && own.octets >= least.octets, "more is lost than {at_risk:?}");
    ensure!(
        own.records != most.records || own.octets == most.octets,
        "all records are there, with other octets"
    );
    Ok(())
}

fn of(windows: &Windows, start: i64) -> Amount {
    windows.get(&start).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Books;
    use crate::traffic::Truth;
    use serde_json::json;

    const START: i64 = 2_000_000_000;

    fn windows(records: u64) -> Windows {
        // The second one is not compared.
        [START, 2 * START].map(|start| (start, Amount { records, octets: 10 * records })).into()
    }

    /// What is said of a window of so many records, of which others reached the sensor and were at risk.
    fn said(given: u64, completeness: f64, [sent, reached, at_risk]: [u64; 3]) -> Result<Report> {
        let mut books = Books::default();
        let rows = json!([{ "sensor": "a", "records": given, "octets": 10 * given }]);
        let window = json!({
            "window_start": "1970-01-01T00:00:02Z", "status": "final", "completeness": completeness, "rows": rows
        });
        books.take(&json!({ "windows": [window] }))?;
        let truths = vec![Truth { sent: windows(sent), reached: windows(reached), perhaps: windows(1) }];
        let (at_risk, names) = ([windows(at_risk)], vec!["a".to_owned()]);
        check(&Settled { books: &books, truths, at_risk: &at_risk, names, report: Report::default() })
    }

    #[test]
    fn a_window_is_exact_or_says_what_it_lacks() {
        let report = said(90, 0.9, [100, 95, 5]).unwrap();
        assert_eq!((report.windows, report.unheard, report.lost, report.at_risk), (1, 5, 5, 5));
        assert!(said(100, 1.0, [100, 100, 0]).is_ok());
        for (wrong, part) in [
            (said(90, 1.0, [100, 95, 5]), "nobody says so"),
            (said(90, 0.9, [100, 95, 4]), "more is lost"),
            (said(97, 0.9, [100, 95, 5]), "twice"),
        ] {
            let said = format!("{:#}", wrong.unwrap_err());
            assert!(said.contains(part), "{said}");
        }
    }
}
