//! Results out of the system: as people and programs read them, and on their way to whoever stores or sends them.
//!
//! Takes results, gives text and files, and rows of tables of PostgreSQL and ClickHouse. Addresses become text here, at
//! the edge. An [`Outlet`] feeds a [`Sink`] on a thread of its own, from a bounded queue; a [`Spool`] stands between them
//! where results are to wait on disk.

#![forbid(unsafe_code)]

mod clickhouse;
mod files;
mod hidden_file;
mod json;
mod names;
mod outlet;
mod plain;
mod postgresql;
mod printable;
mod proof;
mod spool;
#[cfg(test)]
mod test_results;

pub use clickhouse::{ClickHouseOptions, ClickHouseSink};
pub use files::{FileFormat, FileOptions, FileSink};
pub use hidden_file::{HiddenFile, ParquetFailure, ROWS_PER_GROUP, parquet_properties};
pub use json::{lines, rows, window, with_own_names};
pub use names::is_named;
pub use outlet::{
    Origin, Outlet, OutletOptions, OutletState, OutletStatus, Parcel, QueueLimits, Refusal, ResultId, Sink,
    Told, Turn, Wanted,
};
pub use plain::plain;
pub use postgresql::{PostgresqlOptions, PostgresqlSink};
pub use printable::{flat, printable, time_text, with_addresses_as_text};
pub use proof::ProofFiles;
pub use spool::{Spool, SpoolOptions};
