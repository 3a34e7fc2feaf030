//! A node's tables for SQL.
//!
//! Takes a catalog and a history, gives a DataFusion session that reads them, and answers: each query is a table of its
//! results, stored ones and those in memory as one, and `queries`, `sources` and `ledger` say how everything stands,
//! `active_flows` what flows now, `alerts` what fires. All rows are those of the moment at which they are read. Nothing can be written, and
//! no file is read but those of history. Columns are of types that every client of PostgreSQL's protocol knows.
//!
//! ```text
//! catalog ─► newest results ─┐
//!                            ├─► tables ─► Database ─┬─► psql, by a session
//! history ─► stored results ─┘                       └─► the API, the command line: answers
//! ```

#![forbid(unsafe_code)]

mod accounts;
mod alerts;
mod answer;
mod client_types;
mod context;
mod database;
mod flows;
mod listing;
mod live;
mod on_text;
mod reads;
mod results;
mod said;
mod united;

pub use answer::{Answer, Rows, RowsLimits};
pub use client_types::{client_rows, client_schema};
pub use context::{CATALOG, SCHEMA};
pub use database::Database;
pub use listing::{Cells, Listing, columns};
pub use reads::Reads;
pub use said::{AskError, no_room};
