//! Octets between a sensor and its aggregator, beside those of the exports that it receives.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_benches::floors;
use tapline_fleet::{Fleet, Plan};
use tapline_load::exports::sender::{self, Options};
use tapline_load::pace::{Limit, Rate};
use tapline_programs::style;
use tapline_trafficgen::exports::{ExportPlan, Protocol};

use super::{Setting, questions};

/// Records in a second, of so many flows among autonomous systems, so many on each side.
const RATE: u64 = 100_000;
const FLOWS: u32 = 16_384;
const SYSTEMS: u32 = 20;
const ARGUMENTS: [&str; 4] = ["--event-time", "receive", "--allowed-lateness-ms", "2000"];
/// What was sent last is on the link after so long.
const SENT_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn run(setting: &Setting) -> Result<()> {
    println!(
        "One sensor, {RATE} records/s of NetFlow v9: {FLOWS} flows, {} pairs of autonomous systems. Octets of UDP's payload,\n\
         and of TCP's both ways.\n",
        SYSTEMS * SYSTEMS
    );
    println!("| query | octets of exports | on the link | times less | mark |\n|---|--:|--:|--:|---|");
    questions::OF_FLOWS.iter().try_for_each(|(name, sql)| measure(setting, name, sql))
}

fn measure(setting: &Setting, name: &str, sql: &str) -> Result<()> {
    eprintln!("{} {name}", style::step("Running"));
    let plan = Plan {
        sensors: vec!["pop-1".to_owned()],
        has_links: true,
        arguments: ARGUMENTS.map(str::to_owned).into(),
        ..Plan::of_three(&setting.tapline, Duration::ZERO)
    };
    let fleet = Fleet::start(&plan)?;
    fleet.add("asked", sql)?;
    fleet.wait_until_runs("asked", 1)?;
    let sensor = fleet.sensors().first().context("there is no sensor")?;
    let before = sensor.link()?.octets();
    let options = Options {
        plan: ExportPlan {
            autonomous_systems: SYSTEMS,
            block_records: FLOWS,
            ..ExportPlan::new(Protocol::NetflowV9, 1)
        },
        exporters: 1,
        rate: Rate::PerSecond(RATE),
        limit: Limit { duration: setting.seconds, records: u64::MAX },
        plain: true,
    };
    let sent = sender::send(sensor.listens(), &options)?.truth;
    setting.interrupts.sleep(SENT_WITHIN)?;
    let octets = sensor.link()?.octets() - before;
    ensure!(octets > 0, "nothing went over the link");
    let times = sent.payload_octets as f64 / octets as f64;
    let verdict = floors::verdict(&format!("sensors: octets, {name}"), times);
    println!("| {name} | {} | {octets} | {times:.0} | {verdict} |", sent.payload_octets);
    Ok(())
}
