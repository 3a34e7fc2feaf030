//! Results out of the system: as people and programs read them, and on their way to whoever stores or sends them.
//!
//! Takes results, gives text, files, rows of tables of PostgreSQL and ClickHouse, notices and messages. Addresses become
//! text here, at the edge. An [`Outlet`] feeds a [`Sink`] on a thread of its own, from a bounded queue; a [`Spool`]
//! stands between them where results are to wait on disk.

#![forbid(unsafe_code)]

mod alert;
mod alerts;
mod clickhouse;
mod files;
mod hidden_file;
mod host;
mod ipfix;
mod json;
mod names;
mod origin;
mod outlet;
mod place;
mod plain;
mod postgresql;
mod printable;
mod progress;
mod proof;
mod sink;
mod spool;
mod syslog;
mod table_names;
#[cfg(test)]
mod test_results;
mod trust;

pub use alert::{Alert, AlertBy, Comparison, Condition};
pub use alerts::{AlertMemory, AlertSink, AlertSinkOptions, CommandOptions, Teller, WebhookOptions};
pub use clickhouse::{ClickHouseOptions, ClickHouseSink};
pub use files::{FileFormat, FileOptions, FileSink};
pub use hidden_file::{HiddenFile, ParquetFailure, ROWS_PER_GROUP, parquet_properties};
pub use host::host_name;
pub use ipfix::{IpfixOptions, IpfixSink};
pub use json::{lines, rows, window, with_own_names};
pub use names::is_named;
pub use origin::{Firing, Known, Origin, Passed};
pub use outlet::{Outlet, OutletOptions, OutletState, OutletStatus, QueueLimits, Told, Turn, Wanted};
pub use place::is_place;
pub use plain::plain;
pub use postgresql::{PostgresqlOptions, PostgresqlSink};
pub use printable::{flat, printable, time_text, with_addresses_as_text};
pub use proof::ProofFiles;
pub use sink::{Parcel, Refusal, ResultId, Sink};
pub use spool::{Spool, SpoolOptions};
pub use syslog::{Facility, Severity, SyslogOptions, SyslogSink, SyslogTarget};
pub use trust::trusted_certificates;
