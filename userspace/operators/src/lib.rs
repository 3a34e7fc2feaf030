//! What runs over batches.
//!
//! On each worker, lower operators filter, project and fold batches into partial aggregates per pane;
//! a merger puts the panes of all workers together into windows and runs the upper half over each.
//! No I/O, no threads, no clock: batches and watermarks come in as arguments.

#![forbid(unsafe_code)]

mod account;
mod group;
mod groups;
mod lower;
mod merge;
mod one_group;
mod panes;
mod result;
mod steps;
mod upper;

pub use groups::GroupBatch;
pub use lower::{LowerOperator, LowerOutput, OperatorLimits, Pane, StreamBatch};
pub use merge::QueryMerger;
pub use result::{QueryId, ResultColumns, Span, Status, WindowResult};

/// Why a query cannot go on: an expression that cannot be computed for some row.
pub use datafusion::common::DataFusionError as QueryFailure;
