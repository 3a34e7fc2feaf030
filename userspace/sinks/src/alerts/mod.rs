//! Alarms: queries whose rows somebody is to be told of, once, and when they are over.
//!
//! ```text
//! results ──► which alarms fire, what is to be told (alarms.rs) ──► notices, bounded ──► webhook, command
//! how far windows are closed ──► which are over ──►┘
//! ```
//! Deciding is apart from telling: while nobody can be told, alarms are watched over all the same, and notices wait.
//! What fires and what waits is in a file before anybody is told, so that a notice comes at least once, and again only
//! with the same id. A window without rows gives no result: that it has passed is known from the queries' watermarks.

mod alarms;
mod command;
mod kept;
mod looks;
mod notice;
mod webhook;

pub use alarms::{AlertBy, AlertRules};
pub use command::CommandOptions;
pub use webhook::WebhookOptions;

use crate::origin::{Board, Known, Origin, Passed};
use crate::outlet::{Told, Turn};
use crate::sink::{Parcel, Refusal, Sink};
use alarms::{Alarms, Cause, Over, Seen};
use command::CommandTeller;
use datafusion::arrow::error::ArrowError;
use kept::Kept;
use looks::Looks;
use notice::{Notice, Rows};
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
}

/// What tells somebody; it may take its time.
trait Tell: Send {
    /// # Errors
    /// A sentence that names what is wrong; nobody was told, as far as that is known.
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal>;

    /// How often it is tried.
    fn tries_max(&self) -> u32;
}

/// What somebody else says in a line, as it may stand in one of ours.
fn harmless(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(SAID_MAX).collect()
}

/// Watches over alarms, and tells somebody of them.
pub struct AlertSink {
    alarms: Alarms,
    looks: Looks,
    teller: Box<dyn Tell>,
    waiting: VecDeque<Notice>,
    /// Where that is kept.
    file: Option<PathBuf>,
    is_changed: bool,
    /// Why nobody can be told, and why nothing can be kept.
    trouble: [Option<String>; 2],
    pause: Duration,
    /// Before that nobody is told again.
    retry_at: Option<Instant>,
    board: Board,
    told: Told,
    lost: BTreeMap<String, u64>,
}

impl AlertSink {
    /// Goes on with what is in `file`; `told` hears what commands say.
    ///
    /// # Errors
    /// A sentence, when whoever is to be told cannot be reached as it was said.
    pub fn open(
        rules: AlertRules,
        teller: Teller,
        file: Option<PathBuf>,
        told: Told,
    ) -> Result<Self, String> {
        let kept = file.as_deref().map_or_else(|| Ok(Kept::default()), kept::load);
        let kept = kept.unwrap_or_else(|why| {
            told(Turn::Worse, &format!("what fired in the last run is not known any more: {why}"));
            Kept::default()
        });
        let teller: Box<dyn Tell> = match teller {
            Teller::Webhook(options) => Box::new(WebhookTeller::new(options)?),
            Teller::Command(options) => Box::new(CommandTeller::new(options, Arc::clone(&told))),
        };
        let sink = Self {
            alarms: Alarms { rules, queries: kept.alarms },
            looks: Looks::default(),
            teller,
            waiting: kept.waiting,
            file,
            is_changed: false,
            trouble: [None, None],
            pause: Duration::ZERO,
            retry_at: None,
            board: Board::default(),
            told,
            lost: BTreeMap::new(),
        };
        sink.show();
        Ok(sink)
    }

    /// Shows what fires.
    fn show(&self) {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = self.alarms.firing();
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

    fn resolve(&mut self, (query, note): (&str, &str), over: Option<Over>, reason: &str, now: EventTime) {
        if let Some(over) = over {
            self.push(Notice::resolved((query, note), &over, reason, now));
            self.is_changed = true;
        }
    }

    /// Notes how far a query has come.
    fn pass(&mut self, origin: &Origin, until: EventTime, now: EventTime) {
        self.looks.note(&origin.name, until.0);
        if self.alarms.is_of_another(origin) {
            let over = self.alarms.forget(&origin.name);
            self.resolve((&origin.name, &origin.note), over, "another query has its name", now);
        }
        let over = self.alarms.pass(origin, until.0, now.0);
        self.resolve((&origin.name, &origin.note), over, "its rows have ceased", now);
    }

    /// Notes the rows of a result.
    fn see(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let rows = Rows::of(parcel, ROWS_LOOKED_AT_MAX).map_err(never)?;
        if rows.keys.is_empty() {
            return Ok(());
        }
        let given = parcel.given.0;
        let window = parcel.result.window;
        let since = window.map_or(given, |window| window.start.0);
        let last = window.filter(|_| parcel.origin.every_ns.is_some()).map_or(given, |window| window.end.0);
        let told = self.alarms.see(&parcel.origin, Seen { since, last, given, keys: &rows.keys });
        self.is_changed = true;
        if let Some(told) = told {
            let rows_max = self.alarms.rules.rows_max;
            self.push(Notice::firing(parcel, &rows, &told, rows_max).map_err(never)?);
        }
        Ok(())
    }

    /// Tells of rows of an earlier window that were not there before.
    fn see_revised(&mut self, parcel: &Parcel, window: Span) -> Result<(), Refusal> {
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let rows = Rows::of(parcel, ROWS_LOOKED_AT_MAX).map_err(never)?;
        let (query, given, since) = (&parcel.origin.name, parcel.given.0, window.start.0);
        let untold = self.alarms.untold(query, Seen { since, last: window.end.0, given, keys: &rows.keys });
        let cool_down = alarms::nanoseconds(self.alarms.rules.cool_down);
        if untold.contains(&true) && self.looks.tell(query, given, cool_down) {
            let told = alarms::Told { cause: Cause::Revised, since, rows: untold };
            let notice = Notice::firing(parcel, &rows, &told, self.alarms.rules.rows_max);
            self.push(notice.map_err(never)?);
            self.is_changed = true;
        }
        Ok(())
    }

    /// Tells what waits, the oldest first, until somebody cannot be told, or it took so long.
    fn tell_waiting(&mut self, now: EventTime, within: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < within
            && let Some(notice) = self.waiting.front_mut()
        {
            notice.tries += 1;
            let is_last = notice.tries >= self.teller.tries_max()
                || now.0.saturating_sub(notice.decided) > alarms::nanoseconds(GIVE_UP_AFTER);
            let outcome = self.teller.tell(notice);
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
        let Some(file) = self.file.as_deref().filter(|_| self.is_changed) else { return };
        let kept = kept::save(file, &self.alarms.queries, &self.waiting);
        self.is_changed = kept.is_err();
        self.trouble[1] = kept.err();
    }
}

impl Sink for AlertSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let timed = parcel.result.window.zip(parcel.origin.every_ns);
        let is_past = |window: &Span| self.looks.is_past(&parcel.origin.name, window.end.0);
        if let Some((window, _)) = timed.filter(|(window, _)| parcel.result.revision > 0 && is_past(window)) {
            return self.see_revised(parcel, window);
        }
        // What else comes for windows of a query comes in their order: those before had no rows that are not known.
        let before = timed.map_or(parcel.given, |(window, every)| window.end.plus(-every));
        self.pass(&parcel.origin, before, parcel.given);
        if let Some((window, _)) = timed {
            self.looks.note(&parcel.origin.name, window.end.0);
        }
        let outcome = self.see(parcel);
        self.show();
        outcome
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

    fn lost(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lost)
    }

    fn finish(&mut self, now: EventTime) -> Result<(), String> {
        self.tell_waiting(now, Duration::MAX);
        self.keep();
        if self.file.is_none() {
            while let Some(notice) = self.waiting.pop_front() {
                self.lose(&notice.query);
            }
        }
        self.trouble().map_or(Ok(()), Err)
    }

    fn board(&self) -> Option<Board> {
        Some(Board::clone(&self.board))
    }

    fn know(&mut self, known: &Known) {
        for (origin, passed) in &known.queries {
            match *passed {
                Passed::Until(until) => self.pass(origin, until, known.at),
                Passed::Unread => self.alarms.lose_sight(&origin.name),
                Passed::Unknown => {}
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
