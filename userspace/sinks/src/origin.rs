//! Queries, as whoever stores or sends their results knows them.

use crate::alert::Alert;
use std::sync::{Arc, Mutex};
use tapline_operators::ResultColumns;
use tapline_query::{ColumnRole, ContinuousQuery, Upper};
use tapline_record::{EventTime, StreamId};

/// A query whose results are given.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What it is called.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// What it is for; may have several lines.
    pub note: String,
    /// The columns of its results.
    pub columns: ResultColumns,
    /// Which columns of the SELECT list tell groups apart, by their places in it.
    pub keys: Vec<usize>,
    /// From the start of one window to that of the next one, in nanoseconds; `None` without windows of time.
    pub every_ns: Option<i64>,
    /// What it reads.
    pub streams: Vec<StreamId>,
    /// Whether history keeps them.
    pub is_stored: bool,
    /// Whether its rows are those of a stream, without an aggregate.
    pub gives_rows: bool,
    /// Whether what is folded is a result of its own, which no HAVING has seen; else it is missing in the others.
    pub gives_folded_row: bool,
    /// What makes its rows alarms.
    pub alerts: Vec<Arc<Alert>>,
}

impl Origin {
    /// A query of this name over live sources; rows of one without an aggregate are traffic, which history is not for.
    #[must_use]
    pub fn of(name: &str, query: &ContinuousQuery) -> Self {
        let roles = query.column_roles().into_iter().enumerate();
        let reads = |id: &StreamId| query.columns_of(id.stream()).is_some();
        Self {
            name: name.to_owned(),
            sql: query.sql.clone(),
            note: String::new(),
            columns: ResultColumns::of(query, true),
            keys: roles.filter(|(_, role)| *role == ColumnRole::Key).map(|(place, _)| place).collect(),
            every_ns: query.window.and_then(|window| Some(window.size_and_slide()?.1)),
            streams: StreamId::ALL.into_iter().filter(reads).map(StreamId::named).collect(),
            gives_rows: query.gives_rows(),
            is_stored: query.window.is_some() && !query.gives_rows(),
            gives_folded_row: matches!(&query.upper, Upper::Windows(half) if half.folded.is_some()),
            alerts: vec![],
        }
    }
}

/// What is known of the queries that run.
#[derive(Clone, Debug)]
pub struct Known {
    /// When that was.
    pub at: EventTime,
    /// All of them, and how far each has come.
    pub queries: Vec<(Arc<Origin>, Passed)>,
}

/// How far a query has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// No result of a window that ends by this time comes any more; without windows of time, none that was given before.
    Until(EventTime),
    /// Nobody knows at this moment.
    Unknown,
    /// Nothing is read for it: that no rows come says nothing.
    Unread,
}

/// An alarm that fires, or did: rows of a query, or those of one of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// Of which query.
    pub query: String,
    /// By which alert of it, as it is written.
    pub alert: String,
    /// The condition of that.
    pub condition: String,
    /// Its keys, as a JSON object; `None` for the query as a whole.
    pub key: Option<String>,
    /// The start of the first window that had rows of it.
    pub since: EventTime,
    /// The end of the last one.
    pub last: EventTime,
    /// When whoever is told was told last, or is to be.
    pub told: EventTime,
    /// The newest row of it, as a JSON object.
    pub row: Option<String>,
    /// When it was over, by the clock; `None` where it fires.
    pub ended: Option<EventTime>,
}

/// Where whoever watches over all alarms shows which ones fire, and which ones did lately.
pub(crate) type Board = Arc<Mutex<Vec<Firing>>>;
