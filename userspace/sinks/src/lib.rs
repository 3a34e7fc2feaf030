//! Results out of the system: as people and programs read them, and on their way to whoever stores or sends them.
//!
//! Takes results, gives text and files. Addresses become text here, at the edge. An [`Outlet`] feeds a [`Sink`] on a
//! thread of its own, from a bounded queue.

#![forbid(unsafe_code)]

mod files;
mod hidden_file;
mod json;
mod names;
mod outlet;
mod plain;
mod printable;
#[cfg(test)]
mod test_results;

pub use files::{FileFormat, FileOptions, FileSink};
pub use hidden_file::{HiddenFile, ParquetFailure, ROWS_PER_GROUP, parquet_properties};
pub use json::{lines, rows, window, with_own_names};
pub use names::is_named;
pub use outlet::{
    Asked, Outlet, OutletOptions, OutletState, OutletStatus, Parcel, QueueLimits, Refusal, Sink, Told, Turn,
    Wanted,
};
pub use plain::plain;
pub use printable::{flat, printable, time_text, with_addresses_as_text};
