//! Many sensors and many queries at one aggregator: what that takes, and how soon results are there.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tapline_benches::floors;
use tapline_fleet::{Books, Fleet, Plan, now_ns};
use tapline_programs::style;

use super::delay::Delays;
use super::simulated::{Load, SECOND_NS, Simulated, WINDOW_SECONDS};
use super::{Setting, WINDOWS, questions};

/// What is measured, by the names of its marks.
pub(super) const MARKS: [&str; 4] = [
    "sensors: CPU of a hundred",
    "sensors: MB of a hundred",
    "sensors: seconds behind a window",
    "sensors: windows that differ, of a hundred",
];

const SENSORS: usize = 100;
/// What each of them sees in a second: the sources of a window come once each.
const LOAD: Load = Load { rows: 100, sources: 1000 };
/// What is begun is as it will be after so many windows.
const WARM_WINDOWS: i64 = 1;
/// The results of a window are there so long behind its end, or never will be.
const BEHIND_SECONDS: i64 = 5;
/// Making the rows of a second may take no longer than that.
const BEHIND_MAX_NS: i64 = 800_000_000;

/// How many there are of all.
pub(super) struct Size {
    pub(super) sensors: usize,
    pub(super) queries: Vec<(String, String)>,
    pub(super) load: Load,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Seconds of CPU time a second.
    pub(super) cpu: f64,
    /// Octets in memory, at the most.
    pub(super) memory_octets: u64,
    /// Seconds behind the end of a window until the result of the last query was there, and of half of them.
    pub(super) behind: f64,
    pub(super) behind_half: f64,
    windows: usize,
    differ: usize,
}

pub(super) fn run(setting: &Setting) -> Result<()> {
    let size = Size { sensors: SENSORS, queries: questions::twenty(), load: LOAD };
    let taken = measure(setting, &size)?;
    let memory = taken.memory_octets as f64 / 1e6;
    let [cpu_mark, memory_mark, behind_mark, differ_mark] = MARKS;
    println!(
        "{SENSORS} simulated sensors, {} queries in windows of ten seconds, {} records/s and {} sources of each:\n",
        size.queries.len(),
        LOAD.rows,
        LOAD.sources
    );
    println!(
        "| CPU s a second | MB | s behind a window, half | all | windows | that differ |\n|--:|--:|--:|--:|--:|--:|"
    );
    println!(
        "| {:.3} | {memory:.0} | {:.2} | {:.2} | {} | {} |",
        taken.cpu, taken.behind_half, taken.behind, taken.windows, taken.differ
    );
    println!(
        "| {} | {} |  | {} |  | {} |",
        floors::verdict(cpu_mark, taken.cpu),
        floors::verdict(memory_mark, memory),
        floors::verdict(behind_mark, taken.behind),
        floors::verdict(differ_mark, taken.differ as f64)
    );
    Ok(())
}

/// Lets them run for so long, and compares.
pub(super) fn measure(setting: &Setting, size: &Size) -> Result<Taken> {
    let fleet = aggregator(setting, &size.queries)?;
    eprintln!("{} {} sensors, {} queries", style::step("Running"), size.sensors, size.queries.len());
    let sensors = Simulated::join(&fleet, size.sensors, &[fleet.listens()])?;
    let running = fleet.aggregator()?.running();
    let first = next_window(now_ns());
    let measured = first + WARM_WINDOWS * WINDOW_SECONDS;
    let last = measured + whole_windows(setting.seconds.as_secs() as i64);
    let mut books = Books::default();
    let (mut memory_octets, mut begun) = (0, None);
    for second in first..last {
        if second == measured {
            begun = Some((Instant::now(), fleet.aggregator()?.cpu(), Delays::watch(fleet.api().clone())?));
        }
        let parts = sensors.parts(size.load, second)?;
        wait_until_over(setting, second)?;
        sensors.give(&parts)?;
        memory_octets = memory_octets.max(running.resident_octets());
        fleet.look(questions::TOTAL.0, WINDOWS, &mut books)?;
    }
    let (since, before, delays) = begun.context("nothing was measured")?;
    let cpu = (fleet.aggregator()?.cpu() - before).as_secs_f64() / since.elapsed().as_secs_f64();
    setting.interrupts.sleep(Duration::from_secs(BEHIND_SECONDS.unsigned_abs()))?;
    fleet.look(questions::TOTAL.0, WINDOWS, &mut books)?;
    let delays = delays.end()?;
    let sent = size.load.rows * WINDOW_SECONDS.unsigned_abs() * size.sensors as u64;
    let starts = (first..last).step_by(WINDOW_SECONDS as usize);
    let given = |start: i64| books.windows().get(&(start * SECOND_NS)).map(|given| given.amount().records);
    let differ = starts.clone().filter(|start| given(*start) != Some(sent)).count();
    Ok(Taken {
        cpu,
        memory_octets,
        behind: *delays.last().context("no window was given")?,
        behind_half: delays.get(delays.len() / 2).copied().unwrap_or_default(),
        windows: starts.count(),
        differ,
    })
}

/// An aggregator with these queries, and without sensors.
pub(super) fn aggregator(setting: &Setting, queries: &[(String, String)]) -> Result<Fleet> {
    // As it is where nobody says anything.
    let patience = [10, 5].map(Duration::from_secs);
    let plan = Plan { sensors: vec![], patience, ..Plan::of_three(&setting.tapline, Duration::ZERO) };
    let fleet = Fleet::start(&plan)?;
    queries.iter().try_for_each(|(name, sql)| fleet.add(name, sql))?;
    Ok(fleet)
}

/// The start of the next window, in seconds.
pub(super) fn next_window(now: i64) -> i64 {
    whole_windows(now / SECOND_NS + 1)
}

/// Seconds, up to the end of a window.
pub(super) const fn whole_windows(seconds: i64) -> i64 {
    seconds + (-seconds).rem_euclid(WINDOW_SECONDS)
}

/// Waits until a second is over; an error when it is for long.
fn wait_until_over(setting: &Setting, second: i64) -> Result<()> {
    let behind = now_ns() - (second + 1) * SECOND_NS;
    ensure!(behind < BEHIND_MAX_NS, "this machine does not make the rows of so many sensors in time");
    setting.interrupts.check()?;
    sleep(Duration::from_nanos((-behind).max(0).unsigned_abs()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_window_begins_with_ten_seconds() {
        let next = [0, 9, 10, 11].map(|second| super::next_window(second * super::SECOND_NS));
        assert_eq!(next, [10, 10, 20, 20]);
    }
}
