//! Worlds from seeds, in which a spool is used, and everything goes wrong that can.
//!
//! `cargo test -p tapline-spool --release -- --ignored many_seeds` runs many; `TAPLINE_SEEDS=5000..6000` says which. One
//! that fails prints its trace.

mod disk;
mod folders;
mod random;
mod world;

use crate::mutation::{Mutation, put_in};
use disk::Faults;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// Lines of a trace that are printed.
const TRACE_LINES: usize = 200;

/// Runs a world; gives what is wrong with it.
fn fault_of(seed: u64) -> Option<String> {
    let mut world = World::new(seed, false);
    outcome(|| world.run())
}

fn outcome(run: impl FnOnce() -> Result<(), String>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => Some("something panicked".to_owned()),
    }
}

fn print_trace(seed: u64) {
    let mut world = World::new(seed, true);
    let _ = outcome(|| world.run());
    let trace = world.trace.unwrap_or_default();
    let skipped = trace.len().saturating_sub(TRACE_LINES);
    trace.iter().take(1).chain(trace.iter().skip(1.max(skipped))).for_each(|line| println!("{line}"));
}

fn run(seeds: Range<u64>) {
    let fault = seeds.into_iter().find_map(|seed| Some((seed, fault_of(seed)?)));
    if let Some((seed, why)) = fault {
        print_trace(seed);
        panic!("seed {seed}: {why}");
    }
}

#[test]
fn what_is_safe_is_there_whatever_goes_wrong() {
    run(0..1500);
}

#[test]
#[ignore = "it takes minutes"]
fn many_seeds() {
    let seeds = std::env::var("TAPLINE_SEEDS").unwrap_or_else(|_| "0..100000".to_owned());
    let (first, end) = seeds.split_once("..").expect("TAPLINE_SEEDS is a range, as 0..100000");
    run(first.parse().expect("a number")..end.parse().expect("a number"));
}

/// Runs calm worlds with one fault at each operation, in its turn.
fn at_each_operation(faults: impl Fn(usize) -> Faults) {
    for seed in 0..12 {
        let mut calm = World::calm(seed);
        assert_eq!(outcome(|| calm.run()), None);
        for operation in 0..calm.disk.operations() {
            let mut world = World::calm(seed);
            world.disk.set(faults(operation));
            let why = outcome(|| world.run());
            assert!(why.is_none(), "seed {seed}, operation {operation}: {why:?}");
        }
    }
}

#[test]
fn a_crash_at_each_operation_takes_nothing_that_is_safe() {
    at_each_operation(|operation| Faults { crashes_in: Some(operation), ..Faults::default() });
}

#[test]
fn an_error_at_each_operation_takes_nothing_that_is_safe() {
    at_each_operation(|operation| Faults { fails_in: Some((operation, 1)), ..Faults::default() });
}

/// Which seed finds that a rule is not kept, among so many.
fn found_by(mutation: Mutation, seeds: u64) -> Option<(u64, String)> {
    put_in(Some(mutation));
    let found = (0..seeds).find_map(|seed| Some((seed, fault_of(seed)?)));
    put_in(None);
    found
}

#[test]
fn each_rule_that_is_not_kept_is_found() {
    let rules = [
        Mutation::NoDataSync,
        Mutation::NoFolderSync,
        Mutation::NoSyncAtStart,
        Mutation::TrustMemory,
        Mutation::NoChecksum,
        Mutation::HalfCuts,
        Mutation::ForgetUnsafe,
        Mutation::RemoveAtOnce,
        Mutation::KeepDoubtful,
        Mutation::GivenUpComesBack,
        Mutation::GoOnAfterError,
        Mutation::NumbersAgain,
        Mutation::LoseNumbers,
        Mutation::NoBound,
    ];
    for rule in rules {
        let (seed, why) = found_by(rule, 20_000).unwrap_or_else(|| panic!("{rule:?} is not found"));
        println!("{rule:?}: seed {seed}: {}", why.chars().take(100).collect::<String>());
    }
}
