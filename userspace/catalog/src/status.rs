//! How a node stands, as whoever asks is told.

use crate::definition::Definition;
use crate::metrics::Metrics;
use crate::sensors::{ForwardStatus, ReportedQuery, SensorStatus};
use std::sync::Arc;
use tapline_engine::{Span, WindowResult};
use tapline_record::EventTime;
use tapline_record::ledger::{QueryLedger, SourceLedger};
use tapline_sinks::OutletStatus;

/// How a node stands.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When that was.
    pub now: EventTime,
    /// When it was started.
    pub started: EventTime,
    /// What it reads.
    pub sources: Vec<SourceStatus>,
    /// What it is asked, by name.
    pub queries: Vec<QueryStatus>,
    /// Who stores or sends what it answers.
    pub outlets: Vec<OutletStatus>,
    /// Who sends it parts of that, where it is an aggregator.
    pub sensors: Vec<SensorStatus>,
    /// Whom it sends parts to, where it is a sensor.
    pub forwards: Option<ForwardStatus>,
    /// What it is asked by those.
    pub forwarded: Vec<QueryStatus>,
}

impl Snapshot {
    /// That of a node of which nothing is known.
    pub const EMPTY: Self = Self {
        now: EventTime(0),
        started: EventTime(0),
        sources: vec![],
        queries: vec![],
        outlets: vec![],
        sensors: vec![],
        forwards: None,
        forwarded: vec![],
    };
}

/// Whether a source is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is.
    Open,
    /// No query needs it.
    Unused,
    /// It is not there, or cannot be opened; why. It is tried again and again.
    Absent(String),
}

impl SourceState {
    /// The words of all of them.
    pub const WORDS: [&str; 3] = ["open", "unused", "absent"];

    /// What it is called.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let [open, unused, absent] = Self::WORDS;
        match self {
            Self::Open => open,
            Self::Unused => unused,
            Self::Absent(_) => absent,
        }
    }

    /// Why it is not read, where it should be.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Open | Self::Unused => None,
            Self::Absent(why) => Some(why),
        }
    }
}

/// How a source stands.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// What its rows name as their source.
    pub name: String,
    /// What it is, in a word or two.
    pub kind: &'static str,
    /// Whether it is read.
    pub state: SourceState,
    /// Since when.
    pub since: EventTime,
    /// The fates of all that it read, also before it was opened anew.
    pub ledger: SourceLedger,
    /// What they are counted in; empty as long as it was never opened.
    pub unit: &'static str,
    /// Octets, and frames or messages, that were read.
    pub octets: u64,
    /// The frames or messages.
    pub messages: u64,
    /// Records that the workers had no room for; they are among those that were dropped.
    pub rows_dropped: u64,
    /// Records that went missing so far, by the numbers of whoever sent them: lost, or not decoded. Late arrivals take
    /// them back.
    pub records_missing: u64,
    /// Batches that wait for the worker that is furthest behind, and how many may; 0 while it is not read.
    pub batches_waiting: [u64; 2],
    /// The threads that read it; none while it is not read.
    pub threads: Vec<String>,
    /// The filter whose frames alone are read, as it was written, where there is one.
    pub filter: Option<String>,
    /// The rules that hold for its frames, as they are written: the first of them.
    pub rules: Vec<String>,
    /// How many rules hold.
    pub rules_in_force: u64,
}

/// Whether a query gives results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRunState {
    /// It does.
    Running,
    /// No source that is open carries what it reads; these would.
    Waiting(Vec<String>),
    /// It has ended; why.
    Failed(String),
}

impl QueryRunState {
    /// The words of all of them.
    pub const WORDS: [&str; 3] = ["running", "waiting", "failed"];

    /// What it is called.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let [running, waiting, failed] = Self::WORDS;
        match self {
            Self::Running => running,
            Self::Waiting(_) => waiting,
            Self::Failed(_) => failed,
        }
    }
}

/// How a query stands.
#[derive(Clone, Debug)]
pub struct QueryStatus {
    /// What was asked.
    pub definition: Definition,
    /// Whether it gives results.
    pub state: QueryRunState,
    /// Since when it runs.
    pub since: EventTime,
    /// The fates of its rows.
    pub ledger: QueryLedger,
    /// Octets of what is held for windows that are open, or not yet given.
    pub octets_held: u64,
    /// Groups of panes that are open.
    pub groups_held: u64,
    /// Nanoseconds that threads worked for it.
    pub work_ns: u64,
    /// Of these, those behind the workers: for its windows and their results.
    pub window_work_ns: u64,
    /// Nanoseconds of work a row, lately; `None` before there were rows.
    pub ns_a_row: Option<u64>,
    /// What is done about it, where it works more than it may; of one that a sensor runs, that rows are missing since it may
    /// not send more.
    pub held_back: Option<String>,
    /// What is wrong with windows that could not be made of what sensors sent, or not of all of it.
    pub flaws: Option<String>,
    /// Results that were lost on their way.
    pub results_lost: u64,
    /// The newest window that was given as a whole.
    pub last_window: Option<Span>,
    /// What was given of it.
    pub newest: Vec<Arc<WindowResult>>,
    /// No window that ends here or earlier is open any more, where that is known.
    pub watermark: Option<EventTime>,
    /// What makes metrics of its results, where somebody wants that.
    pub metrics: Option<Arc<Metrics>>,
    /// The streams that it reads.
    pub streams: Vec<&'static str>,
    /// The sensors that run it or are to, by name, where those do.
    pub parts: Vec<(String, ReportedQuery)>,
}

impl QueryStatus {
    /// Why it does not run, or not on all rows, or what is wrong with its windows; of one that waits, for what.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match &self.state {
            QueryRunState::Running => self.held_back.clone().or_else(|| self.flaws.clone()),
            QueryRunState::Waiting(_) if self.streams.is_empty() => {
                Some("it asks for nothing of this node, but for other sensors or sites".to_owned())
            }
            QueryRunState::Waiting(sources) if sources.is_empty() => {
                Some("no source of this node carries what it reads".to_owned())
            }
            QueryRunState::Waiting(sources) => Some(format!("waits for {}", sources.join(", "))),
            QueryRunState::Failed(why) => Some(why.clone()),
        }
    }
}
