//! Queries that are forwarded: what each cut has of them, while sources and queries come and go. How far each source was
//! at a cut it says itself, so that what the cut must have is known.

use super::changes::times;
use super::script::{Played, SECOND_NS, Script};
use super::stage::{Random, Stage};
use crate::query_state::EndReason;
use crate::subscription::{Event, Subscription, WhenFull, subscription};
use crate::suspended::Beginning;
use crate::{Cut, CutPane, CutQuery, Engine, EngineError, NewQuery, QueryId, QueryLimits, Status};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, UInt16Type};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::HeldLimits;
use tapline_query::{ContinuousQuery, Planner};
use tapline_record::EventTime;
use tapline_record::ledger::QueryLedger;
use tapline_sources::Source;

const ROWS: usize = 2_400;
const BATCH_ROWS: usize = 4;
const TURNS: usize = 400;

/// What an ordinary query counts that has the same panes, rows and keys as some that are forwarded.
const BESIDE: &str = "SELECT src_port, sum(octets) AS o, count(*) AS n FROM packets WHERE src_port < 3 GROUP BY src_port, tumble('10 seconds')";

/// Counts by pane or window, in seconds, and port.
type Counts = BTreeMap<(i64, u16), i64>;

/// A source, and what is known of it.
struct Fed {
    /// When each packet was.
    seconds: Arc<Vec<i64>>,
    played: Played,
    /// Orders to go over to another layout that were given before it came.
    born: usize,
    /// Packets before the last cut.
    cut: usize,
}

/// A query that is forwarded, and what came of it.
struct Asked {
    ports_below: u16,
    width: i64,
    /// Which order to go over to another layout it came with; `None` when it was there before the sources.
    order: Option<usize>,
    is_dropped: bool,
    counts: Counts,
    watermark: EventTime,
    whole_after: EventTime,
    ended: Option<(EndReason, QueryLedger)>,
}

/// An engine that is played, and what is known of it.
struct Play {
    random: Random,
    stage: Stage,
    engine: Engine,
    notices: Subscription,
    fed: Vec<Fed>,
    orders: usize,
    asked: BTreeMap<QueryId, Asked>,
    cuts: u64,
    /// What the ordinary query answered.
    beside: Counts,
    events: Subscription,
}

fn plan(sql: &str) -> ContinuousQuery {
    Planner::new().plan(sql).unwrap()
}

fn new_query(query: ContinuousQuery, limits: QueryLimits) -> NewQuery<'static> {
    NewQuery { name: "forwarded", query, limits, from: Beginning::Anew }
}

impl Fed {
    /// The first row that a query sees of it.
    fn first(&self, order: Option<usize>) -> usize {
        let turns = self.played.turns.lock().unwrap();
        let turn = order.and_then(|order| order.checked_sub(self.born));
        turn.map_or(0, |turn| turns.get(turn).copied().unwrap_or(self.seconds.len()))
    }
}

impl Play {
    /// With an ordinary query and one that is forwarded before so many sources.
    fn new(seed: u64, sources: usize) -> Self {
        let (mut random, stage) = (Random(seed), Stage::default());
        let workers = 1 + random.below(3);
        let (mut engine, notices) = stage.engine(workers, 4);
        let (subscriber, events) = subscription(1 << 16, WhenFull::Lose);
        engine.add_query(plan(BESIDE), subscriber).unwrap();
        let mut play = Self {
            random,
            stage,
            engine,
            notices,
            fed: vec![],
            orders: 0,
            asked: BTreeMap::new(),
            cuts: 0,
            beside: Counts::new(),
            events,
        };
        play.ask(None);
        play.feed(sources);
        play
    }

    /// Adds sources, whose packets are later than those of all before.
    fn feed(&mut self, sources: usize) {
        let latest = self.fed.iter().filter_map(|fed| fed.seconds.last()).max().copied().unwrap_or(0);
        let mut scripts: Vec<Box<dyn Source>> = vec![];
        for _ in 0..sources {
            let rows = ROWS / (1 + self.random.below(4));
            let mut seconds = times(&mut self.random, rows);
            seconds.iter_mut().for_each(|second| *second += latest);
            let seconds = Arc::new(seconds);
            let script = Script::new(Arc::clone(&seconds), self.fed.len() as u16, BATCH_ROWS, false);
            self.fed.push(Fed { seconds, played: script.played(), born: self.orders, cut: 0 });
            scripts.push(Box::new(script));
        }
        self.engine.add_sources(scripts).unwrap();
    }

    /// Adds a query that is forwarded.
    fn ask(&mut self, order: Option<usize>) {
        let (ports_below, width) = (1 + self.random.below(3) as u16, [7, 10, 60][self.random.below(3)]);
        let count = ["count(*)", "sum(1)", "count(src_port)"][self.random.below(3)];
        let sql = format!(
            "SELECT src_port, {count} AS n FROM packets WHERE src_port < {ports_below} GROUP BY src_port, tumble('{width} seconds')"
        );
        let query = self.engine.add_forwarded(new_query(plan(&sql), QueryLimits::default())).unwrap();
        let asked = Asked {
            ports_below,
            width,
            order,
            is_dropped: false,
            counts: Counts::new(),
            watermark: EventTime::MIN,
            whole_after: EventTime::MIN,
            ended: None,
        };
        self.asked.insert(query, asked);
    }

    /// Adds a query or a source, or drops a query, but never the first.
    fn change(&mut self) {
        let running: Vec<_> = self.asked.iter().filter(|(_, asked)| !asked.is_dropped).skip(1).collect();
        match self.random.below(8) {
            0 if self.fed.len() < 12 => return self.feed(1),
            0..4 if !running.is_empty() => {
                let query = *running[self.random.below(running.len())].0;
                self.engine.drop_query(query);
                self.asked.get_mut(&query).unwrap().is_dropped = true;
            }
            _ if running.len() > 4 => return,
            _ => self.ask(Some(self.orders)),
        }
        self.orders += 1;
    }

    /// Runs to the end, with cuts, and changes if there are to be some.
    fn run(&mut self, changes: bool) {
        for _ in 0..TURNS {
            for _ in 0..self.random.below(24) {
                self.stage.step(&mut self.random);
            }
            if changes && self.random.below(4) == 0 {
                self.change();
            }
            if self.random.below(3) == 0 {
                self.engine.cut();
            }
            self.read();
        }
        self.engine.drain();
        assert!(!self.engine.cut(), "the last one comes by itself");
        while self.stage.step(&mut self.random) {
            self.read();
        }
    }

    fn read(&mut self) {
        while let Some(cut) = self.engine.take_cut() {
            self.take(&cut);
        }
        while let Ok(Some(event)) = self.events.next(Duration::ZERO) {
            let Event::Result(result) = event else { continue };
            assert_eq!(result.status, Status::Final);
            let start = result.window.unwrap().start.0 / SECOND_NS;
            for rows in &result.rows {
                let ports = rows.column(0).as_primitive::<UInt16Type>().values();
                let octets = rows.column(1).as_primitive::<Int64Type>().values();
                let counts = rows.column(2).as_primitive::<Int64Type>().values();
                for ((port, octets), count) in ports.iter().zip(octets).zip(counts) {
                    assert_eq!(*octets, 100 * count);
                    assert_eq!(self.beside.insert((start, *port), *count), None, "a window is answered once");
                }
            }
        }
        while let Ok(Some(event)) = self.notices.next(Duration::ZERO) {
            if let Event::Ended { query, reason, ledger } = event {
                let before = self.asked.get_mut(&query).unwrap().ended.replace((reason, ledger));
                assert!(before.is_none(), "it ends once");
            }
        }
    }

    fn take(&mut self, cut: &Cut) {
        self.cuts += 1;
        assert_eq!(cut.number, self.cuts);
        let before: Vec<usize> = self.fed.iter().map(|fed| fed.cut).collect();
        for (name, position) in &cut.positions {
            let port: usize = name.strip_prefix("port ").unwrap().parse().unwrap();
            self.fed[port].cut = position.parse().unwrap();
        }
        for query in &cut.queries {
            let expected = self.came(&self.asked[&query.query], &before);
            self.asked.get_mut(&query.query).unwrap().take(query, &expected);
        }
    }

    /// What came for a query between these rows of each source and the last cut.
    fn came(&self, asked: &Asked, before: &[usize]) -> Counts {
        let mut counts = Counts::new();
        let sources = (0..asked.ports_below).zip(self.fed.iter().zip(before));
        for (port, (fed, before)) in sources {
            let first = fed.first(asked.order).max(*before).min(fed.cut);
            fed.seconds[first..fed.cut]
                .iter()
                .for_each(|second| add(&mut counts, asked.width, *second, port));
        }
        counts
    }

    /// Whether all cuts together have what each query is to have seen, and all of it where they say so.
    fn check(&self) {
        for asked in self.asked.values() {
            let (reason, ledger) = asked.ended.as_ref().expect("every query ends");
            assert!(ledger.adds_up() && ledger.late == 0 && ledger.dropped == 0, "{ledger:?}");
            if asked.is_dropped {
                assert_eq!(*reason, EndReason::Dropped);
                continue;
            }
            assert_eq!(*reason, EndReason::Input);
            assert_eq!(asked.counts, self.came(asked, &vec![0; self.fed.len()]));
            assert_eq!(ledger.used, asked.counts.values().sum::<i64>() as u64);
            let always = Asked { order: None, counts: Counts::new(), ended: None, ..*asked };
            let mut all = self.came(&always, &vec![0; self.fed.len()]);
            let is_whole = |(start, _): &(i64, u16)| start * SECOND_NS >= asked.whole_after.0;
            all.retain(|key, _| is_whole(key));
            let mut whole = asked.counts.clone();
            whole.retain(|key, _| is_whole(key));
            assert_eq!(whole, all, "panes that begin behind {:?} are whole", asked.whole_after);
        }
        let mut truth = Counts::new();
        for (port, fed) in (0..3).zip(&self.fed) {
            fed.seconds.iter().for_each(|second| add(&mut truth, 10, *second, port));
        }
        assert_eq!(self.beside, truth, "what an ordinary query answers does not change");
    }
}

impl Asked {
    fn take(&mut self, query: &CutQuery, expected: &Counts) {
        let counts = counts_of(&query.panes);
        assert_eq!(counts, *expected, "a cut has what came between two marks of each source");
        for pane in &query.panes {
            assert_eq!(pane.pane.end, pane.pane.start.plus(self.width * SECOND_NS));
            let may_come = pane.parts.is_empty() || pane.pane.end > self.watermark;
            assert!(may_come, "{:?} is before {:?}", pane.pane, self.watermark);
        }
        let starts: BTreeSet<i64> = query.panes.iter().map(|pane| pane.pane.start.0 / SECOND_NS).collect();
        assert_eq!(starts.len(), query.panes.len(), "each pane is in a cut once");
        assert!(query.watermark >= self.watermark && query.watermark < EventTime::MAX);
        if self.watermark > EventTime::MIN {
            let passed = query.watermark.0 / SECOND_NS / self.width;
            let before = self.watermark.0 / SECOND_NS / self.width;
            assert!((before..passed).all(|number| starts.contains(&(number * self.width))));
        }
        (self.watermark, self.whole_after) = (query.watermark, query.whole_after);
        counts.into_iter().for_each(|(key, count)| *self.counts.entry(key).or_default() += count);
    }
}

fn add(counts: &mut Counts, width: i64, second: i64, port: u16) {
    *counts.entry((second.div_euclid(width) * width, port)).or_default() += 1;
}

fn counts_of(panes: &[CutPane]) -> Counts {
    let mut counts = Counts::new();
    for (pane, groups) in panes.iter().flat_map(|pane| pane.parts.groups().map(move |groups| (pane, groups)))
    {
        let ports = groups.groups.column(0).as_primitive::<UInt16Type>().values();
        let values = groups.groups.column(1).as_primitive::<Int64Type>().values();
        let start = pane.pane.start.0 / SECOND_NS;
        ports
            .iter()
            .zip(values)
            .for_each(|(port, count)| *counts.entry((start, *port)).or_default() += count);
    }
    counts
}

#[test]
fn each_cut_is_what_sources_had_given_and_all_of_them_are_the_answer() {
    for seed in 0..24 {
        let mut play = Play::new(seed, 3);
        play.run(false);
        play.check();
        assert!(play.cuts > 8, "seed {seed} had {} cuts", play.cuts);
    }
}

#[test]
fn so_it_is_while_sources_and_queries_come_and_go() {
    let mut queries = 0;
    for seed in 100..124 {
        let mut play = Play::new(seed, 2);
        play.run(true);
        play.check();
        queries += play.asked.len();
    }
    assert!(queries > 24 * 4, "{queries} queries were asked");
}

#[test]
fn a_cut_needs_no_source_and_comes_without_a_query() {
    for sources in [0, 2] {
        let (mut random, stage) = (Random(1), Stage::default());
        let (mut engine, _) = stage.engine(2, 4);
        let (subscriber, _) = subscription(1, WhenFull::Lose);
        engine.add_query(plan(BESIDE), subscriber).unwrap();
        let scripts = (0..sources).map(|port| {
            Box::new(Script::new(Arc::new(vec![5; 8_000]), port, BATCH_ROWS, false)) as Box<dyn Source>
        });
        engine.add_sources(scripts.collect()).unwrap();
        for number in 1..4 {
            assert!(engine.cut());
            assert!(!engine.cut(), "one is under way");
            (0..500).for_each(|_| {
                stage.step(&mut random);
            });
            assert!(!engine.cut(), "it was not taken");
            assert_eq!(engine.take_cut().map(|cut| (cut.number, cut.queries.len())), Some((number, 0)));
            assert!(engine.take_cut().is_none());
        }
        let report = engine.join().unwrap();
        assert!(report.cuts.is_empty(), "nobody's rows are left");
    }
}

#[test]
fn what_is_suspended_leaves_a_last_cut_with_all_that_is_left() {
    for seed in 200..212 {
        let mut play = Play::new(seed, 3);
        for _ in 0..40 {
            for _ in 0..play.random.below(24) {
                play.stage.step(&mut play.random);
            }
            if play.random.below(4) == 0 {
                play.engine.cut();
            }
            if play.random.below(4) == 0 {
                play.read();
            }
        }
        // Some may be under way, or not taken.
        let (engine, _) = Stage::default().engine(1, 4);
        let (report, suspended) = std::mem::replace(&mut play.engine, engine).suspend().unwrap();
        assert_eq!(suspended.queries.len(), 1, "of the ordinary query open windows are kept");
        assert!((1..=2).contains(&report.cuts.len()));
        report.cuts.iter().for_each(|cut| play.take(cut));
        let (asked, given) = (&play.asked[&QueryId(1)], play.fed.iter().map(|fed| fed.cut));
        assert!(given.sum::<usize>() > 0, "each source says how far it was");
        assert_eq!(asked.counts, play.came(asked, &[0; 3]));
        let last = report.cuts.last().unwrap();
        assert_eq!(last.positions.len(), 3, "all have ended since the cut before");
    }
}

/// Runs live sources, or files whose packets come late, with cuts; gives what these have.
fn run(seed: u64, scripts: Vec<Script>, limits: QueryLimits) -> (Vec<Cut>, QueryLedger) {
    let (mut random, stage) = (Random(seed), Stage::default());
    let workers = 1 + random.below(3);
    let (mut engine, _) = stage.engine(workers, 4);
    let sql = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('10 seconds')";
    engine.add_forwarded(new_query(plan(sql), limits)).unwrap();
    let scripts = scripts.into_iter().map(|script| Box::new(script) as Box<dyn Source>);
    engine.add_sources(scripts.collect()).unwrap();
    let mut cuts = vec![];
    for _ in 0..TURNS {
        for _ in 0..random.below(24) {
            stage.step(&mut random);
        }
        if random.below(3) == 0 {
            engine.cut();
        }
        if random.below(3) == 0 {
            cuts.extend(engine.take_cut());
        }
    }
    let report = engine.join().unwrap();
    cuts.extend(report.cuts);
    (cuts, report.snapshot.queries[0].ledger)
}

fn panes(cut: &Cut) -> impl Iterator<Item = &CutPane> {
    cut.queries.iter().flat_map(|query| &query.panes)
}

fn rows(cut: &Cut) -> u64 {
    panes(cut).map(|pane| pane.parts.rows()).sum()
}

#[test]
fn coverage_of_a_cut_is_that_of_its_rows() {
    let mut dropped = 0.0;
    for seed in 300..316 {
        let mut random = Random(seed);
        let script = |port| Script::new(Arc::new(times(&mut random, ROWS)), port, BATCH_ROWS, true);
        let scripts: Vec<Script> = (0..3).map(script).collect();
        let (cuts, ledger) = run(seed, scripts, QueryLimits::default());
        let mut given = BTreeMap::new();
        for cut in &cuts {
            let mut came = 0;
            for (name, position) in &cut.positions {
                let position: u64 = position.parse().unwrap();
                came += position - given.insert(name.clone(), position).unwrap_or(0);
            }
            let covered = || panes(cut).flat_map(|pane| &pane.covered);
            let delivered: f64 = covered().map(|second| second.delivered).sum();
            let missing: f64 = covered().map(|second| second.missing).sum();
            assert_eq!(rows(cut) as f64, delivered, "seed {seed}, cut {}", cut.number);
            assert_eq!(came as f64, delivered + missing, "seed {seed}, cut {}", cut.number);
            dropped += missing;
        }
        assert_eq!(given.values().sum::<u64>(), 3 * ROWS as u64);
        assert_eq!(cuts.iter().map(rows).sum::<u64>(), ledger.used);
    }
    assert!(dropped > 0.0, "the sources are faster than the workers");
}

#[test]
fn no_part_comes_behind_a_watermark_however_late_its_rows() {
    let mut late = 0;
    for seed in 400..416 {
        let mut random = Random(seed);
        let disordered = |port| {
            let mut seconds = times(&mut random, ROWS);
            seconds.iter_mut().for_each(|second| *second -= [0, 0, 3, 9, 40][random.below(5)]);
            Script::new(Arc::new(seconds), port, BATCH_ROWS, false)
        };
        let scripts: Vec<Script> = (0..2).map(disordered).collect();
        let (cuts, ledger) = run(seed, scripts, QueryLimits::default());
        let mut watermark = EventTime::MIN;
        for cut in &cuts {
            let mut parts = panes(cut).filter(|pane| !pane.parts.is_empty());
            assert!(parts.all(|pane| pane.pane.end > watermark), "seed {seed}, cut {}", cut.number);
            watermark = cut.queries[0].watermark;
        }
        assert_eq!(cuts.iter().map(rows).sum::<u64>(), ledger.used);
        assert_eq!(cuts.iter().flat_map(panes).map(|pane| pane.unread.late).sum::<u64>(), ledger.late);
        assert!(ledger.adds_up() && ledger.delivered == 2 * ROWS as u64, "{ledger:?}");
        late += ledger.late;
    }
    assert!(late > 0, "some came late");
}

#[test]
fn of_panes_that_were_passed_only_what_is_missing_is_told() {
    let mut late = 0;
    for seed in 600..616 {
        let mut random = Random(seed);
        let mut seconds = times(&mut random, ROWS);
        seconds.iter_mut().for_each(|second| *second -= [0, 0, 3, 9, 40][random.below(5)]);
        let script = Script::new(Arc::new(seconds), 0, BATCH_ROWS, true);
        let (cuts, ledger) = run(seed, vec![script], QueryLimits::default());
        let mut watermark = EventTime::MIN;
        for cut in &cuts {
            let passed = panes(cut).filter(|pane| pane.pane.end <= watermark);
            let mut told = passed.flat_map(|pane| &pane.covered);
            assert!(told.all(|second| second.missing > 0.0), "seed {seed}, cut {}", cut.number);
            watermark = cut.queries[0].watermark;
        }
        late += ledger.late;
    }
    assert!(late > 0, "some came late");
}

#[test]
fn what_there_is_no_room_for_is_left_out_and_counted() {
    let held = HeldLimits { windows_max: 3, ..HeldLimits::default() };
    let limits = QueryLimits { held, ..QueryLimits::default() };
    let mut left_out = 0;
    for seed in 500..508 {
        let script = Script::new(Arc::new(times(&mut Random(seed), ROWS)), 0, BATCH_ROWS, false);
        let (cuts, ledger) = run(seed, vec![script], limits);
        let of_panes: u64 = cuts.iter().flat_map(panes).map(|pane| pane.unread.left_out).sum();
        assert_eq!((of_panes, cuts.iter().map(rows).sum::<u64>()), (ledger.dropped, ledger.used));
        assert!(ledger.adds_up() && ledger.used + ledger.dropped == ROWS as u64, "{ledger:?}");
        assert!(cuts.iter().flat_map(panes).all(|pane| pane.covered.is_empty()), "nothing is lost of a file");
        left_out += of_panes;
    }
    assert!(left_out > 0, "some panes were left out");
}

#[test]
fn what_has_no_panes_is_not_forwarded() {
    let (mut engine, _) = Stage::default().engine(1, 4);
    for (sql, says) in [
        ("SELECT src_port FROM packets", "it has no window"),
        ("SELECT count(*) FROM packets", "it has no window"),
        ("SELECT count(*) FROM packets GROUP BY tumble_rows(10)", "tumble_rows(n) counts rows"),
    ] {
        let error = engine.add_forwarded(new_query(plan(sql), QueryLimits::default())).unwrap_err();
        assert!(matches!(error, EngineError::Forwarded(_)) && error.to_string().contains(says), "{error}");
    }
    assert!(engine.snapshot().queries.is_empty(), "nothing changes by it");
}
