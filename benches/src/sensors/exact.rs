//! BackStreamDB's second experiment: three boxes, one total, at its rate and at twenty times that.

use std::time::Duration;

use anyhow::{Result, ensure};
use tapline_benches::floors;
use tapline_fleet::{Amount, Books, Exporter, Fleet, Given, Plan, Traffic};

use super::{Setting, WINDOWS, differing};

/// Records of each sensor in a second.
pub(super) const RATES: [u64; 2] = [30_000, 600_000];

const QUERY: &str = "total";
const SQL: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('10 seconds')";
const WINDOW: Duration = Duration::from_secs(10);
const LATENESS: Duration = Duration::from_secs(2);

/// What is measured, by the name of its mark.
pub(super) fn mark(rate: u64) -> String {
    format!("sensors: records missing, 3 × {rate}")
}

pub(super) fn run(setting: &Setting) -> Result<()> {
    let ground = if Setting::has_networks() { "each in a network of its own" } else { "on one network" };
    println!("Three sensors and an aggregator, {ground}; a total in windows of ten seconds.\n");
    println!(
        "| records/s of each | sent | given | missing | told by completeness | windows | exact | mark |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|---|");
    RATES.into_iter().try_for_each(|rate| count(setting, rate))
}

fn count(setting: &Setting, rate: u64) -> Result<()> {
    let plan = Plan { has_networks: Setting::has_networks(), ..Plan::of_three(&setting.tapline, LATENESS) };
    let fleet = Fleet::start(&plan)?;
    fleet.add(QUERY, SQL)?;
    fleet.wait_until_runs(QUERY, fleet.sensors().len())?;
    let traffic = traffic(&fleet, WINDOW, rate)?;
    let mut books = Books::default();
    setting.watch(&fleet, QUERY, &mut books, setting.seconds)?;
    let sent = setting.end(traffic, &fleet, QUERY, &mut books)?;
    fleet.look(QUERY, WINDOWS, &mut books)?;
    let exact = sent.len() - differing(&sent, &books);
    let all = sent.values().map(|amount| amount.records).sum::<u64>();
    let given: u64 = books.windows().values().map(|given| given.amount().records).sum();
    let told: f64 = books.windows().values().map(told_missing).sum();
    ensure!(given <= all, "{given} records were given, and {all} sent");
    println!(
        "| {rate} | {all} | {given} | {} | {told:.0} | {} | {exact} | {} |",
        all - given,
        sent.len(),
        floors::verdict(&mark(rate), (all - given) as f64)
    );
    Ok(())
}

/// A router for each sensor.
pub(super) fn traffic(fleet: &Fleet, window: Duration, rate: u64) -> Result<Traffic> {
    let exporters = (0..).zip(fleet.sensors());
    let exporters = exporters.map(|(number, sensor)| Exporter::new(number, &[sensor.listens()], window));
    Traffic::start(exporters.collect::<Result<_>>()?, rate)
}

/// Records of a window that are missing, as its completeness has it; none where nobody knows.
pub(super) fn told_missing(given: &Given) -> f64 {
    let Amount { records, .. } = given.amount();
    match given.completeness {
        Some(part) if part > 0.0 => records as f64 * (1.0 / part - 1.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn completeness_tells_how_many_are_missing() {
        let by_sensor = BTreeMap::from([(String::new(), Amount { records: 90, octets: 0 })]);
        let given = |completeness| Given {
            by_sensor: by_sensor.clone(),
            status: "final".to_owned(),
            revision: 0,
            completeness,
        };
        let told = [Some(0.9), Some(1.0), None].map(|part| told_missing(&given(part)).round());
        assert_eq!(told, [10.0, 0.0, 0.0]);
    }
}
