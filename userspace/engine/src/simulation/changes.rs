//! Queries come and go while sources are read.

use super::script::{Played, SECOND_NS, Script};
use super::stage::{Random, Stage};
use crate::query_state::EndReason;
use crate::subscription::{Event, Subscriber, Subscription, WhenFull, subscription};
use crate::{Engine, QueryId, Status, WindowResult};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, UInt16Type};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tapline_query::Planner;
use tapline_record::ledger::QueryLedger;
use tapline_sources::Source;

const SOURCES: u16 = 3;
const ROWS: usize = 12_000;
const BATCH_ROWS: usize = 4;
const CHANGES: usize = 1_000;

/// Aggregates that say how many packets there are: those who differ in them alone share one fold.
const COUNTS: [&str; 3] = ["count(*)", "sum(1)", "count(src_port)"];

/// Conditions that every packet meets: those who have one in common have it computed once.
const CONDITIONS: [&str; 3] = ["", "AND octets > 50 ", "AND octets > 50 AND octets / 3 < 90 "];

/// Keys that tell packets apart as the port does: those who have one in common look it up once.
const KEYS: [&str; 3] = ["src_port", "src_port, octets", "src_port, octets / 7"];

/// A question: packets by port, of ports below a limit, in windows of so many seconds.
#[derive(Clone, Copy, Debug)]
struct Question {
    ports_below: u16,
    window: i64,
    count: &'static str,
    condition: &'static str,
    keys: &'static str,
}

impl Question {
    fn any(random: &mut Random) -> Self {
        let windows = [7, 10, 60];
        let ports_below = 1 + random.below(SOURCES.into()) as u16;
        Self {
            ports_below,
            window: windows[random.below(3)],
            count: COUNTS[random.below(3)],
            condition: CONDITIONS[random.below(3)],
            keys: KEYS[random.below(3)],
        }
    }

    fn sql(self) -> String {
        let Self { ports_below, window, count, condition, keys } = self;
        format!(
            "SELECT src_port, {count} AS n FROM packets WHERE src_port < {ports_below} {condition}\
             GROUP BY {keys}, tumble('{window} seconds')"
        )
    }
}

/// A query that was added.
struct Asked {
    question: Question,
    /// Which order to go over to another layout it came with; `None` when it was there before the sources.
    order: Option<usize>,
    is_dropped: bool,
    /// By window and port, what it answered.
    answers: BTreeMap<(i64, u16), (Status, i64)>,
    ended: Option<(EndReason, QueryLedger)>,
}

/// An engine that is played, and what is known of it.
struct Play {
    random: Random,
    stage: Stage,
    engine: Engine,
    subscriber: Subscriber,
    events: Subscription,
    seconds: Vec<Arc<Vec<i64>>>,
    played: Vec<Played>,
    orders: usize,
    asked: BTreeMap<QueryId, Asked>,
}

impl Play {
    fn new(seed: u64, workers: usize, is_live: bool) -> Self {
        let (mut random, stage) = (Random(seed), Stage::default());
        let (mut engine, _) = stage.engine(workers, 4);
        let (subscriber, events) = subscription(1 << 16, WhenFull::Lose);
        let (count, condition, keys) = (COUNTS[0], CONDITIONS[0], KEYS[1]);
        let question = Question { ports_below: SOURCES, window: 10, count, condition, keys };
        let query =
            engine.add_query(Planner::new().plan(&question.sql()).unwrap(), subscriber.clone()).unwrap();
        // One source after the other ends while queries still come.
        let seconds = |port| Arc::new(times(&mut random, ROWS / (1 + usize::from(port))));
        let seconds: Vec<_> = (0..SOURCES).map(seconds).collect();
        let script = |(port, seconds): (u16, &Arc<Vec<i64>>)| {
            Script::new(Arc::clone(seconds), port, BATCH_ROWS, is_live)
        };
        let scripts: Vec<Script> = (0..SOURCES).zip(&seconds).map(script).collect();
        let played = scripts.iter().map(Script::played).collect();
        let boxed = scripts.into_iter().map(|script| Box::new(script) as Box<dyn Source>);
        engine.add_sources(boxed.collect()).unwrap();
        let mut play = Self {
            random,
            stage,
            engine,
            subscriber,
            events,
            seconds,
            played,
            orders: 0,
            asked: BTreeMap::new(),
        };
        play.note(query, question, None);
        play
    }

    fn note(&mut self, query: QueryId, question: Question, order: Option<usize>) {
        let (answers, ended) = (BTreeMap::new(), None);
        self.asked.insert(query, Asked { question, order, is_dropped: false, answers, ended });
    }

    /// Adds a query, or drops one, but never the first.
    fn change(&mut self, planner: &Planner) {
        let running: Vec<_> = self.asked.iter().filter(|(id, asked)| id.0 > 0 && !asked.is_dropped).collect();
        if running.len() > 8 || !running.is_empty() && self.random.below(2) == 0 {
            let query = *running[self.random.below(running.len())].0;
            self.engine.drop_query(query);
            self.asked.get_mut(&query).unwrap().is_dropped = true;
        } else {
            let question = Question::any(&mut self.random);
            let query = planner.plan(&question.sql()).unwrap();
            let query = self.engine.add_query(query, self.subscriber.clone()).unwrap();
            self.note(query, question, Some(self.orders));
        }
        self.orders += 1;
    }

    fn read(&mut self) {
        while let Ok(Some(event)) = self.events.next(Duration::ZERO) {
            match event {
                Event::Result(result) => self.asked.get_mut(&result.query).unwrap().take(&result),
                Event::Ended { query, reason, ledger } => {
                    self.asked.get_mut(&query).unwrap().ended = Some((reason, ledger));
                }
                Event::Satisfied(_) | Event::Notice(..) | Event::SourceEnded { .. } => {}
            }
        }
    }

    /// Runs to the end, with so many changes on the way.
    fn run(&mut self, changes: usize) {
        let planner = Planner::new();
        for _ in 0..changes {
            for _ in 0..self.random.below(24) {
                self.stage.step(&mut self.random);
            }
            self.change(&planner);
            self.read();
        }
        self.engine.drain();
        while self.stage.step(&mut self.random) {
            self.read();
        }
        self.read();
    }

    /// By window and port, the packets that a query is to have counted: those of each source behind its turn.
    fn truth(&self, question: Question, order: Option<usize>) -> BTreeMap<(i64, u16), i64> {
        let mut truth = BTreeMap::new();
        for (port, (seconds, played)) in (0..question.ports_below).zip(self.seconds.iter().zip(&self.played))
        {
            let turns = played.turns.lock().unwrap();
            let first = order.map_or(0, |order| turns.get(order).copied().unwrap_or(seconds.len()));
            for second in &seconds[first..] {
                let window = second.div_euclid(question.window) * question.window;
                *truth.entry((window, port)).or_default() += 1;
            }
        }
        truth
    }

    fn rows(&self) -> u64 {
        self.seconds.iter().map(|seconds| seconds.len() as u64).sum()
    }

    fn dropped(&self) -> u64 {
        self.played.iter().map(|played| played.dropped.load(Ordering::Relaxed)).sum()
    }
}

impl Asked {
    fn take(&mut self, result: &WindowResult) {
        let start = result.window.unwrap().start.0 / SECOND_NS;
        for rows in &result.rows {
            let ports = rows.column(0).as_primitive::<UInt16Type>().values().iter();
            for (port, count) in ports.zip(rows.column(1).as_primitive::<Int64Type>().values()) {
                let before = self.answers.insert((start, *port), (result.status, *count));
                assert_eq!(before, None, "a window is answered once");
            }
        }
    }

    /// Whether what it answered is what was there: all of it where it says so, and of windows that had begun what came
    /// behind its turn.
    fn check(&self, play: &Play) {
        let all = play.truth(self.question, None);
        let seen = play.truth(self.question, self.order);
        for (key, (status, count)) in &self.answers {
            assert_eq!(Some(count), seen.get(key), "{:?} {key:?} {status:?}", self.question);
            if *status == Status::Final {
                assert_eq!(seen.get(key), all.get(key), "{:?} {key:?} is said to be whole", self.question);
            }
        }
        let (reason, ledger) = self.ended.as_ref().expect("every query ends");
        assert!(ledger.adds_up() && ledger.late == 0, "{ledger:?}");
        if self.is_dropped {
            return assert_eq!(*reason, EndReason::Dropped);
        }
        assert_eq!(*reason, EndReason::Input);
        assert_eq!(self.answers.len(), seen.len(), "every window is answered");
        assert_eq!(ledger.used, seen.values().sum::<i64>() as u64);
    }
}

/// When each packet of a source was: some at once, then none for some seconds.
pub(super) fn times(random: &mut Random, rows: usize) -> Vec<i64> {
    let mut second = 1_000;
    let mut next = || {
        second += if random.below(3) == 0 { random.below(4) as i64 } else { 0 };
        second
    };
    (0..rows).map(|_| next()).collect()
}

#[test]
fn a_thousand_changes_lose_nothing_of_any_query() {
    for (seed, workers) in [(1, 1), (2, 2), (3, 3)] {
        let mut play = Play::new(seed, workers, false);
        play.run(CHANGES);
        assert!(play.asked.len() > CHANGES / 3, "{} queries were asked", play.asked.len());
        let turns = play.played[0].turns.lock().unwrap().len();
        assert!(turns > CHANGES / 2, "most changes came while a source was read");
        play.asked.values().for_each(|asked| asked.check(&play));
        let first = &play.asked[&QueryId(0)];
        assert!(first.answers.values().all(|(status, _)| *status == Status::Final));
        assert_eq!(first.ended.as_ref().unwrap().1.used, play.rows());
    }
}

#[test]
fn a_query_that_came_into_a_window_calls_it_partial_and_the_next_one_whole() {
    let mut late_ones = 0;
    for seed in 7..12 {
        let mut play = Play::new(seed, 2, false);
        play.run(200);
        for asked in play.asked.values().filter(|asked| asked.order.is_some() && !asked.is_dropped) {
            // Windows stand in their order.
            let are_partial: Vec<_> =
                asked.answers.values().map(|(status, _)| *status == Status::Partial).collect();
            let border = are_partial.iter().take_while(|is_partial| **is_partial).count();
            // What is called whole is; one that came before the first row of its windows missed nothing.
            asked.check(&play);
            assert!(!are_partial[border..].contains(&true), "{:?} {are_partial:?}", asked.question);
            late_ones += usize::from(border > 0 && border < are_partial.len());
        }
    }
    assert!(late_ones > 0, "some came into a window and saw whole ones behind it");
}

#[test]
fn what_live_sources_drop_under_changes_is_counted_once() {
    for seed in 10..13 {
        let mut play = Play::new(seed, 2, true);
        play.run(CHANGES / 4);
        let ledger = play.asked[&QueryId(0)].ended.as_ref().unwrap().1;
        assert!(play.dropped() > 0, "the sources are faster than the workers");
        assert_eq!(ledger.delivered + play.dropped(), play.rows());
        assert!(play.asked.values().all(|asked| asked.ended.as_ref().unwrap().1.adds_up()));
    }
}
