//! Results in tables of servers, beside what these take by themselves.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use harness::servers::{ClickHouse, Postgresql, SECRET};
use tapline_programs::folders;
use tapline_sinks::{ClickHouseOptions, ClickHouseSink, PostgresqlOptions, PostgresqlSink, ProofFiles};

use super::Times;
use super::give::to_server;
use super::results::{QUERY, Results};

/// A table of the same rows.
const AGAIN: &str = "again";

/// Beside psql, which copies the same rows from a file into the same table.
pub(super) fn postgresql(results: &Results) -> Result<Option<Times>> {
    let Some(server) = Postgresql::start() else { return Ok(None) };
    let (folder, proof) = place("postgresql")?;
    let url = format!("postgresql://tapline@127.0.0.1:{}/postgres", server.port());
    let options = PostgresqlOptions::new(&url, proof, None, None).map_err(Error::msg)?;
    let sink = PostgresqlSink::new(options).map_err(Error::msg)?;
    let sink = to_server(results, Box::new(sink), &folder)?;
    check(results, &server.sql(&format!("SELECT count(*) FROM {QUERY}")))?;
    let file = folder.join("rows");
    server.sql(&format!("\\copy {QUERY} TO '{}'", file.display()));
    server.sql(&format!("CREATE TABLE {AGAIN} (LIKE {QUERY} INCLUDING ALL)"));
    server.sql("CHECKPOINT");
    let alone = timed(|| server.sql(&format!("\\copy {AGAIN} FROM '{}'", file.display())));
    folders::clear(&folder)?;
    Ok(Some(Times { rows: results.rows(), sink, alone, by: "psql \\copy" }))
}

/// Beside the engine, which copies the same rows from table to table.
pub(super) fn clickhouse(results: &Results) -> Result<Option<Times>> {
    let Some(server) = ClickHouse::start() else { return Ok(None) };
    let (folder, proof) = place("clickhouse")?;
    let url = format!("http://tapline@127.0.0.1:{}/default", server.port());
    let options = ClickHouseOptions::new(&url, proof, None).map_err(Error::msg)?;
    let sink = to_server(results, Box::new(ClickHouseSink::new(options)), &folder)?;
    check(results, &server.sql(&format!("SELECT count() FROM {QUERY}")))?;
    server.sql(&format!("CREATE TABLE {AGAIN} AS {QUERY}"));
    // What stands before it tells it from an insert that has its rows behind it.
    let alone = timed(|| server.sql(&format!("/* rows */ INSERT INTO {AGAIN} SELECT * FROM {QUERY}")));
    folders::clear(&folder)?;
    Ok(Some(Times { rows: results.rows(), sink, alone, by: "INSERT … SELECT" }))
}

/// An empty folder, and in it what a server knows us by.
pub(super) fn place(name: &str) -> Result<(PathBuf, ProofFiles)> {
    let folder = folders::scratch(&format!("bench/sinks/{name}"))?;
    folders::clear(&folder)?;
    let password = folder.join("password");
    fs::write(&password, SECRET)?;
    Ok((folder, ProofFiles { password: Some(password), ca: None }))
}

/// Whether as many rows arrived as were sent.
fn check(results: &Results, arrived: &str) -> Result<()> {
    let rows = results.rows();
    ensure!(arrived == rows.to_string(), "{arrived} rows arrived in place of {rows}");
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}
