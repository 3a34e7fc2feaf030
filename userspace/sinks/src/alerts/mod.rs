//! Alarms: rows of queries that somebody is to be told of, once, and when they are over.
//!
//! ```text
//! results ──► rows of which an alert holds ──► which alarms fire, what is to be told (alarms.rs) ──► notices, bounded ──► webhook, command, syslog
//! how far windows are closed ──► which are over ──►┘                                          └──► a board, where all that fires is shown
//! ```
//! Each query brings its alerts. A sink that tells somebody looks at those that name it, and one, which has the board, at
//! all of them: each decides by itself, so that none waits for another.
//!
//! Deciding is apart from telling: while nobody can be told, alarms are watched over all the same, and notices wait.
//! What fires and what waits is in a file before anybody is told, so that a notice comes at least once, and again only
//! with the same id; a result by which something comes or goes counts as taken when that is written, and as unsafe until
//! then. It is written when alarms or keys come or go and when somebody is told, not when one goes on: until when it was
//! seen, and its newest row, are as old there as that, unless the node ends in peace. A window without rows gives no
//! result: that it has passed is known from the queries' watermarks.

mod alarms;
mod command;
mod kept;
mod looks;
mod messages;
mod notice;
mod webhook;

pub use command::CommandOptions;
pub use webhook::WebhookOptions;

use crate::alert::Alert;
use crate::origin::{Board, Firing, Known, Origin, Passed};
use crate::outlet::{Told, Turn};
use crate::sink::{Parcel, Refusal, Sink, take_each};
use crate::syslog::SyslogOptions;
use alarms::{Alarms, Cause, Over, Seen};
use command::CommandTeller;
use datafusion::arrow::error::ArrowError;
use kept::Kept;
use looks::Looks;
use messages::SyslogTeller;
use notice::{Notice, Rows, Subject};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tapline_operators::Span;
use tapline_record::EventTime;
use webhook::WebhookTeller;

/// Notices that wait; beyond, the oldest are lost.
const WAITING_MAX: usize = 1024;
/// Rows of a result that are looked at.
const ROWS_LOOKED_AT_MAX: usize = 16_384;
/// Alarms that are over and shown still.
const PAST_MAX: usize = 100;
/// How long whoever could not be told is left alone, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// For so long notices are told one after the other; then results are looked at again.
const TELL_WITHIN: Duration = Duration::from_secs(1);
/// For so long after it was decided a notice is sent again; then it is lost.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// Characters of what somebody else says that are told in one line.
const SAID_MAX: usize = 400;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Whoever answers at a URL.
    Webhook(WebhookOptions),
    /// A program of this machine.
    Command(CommandOptions),
    /// Whoever reads messages of syslog.
    Syslog(SyslogOptions),
}

/// How somebody is told.
pub struct AlertSinkOptions {
    /// What the sink is called, by which alerts name it.
    pub name: String,
    /// Who is told.
    pub teller: Teller,
    /// Rows of one notice.
    pub rows_max: usize,
}

/// What is kept of alarms from one run to the next.
#[derive(Clone, Debug, Default)]
pub struct AlertMemory {
    /// The file in which that is; without it, it is forgotten.
    pub file: Option<PathBuf>,
    /// Whether results may come again that an earlier run was given, as those of an aggregator do.
    pub comes_again: bool,
}

/// What tells somebody; it may take its time.
trait Tell: Send {
    /// # Errors
    /// A sentence that names what is wrong; nobody was told, as far as that is known.
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal>;

    /// How often it is tried.
    fn tries_max(&self) -> u32;
}

/// Rows that cannot be read are lost.
fn never(error: &ArrowError) -> Refusal {
    Refusal::Never(error.to_string())
}

/// What somebody else says in a line, as it may stand in one of ours.
fn harmless(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(SAID_MAX).collect()
}

/// Who hears of alarms.
enum Audience {
    /// Somebody is told of those of alerts that name this sink.
    Told { name: String, teller: Box<dyn Tell>, rows_max: usize },
    /// All of them are shown, and what was over lately, the latest first.
    Shown { board: Board, past: VecDeque<Firing> },
}

/// Watches over alarms, and tells somebody of them, or shows them.
pub struct AlertSink {
    alarms: Alarms,
    looks: Looks,
    audience: Audience,
    waiting: VecDeque<Notice>,
    /// Where that is kept.
    memory: AlertMemory,
    is_changed: bool,
    /// By query, when the first result was given by which something has changed that is not kept.
    unkept: BTreeMap<String, EventTime>,
    /// Whether alarms that are kept have gone on since.
    is_behind: bool,
    /// Why nobody can be told, and why nothing can be kept.
    trouble: [Option<String>; 2],
    pause: Duration,
    /// Before that nobody is told again.
    retry_at: Option<Instant>,
    told: Told,
    lost: BTreeMap<String, u64>,
}

impl AlertSink {
    /// Tells somebody, and goes on with what is kept; `told` hears what commands say.
    ///
    /// # Errors
    /// A sentence, when whoever is to be told cannot be reached as it was said.
    pub fn open(options: AlertSinkOptions, memory: AlertMemory, told: Told) -> Result<Self, String> {
        let AlertSinkOptions { name, teller, rows_max } = options;
        let teller: Box<dyn Tell> = match teller {
            Teller::Webhook(options) => Box::new(WebhookTeller::new(options)?),
            Teller::Command(options) => Box::new(CommandTeller::new(options, Arc::clone(&told))),
            Teller::Syslog(options) => Box::new(SyslogTeller::new(options)),
        };
        Ok(Self::new(Audience::Told { name, teller, rows_max }, memory, told))
    }

    /// Shows all alarms, and goes on with what is kept.
    #[must_use]
    pub fn showing(memory: AlertMemory, told: Told) -> Self {
        Self::new(Audience::Shown { board: Board::default(), past: VecDeque::new() }, memory, told)
    }

    fn new(audience: Audience, memory: AlertMemory, told: Told) -> Self {
        let kept = memory.file.as_deref().map_or_else(|| Ok(Kept::default()), kept::load);
        let mut kept = kept.unwrap_or_else(|why| {
            told(Turn::Worse, &format!("what fired in the last run is not known any more: {why}"));
            Kept::default()
        });
        kept.looks.begin();
        let sink = Self {
            alarms: Alarms { queries: kept.alarms, has_news: false },
            looks: kept.looks,
            audience,
            waiting: kept.waiting,
            memory,
            is_changed: false,
            unkept: BTreeMap::new(),
            is_behind: false,
            trouble: [None, None],
            pause: Duration::ZERO,
            retry_at: None,
            told,
            lost: BTreeMap::new(),
        };
        sink.show();
        sink
    }

    /// Shows what fires, where it does that.
    fn show(&self) {
        if let Audience::Shown { board, past } = &self.audience {
            let mut all = self.alarms.firing();
            all.extend(past.iter().cloned());
            *board.lock().unwrap_or_else(PoisonError::into_inner) = all;
        }
    }

    /// The alerts of a query that are looked at here.
    fn alerts_of(&self, origin: &Origin) -> Vec<Arc<Alert>> {
        let is_looked_at = |alert: &&Arc<Alert>| match &self.audience {
            Audience::Told { name, .. } => alert.sinks.contains(name),
            Audience::Shown { .. } => true,
        };
        origin.alerts.iter().filter(is_looked_at).cloned().collect()
    }

    fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= WAITING_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.lose(&oldest.query);
        }
        self.waiting.push_back(notice);
    }

    fn lose(&mut self, query: &str) {
        *self.lost.entry(query.to_owned()).or_default() += 1;
    }

    /// Tells, or shows, what is over.
    fn resolve(
        &mut self,
        (query, note): (&str, &str),
        all: impl IntoIterator<Item = Over>,
        reason: &str,
        now: EventTime,
    ) {
        for over in all {
            self.is_changed = true;
            if let Audience::Shown { past, .. } = &mut self.audience {
                over.ended(query, now).into_iter().for_each(|ended| past.push_front(ended));
                past.truncate(PAST_MAX);
                continue;
            }
            let subject = Subject { query, note, alert: &over.alert, said: &over.said };
            let notice = Notice::resolved(subject, &over, reason, now);
            self.push(notice);
        }
    }

    /// Lets go of what fires of another query of this name, or by no alert of it any more; gives the alerts.
    fn let_go(&mut self, origin: &Origin, now: EventTime) -> Vec<Arc<Alert>> {
        let of = (&*origin.name, &*origin.note);
        if self.alarms.is_of_another(origin) {
            let over = self.alarms.forget(&origin.name);
            self.resolve(of, over, "another query has its name", now);
        }
        let alerts = self.alerts_of(origin);
        let asked: Vec<&Alert> = alerts.iter().map(Arc::as_ref).collect();
        let over = self.alarms.forget_but(&origin.name, &asked);
        self.resolve(of, over, "nobody asks for it any more", now);
        alerts
    }

    /// Notes how far a query has come.
    fn pass(&mut self, origin: &Origin, until: EventTime, now: EventTime) {
        let alerts = self.let_go(origin, now);
        if !alerts.is_empty() {
            self.looks.note(origin, until.0);
        }
        for alert in &alerts {
            let over = self.alarms.pass(origin, alert, (until.0, now.0));
            self.resolve((&origin.name, &origin.note), over, "its rows have ceased", now);
        }
    }

    /// Notes the rows of a result of which an alert holds.
    fn see(&mut self, parcel: &Parcel, alert: &Alert) -> Result<(), Refusal> {
        let rows = Rows::of(parcel, alert.condition, ROWS_LOOKED_AT_MAX).map_err(|error| never(&error))?;
        if rows.keys.is_empty() {
            return Ok(());
        }
        let shown = match &self.audience {
            Audience::Told { .. } => vec![],
            Audience::Shown { .. } => rows.shown().map_err(|error| never(&error))?,
        };
        let given = parcel.given.0;
        let window = parcel.result.window;
        let since = window.map_or(given, |window| window.start.0);
        let last = window.filter(|_| parcel.origin.every_ns.is_some()).map_or(given, |window| window.end.0);
        let seen = Seen { since, last, given, keys: &rows.keys, rows: &shown };
        let told = self.alarms.see(&parcel.origin, alert, seen);
        self.is_behind = true;
        self.tell_of(parcel, alert, &rows, told)
    }

    /// Tells of rows of an earlier window that were not there before.
    fn see_revised(&mut self, parcel: &Parcel, alert: &Alert, window: Span) -> Result<(), Refusal> {
        let rows = Rows::of(parcel, alert.condition, ROWS_LOOKED_AT_MAX).map_err(|error| never(&error))?;
        let (query, given, since) = (&parcel.origin.name, parcel.given.0, window.start.0);
        let seen = Seen { since, last: window.end.0, given, keys: &rows.keys, rows: &[] };
        let untold = self.alarms.untold(query, alert, seen);
        let cool_down = alarms::nanoseconds(alert.cool_down);
        if !untold.contains(&true) || !self.looks.tell(query, &alert.text, given, cool_down) {
            return Ok(());
        }
        let told = alarms::Told { cause: Cause::Revised, since, rows: untold };
        self.tell_of(parcel, alert, &rows, Some(told))
    }

    /// Tells what is to be told, where somebody is.
    fn tell_of(
        &mut self,
        parcel: &Parcel,
        alert: &Alert,
        rows: &Rows,
        told: Option<alarms::Told>,
    ) -> Result<(), Refusal> {
        let (Audience::Told { rows_max, .. }, Some(told)) = (&self.audience, told) else { return Ok(()) };
        let notice = Notice::firing(parcel, alert, rows, &told, *rows_max).map_err(|error| never(&error))?;
        self.push(notice);
        self.is_changed = true;
        Ok(())
    }

    /// Tells what waits, the oldest first, until somebody cannot be told, or it took so long.
    fn tell_waiting(&mut self, now: EventTime, within: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < within
            && let Audience::Told { teller, .. } = &mut self.audience
            && let Some(notice) = self.waiting.front_mut()
        {
            notice.tries += 1;
            let is_last = notice.tries >= teller.tries_max()
                || now.0.saturating_sub(notice.decided) > alarms::nanoseconds(GIVE_UP_AFTER);
            let outcome = teller.tell(notice);
            match outcome {
                Ok(()) => self.settle(),
                Err(Refusal::Never(why)) => self.give_up(&why),
                Err(Refusal::Later(why)) => {
                    if is_last {
                        self.give_up(&why);
                    }
                    self.trouble[0] = Some(why).filter(|_| !self.waiting.is_empty());
                    self.pause = (self.pause * 2).clamp(RETRY_FIRST, RETRY_MAX);
                    self.retry_at = Some(Instant::now() + self.pause);
                    return;
                }
            }
            (self.pause, self.retry_at, self.trouble[0]) = (Duration::ZERO, None, None);
        }
    }

    /// The notice at the front is lost.
    fn give_up(&mut self, why: &str) {
        let Some(query) = self.waiting.front().map(|notice| notice.query.clone()) else { return };
        (self.told)(Turn::Worse, &format!("a notice of `{query}` is lost: {why}"));
        self.lose(&query);
        self.settle();
    }

    /// The notice at the front waits no more.
    fn settle(&mut self) {
        self.waiting.pop_front();
        self.is_changed = true;
        self.keep();
    }

    /// Keeps what has changed.
    fn keep(&mut self) {
        self.is_changed |= std::mem::take(&mut self.alarms.has_news);
        let Some(file) = self.memory.file.as_deref().filter(|_| self.is_changed) else { return };
        let kept = kept::save(file, &self.alarms.queries, &self.waiting, &self.looks);
        self.is_changed = kept.is_err();
        self.is_behind &= kept.is_err();
        if kept.is_ok() {
            self.unkept.clear();
        }
        self.trouble[1] = kept.err();
    }

    /// Notes that a result is not safe by which something has changed.
    fn note_unkept(&mut self, parcel: &Parcel) {
        if self.memory.file.is_some() && (self.is_changed || self.alarms.has_news) {
            self.unkept.entry(parcel.origin.name.clone()).or_insert(parcel.given);
        }
    }
}

impl Sink for AlertSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let timed = parcel.result.window.zip(parcel.origin.every_ns);
        let is_past = |window: &Span| self.looks.is_past(&parcel.origin, window.end.0);
        let was_past = |window: &Span| self.looks.was_past(&parcel.origin, window.end.0);
        let is_revised = parcel.result.revision > 0;
        if self.memory.comes_again && timed.is_some_and(|(window, _)| !is_revised && was_past(&window)) {
            return Ok(());
        }
        let alerts = self.alerts_of(&parcel.origin);
        if let Some((window, _)) = timed.filter(|(window, _)| is_revised && is_past(window)) {
            let seen = alerts.iter().map(|alert| self.see_revised(parcel, alert, window));
            let outcome = seen.fold(Ok(()), Result::and);
            self.note_unkept(parcel);
            return outcome;
        }
        // What else comes for windows of a query comes in their order: those before had no rows that are not known.
        let before = timed.map_or(parcel.given, |(window, every)| window.end.plus(-every));
        self.pass(&parcel.origin, before, parcel.given);
        if let Some((window, _)) = timed {
            self.looks.note(&parcel.origin, window.end.0);
        }
        // What is wrong with one of them does not concern the others.
        let outcome = alerts.iter().map(|alert| self.see(parcel, alert)).fold(Ok(()), Result::and);
        self.note_unkept(parcel);
        self.show();
        outcome
    }

    fn take_all(&mut self, parcels: &[Parcel]) -> (usize, Result<(), Refusal>) {
        let taken = take_each(parcels, |parcel| self.take(parcel));
        // Once for all of them: what is taken is safe.
        self.keep();
        taken
    }

    fn tend(&mut self, now: EventTime) -> Result<(), String> {
        self.keep();
        if self.retry_at.is_none_or(|retry_at| Instant::now() >= retry_at) {
            self.tell_waiting(now, TELL_WITHIN);
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.waiting.len() as u64
    }

    fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        self.unkept.clone()
    }

    fn lost(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lost)
    }

    fn finish(&mut self, now: EventTime) -> Result<(), String> {
        self.tell_waiting(now, Duration::MAX);
        self.is_changed |= self.is_behind;
        self.keep();
        if self.memory.file.is_none() {
            while let Some(notice) = self.waiting.pop_front() {
                self.lose(&notice.query);
            }
        }
        self.trouble().map_or(Ok(()), Err)
    }

    fn is_watching(&self) -> bool {
        true
    }

    fn board(&self) -> Option<Board> {
        match &self.audience {
            Audience::Told { .. } => None,
            Audience::Shown { board, .. } => Some(Board::clone(board)),
        }
    }

    fn know(&mut self, known: &Known) {
        for (origin, passed) in &known.queries {
            match *passed {
                Passed::Until(until) => self.pass(origin, until, known.at),
                Passed::Unread => {
                    self.let_go(origin, known.at);
                    self.alarms.lose_sight(&origin.name);
                }
                Passed::Unknown => {
                    self.let_go(origin, known.at);
                }
            }
        }
        let runs = |query: &str| known.queries.iter().any(|(origin, _)| origin.name == query);
        let gone: Vec<String> = self.alarms.queries.keys().filter(|query| !runs(query)).cloned().collect();
        for query in gone {
            let over = self.alarms.forget(&query);
            self.resolve((&query, ""), over, "its query runs no more", known.at);
        }
        self.looks.retain(runs);
        self.show();
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.iter().flatten().next().cloned()
    }
}

#[cfg(test)]
mod tests;
