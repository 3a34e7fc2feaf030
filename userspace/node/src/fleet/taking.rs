//! What sensors gave together, on its way to whoever wants results.

use crate::tier::Upper;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tapline_aggregate::{Flaw, Results, half_id};
use tapline_catalog::{Assigned, Level, Log, Safety};
use tapline_delivery::{Given, HalfId, KeptHalf};
use tapline_engine::{EndReason, Event, QueryId, QueryLimits, QuerySnapshot, Subscriber};
use tapline_forward::Taker;
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;
use tapline_record::ledger::QueryLedger;
use tapline_sinks::time_text;

/// Panes that are kept in checkpoints until results of them are safe, and octets of their states; beyond, the oldest go.
pub(super) const HELD_MAX: usize = 4096;
const HELD_OCTETS_MAX: usize = 64 << 20;
/// Between two times that somebody is told that some went.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What whoever adds queries and whoever takes panes share. Results are made under a lock of their own: whoever asks how
/// queries stand does not wait for that.
pub(super) struct Shared {
    results: Mutex<Results>,
    running: Mutex<Running>,
}

/// The queries, and how far each has come.
#[derive(Default)]
struct Running {
    /// By their numbers on the wire.
    queries: BTreeMap<u64, Progress>,
    /// Whose half each is.
    halves: BTreeMap<HalfId, u64>,
}

/// How far a query has come.
struct Progress {
    query: QueryId,
    name: Arc<str>,
    /// Of each half, the end of the latest pane that was taken.
    reached: BTreeMap<HalfId, i64>,
    halves: usize,
    /// Records of sources that count in panes, as they were given first.
    records: u64,
    /// Whether whoever reads its results was told that LIMIT is reached.
    is_satisfied: bool,
    failure: Option<String>,
    flaws: Flaws,
}

/// Windows of a query that could not be made as they should be.
#[derive(Default)]
struct Flaws {
    count: u64,
    /// Of these, windows that there are none of.
    lost: u64,
    /// What is wrong with the last one, and when somebody was told of one.
    last: String,
    told: Option<Instant>,
}

impl Flaws {
    /// Notes one; gives the sentence that is to be told.
    fn note(&mut self, query: &str, flaw: &Flaw) -> Option<String> {
        self.count += 1;
        self.lost += u64::from(flaw.is_lost);
        self.last = format!("the window that ends at {} {}", time_text(flaw.window.end), flaw.what);
        let is_news = self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        is_news.then(|| {
            self.told = Some(Instant::now());
            format!("`{query}`: {}", self.last)
        })
    }

    /// All of them, as somebody who asks is told.
    fn said(&self) -> Option<String> {
        match self.count {
            0 => None,
            1 => Some(self.last.clone()),
            count => Some(format!("{count} windows are not as they should be; {}", self.last)),
        }
    }
}

/// Takes what is given.
pub(super) struct Taking {
    shared: Arc<Shared>,
    events: Subscriber,
    /// Where the node forwards to, in place of making results.
    upper: Option<Arc<Upper>>,
    holding: Holding,
    log: Log,
}

impl Shared {
    /// No query yet; panes may be given again for so long.
    pub(super) fn new(revisable_ns: i64) -> Self {
        Self { results: Mutex::new(Results::new(revisable_ns)), running: Mutex::default() }
    }

    /// Makes results of a query from now on.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it.
    pub(super) fn add(
        &self,
        query: QueryId,
        assigned: &Assigned,
        plan: &ContinuousQuery,
        limits: &QueryLimits,
    ) -> Result<(), String> {
        let (id, name) = (assigned.id, assigned.name.as_str().into());
        lock(&self.results).add_query(id, query, plan, limits)?;
        let (reached, halves) = (BTreeMap::new(), plan.lowers.len());
        let mut running = lock(&self.running);
        running.halves.extend((0..halves).map(|half| (half_id(id, half), id)));
        let (records, is_satisfied, failure, flaws) = (0, false, None, Flaws::default());
        let progress = Progress { query, name, reached, halves, records, is_satisfied, failure, flaws };
        running.queries.insert(id, progress);
        Ok(())
    }

    pub(super) fn drop_query(&self, id: u64) {
        lock(&self.results).drop_query(id);
        let mut running = lock(&self.running);
        running.queries.remove(&id);
        running.halves.retain(|_, query| *query != id);
    }

    /// The queries that cannot go on.
    pub(super) fn failed(&self) -> BTreeSet<u64> {
        let running = lock(&self.running);
        let failed = running.queries.iter().filter(|(_, progress)| progress.failure.is_some());
        failed.map(|(id, _)| *id).collect()
    }

    /// What is wrong with windows of a query that could not be made as they should be, where there are some.
    pub(super) fn flaws(&self, id: u64) -> Option<String> {
        lock(&self.running).queries.get(&id).and_then(|progress| progress.flaws.said())
    }

    /// How a query stands.
    pub(super) fn snapshot(&self, id: QueryId, assigned: &Assigned, octets_held: u64) -> QuerySnapshot {
        let running = lock(&self.running);
        let progress = running.queries.get(&assigned.id);
        let records = progress.map_or(0, |progress| progress.records);
        let watermark = progress.and_then(Progress::watermark);
        QuerySnapshot {
            id,
            name: assigned.name.as_str().into(),
            ledger: QueryLedger { delivered: records, used: records, ..QueryLedger::default() },
            octets_held,
            groups_held: 0,
            work_ns: 0,
            window_work_ns: 0,
            rows_beyond: 0,
            results_lost: progress.map_or(0, |progress| progress.flaws.lost),
            watermark,
            // Results are handed on before this is said.
            settled: watermark,
            over: progress.and_then(|progress| progress.failure.clone()).map(EndReason::Failed),
        }
    }
}

impl Progress {
    /// No window that ends here or earlier waits for anything but to be revised.
    fn watermark(&self) -> Option<EventTime> {
        let reached = self.reached.values().min().filter(|_| self.reached.len() == self.halves);
        reached.copied().map(EventTime)
    }

    fn note(&mut self, given: &Given) {
        let reached = self.reached.entry(given.half).or_insert(i64::MIN);
        *reached = given.pane.end.max(*reached);
        if given.revision == 0 {
            self.records = self.records.saturating_add(given.records);
        }
    }
}

impl Taking {
    pub(super) fn new(
        shared: &Arc<Shared>,
        (events, safety): (Subscriber, Safety),
        upper: Option<Arc<Upper>>,
        log: &Log,
    ) -> Self {
        let holding = Holding::new(safety);
        Self { shared: Arc::clone(shared), events, upper, holding, log: Arc::clone(log) }
    }

    /// Tells behind their last results whose LIMIT is reached, once.
    fn tell_satisfied(&self, satisfied: &[u64]) {
        let mut running = lock(&self.shared.running);
        let reached = running.queries.iter_mut().filter(|(id, _)| satisfied.contains(id));
        let news = reached.filter_map(|(_, progress)| {
            let is_told = std::mem::replace(&mut progress.is_satisfied, true);
            (!is_told).then_some(progress.query)
        });
        let news: Vec<QueryId> = news.collect();
        drop(running);
        news.into_iter().for_each(|query| self.events.give(Event::Satisfied(query)));
    }

    /// Notes windows that could not be made as they should be, and tells of them now and then.
    fn note_flaws(&self, flaws: &[(u64, Flaw)]) {
        let mut running = lock(&self.shared.running);
        for (id, flaw) in flaws {
            let progress = running.queries.get_mut(id);
            let sentence = progress.and_then(|Progress { name, flaws, .. }| flaws.note(name, flaw));
            sentence.iter().for_each(|sentence| self.log.say(Level::Warning, sentence));
        }
    }

    /// A query cannot go on.
    fn fail(&self, id: u64, why: String) {
        let failed = {
            let mut running = lock(&self.shared.running);
            let progress = running.queries.get_mut(&id);
            progress.map(|progress| {
                progress.failure.get_or_insert_with(|| why.clone());
                progress.query
            })
        };
        if let Some(query) = failed {
            let (reason, ledger) = (EndReason::Failed(why), QueryLedger::default());
            self.events.give(Event::Ended { query, reason, ledger });
        }
    }
}

impl Taker for Taking {
    fn resume(&mut self, kept: &[KeptHalf]) {
        let mut results = lock(&self.shared.results);
        for half in kept {
            if let Err(why) = results.resume(half) {
                self.log.say(Level::Warning, &format!("windows that may be revised are given up: {why}"));
            }
        }
    }

    fn take(&mut self, given: &[Given]) {
        let (taken, flaws, satisfied) = {
            let mut results = lock(&self.shared.results);
            let taken = results.take(given);
            (taken, results.take_flaws(), results.satisfied().collect::<Vec<_>>())
        };
        self.note_flaws(&flaws);
        for (id, result) in taken {
            match result {
                Ok(result) => {
                    self.events.give(Event::Result(result));
                    self.holding.given += 1;
                }
                Err(why) => self.fail(id, why),
            }
        }
        self.tell_satisfied(&satisfied);
        // What is said of how far they have come is said behind their results.
        let Running { queries, halves } = &mut *lock(&self.shared.running);
        for pane in given {
            let mut of_half = halves.get(&pane.half).and_then(|query| queries.get_mut(query));
            of_half.iter_mut().for_each(|progress| progress.note(pane));
            self.holding.hold(pane, of_half.map(|progress| Arc::clone(&progress.name)));
        }
    }

    fn safe(&mut self) -> Option<Vec<(HalfId, usize)>> {
        if self.holding.make_room() {
            let what = "history or a sink is far behind: what it has not stored yet is kept no longer for another start";
            self.log.say(Level::Warning, what);
        }
        Some(self.holding.take_safe())
    }

    fn assigned(&mut self, octets: &[u8]) {
        self.upper.iter().for_each(|upper| upper.told.put(octets.to_vec()));
    }

    fn ended(&mut self, why: &str) {
        self.log.say(Level::Error, &format!("this aggregator takes nothing any more: {why}"));
    }

    fn tell(&mut self, sentence: &str) {
        self.log.say(Level::Warning, sentence);
    }
}

/// Panes that were taken, of which results may not be safe.
struct Holding {
    safety: Safety,
    /// Results that were given.
    given: u64,
    panes: VecDeque<Held>,
    octets: usize,
    /// Panes that were let go of, and are to be said to be safe.
    let_go: BTreeMap<HalfId, usize>,
    /// When it was told that some were.
    told: Option<Instant>,
}

/// A pane that was taken.
struct Held {
    half: HalfId,
    /// None where its query is gone.
    query: Option<Arc<str>>,
    octets: usize,
    /// So many results were given by then, its own among them.
    given: u64,
    /// When outlets had these, once they have.
    handed: Option<EventTime>,
}

impl Holding {
    fn new(safety: Safety) -> Self {
        let (panes, let_go) = (VecDeque::new(), BTreeMap::new());
        Self { safety, given: 0, panes, octets: 0, let_go, told: None }
    }

    /// Holds a pane of which all results were given.
    fn hold(&mut self, pane: &Given, query: Option<Arc<str>>) {
        let octets = pane.state.len();
        self.octets += octets;
        self.panes.push_back(Held { half: pane.half, query, octets, given: self.given, handed: None });
    }

    /// Lets go of the oldest where they are too many: a checkpoint has all of them. Says whether that is to be told.
    fn make_room(&mut self) -> bool {
        let is_news = self.are_too_many() && self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_news {
            self.told = Some(Instant::now());
        }
        while self.are_too_many() {
            let Some(pane) = self.panes.pop_front() else { break };
            self.octets -= pane.octets;
            *self.let_go.entry(pane.half).or_default() += 1;
        }
        is_news
    }

    fn are_too_many(&self) -> bool {
        self.panes.len() > HELD_MAX || self.octets > HELD_OCTETS_MAX
    }

    /// How many of the oldest of each half are safe since this was asked before.
    fn take_safe(&mut self) -> Vec<(HalfId, usize)> {
        let mut safe = std::mem::take(&mut self.let_go);
        if self.panes.is_empty() {
            return safe.into_iter().collect();
        }
        // In this order: what outlets have is looked at behind what they were given.
        let (handed, now) = (self.safety.handed(), self.safety.now());
        let (since, mut held_back) = (self.safety.unsafe_since(), BTreeSet::new());
        for mut pane in std::mem::take(&mut self.panes) {
            if pane.given <= handed {
                pane.handed.get_or_insert(now);
            }
            let unsafe_since = pane.query.as_deref().and_then(|query| since.get(query).copied());
            let has_stored = |handed: EventTime| unsafe_since.is_none_or(|since| handed < since);
            let is_safe = pane.handed.is_some_and(has_stored) && !held_back.contains(&pane.half);
            if is_safe {
                self.octets -= pane.octets;
                *safe.entry(pane.half).or_default() += 1;
            } else {
                held_back.insert(pane.half);
                self.panes.push_back(pane);
            }
        }
        safe.into_iter().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
