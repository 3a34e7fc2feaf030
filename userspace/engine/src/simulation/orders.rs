//! In which order a source does what it is asked, where it is not prepared for another layout yet.

use super::changes::times;
use super::script::{Played, Script};
use super::stage::{Random, SetClock, Stage};
use crate::subscription::{Subscription, WhenFull, subscription};
use crate::{Engine, EngineOptions};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tapline_query::Planner;

const BY_PORT: &str = "SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('10 seconds')";

/// More rows than are read by the end of a test.
const ROWS: usize = 100_000;

/// A source that is read, and what it is asked.
struct Play {
    random: Random,
    stage: Stage,
    clock: Arc<SetClock>,
    engine: Engine,
    played: Played,
    /// What somebody takes who hears of queries and sources.
    subscriptions: Vec<Subscription>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (mut random, stage, clock) = (Random(seed), Stage::default(), Arc::new(SetClock::default()));
        let options = EngineOptions { workers: 2, ring_capacity_batches: 4, ..EngineOptions::default() };
        let (mut engine, told) = stage.engine_by(Arc::clone(&clock) as _, options);
        let script = Script::new(Arc::new(times(&mut random, ROWS)), 0, 1, false);
        let played = script.played();
        engine.add_sources(vec![Box::new(script)]).unwrap();
        Self { random, stage, clock, engine, played, subscriptions: vec![told] }
    }

    /// Adds a query, for which there is another layout.
    fn add_query(&mut self) {
        let (subscriber, told) = subscription(1, WhenFull::Lose);
        self.engine.add_query(Planner::new().plan(BY_PORT).unwrap(), subscriber).unwrap();
        self.subscriptions.push(told);
    }

    /// Lets machines take turns, as many as it takes for each to come to what it was asked.
    fn run(&mut self) {
        (0..2_000).for_each(|_| assert!(self.stage.step(&mut self.random)));
    }

    fn run_until_told(&mut self) {
        while self.told().is_empty() {
            assert!(self.stage.step(&mut self.random));
        }
    }

    fn unprepare(&self, is_unprepared: bool) {
        self.played.is_unprepared.store(is_unprepared, Ordering::Relaxed);
    }

    /// How many layouts it had followed each time that it told of active flows.
    fn told(&self) -> Vec<usize> {
        self.played.told.lock().unwrap().clone()
    }

    fn layouts(&self) -> usize {
        self.played.turns.lock().unwrap().len()
    }

    fn reports(&self) -> u64 {
        self.played.reports.load(Ordering::Relaxed)
    }
}

#[test]
fn who_asks_behind_a_query_is_told_by_the_layout_that_it_brings() {
    for seed in 1..8 {
        let mut play = Play::new(seed);
        play.unprepare(true);
        play.add_query();
        let _answers = play.engine.ask_flows(false);
        play.engine.ask_for_reports();
        play.run();
        assert_eq!((play.told(), play.layouts()), (vec![], 0), "seed {seed}: what it brings waits still");
        assert_eq!(play.reports(), 1, "seed {seed}: an account waits for no layout");
        play.unprepare(false);
        play.run();
        assert_eq!((play.told(), play.layouts()), (vec![1; 3], 1), "seed {seed}");
    }
}

#[test]
fn what_waits_behind_a_layout_is_bounded_and_none_of_it_is_lost() {
    let mut play = Play::new(9);
    play.unprepare(true);
    play.add_query();
    let answers: Vec<_> = (0..100).map(|_| play.engine.ask_flows(false)).collect();
    (0..20).for_each(|_| play.add_query());
    play.engine.ask_for_reports();
    play.run();
    assert_eq!(play.reports(), 0, "so much is not looked through");
    drop(answers);
    play.unprepare(false);
    play.run();
    assert_eq!((play.layouts(), play.reports()), (21, 1));
}

#[test]
fn who_is_told_of_flows_is_told_all_by_one_layout() {
    for seed in 1..8 {
        let mut play = Play::new(seed);
        let _answers = play.engine.ask_flows(false);
        play.run_until_told();
        play.add_query();
        play.run();
        assert_eq!((play.told(), play.layouts()), (vec![0; 3], 1), "seed {seed}");
    }
}

#[test]
fn no_layout_waits_for_who_waits_no_more_or_takes_nothing_out() {
    for is_abandoned in [true, false] {
        let mut play = Play::new(1);
        let answers = play.engine.ask_flows(false);
        play.run_until_told();
        let _answers = (!is_abandoned).then_some(answers);
        play.clock.advance(if is_abandoned { 0 } else { 2_000_000_000 });
        play.add_query();
        play.run();
        assert_eq!((play.told(), play.layouts()), (vec![0], 1), "{is_abandoned}");
    }
}
