//! How an aggregator grows with its sensors, and with the groups of a query: a table, of which a picture can be made.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::many::{Size, measure};
use super::simulated::{Load, WINDOW_SECONDS};
use super::{Setting, questions};

/// With twenty queries and a thousand groups each.
const SENSORS: [usize; 5] = [1, 3, 10, 30, 100];
const LOAD: Load = Load { rows: 100, sources: 1000 };
/// Of one query, of each of so many sensors.
const GROUPS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const OF_SENSORS: usize = 3;

/// Measures, and writes the table.
pub(super) fn write(setting: &Setting, path: &Path) -> Result<()> {
    let mut text = "sensors,queries,groups,cpu,memory_mb,seconds_behind\n".to_owned();
    let sensors = SENSORS.map(|sensors| Size { sensors, queries: questions::twenty(), load: LOAD });
    let groups = GROUPS.map(|sources| Size {
        sensors: OF_SENSORS,
        queries: [questions::TOTAL, questions::TALKERS]
            .map(|(name, sql)| (name.to_owned(), sql.to_owned()))
            .into(),
        load: Load { rows: sources / WINDOW_SECONDS.unsigned_abs(), sources },
    });
    for size in sensors.into_iter().chain(groups) {
        let taken = measure(setting, &size)?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{:.3},{:.1},{:.2}",
            size.sensors,
            size.queries.len(),
            size.load.sources,
            taken.cpu,
            taken.memory_octets as f64 / 1e6,
            taken.behind
        );
    }
    print!("\n{text}");
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
