//! Flow exports from a sender that knows what it sent, through the built binary: files and live.
//!
//! Whatever was sent is delivered or counted, in the protocol's own unit, and what was delivered gives the sums
//! that the sender knows.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end where it cannot go on")]

mod account;
mod alerts;
mod captures;
mod description;
mod elements;
mod files;
mod fuzz_clients;
mod fuzz_sql;
mod history;
mod history_away;
mod identity;
mod limits;
mod live;
mod lookups;
mod metrics;
mod node;
mod overload;
mod page;
mod preview;
mod prometheus;
mod psql;
mod psql_strangers;
mod reexport;
mod restart;
mod security;
mod sender;
mod sensors;
mod sinks;
mod state;
mod times;
mod viewers;
