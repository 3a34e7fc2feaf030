//! Gives results to a sink as an outlet does, but waits for it.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use tapline_record::EventTime;
use tapline_sinks::{Sink, Spool, SpoolOptions, Told, Turn};

use super::results::Results;

/// Octets of a spool, as where nothing is said of it, and rows that wait in it at the most.
const SPOOL_OCTETS: u64 = 256 << 20;
const WAITING_ROWS_MAX: u64 = 1_000_000;
/// Between two looks of an outlet at what is due, and of ours at what waits.
const TEND_EVERY: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(1);
/// How long a server may be in trouble.
const TROUBLE_MAX: Duration = Duration::from_secs(30);

/// Gives all results to a sink that writes at once; gives the time until they are safe.
pub(super) fn to_files(results: &Results, sink: &mut dyn Sink) -> Result<Duration> {
    let started = Instant::now();
    for parcel in results.parcels() {
        sink.take(&parcel)?;
    }
    finish(sink)?;
    Ok(started.elapsed())
}

/// Gives them to a spool in this folder before a sink; gives the time until the server has all.
pub(super) fn to_server(results: &Results, sink: Box<dyn Sink>, folder: &Path) -> Result<Duration> {
    let options = SpoolOptions { folder: folder.join("spool"), octets_max: SPOOL_OCTETS };
    let told: Told = Arc::new(|_: Turn, what: &str| eprintln!("{what}"));
    let mut spool = Spool::new(options, sink, told);
    let waiting_max = (WAITING_ROWS_MAX / results.rows_each).max(1);
    let started = Instant::now();
    let mut tended = Instant::now();
    for parcel in results.parcels() {
        spool.take(&parcel)?;
        if tended.elapsed() >= TEND_EVERY {
            spool.tend(parcel.given).map_err(Error::msg)?;
            tended = Instant::now();
        }
        wait(&spool, waiting_max)?;
    }
    wait(&spool, 0)?;
    let took = started.elapsed();
    finish(&mut spool)?;
    Ok(took)
}

/// Waits until so few results wait.
fn wait(spool: &Spool, waiting_max: u64) -> Result<()> {
    let mut was_well = Instant::now();
    while spool.held() > waiting_max {
        sleep(LOOK);
        match spool.trouble() {
            Some(why) => ensure!(was_well.elapsed() < TROUBLE_MAX, "{why}"),
            None => was_well = Instant::now(),
        }
    }
    Ok(())
}

fn finish(sink: &mut dyn Sink) -> Result<()> {
    sink.finish(EventTime::MAX).map_err(Error::msg)?;
    let lost = sink.lost();
    ensure!(lost.is_empty(), "results are lost: {lost:?}");
    Ok(())
}
