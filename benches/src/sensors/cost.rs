//! What forwarding costs a sensor: the CPU time of a record, with it and without in turn.
//!
//! A node that is asked by itself and a sensor that is asked by its aggregator take turns; whatever changes on the machine
//! changes both alike.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tapline_benches::floors;
use tapline_fleet::{Api, Fleet, Plan, Process, free_address};
use tapline_programs::style;

use super::Setting;
use crate::median;

/// What is measured, by the name of its mark.
pub(super) const CPU: &str = "sensors: CPU of a record";

/// Few groups, some, and many.
const QUERIES: [(&str, &str); 3] = [
    ("all", "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('10 seconds')"),
    (
        "matrix",
        "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('10 seconds')",
    ),
    (
        "talkers",
        "SELECT src_ip, count(*) AS records FROM flows GROUP BY src_ip, tumble('10 seconds') ORDER BY records DESC LIMIT 20",
    ),
];
const ARGUMENTS: [&str; 4] = ["--event-time", "receive", "--allowed-lateness-ms", "2000"];
const EXPORTERS: &str = "20";
/// Turns of each.
const TURNS: u32 = 6;
/// From the first record of a turn until it is measured.
const SETTLED: Duration = Duration::from_secs(2);

/// What one node did in a turn.
struct Turn {
    records: u64,
    lost: u64,
    cpu: Duration,
}

pub(super) fn run(setting: &Setting) -> Result<()> {
    let plan = Plan {
        sensors: vec!["pop-1".to_owned()],
        arguments: ARGUMENTS.map(str::to_owned).into(),
        ..Plan::of_three(&setting.tapline, Duration::ZERO)
    };
    let fleet = Fleet::start(&plan)?;
    for (name, sql) in QUERIES {
        fleet.add(name, sql)?;
        fleet.wait_until_runs(name, 1)?;
    }
    let sensor = fleet.sensors().first().context("there is no sensor")?;
    let folder = tempfile::tempdir().context("there is no temporary folder")?;
    let (alone, api, listens) = alone(&setting.tapline, folder.path())?;
    let (mut without, mut with) = (vec![], vec![]);
    for turn in 1..=TURNS {
        eprintln!("{} turn {turn}", style::step("Running"));
        let own = || take(setting, &alone, &api, &listens);
        let forwarding = || take(setting, sensor.process()?, sensor.api(), &sensor.listens().to_string());
        if turn % 2 == 0 {
            without.push(own()?);
            with.push(forwarding()?);
        } else {
            with.push(forwarding()?);
            without.push(own()?);
        }
    }
    let ratios = with.iter().zip(&without).map(|(with, without)| with.of_record() / without.of_record());
    let ratio = median(ratios.collect(), f64::total_cmp);
    let [ns_with, ns_without] =
        [&with, &without].map(|turns| median(turns.iter().map(Turn::of_record).collect(), f64::total_cmp));
    let lost: u64 = with.iter().chain(&without).map(|turn| turn.lost).sum();
    println!(
        "| records/s | queries | ns a record alone | forwarding | times | lost | mark |\n|--:|--:|--:|--:|--:|--:|---|"
    );
    println!(
        "| {} | {} | {ns_without:.1} | {ns_with:.1} | {ratio:.3} | {lost} | {} |",
        setting.records,
        QUERIES.len(),
        floors::verdict(CPU, ratio)
    );
    ensure!(
        lost == 0,
        "{} records/s are more than this machine takes; give fewer by --records",
        setting.records
    );
    Ok(())
}

/// A node that is asked the same by itself.
fn alone(tapline: &Path, folder: &Path) -> Result<(Process, Api, String)> {
    let (api, listens) = (Api::new(folder.join("alone.sock")), free_address()?.to_string());
    let mut command = Command::new(tapline);
    command.args(["run", "--bare", "--listen", &format!("udp://{listens}"), "--api", "127.0.0.1:0"]);
    command.args(ARGUMENTS).arg("--socket").arg(api.socket()).arg("--state").arg(folder.join("alone"));
    let process = Process::start(&mut command)?;
    process.running().wait_until_it_answers(|| api.get("/api/v1/status"))?;
    for (name, sql) in QUERIES {
        api.post("/api/v1/queries", &json!({ "name": name, "sql": sql }))?;
    }
    Ok((process, api, listens))
}

/// Sends to one of them, and looks at what it does.
fn take(setting: &Setting, node: &Process, api: &Api, listens: &str) -> Result<Turn> {
    let time = setting.seconds / 2;
    let seconds = (SETTLED + time).as_secs() + 2;
    let mut command = Command::new(Setting::load()?);
    command.args(["exports", "--protocol", "v9", "--exporters", EXPORTERS, "--to", listens]);
    command.args(["--rate", &setting.records.to_string(), "--seconds", &seconds.to_string()]);
    let sender = Process::start(&mut command)?;
    setting.interrupts.sleep(SETTLED)?;
    let (records, lost) = fates(api)?;
    let before = node.cpu();
    setting.interrupts.sleep(time)?;
    let (records_then, lost_then) = fates(api)?;
    let cpu = node.cpu().saturating_sub(before);
    ensure!(!sender.running().has_ended(), "the sender ended before its time");
    sender.end("KILL")?;
    setting.interrupts.sleep(SETTLED)?;
    ensure!(records_then > records, "no records came");
    Ok(Turn { records: records_then - records, lost: lost_then.saturating_sub(lost), cpu })
}

/// Records that were delivered, and those that were lost.
fn fates(api: &Api) -> Result<(u64, u64)> {
    let answer = api.get("/api/v1/sources")?;
    let source = &answer["sources"][0];
    let number = |name: &str| source[name].as_u64().with_context(|| format!("no {name}: {answer}"));
    Ok((number("delivered")?, number("lost")? + number("dropped")?))
}

impl Turn {
    /// Nanoseconds of CPU time.
    fn of_record(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.records as f64
    }
}
