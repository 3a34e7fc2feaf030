//! What runs over batches.
//!
//! On each worker, lower operators filter, project and fold batches into partial aggregates per pane; for each query,
//! [`Windows`] collects what all workers give until a window closes, and a [`Finisher`] merges it and runs the upper
//! half over it. No I/O, no threads, no clock: batches and watermarks come in as arguments.

#![forbid(unsafe_code)]

mod account;
mod branch;
mod collector;
mod commons;
mod finish;
mod group;
mod groups;
mod ids;
mod input_order;
mod key_numbers;
mod lower;
mod numbered;
mod one_group;
mod output;
mod pane_tree;
mod panes;
mod parts;
mod placed;
mod portion;
mod possible;
mod result;
mod room;
mod row_quota;
mod states;
mod steps;
mod stream_batch;
mod suspended;
mod upper;
mod windows;

pub use collector::{Beyond, PaneCollector};
pub use commons::{BatchCommons, Commons};
pub use datafusion::DATAFUSION_VERSION;
pub use finish::Finisher;
pub use groups::GroupBatch;
pub use ids::{QueryId, SourceId, WorkerId};
pub use input_order::WaitingLimits;
pub use lower::LowerOperator;
pub use output::{LowerOutput, Pane};
pub use parts::{PLACE_OCTETS_MAX, Parts};
pub use portion::Portion;
pub use result::{ResultColumns, Span, Status, WindowResult};
pub use room::{OperatorLimits, Room};
pub use row_quota::{RowLimits, RowQuota};
pub use states::HalfStates;
pub use stream_batch::StreamBatch;
pub use suspended::{STATES_VERSION, SuspendedHead, SuspendedWindows};
pub use windows::{Closed, ClosedWindow, HeldLimits, Windows};

/// Why a query cannot go on: an expression that cannot be computed for some row.
pub use datafusion::common::DataFusionError as QueryFailure;
