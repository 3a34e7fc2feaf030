//! Results of queries as Parquet files, and tables of them.
//!
//! ```text
//! FOLDER/query=NAME/hour=2026-11-30T01/00000001-5f3a9c0d.parquet
//!                   the hour in which   number   columns
//!                   windows begin, UTC
//! ```
//! A file is there as a whole or not at all, in types that every engine reads, so that DuckDB, ClickHouse and Spark take
//! the folder as it is. A live hour has many small files, which are merged while it lasts and when it is over: the
//! merged folder takes the other one's place at once. Rows are in the order of their keys. Sums of hours that are over
//! lie beside them, hidden, for questions over many hours; windows become wider while they age, and old hours go, by age
//! and by size.
//!
//! Whoever reads a [`History::table`] sees each result once, those that are in memory besides among them, whatever is
//! merged or removed meanwhile: files that were named when it began are kept for it a while.

#![forbid(unsafe_code)]

mod bounds;
mod bucket;
mod columns;
mod content;
mod damage;
mod elsewhere;
mod grouped;
mod history;
mod index;
mod keeper;
mod layout;
mod left_out;
mod merge;
mod moved;
mod mover;
mod newest;
mod options;
mod place;
mod policy;
mod pruning;
mod reading;
mod recipe;
mod replaced;
mod rollup;
mod rule;
mod shared;
mod sink;
mod sorted;
mod store;
mod stored;
mod summed;
mod summing;
mod sums;
mod table;
mod tails;
#[cfg(test)]
mod tests;
mod tries;
mod turns;
mod unread;
mod waiting;
mod wider;

pub use history::History;
pub use newest::Newest;
pub use options::{BucketOptions, HistoryOptions, RollUp};
pub use rule::StoredSums;
