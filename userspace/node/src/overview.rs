//! `tapline watch`: how a node stands, and what some of its queries answer, refreshed each second.

use crate::client::{Client, NodeArguments, part};
use crate::failure::Failure;
use crate::output::Output;
use crate::standing::{self, table, text, to_the_right};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Queries whose newest windows are shown where none are named, as far as they run.
const SHOWN: [&str; 2] = ["top_talkers", "protocols"];
/// Rows of a window that are shown.
const ROWS_MAX: usize = 10;
pub(crate) const REFRESH: Duration = Duration::from_secs(1);

/// Home, and nothing below.
pub(crate) const CLEAR: &str = "\x1b[H\x1b[J";

/// What was offered by each source, and when.
type Offered = (Instant, BTreeMap<String, u64>);

/// Shows a node so many times, or until Ctrl-C.
pub(crate) fn run(node: &NodeArguments, names: &[String], times: Option<u64>) -> Result<(), Failure> {
    let (client, is_terminal) = (Client::new(node)?, stdout().is_terminal());
    let mut before = None;
    for time in 1.. {
        let status = client.get("/api/v1/status")?;
        let now = offered(&status);
        let mut page = page(&status, before.as_ref(), &now);
        for name in shown(names, &status) {
            let answer = client.get(&format!("/api/v1/queries/{}/results?windows=1", part(&name)))?;
            let _ = writeln!(page, "\n{}", window(&name, &answer));
        }
        Output::to_stdout_text(&format!("{}{page}", if is_terminal { CLEAR } else { "" }))?;
        if times == Some(time) {
            break;
        }
        before = Some(now);
        sleep(REFRESH);
    }
    Ok(())
}

/// The queries to show: those that were named, or the usual ones of those that there are.
fn shown(names: &[String], status: &Value) -> Vec<String> {
    if !names.is_empty() {
        return names.to_vec();
    }
    let running: Vec<String> = each(&status["queries"]).map(|query| text(&query["name"])).collect();
    SHOWN.map(str::to_owned).into_iter().filter(|name| running.contains(name)).collect()
}

pub(crate) fn each(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().into_iter().flatten()
}

/// What a source is called here: an interface may be two.
fn key_of(source: &Value) -> String {
    format!("{} {}", text(&source["name"]), text(&source["kind"]))
}

fn offered(status: &Value) -> Offered {
    let of = |source: &Value| (key_of(source), source["offered"].as_u64().unwrap_or_default());
    (Instant::now(), each(&status["sources"]).map(of).collect())
}

/// Sources with their rates, how many queries run, and what is wrong.
fn page(status: &Value, before: Option<&Offered>, now: &Offered) -> String {
    let mut page = format!("tapline {}, {}\n\n", text(&status["version"]), short(&text(&status["now"])));
    let mut sources =
        table(["source", "kind", "state", "a second", "offered", "dropped", "lost"].into_iter());
    for source in each(&status["sources"]) {
        let words = ["name", "kind", "state"].map(|word| text(&source[word]));
        let rate = before.map_or_else(String::new, |before| rate(&key_of(source), before, now));
        let rate = format!("{rate} {}", text(&source["unit"]));
        let counts = ["offered", "dropped", "lost"].map(|count| source[count].to_string());
        sources.add_row(words.into_iter().chain([rate]).chain(counts));
    }
    to_the_right(&mut sources, 3..7);
    let in_state = |state: &str| each(&status["queries"]).filter(|query| query["state"] == state).count();
    let states = ["running", "waiting", "failed"].map(|state| format!("{} {state}", in_state(state)));
    let _ = writeln!(page, "{sources}\n\nqueries: {}", states.join(", "));
    for wrong in standing::wrongs(status) {
        let _ = writeln!(page, "! {wrong}");
    }
    page
}

/// What was offered a second since.
fn rate(source: &str, (before, offered_before): &Offered, (now, offered): &Offered) -> String {
    let of = |offered: &BTreeMap<String, u64>| offered.get(source).copied().unwrap_or_default();
    let seconds = now.duration_since(*before).as_secs_f64();
    format!("{:.0}", of(offered).saturating_sub(of(offered_before)) as f64 / seconds)
}

/// The newest window of a query.
fn window(name: &str, answer: &Value) -> String {
    let Some(window) = each(&answer["windows"]).last() else {
        return format!("{name}: no window yet");
    };
    let rows: Vec<&Value> = each(&window["rows"]).collect();
    let of_rows = |column: &&Value| rows.iter().any(|row| row.get(text(&column["name"])).is_some());
    let columns: Vec<&Value> = each(&answer["schema"]).filter(of_rows).collect();
    let mut shown = table(columns.iter().map(|column| text(&column["name"])));
    for row in rows.iter().take(ROWS_MAX) {
        shown.add_row(columns.iter().map(|column| cell(&row[text(&column["name"])])));
    }
    for (number, column) in columns.iter().enumerate() {
        let is_number = rows.iter().any(|row| row[text(&column["name"])].is_number());
        to_the_right(&mut shown, number..number + usize::from(is_number));
    }
    let title = match (text(&window["window_start"]), window["completeness"].as_f64()) {
        (start, _) if start.is_empty() => name.to_owned(),
        (start, completeness) => {
            let complete =
                completeness.map_or_else(String::new, |part| format!(", {:.1} % complete", 100.0 * part));
            format!("{name}, from {}, {}{complete}", short(&start), text(&window["status"]))
        }
    };
    let more = rows.len().saturating_sub(ROWS_MAX);
    let more = if more > 0 { format!("\n {more} more") } else { String::new() };
    format!("{title}\n{shown}{more}")
}

/// A value as a cell of a table; nothing where there is none.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time without its fraction.
pub(crate) fn short(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_window_is_shown_with_its_first_rows() {
        let rows: Vec<Value> =
            (0..12).map(|n| json!({ "src_ip": format!("10.0.0.{n}"), "octets": 100 - n })).collect();
        let answer = json!({
            "schema": [{ "name": "window_start" }, { "name": "src_ip" }, { "name": "octets" }, { "name": "status" }],
            "windows": [{
                "window_start": "2026-11-29T16:00:00Z", "status": "early", "completeness": 0.9876, "rows": rows
            }],
        });
        let text = window("top_talkers", &answer);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "top_talkers, from 2026-11-29T16:00:00Z, early, 98.8 % complete");
        assert_eq!((lines[2], lines[11], lines[12]), ("10.0.0.0     100", "10.0.0.9      91", "2 more"));
        assert_eq!(window("a", &json!({ "windows": [] })), "a: no window yet");
    }

    #[test]
    fn rates_are_of_what_came_since() {
        let begun = Instant::now();
        let at = |seconds, offered| {
            (begun + Duration::from_secs(seconds), BTreeMap::from([("a".to_owned(), offered)]))
        };
        assert_eq!(rate("a", &at(0, 100), &at(2, 5_100)), "2500");
        assert_eq!(rate("a", &at(0, 100), &at(2, 50)), "0", "it was opened anew");
        assert_eq!(rate("b", &at(0, 100), &at(2, 50)), "0");
    }
}
