//! A node's tables for SQL.
//!
//! Takes a catalog, gives a DataFusion session that reads it: each query is a table of its newest results, and
//! `queries`, `sources` and `ledger` say how everything stands, `active_flows` what flows now. All rows are those of the moment at which they are
//! read. Nothing can be written, and no file is read. Columns are of types that every client of PostgreSQL's protocol
//! knows.

#![forbid(unsafe_code)]

mod accounts;
mod client_types;
mod context;
mod flows;
mod listing;
mod live;
mod on_text;
mod results;

pub use context::{CATALOG, MEMORY_OCTETS_MAX, SCHEMA, context};
pub use listing::{Cells, Listing, columns};
pub use live::stream_named;
