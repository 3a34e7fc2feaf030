//! What an engine holds when it is suspended, for another one to go on with.

use crate::coverage::{CoveredSecond, Unread};
use tapline_operators::{QueryId, SuspendedWindows};
use tapline_record::EventTime;

/// What an engine held when it was suspended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suspended {
    /// How much arrived of what open windows are of.
    pub covered: Vec<CoveredSecond>,
    /// What was held of each query that has windows of time.
    pub queries: Vec<(QueryId, Held)>,
}

/// Rows that a query did not read, by the second since the epoch of the latest rows of that moment.
pub type UnreadRows = Vec<(i64, Unread)>;

/// What is held of one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its open windows.
    pub windows: SuspendedWindows,
    /// The rows that it did not read.
    pub unread: UnreadRows,
}

/// Where a query begins.
#[derive(Clone, Debug, Default)]
pub enum Beginning {
    /// With the first rows that sources give it.
    #[default]
    Anew,
    /// With the first rows, too, though there was something to see before then: windows that have begun are partial.
    After(EventTime),
    /// Behind the cuts of another one, which gave what came for panes up to a time, whole or not.
    Behind {
        /// That time.
        given_until: EventTime,
        /// No row that both have missed, and of which nobody says so, is later than this.
        whole_after: EventTime,
    },
    /// Where another one was suspended.
    With(Held),
}

impl Beginning {
    /// No row that it may have missed is later than this.
    pub(crate) const fn whole_after(&self) -> EventTime {
        match self {
            Self::Anew => EventTime::MIN,
            Self::After(time) | Self::Behind { whole_after: time, .. } => *time,
            Self::With(held) => held.windows.whole_after(),
        }
    }

    /// Of panes that end here or earlier all was given before.
    pub(crate) const fn given_until(&self) -> EventTime {
        match self {
            Self::Anew | Self::After(_) | Self::With(_) => EventTime::MIN,
            Self::Behind { given_until, .. } => *given_until,
        }
    }

    /// Of panes that begin before this, somebody else may have had rows.
    pub(crate) fn parts_before(&self) -> EventTime {
        match self {
            Self::Anew | Self::After(_) | Self::Behind { .. } => EventTime::MIN,
            Self::With(held) => held.windows.latest().map_or(EventTime::MIN, |latest| latest.plus(1)),
        }
    }
}
