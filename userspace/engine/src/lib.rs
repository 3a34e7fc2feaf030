//! The running system: sources, queries and subscribers, which come and go, and the threads between them.
//!
//! ```text
//! source thread ──ring of feeds──► worker threads ──ring of messages──► merger ──► outlets ──► subscriptions
//!       ▲                                │                                        (a queue a query, any thread)
//!       └──────ring of used batches──────┘
//! ```
//! Each thread runs a machine that never waits within a step. A file waits: when a ring is full, its machine tries
//! again later. A live source never does: what the ring has no room for is dropped, and counted. Orders have rings of
//! their own, and are taken between two batches.
//!
//! A query that is forwarded gives no results: what came of its panes goes out in cuts, through which somebody else has
//! all that sources had given by some moment, or nothing of it.

#![forbid(unsafe_code)]

mod account_source;
mod accounts;
mod affinity;
mod barrier;
mod coverage;
mod cut;
mod cut_panes;
mod demand;
mod dispatcher;
mod engine;
mod error;
mod feed;
mod forwarded;
mod forwarded_query;
mod held;
mod joining;
mod lock;
mod machine;
mod merger;
mod options;
mod outlet;
mod positions;
mod query_state;
mod reader;
mod ring;
mod row_rate;
mod run;
mod shared;
#[cfg(test)]
mod simulation;
mod snapshot;
mod source_state;
mod subscription;
mod suspended;
mod threads;
mod worker;

pub use coverage::{CoveredSecond, Unread};
pub use cut::{Cut, CutPane, CutQuery};
pub use demand::demand_of;
pub use engine::{Engine, NewQuery, Report, capture_thread};
pub use error::EngineError;
pub use options::{EngineOptions, Finishing, QueryLimits, workers_for};
pub use query_state::EndReason;
pub use snapshot::{QuerySnapshot, Snapshot, SourceSnapshot};
pub use subscription::{Event, Subscriber, Subscription, WhenFull, subscription};
pub use suspended::{Beginning, Held, Suspended, UnreadRows};
pub use tapline_operators::{
    DATAFUSION_VERSION, HeldLimits, Parts, QueryId, ResultColumns, RowLimits, STATES_VERSION, SourceId, Span,
    Status, SuspendedHead, SuspendedWindows, WaitingLimits, WindowResult,
};
