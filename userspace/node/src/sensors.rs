//! `tapline sensors`: who sends parts to an aggregator, how each stands, and how another one joins.

use crate::arguments::{SensorsCommand, Shape};
use crate::client::{Client, NodeArguments};
use crate::failure::Failure;
use crate::forward_plan::TOKEN_VARIABLE;
use crate::message::say;
use crate::output::Output;
use crate::overview::{each, short};
use crate::standing::{self, line, table, text, to_the_right};
use serde_json::{Value, json};
use std::fmt::Write as _;
use ureq::http::Method;

const SENSORS: &str = "/api/v1/sensors";

/// What is shown of a sensor; what stands from the seventh on is a number.
const COLUMNS: [&str; 12] = [
    "name", "site", "through", "state", "address", "version", "queries", "lag", "spool", "lost", "refused",
    "clock",
];
const FIRST_NUMBER: usize = 6;

/// Runs the command.
pub(crate) fn run(
    command: Option<SensorsCommand>,
    node: &NodeArguments,
    format: Shape,
) -> Result<(), Failure> {
    let client = Client::new(node)?;
    match command {
        None => list(&client, format),
        Some(SensorsCommand::Join { name, to }) => join(&client, &name, to.as_deref()),
        Some(SensorsCommand::Rest { name }) => {
            let path = format!("{SENSORS}/rest");
            client.ask(Method::POST, &path, Some(&json!({ "name": name })))?;
            say!("nobody waits for {name} until it comes back");
            Ok(())
        }
    }
}

fn list(client: &Client, format: Shape) -> Result<(), Failure> {
    let answer = client.get(SENSORS)?;
    match format {
        Shape::Json => standing::print_json(&answer["sensors"]),
        Shape::Table if answer["sensors"].as_array().is_none_or(Vec::is_empty) => {
            Output::to_stdout_text("no sensor has come yet; `tapline sensors join NAME` says how one joins\n")
        }
        Shape::Table => Output::to_stdout_text(&page(&answer["sensors"])),
    }
}

/// Sensors, a line each, and what is wrong.
fn page(sensors: &Value) -> String {
    let mut lines = table(COLUMNS.into_iter());
    for sensor in each(sensors) {
        let words =
            ["name", "site", "through", "state", "address", "version"].map(|word| line(&sensor[word]));
        let refused: u64 =
            sensor["refused"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        let numbers = [
            running(sensor),
            seconds(&sensor["lag_seconds"]),
            octets(sensor["spool_octets"].as_u64().unwrap_or_default()),
            sensor["lost"].to_string(),
            refused.to_string(),
            seconds(&sensor["clock_offset_seconds"]),
        ];
        lines.add_row(words.into_iter().chain(numbers));
    }
    to_the_right(&mut lines, FIRST_NUMBER..COLUMNS.len());
    let mut page = format!("{lines}\n");
    for sensor in each(sensors) {
        let [name, reason, since] = ["name", "reason", "since"].map(|word| line(&sensor[word]));
        if !reason.is_empty() {
            let _ = writeln!(page, "! {name}: {reason}");
        } else if sensor["state"] == "away" && !since.is_empty() {
            let _ = writeln!(page, "! {name} was heard last at {}", short(&since));
        }
    }
    page
}

/// How many of its queries run.
fn running(sensor: &Value) -> String {
    let all: Vec<&Value> = each(&sensor["queries"]).collect();
    let running = all.iter().filter(|query| query["state"] == "running").count();
    format!("{running}/{}", all.len())
}

/// Seconds, as short as they are exact enough.
fn seconds(value: &Value) -> String {
    value.as_f64().map_or_else(String::new, |seconds| {
        if seconds.abs() < 1.0 { format!("{:.1} ms", 1000.0 * seconds) } else { format!("{seconds:.1} s") }
    })
}

fn octets(octets: u64) -> String {
    let mebibytes = octets as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

/// Makes a token, and prints the command that brings it.
fn join(client: &Client, name: &str, to: Option<&str>) -> Result<(), Failure> {
    let joined = client.ask(Method::POST, SENSORS, Some(&json!({ "name": name })))?;
    let url = to.map_or_else(|| text(&joined["to"]), str::to_owned);
    let [file, line] = ["file", "line"].map(|key| text(&joined[key]));
    if !line.is_empty() {
        say!(
            "first add this line to {file} of the aggregator, in place of another one of {name}, and tell it by `tapline reload`:"
        );
        say!("{line}");
    }
    say!(
        "{name} joins by this command, with what it reads in place of --listen; the token is kept in its state folder"
    );
    if url.contains("://HOST:") {
        say!(
            "HOST is this machine as {name} reaches it; url = \"https://…\" in [aggregator], or --to URL, says it"
        );
    }
    if url.starts_with("https://") {
        say!("where its machine does not trust the certificate of this one, add --forward-ca FILE");
    }
    Output::to_stdout_text(&command(name, &url, &text(&joined["token"])))
}

/// The command by which a sensor joins.
fn command(name: &str, url: &str, token: &str) -> String {
    format!(
        "{TOKEN_VARIABLE}={token} tapline run --forward {url} --forward-name {name} --state /var/lib/tapline --listen udp://0.0.0.0:2055\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_are_shown_with_what_is_wrong() {
        let sensors = json!([
            {
                "name": "pop-1", "site": "fra", "through": "region", "state": "connected", "address": "192.0.2.1:5000", "version": "0.1.0",
                "lag_seconds": 0.75, "spool_octets": 3_145_728, "lost": 0, "refused": { "too_late": 2, "ahead": 1 },
                "clock_offset_seconds": -0.0002, "reason": "dns: there is no table 'nets'",
                "queries": [{ "name": "a", "state": "running" }, { "name": "dns", "state": "failed" }],
            },
            { "name": "pop-2", "site": "\u{1b}[2J", "state": "away", "since": "2026-11-29T16:00:00.5Z", "lag_seconds": 61.2 },
        ]);
        let page = page(&sensors);
        let lines: Vec<String> =
            page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines[1],
            "pop-1 fra region connected 192.0.2.1:5000 0.1.0 1/2 750.0 ms 3.0 MiB 0 3 -0.2 ms"
        );
        assert!(lines[2].starts_with("pop-2 [2J away 0/0 61.2 s"), "nobody writes to a terminal: {page}");
        assert_eq!(lines[3], "! pop-1: dns: there is no table 'nets'");
        assert_eq!(lines[4], "! pop-2 was heard last at 2026-11-29T16:00:00Z");
    }

    #[test]
    fn a_sensor_joins_by_one_line() {
        let line = command("pop-1", "https://central:8793", "secret");
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with("TAPLINE_FORWARD_TOKEN=secret tapline run --forward https://central:8793 "));
    }
}
