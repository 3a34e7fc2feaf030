//! SQL to a continuous query in two halves.
//!
//! A query's text comes in; out comes what runs per batch on every worker (the lower halves), what
//! runs once per closed window (the upper half), and the window between them.

#![forbid(unsafe_code)]

mod advice;
mod arithmetic;
mod borrowed;
mod casts;
mod catalog;
mod chain;
mod clauses;
mod columns;
mod contexts;
mod continuous;
mod convert;
mod datafusion_error;
mod diagram;
mod distinct;
mod edit;
mod elements;
mod error;
mod expansion;
mod explain;
mod expressions;
mod flow_table;
mod growth;
mod identity;
mod in_kernel;
mod item_names;
mod joins;
mod limits;
mod literals;
mod lower;
mod mergeable;
mod names;
mod ordering;
mod partial;
mod places;
mod planner;
mod readings;
mod refusal;
mod relations;
mod roles;
mod rolled;
mod row_limits;
mod sensors;
mod session;
mod share;
mod simplify;
mod split;
mod standing;
mod statement;
mod subqueries;
mod syntax;
mod tokens;
mod wanted;
mod window;
mod window_functions;

pub use catalog::STREAMS;
pub use continuous::{ContinuousQuery, Upper, UpperHalf};
pub use datafusion_error::{refusal_over, without_internals};
pub use diagram::{BoxKind, Diagram, DiagramBox, Runs};
pub use edit::{Change, Edited, Literal, Parts};
pub use elements::check_elements;
pub use error::{Place, SqlError};
pub use expansion::check_plan;
pub use flow_table::FlowTable;
pub use growth::BoundedGrowth;
pub use identity::Identity;
pub use joins::YieldingJoins;
pub use limits::{check_size, with_stack};
pub use lower::{Aggregate, AggregateFold, Branch, Fold, LowerHalf, Step};
pub use names::{COMPLETENESS, STATUS, WINDOW_END, WINDOW_START};
pub use partial::PartialSlot;
pub use planner::Planner;
pub use roles::ColumnRole;
pub use rolled::RolledColumn;
pub use sensors::{SensorPattern, without_sensors};
pub use share::{Shape, SharedHalves, share};
pub use statement::check_statement;
pub use tokens::{is_ended, split_statements};
pub use window::Window;
