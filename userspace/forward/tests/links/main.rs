//! Sensors and aggregators over real sockets, real folders and real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backlog;
mod disks;
mod kills;
mod proof;
mod proxy;
mod scene;
mod tiers;
mod truth;
