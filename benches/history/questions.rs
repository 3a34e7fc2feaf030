//! What is asked of a day, and who is asked.

use anyhow::{Context as _, Result, ensure};
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::Int64Type;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tapline_history::{History, HistoryOptions};
use tapline_tables::Database;

use crate::data::QUERIES;

/// A question.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    sql: &'static str,
}

/// In the order in which they are asked.
pub(crate) const QUESTIONS: [Question; 8] = [
    Question {
        name: "top talkers of the day",
        sql: "SELECT src_ip, sum(octets) AS octets FROM five_tuple GROUP BY src_ip ORDER BY octets DESC LIMIT 10",
    },
    Question {
        name: "octets by hour",
        sql: "SELECT date_trunc('hour', window_start) AS hour, sum(octets) AS octets FROM five_tuple GROUP BY hour ORDER BY hour",
    },
    Question {
        name: "rows by protocol",
        sql: "SELECT protocol, count(*) AS n, sum(packets) AS packets FROM five_tuple GROUP BY protocol ORDER BY protocol",
    },
    Question {
        name: "an address over the day",
        sql: "SELECT window_start, sum(octets) AS octets FROM five_tuple WHERE src_ip = '10.20.30.40' GROUP BY window_start ORDER BY window_start",
    },
    Question {
        name: "top services of two hours",
        sql: "SELECT dst_port, sum(octets) AS octets FROM five_tuple WHERE window_start >= '2026-11-30T09:30:00Z' AND window_start < '2026-11-30T11:30:00Z' GROUP BY dst_port ORDER BY octets DESC LIMIT 10",
    },
    Question {
        name: "an hour's matrix",
        sql: "SELECT src_as, dst_as, sum(octets) AS octets FROM matrix WHERE window_start >= '2026-11-30T12:00:00Z' AND window_start < '2026-11-30T13:00:00Z' GROUP BY src_as, dst_as",
    },
    Question {
        name: "top pairs of the day",
        sql: "SELECT src_as, dst_as, sum(octets) AS octets FROM matrix GROUP BY src_as, dst_as ORDER BY octets DESC LIMIT 10",
    },
    Question {
        name: "who talked to an address",
        sql: "SELECT src_ip, sum(octets) AS octets FROM five_tuple WHERE dst_ip = '10.20.30.40' GROUP BY src_ip ORDER BY octets DESC LIMIT 10",
    },
];

/// What a question took, in seconds, and how many rows its answer has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    pub(crate) rows: usize,
}

/// Asks each question so often, by the statements that everybody asks a history by.
pub(crate) fn ask_tapline(folder: &Path, runs: usize) -> Result<Vec<Took>> {
    let database = Database::of_history(History::new(HistoryOptions::new(folder)))?;
    QUESTIONS.iter().map(|question| median(runs, || ask(&database, question.sql))).collect()
}

fn ask(database: &Database, sql: &str) -> Result<Took> {
    let begun = Instant::now();
    let mut rows = 0;
    for batch in database.ask(sql).map_err(|error| anyhow::anyhow!("{sql}: {error:?}"))? {
        rows += batch.map_err(|error| anyhow::anyhow!("{sql}: {error:?}"))?.num_rows();
    }
    Ok(Took { seconds: begun.elapsed().as_secs_f64(), rows })
}

fn median(runs: usize, ask: impl Fn() -> Result<Took>) -> Result<Took> {
    let mut took = (0..runs.max(1)).map(|_| ask()).collect::<Result<Vec<Took>>>()?;
    took.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    Ok(took[took.len() / 2])
}

/// Rows and octets of all flows, as they are stored: read row by row, and from sums.
pub(crate) fn totals(folder: &Path) -> Result<[(i64, i64); 2]> {
    let database = Database::of_history(History::new(HistoryOptions::new(folder)))?;
    let total = |more: &str| -> Result<(i64, i64)> {
        let sql = format!("SELECT count(*) AS n, sum(octets) AS octets{more} FROM five_tuple");
        let mut answer = database.ask(&sql).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let batch = answer.next().context("there is no answer")?;
        let batch = batch.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
        Ok((number(0), number(1)))
    };
    Ok([total(", avg(octets) AS mean")?, total("")?])
}

/// The same questions to `DuckDB` over the same files; `None` where it is not there.
pub(crate) fn ask_duckdb(folder: &Path, runs: usize) -> Result<Option<Vec<Took>>> {
    let Some(python) = python_with_duckdb() else { return Ok(None) };
    let output = Command::new(python).args(["-c", &script(folder, runs)]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let took = text.lines().map(|line| {
        let (seconds, rows) = line.split_once(' ').context("there are two numbers a line")?;
        Ok(Took { seconds: seconds.parse()?, rows: rows.parse()? })
    });
    took.collect::<Result<Vec<Took>>>().map(Some)
}

fn script(folder: &Path, runs: usize) -> String {
    let mut script = "import duckdb, time\nconnection = duckdb.connect()\n".to_owned();
    for query in &QUERIES {
        let files = folder.join(format!("query={}/hour=*/*.parquet", query.name));
        let _ = writeln!(
            script,
            "connection.execute(\"CREATE VIEW {} AS SELECT * FROM read_parquet('{}', hive_partitioning = false)\")",
            query.name,
            files.display()
        );
    }
    for question in &QUESTIONS {
        let _ = writeln!(
            script,
            "times = []\nfor _ in range({runs}):\n    begun = time.monotonic()\n    rows = connection.execute(\"{}\").fetchall()\n    times.append(time.monotonic() - begun)\nprint(sorted(times)[len(times) // 2], len(rows))",
            question.sql
        );
    }
    script
}

/// Where `cargo xtask setup` puts it.
fn python_with_duckdb() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let python = program.ancestors().nth(3)?.join("duckdb/bin/python");
    python.is_file().then_some(python)
}
