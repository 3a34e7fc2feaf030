//! What a node said of its windows, and what was sent in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Sent;
use super::life::Life;

const WINDOW_SECONDS: f64 = 10.0;
/// A window's records, by its completeness, are what was sent in it but for this part.
const DEVIATION_MAX: f64 = 0.01;

/// The windows of both queries.
pub(super) struct Windows {
    /// By query and start.
    all: BTreeMap<(&'static str, String), Window>,
}

#[derive(Clone, Debug)]
struct Window {
    records: u64,
    completeness: Option<f64>,
    status: String,
}

impl Windows {
    /// Of lines of JSON, each with the query that it is of.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a (&'static str, String)>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (query, line) in rows {
            let row: Value = serde_json::from_str(line).with_context(|| line.clone())?;
            let start = row["window_start"].as_str().unwrap_or_default().to_owned();
            let window = Window {
                records: row["records"].as_u64().unwrap_or_default(),
                completeness: row["completeness"].as_f64(),
                status: row["status"].as_str().unwrap_or_default().to_owned(),
            };
            let before: Option<Window> = all.insert((*query, start.clone()), window.clone());
            let is_new = before.is_none_or(|before| before.status != "final");
            ensure!(is_new, "{query}: the window of {start} was final before, and is {window:?} now");
        }
        Ok(Self { all })
    }

    fn of_query(&self, query: &'static str) -> impl Iterator<Item = (&str, &Window)> {
        let of_query = self.all.iter().filter(move |((name, _), _)| *name == query);
        of_query.map(|((_, start), window)| (start.as_str(), window))
    }

    /// The final windows of the exports that lie between others and say how complete they are, and how far each is off
    /// what was sent in it.
    fn deviations(&self, records_a_second: u64) -> Vec<(&str, &Window, f64)> {
        let finals = self.of_query("exports").filter(|(_, window)| window.status == "final");
        let expected = records_a_second as f64 * WINDOW_SECONDS;
        let deviation = |window: &Window| {
            let sent = window.records as f64 / window.completeness?;
            Some((sent / expected - 1.0).abs())
        };
        let finals = finals.filter_map(|(start, window)| Some((start, window, deviation(window)?)));
        let mut finals: Vec<_> = finals.collect();
        // In the last one, sending ended.
        finals.pop();
        finals
    }

    /// Whether every final window of the exports holds what was sent in it, as far as it says that it does.
    pub(super) fn check(&self, records_a_second: u64) -> Result<()> {
        let deviations = self.deviations(records_a_second);
        ensure!(!deviations.is_empty(), "no window was final");
        for (start, window, deviation) in deviations {
            let off = deviation * 100.0;
            ensure!(deviation <= DEVIATION_MAX, "the window of {start} is {off:.2} % off: {window:?}");
        }
        Ok(())
    }

    /// A table of what was sent and what was found, and how the node did.
    pub(super) fn markdown(&self, sent: &Sent, lives: &[Life], records_a_second: u64) -> String {
        let mut text = String::from(
            "\n| | sent | found | missed, as windows say | windows | of them partial |\n|---|--:|--:|--:|--:|--:|\n",
        );
        for (query, sent) in [("exports", sent.records), ("frames", sent.packets)] {
            let windows: Vec<&Window> = self.of_query(query).map(|(_, window)| window).collect();
            let found: u64 = windows.iter().map(|window| window.records).sum();
            let missed = |window: &&Window| {
                window.records as f64 / window.completeness.unwrap_or(1.0) - window.records as f64
            };
            let missed: f64 = windows.iter().map(missed).sum();
            let partial = windows.iter().filter(|window| window.status == "partial").count();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {query} | {sent} | {found} | {missed:.0} | {} | {partial} |",
                windows.len()
            );
        }
        let worst = self.deviations(records_a_second).into_iter().map(|(_, _, off)| off).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\nFinal windows of exports are off what was sent by {:.3} % at the most.\n",
            worst * 100.0
        );
        text.push_str("| not whole | begins | records | completeness | status |\n|---|---|--:|--:|---|\n");
        for ((query, start), Window { records, completeness, status }) in &self.all {
            if status != "final" || completeness.is_none_or(|part| part < 1.0) {
                let part = completeness.map_or_else(|| "–".to_owned(), |part| format!("{part:.4}"));
                let _ = writeln!(text, "| {query} | {start} | {records} | {part} | {status} |");
            }
        }
        text.push_str(
            "\n| ended by | answered after ms | queries that came and went | slowest ms | MB after a minute | least | most |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
        );
        for life in lives {
            let (answered, slowest) = (life.answered.as_millis(), life.slowest.as_millis());
            let memory = life.memory().map_or_else(
                || "– | – | –".to_owned(),
                |octets| octets.map(|octets| (octets / 1_000_000).to_string()).join(" | "),
            );
            let _ = writeln!(text, "| {} | {answered} | {} | {slowest} | {memory} |", life.end, life.changes);
        }
        text
    }
}
