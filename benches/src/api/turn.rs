//! What a node did in a while, with requests or without.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::clients;
use super::node::Node;
use crate::median;

/// Between two turns, so that what one has begun is done.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// What the threads of the API are called.
const API: &str = "api";

/// What a node did in a while.
pub(super) struct Turn {
    pub(super) records: u64,
    pub(super) lost: u64,
    pub(super) time: Duration,
    /// CPU time of all its threads but those of the API.
    cpu: Duration,
    pub(super) api_cpu: Duration,
    /// How long answers took, in order of that.
    answers: Vec<Duration>,
}

/// Two turns, one behind the other.
pub(super) struct Pair {
    pub(super) alone: Turn,
    pub(super) asked: Turn,
}

impl Turn {
    /// Lets a node work for a while, and asks it so many times a second.
    pub(super) fn take(node: &Node, time: Duration, requests: u32) -> Result<Self> {
        sleep(PAUSE);
        let (fates, threads, started) = (node.fates()?, node.running.threads(), Instant::now());
        let answers = if requests > 0 { clients::ask(node.api, requests, time)? } else { vec![] };
        sleep(time.saturating_sub(started.elapsed()));
        let (later, time, then) = (node.running.threads(), started.elapsed(), node.fates()?);
        let (mut cpu, mut api_cpu) = (Duration::ZERO, Duration::ZERO);
        for (thread, spent) in later {
            // One that was not there has begun since.
            let spent = spent.saturating_sub(threads.get(&thread).copied().unwrap_or_default());
            *(if thread.name == API { &mut api_cpu } else { &mut cpu }) += spent;
        }
        let (records, lost) = (then.delivered - fates.delivered, then.lost - fates.lost);
        ensure!(records > 0, "no records came");
        Ok(Self { records, lost, time, cpu, api_cpu, answers })
    }

    /// Nanoseconds of CPU time, of all threads but those of the API.
    pub(super) fn of_record(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.records as f64
    }

    /// Microseconds of CPU time of the threads of the API.
    fn of_request(&self) -> f64 {
        self.api_cpu.as_nanos() as f64 / 1e3 / self.answers.len().max(1) as f64
    }
}

impl Pair {
    /// How many times the CPU time a record takes with requests.
    pub(super) fn ratio(&self) -> f64 {
        self.asked.of_record() / self.alone.of_record()
    }
}

/// Milliseconds within which so many hundredths of these were, which are in order.
pub(super) fn part_of(times: &[Duration], hundredths: usize) -> f64 {
    let time = times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)));
    time.map_or(0.0, Duration::as_secs_f64) * 1e3
}

/// The head of the table.
pub(super) const HEAD: &str = "\
| records/s | requests/s | ns a record alone | with requests | ratio | from | to | µs a request | ms to its answer | 99 % | slowest | lost alone | with requests |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// The row of one rate.
pub(super) fn row(pairs: &[Pair]) -> String {
    let of = |value: fn(&Pair) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let middle = |value: fn(&Pair) -> f64| median(of(value), f64::total_cmp);
    let rate = |count: fn(&Turn) -> u64| {
        let [number, time] = pairs.iter().map(|pair| &pair.asked).fold([0.0, 0.0], |[number, time], turn| {
            [number + count(turn) as f64, time + turn.time.as_secs_f64()]
        });
        number / time
    };
    let mut answers: Vec<Duration> =
        pairs.iter().flat_map(|pair| pair.asked.answers.iter().copied()).collect();
    answers.sort_unstable();
    let late = |hundredths| part_of(&answers, hundredths);
    let lost = |turn: fn(&Pair) -> &Turn| pairs.iter().map(|pair| turn(pair).lost).sum::<u64>();
    let ratios = of(Pair::ratio);
    format!(
        "| {:.0} | {:.0} | {:.1} | {:.1} | {:.3} | {:.3} | {:.3} | {:.1} | {:.2} | {:.2} | {:.2} | {} | {} |",
        rate(|turn| turn.records),
        rate(|turn| turn.answers.len() as u64),
        middle(|pair| pair.alone.of_record()),
        middle(|pair| pair.asked.of_record()),
        middle(Pair::ratio),
        ratios.first().copied().unwrap_or_default(),
        ratios.last().copied().unwrap_or_default(),
        middle(|pair| pair.asked.of_request()),
        late(50),
        late(99),
        late(100),
        lost(|pair| &pair.alone),
        lost(|pair| &pair.asked),
    )
}
