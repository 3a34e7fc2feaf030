//! Results on their way to whoever stores or sends them.
//!
//! ```text
//! results thread ──take──► queue, bounded in number and octets ──► thread of the outlet ──► Sink
//! ```
//! Whoever gives a result never waits: what the queue has no room for is lost, and counted by query. A sink that cannot
//! go on keeps the result at the front of its queue, and is tried again, less and less often; nobody else notices.

use crate::origin::{Board, Firing, Known, Origin};
use crate::sink::{Parcel, Refusal, ResultId, Sink};
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tapline_operators::{Status, WindowResult};
use tapline_record::EventTime;
use tapline_sources::Clock;

/// Between two looks of a sink at what is due.
const TEND_EVERY: Duration = Duration::from_millis(250);
/// How long a sink that cannot go on is left alone, at first and at most.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(500);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long a sink may take for what waits when the node ends.
const FINISH_WITHIN: Duration = Duration::from_secs(20);
/// Results that a sink is given at once, and octets of their rows; one is always given.
const BATCH_RESULTS_MAX: usize = 1024;
const BATCH_OCTETS_MAX: usize = 16 << 20;
/// Between two times that somebody is told of lost results.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Whether an outlet does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutletState {
    /// It does.
    Running,
    /// It cannot; why. It is tried again and again.
    Failing(String),
}

/// How an outlet stands; results that were given and are neither lost nor waiting have arrived.
#[derive(Clone, Debug)]
pub struct OutletStatus {
    /// What it is called.
    pub name: String,
    /// What it is, in a word.
    pub kind: &'static str,
    /// Whether it does its work.
    pub state: OutletState,
    /// Results that it was given.
    pub given: u64,
    /// Results that were lost, by query.
    pub lost: BTreeMap<String, u64>,
    /// Results that wait to be safe.
    pub waiting: u64,
}

/// Which way it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It cannot go on, or loses results.
    Worse,
    /// It goes on.
    Better,
}

/// Who is told, in sentences.
pub type Told = Arc<dyn Fn(Turn, &str) + Send + Sync>;

/// Which queries an outlet takes results of.
pub type Wanted = Box<dyn Fn(&Origin) -> bool + Send + Sync>;

/// What waits in front of a sink, at most.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Results.
    pub results_max: usize,
    /// Octets of their rows; one result is always let in.
    pub octets_max: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { results_max: 16_384, octets_max: 64 << 20 }
    }
}

/// What an outlet is started with.
pub struct OutletOptions {
    /// What it is called.
    pub name: String,
    /// What it is, in a word.
    pub kind: &'static str,
    /// Which queries it takes results of.
    pub wanted: Wanted,
    /// What may wait.
    pub limits: QueueLimits,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// Who is told how it goes.
    pub told: Told,
}

/// A sink with the queue before it and the thread that feeds it.
pub struct Outlet {
    name: String,
    kind: &'static str,
    wanted: Wanted,
    limits: QueueLimits,
    requires: fn(&Origin) -> Result<(), String>,
    is_watching: bool,
    board: Option<Board>,
    sender: i64,
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Something came, or it ends.
    news: Condvar,
    /// The thread is done.
    is_done: Condvar,
    clock: Arc<dyn Clock>,
    told: Told,
}

#[derive(Default)]
struct Inner {
    /// With the octets of their rows.
    parcels: VecDeque<(Parcel, usize)>,
    /// What is known of queries behind the result of this number, until the sink has noted it.
    known: Option<(Arc<Known>, i64)>,
    octets: usize,
    /// Results that the sink holds, and by query, since when it holds some that a crash would take.
    held: u64,
    unsafe_since: BTreeMap<String, EventTime>,
    /// When the latest result was given.
    given_at: EventTime,
    given: u64,
    lost: BTreeMap<String, u64>,
    reason: Option<String>,
    /// Until when the sink may take what waits.
    ends: Option<Instant>,
    is_done: bool,
}

/// What a sink is to do next.
enum Next {
    Take(Vec<Parcel>),
    Know(Arc<Known>),
    Tend,
    End,
}

impl Outlet {
    /// Starts the thread of a sink.
    ///
    /// # Errors
    /// When there is no room for a thread.
    pub fn start(options: OutletOptions, sink: Box<dyn Sink>) -> io::Result<Self> {
        let OutletOptions { name, kind, wanted, limits, clock, told } = options;
        let (inner, news, is_done) = (Mutex::default(), Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { inner, news, is_done, clock, told });
        let (requires, is_watching, board) = (sink.requires(), sink.is_watching(), sink.board());
        let worker = Worker { shared: Arc::clone(&shared), sink, telling: Telling::default() };
        thread::Builder::new().name(format!("out {name}")).spawn(move || worker.run())?;
        // What hashes begin with is random; a sign would be in the way of databases.
        let sender = i64::try_from(RandomState::new().build_hasher().finish() >> 1).unwrap_or_default();
        Ok(Self { name, kind, wanted, limits, requires, is_watching, board, sender, shared })
    }

    /// Looks whether results of a query can be taken, if they are wanted.
    ///
    /// # Errors
    /// A sentence that says why not, and what would be right.
    pub fn check(&self, origin: &Origin) -> Result<(), String> {
        if !(self.wanted)(origin) {
            return Ok(());
        }
        (self.requires)(origin).map_err(|why| format!("the sink {} cannot take it: {why}", self.name))
    }

    /// Tells what is known of the queries that run, where somebody watches over alarms; never waits.
    pub fn know(&self, known: &Arc<Known>) {
        if self.is_watching {
            let mut inner = self.shared.lock();
            inner.known = Some((Arc::clone(known), inner.number()));
            drop(inner);
            self.shared.news.notify_one();
        }
    }

    /// The alarms that fire, and behind them those that were over lately, the latest first; `None` where it shows none.
    #[must_use]
    pub fn firing(&self) -> Option<Vec<Firing>> {
        let board = self.board.as_ref()?;
        Some(board.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// What it is called and what it is, in a word, where it tells somebody of alarms.
    #[must_use]
    pub fn teller(&self) -> Option<(&str, &'static str)> {
        (self.is_watching && self.board.is_none()).then_some((self.name.as_str(), self.kind))
    }

    /// Takes a result, unless it is early, has no row, or is of a query that is not wanted; never waits.
    pub fn take(&self, origin: &Arc<Origin>, result: &Arc<WindowResult>) {
        if result.status == Status::Early || result.rows.is_empty() || !(self.wanted)(origin) {
            return;
        }
        let octets = octets(result);
        let given = self.shared.clock.now();
        let mut inner = self.shared.lock();
        inner.given += 1;
        inner.given_at = given.max(inner.given_at);
        let is_full = inner.parcels.len() >= self.limits.results_max
            || (!inner.parcels.is_empty() && inner.octets + octets > self.limits.octets_max);
        if is_full || inner.is_done {
            inner.lose(&origin.name, 1);
            return;
        }
        inner.octets += octets;
        let id = ResultId { sender: self.sender, number: inner.number() };
        let (origin, result) = (Arc::clone(origin), Arc::clone(result));
        inner.parcels.push_back((Parcel { id, origin, result, given }, octets));
        drop(inner);
        self.shared.news.notify_one();
    }

    /// Takes a result that was given before, where somebody watches over alarms: its query has other alerts now.
    pub fn look_again(&self, origin: &Arc<Origin>, result: &Arc<WindowResult>) {
        if self.is_watching {
            self.take(origin, result);
        }
    }

    /// By query, when the first result was given that a crash would take; those of which all are safe, or lost, are not
    /// among them.
    #[must_use]
    pub fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        let inner = self.shared.lock();
        let mut since = inner.unsafe_since.clone();
        inner.add_waiting(&mut since);
        since
    }

    /// When the latest result was given to it, whatever became of that.
    #[must_use]
    pub fn given_at(&self) -> EventTime {
        self.shared.lock().given_at
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> OutletStatus {
        let inner = self.shared.lock();
        let state = inner.reason.clone().map_or(OutletState::Running, OutletState::Failing);
        OutletStatus {
            name: self.name.clone(),
            kind: self.kind,
            state,
            given: inner.given,
            lost: inner.lost.clone(),
            waiting: inner.parcels.len() as u64 + inner.held,
        }
    }

    /// Lets the sink have what waits, and end.
    pub fn end(&self) {
        self.shared.lock().ends.get_or_insert(Instant::now() + FINISH_WITHIN);
        self.shared.news.notify_all();
    }

    /// The same, and waits for it; what it does not take in time is lost.
    pub fn finish(&self) {
        self.end();
        let inner = self.shared.lock();
        let within = inner.ends.map_or(FINISH_WITHIN, |ends| ends.saturating_duration_since(Instant::now()));
        let waited = self.shared.is_done.wait_timeout_while(inner, within, |inner| !inner.is_done);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        if inner.is_done {
            return;
        }
        let lost = inner.parcels.len();
        inner.note_unsafe();
        inner.lose_all();
        inner.is_done = true;
        drop(inner);
        let within = FINISH_WITHIN.as_secs();
        (self.shared.told)(
            Turn::Worse,
            &format!("it does not end within {within} s; {lost} results are lost"),
        );
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is next, behind a pause that only the end cuts short.
    fn next(&self, pause: Duration) -> Next {
        let mut inner = self.lock();
        if pause > Duration::ZERO {
            let waited = self.news.wait_timeout_while(inner, pause, |inner| inner.ends.is_none());
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let waits =
            |inner: &mut Inner| inner.ends.is_none() && inner.parcels.is_empty() && inner.known.is_none();
        let waited = self.news.wait_timeout_while(inner, TEND_EVERY, waits);
        inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        let parcels = inner.batch();
        if !parcels.is_empty() {
            return Next::Take(parcels);
        }
        match inner.known.take() {
            Some((known, _)) => Next::Know(known),
            None if inner.ends.is_some() => Next::End,
            None => Next::Tend,
        }
    }
}

impl Inner {
    fn lose(&mut self, query: &str, results: u64) {
        *self.lost.entry(query.to_owned()).or_default() += results;
    }

    fn lose_all(&mut self) {
        while let Some((parcel, _)) = self.parcels.pop_front() {
            self.lose(&parcel.origin.name, 1);
        }
        self.octets = 0;
    }

    /// Adds since when results wait, where nothing is known that was before them.
    fn add_waiting(&self, since: &mut BTreeMap<String, EventTime>) {
        for (parcel, _) in &self.parcels {
            since.entry(parcel.origin.name.clone()).or_insert(parcel.given);
        }
    }

    /// What waits is not safe, though it is let go of now.
    fn note_unsafe(&mut self) {
        let mut since = std::mem::take(&mut self.unsafe_since);
        self.add_waiting(&mut since);
        self.unsafe_since = since;
    }

    /// The number of the result that was given last.
    fn number(&self) -> i64 {
        i64::try_from(self.given).unwrap_or(i64::MAX)
    }

    /// As much of the front of the queue as is given at once; what is known comes before what was given later.
    fn batch(&self) -> Vec<Parcel> {
        let last = self.known.as_ref().map_or(i64::MAX, |(_, number)| *number);
        let mut octets_given = 0;
        let fits = |(place, (parcel, octets)): &(usize, &(Parcel, usize))| {
            octets_given += octets;
            let has_room = *place == 0 || (*place < BATCH_RESULTS_MAX && octets_given <= BATCH_OCTETS_MAX);
            has_room && parcel.id.number <= last
        };
        let front = self.parcels.iter().enumerate().take_while(fits);
        front.map(|(_, (parcel, _))| parcel.clone()).collect()
    }

    /// So much of the front of the queue is taken, or lost.
    fn pop(&mut self, results: usize) {
        for _ in 0..results {
            let Some((_, octets)) = self.parcels.pop_front() else { return };
            self.octets = self.octets.saturating_sub(octets);
        }
    }
}

/// What feeds a sink.
struct Worker {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    telling: Telling,
}

/// What was told so far.
#[derive(Default)]
struct Telling {
    lost: u64,
    last: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        // A sink that panics ends alone.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let mut inner = self.shared.lock();
        if outcome.is_err() {
            let held = std::mem::take(&mut inner.held);
            inner.lose("several", held);
            inner.reason = Some("its thread died; please report this".to_owned());
        }
        inner.lose_all();
        inner.is_done = true;
        drop(inner);
        self.shared.is_done.notify_all();
        if outcome.is_err() {
            self.tell(Turn::Worse, "its thread died; please report this");
        }
    }

    fn serve(&mut self) {
        let (mut pause, mut tended) = (Duration::ZERO, Instant::now());
        loop {
            let next = self.shared.next(pause);
            let is_end = matches!(next, Next::End);
            let mut outcome = self.take(next);
            if is_end || outcome.is_err() || tended.elapsed() >= TEND_EVERY {
                outcome = outcome.and(self.sink.tend(self.shared.clock.now()));
                tended = Instant::now();
            }
            self.note(outcome.as_ref().err());
            if is_end || (outcome.is_err() && self.shared.lock().ends.is_some()) {
                return self.finish();
            }
            pause = match outcome {
                Ok(()) => Duration::ZERO,
                Err(_) => (pause * 2).clamp(RETRY_FIRST, RETRY_MAX),
            };
        }
    }

    fn take(&mut self, next: Next) -> Result<(), String> {
        let parcels = match next {
            Next::Take(parcels) => parcels,
            Next::Know(known) => {
                self.sink.know(&known);
                return Ok(());
            }
            Next::Tend | Next::End => return Ok(()),
        };
        let (taken, outcome) = self.sink.take_all(&parcels);
        let unsafe_since = self.sink.unsafe_since();
        let mut inner = self.shared.lock();
        // Nobody sees results neither here nor there.
        inner.unsafe_since = unsafe_since;
        inner.pop(taken);
        match (outcome, parcels.get(taken)) {
            (Err(Refusal::Later(why)), _) => Err(why),
            (Err(Refusal::Never(why)), Some(Parcel { origin, .. })) => {
                inner.pop(1);
                inner.lose(&origin.name, 1);
                drop(inner);
                self.telling.lost += 1;
                self.tell(Turn::Worse, &format!("a result of `{}` is lost: {why}", origin.name));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes how it went, and tells what somebody should hear of.
    fn note(&mut self, wrong: Option<&String>) {
        let (held, lost, unsafe_since) = (self.sink.held(), self.sink.lost(), self.sink.unsafe_since());
        let wrong = wrong.cloned().or_else(|| self.sink.trouble());
        let mut inner = self.shared.lock();
        (inner.held, inner.unsafe_since) = (held, unsafe_since);
        lost.iter().for_each(|(query, results)| inner.lose(query, *results));
        let before = std::mem::replace(&mut inner.reason, wrong.clone());
        let lost: u64 = inner.lost.values().sum();
        drop(inner);
        match (before, wrong) {
            (None, Some(why)) => self.tell(Turn::Worse, &format!("{why}; results wait")),
            (Some(_), None) => {
                self.tell(Turn::Better, &format!("it goes on; {lost} results are lost so far"));
            }
            _ => {}
        }
        if self.telling.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            self.tell_lost(lost);
        }
    }

    fn tell(&self, turn: Turn, what: &str) {
        (self.shared.told)(turn, what);
    }

    /// Tells how many of the lost results nobody was told of.
    fn tell_lost(&mut self, lost: u64) {
        let untold = lost.saturating_sub(self.telling.lost);
        if untold > 0 {
            self.tell(
                Turn::Worse,
                &format!("{untold} results are lost, which had no room or could not be written"),
            );
            self.telling = Telling { lost, last: Some(Instant::now()) };
        }
    }

    /// Lets the sink end.
    fn finish(&mut self) {
        let held = self.sink.unsafe_since();
        let outcome = self.sink.finish(self.shared.clock.now());
        let lost = self.sink.lost();
        let mut inner = self.shared.lock();
        inner.held = 0;
        inner.unsafe_since = if outcome.is_err() { held } else { BTreeMap::new() };
        inner.note_unsafe();
        lost.iter().for_each(|(query, results)| inner.lose(query, *results));
        inner.lose_all();
        let lost: u64 = inner.lost.values().sum();
        drop(inner);
        if let Err(why) = outcome {
            self.tell(Turn::Worse, &why);
        }
        self.tell_lost(lost);
    }
}

/// Octets of a result's rows.
fn octets(result: &WindowResult) -> usize {
    result.rows.iter().map(RecordBatch::get_array_memory_size).sum()
}

#[cfg(test)]
mod tests;
