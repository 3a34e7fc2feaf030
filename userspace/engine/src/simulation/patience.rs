//! Results that wait, and what becomes of those that cannot.

use super::script::Script;
use super::stage::{Random, Stage};
use crate::subscription::{Event, WhenFull, subscription};
use std::sync::Arc;
use std::time::Duration;
use tapline_query::Planner;

const BY_SECOND: &str = "SELECT count(*) FROM packets GROUP BY tumble('1 second')";
const SECONDS: i64 = 20_000;

/// Plays a packet a second, while results are made seldom; gives how many windows came, and how many were lost.
fn play(seed: u64, stays: bool) -> [u64; 2] {
    let (mut random, stage) = (Random(seed), Stage::with_slow_results(500));
    let (mut engine, _notices) = stage.engine(2, 16);
    let (subscriber, told) = subscription(1 << 17, WhenFull::Lose);
    engine.add_query(Planner::new().plan(BY_SECOND).unwrap(), subscriber).unwrap();
    let script = Script::new(Arc::new((0..SECONDS).collect()), 1, 100, false);
    let script = if stays { script.that_stays() } else { script };
    engine.add_sources(vec![Box::new(script)]).unwrap();
    engine.drain();
    while stage.step(&mut random) {}
    let events = std::iter::from_fn(|| told.next(Duration::ZERO).ok().flatten());
    let windows = events.filter(|event| matches!(event, Event::Result(_))).count() as u64;
    [windows, engine.snapshot().queries[0].results_lost]
}

#[test]
fn a_source_that_stays_reads_on_when_results_were_taken() {
    for seed in 1..4 {
        assert_eq!(play(seed, true), [SECONDS as u64, 0], "seed {seed}");
        let [windows, lost] = play(seed, false);
        assert!(lost > 0 && windows + lost == SECONDS as u64, "seed {seed}: {windows}, {lost}");
    }
}
