//! How sources read.

use crate::clock::{Clock, SystemClock};
use crate::selection::Selection;
use std::sync::Arc;
use tapline_decode::FlowMeterLimits;
use tapline_decode::export::ExportOptions;

/// Allowed lateness of packets and of exports, where nothing else is said.
const PACKETS_LATENESS_MS: u32 = 2_000;
const EXPORTS_LATENESS_MS: u32 = 60_000;

/// Limits and the clock of sources, taken when they are made.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// How far a record may lie behind the latest one, where that cannot be measured beforehand, and behind its
    /// arrival, where it is exported live; `None` for 2 s of packets and 60 s of exports.
    pub allowed_lateness_ms: Option<u32>,
    /// How exports are decoded.
    pub exports: ExportOptions,
    /// How flows are built from packets.
    pub flows: FlowMeterLimits,
    /// Which frames become rows, of packets and of the flows that are built from them.
    pub selection: Selection,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            batch_rows: 8192,
            allowed_lateness_ms: None,
            exports: ExportOptions::default(),
            flows: FlowMeterLimits::default(),
            selection: Selection::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl SourceOptions {
    /// How far the event time of an exported record may lie behind its arrival.
    #[must_use]
    pub fn exports_lateness_ms(&self) -> u32 {
        self.allowed_lateness_ms.unwrap_or(EXPORTS_LATENESS_MS)
    }

    /// How far a record of exports may lie behind, in nanoseconds.
    #[must_use]
    pub fn exports_lateness_ns(&self) -> i64 {
        i64::from(self.exports_lateness_ms()) * 1_000_000
    }

    /// How far a packet may lie behind the latest one, in nanoseconds.
    #[must_use]
    pub fn packets_lateness_ns(&self) -> i64 {
        i64::from(self.allowed_lateness_ms.unwrap_or(PACKETS_LATENESS_MS)) * 1_000_000
    }
}
