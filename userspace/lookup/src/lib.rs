//! Lookup tables: what an address, a number or a name is, as a file says it.
//!
//! A file comes in, CSV, Parquet or MaxMind; out comes a table that gives for an array of keys an array of values, by
//! value or by longest prefix. A table never changes: a file that has changed makes another one, which takes its place
//! between two batches, or is refused, with a sentence, while the one before stays.

#![forbid(unsafe_code)]

mod csv;
mod file;
mod index;
mod keys;
mod maxmind;
mod nearest;
mod parquet;
mod prefixes;
mod radix;
mod ranges;
mod stamp;
mod table;
mod tables;
mod vendor_list;
mod vendors;

pub use file::TableFile;
pub use keys::KeyKind;
pub use prefixes::{PrefixList, Prefixes};
pub use table::Table;
pub use tables::{Loaded, NoTable, Refreshed, TableStatus, Tables};
pub use vendors::Vendors;
