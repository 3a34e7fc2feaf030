//! What happens to the sensors and their aggregator, and the windows that come meanwhile.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tapline_fleet::{Amount, Books, Exporter, Fleet, Given, Plan, Traffic, Truth, now_ns, window_of};
use tapline_programs::interrupts::Interrupts;

use super::super::grouped;
use crate::style;

/// What is asked.
pub(super) const SQL: &str = "\
SELECT sensor, count(*) AS records, sum(octets) AS octets
FROM flows
GROUP BY sensor, tumble('5 seconds')";
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// Of each router in a second.
pub(super) const RECORDS: u64 = 3000;

const QUERY: &str = "by_sensor";
/// Exports come at once here.
const LATENESS: Duration = Duration::from_secs(1);
/// The sensor that is killed.
const VICTIM: usize = 1;
/// How long all is well, and how long somebody is not there.
const QUIET: Duration = Duration::from_secs(15);
const SENSOR_AWAY: Duration = Duration::from_secs(6);
const AGGREGATOR_AWAY: Duration = Duration::from_secs(5);
/// The last windows are there after so long, or never will be.
const COMES_WITHIN: Duration = Duration::from_secs(40);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Windows that are looked at: all that there can be.
const WINDOWS: usize = 100;
/// A sensor cuts each second; until so long before it was killed, all of it had arrived.
const CUT: Duration = Duration::from_secs(2);

/// The processes, what was given, and what has happened.
pub(super) struct Story<'a> {
    // First: nobody sends any more when processes end.
    traffic: Traffic,
    fleet: Fleet,
    interrupts: &'a Interrupts,
    pub(super) books: Books,
    /// Windows that were shown: which one, and how many records.
    shown: BTreeMap<i64, (u64, u64)>,
    /// From the query's being added until it ran everywhere.
    pub(super) ran_after: Duration,
    /// When the sensor was not there, and from when on what it had received was not cut yet, in nanoseconds.
    pub(super) gap: Range<i64>,
    /// When the aggregator was not there.
    pub(super) without_aggregator: Range<i64>,
    /// Windows that begin earlier are compared.
    pub(super) until: i64,
}

impl<'a> Story<'a> {
    /// Starts all, and asks.
    pub(super) fn begin(tapline: &Path, interrupts: &'a Interrupts) -> Result<Self> {
        let fleet = Fleet::start(&Plan { has_networks: true, ..Plan::of_three(tapline, LATENESS) })?;
        interrupts.check()?;
        let added = Instant::now();
        fleet.add(QUERY, SQL)?;
        fleet.wait_until_runs(QUERY, fleet.sensors().len())?;
        let ran_after = added.elapsed();
        let exporters = (0..).zip(fleet.sensors());
        let exporters = exporters.map(|(number, sensor)| Exporter::new(number, &[sensor.listens()], WINDOW));
        Ok(Self {
            traffic: Traffic::start(exporters.collect::<Result<_>>()?, RECORDS)?,
            fleet,
            interrupts,
            books: Books::default(),
            shown: BTreeMap::new(),
            ran_after,
            gap: 0..0,
            without_aggregator: 0..0,
            until: i64::MAX,
        })
    }

    /// Lets it happen.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.go_on(QUIET)?;
        self.say(&format!("{} is killed. Its router sends on.", self.victim()));
        let uncut = i64::try_from(CUT.as_nanos())?;
        self.gap.start = now_ns() - uncut;
        self.fleet.sensor_mut(VICTIM).kill()?;
        self.go_on(SENSOR_AWAY)?;
        self.fleet.start_sensor(VICTIM)?;
        self.gap.end = now_ns() + uncut;
        self.say(&format!("{} is there again.", self.victim()));
        self.go_on(QUIET)?;
        self.say("The aggregator is killed. Routers and sensors go on.");
        self.without_aggregator.start = now_ns();
        self.fleet.kill_aggregator()?;
        self.pass(AGGREGATOR_AWAY)?;
        self.fleet.start_aggregator()?;
        self.without_aggregator.end = now_ns();
        self.say("The aggregator is there again.");
        self.go_on(QUIET)?;
        self.until = window_of(now_ns(), i64::try_from(WINDOW.as_nanos())?);
        let begun = Instant::now();
        while !self.has_all() && begun.elapsed() < COMES_WITHIN {
            self.go_on(BETWEEN_LOOKS)?;
        }
        // What comes after this changes nothing any more, or it would be shown.
        self.go_on(2 * WINDOW)
    }

    /// What each router sent.
    pub(super) fn truths(&self) -> Vec<Truth> {
        self.traffic.truths()
    }

    /// The sensor that was killed.
    pub(super) fn victim(&self) -> &str {
        self.fleet.sensors()[VICTIM].name()
    }

    /// What was sent in a window.
    pub(super) fn sent(truths: &[Truth], start: i64) -> Amount {
        truths.iter().filter_map(|truth| truth.sent.get(&start)).fold(Amount::default(), |mut sum, amount| {
            sum += *amount;
            sum
        })
    }

    fn has_all(&self) -> bool {
        let truths = self.truths();
        let mut sent = truths.iter().flat_map(|truth| truth.sent.range(..self.until));
        sent.all(|(start, _)| self.books.windows().contains_key(start))
    }

    /// Shows what comes for so long.
    fn go_on(&mut self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.pass(BETWEEN_LOOKS)?;
            self.fleet.look(QUERY, WINDOWS, &mut self.books)?;
            self.show();
        }
        Ok(())
    }

    /// Waits for so long; an error when a sensor ends by itself.
    fn pass(&self, time: Duration) -> Result<()> {
        self.interrupts.sleep(time)?;
        for sensor in self.fleet.sensors() {
            let has_ended = sensor.process().is_ok_and(|process| process.running().has_ended());
            ensure!(!has_ended, "{} has ended", sensor.name());
        }
        Ok(())
    }

    /// Shows the windows that are new, or other than they were.
    fn show(&mut self) {
        let truths = self.truths();
        for (start, given) in self.books.windows() {
            let now = (given.revision, given.amount().records);
            if self.shown.insert(*start, now) != Some(now) {
                println!("{}", row(*start, given, Self::sent(&truths, *start)));
            }
        }
    }

    fn say(&self, what: &str) {
        println!("  {} {}", time_of_day(now_ns()), style::heading(what));
    }
}

fn row(start: i64, given: &Given, sent: Amount) -> String {
    let complete = match given.completeness {
        Some(1.0) => "complete".to_owned(),
        Some(part) => format!("completeness {part:.3}"),
        None => "completeness unknown".to_owned(),
    };
    let revision = if given.revision > 0 { format!(", revision {}", given.revision) } else { String::new() };
    format!(
        "    {}  {:>8} sent  {:>8} given  {}{revision}, {complete}",
        time_of_day(start),
        grouped(sent.records),
        grouped(given.amount().records),
        given.status
    )
}

/// The time of day, UTC.
pub(super) fn time_of_day(ns: i64) -> String {
    let seconds = ns.div_euclid(1_000_000_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_moment_has_its_time_of_day() {
        assert_eq!(super::time_of_day(1_795_968_002_500_000_000), "16:00:02");
    }
}
