//! The account of frames that were read one by one.

use tapline_capture::End;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, UnreadCounts};
use tapline_interface::kernel::FilterState;
use tapline_interface::live::{Description, LiveCounters};
use tapline_record::ledger::SourceLedger;

/// The account of what was read of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceReport {
    /// What was opened, and why nothing better.
    pub description: Description,
    /// What was read and lost.
    pub counters: LiveCounters,
    /// How the filter of its program stands; `None` where there is no program.
    pub filter: Option<FilterState>,
    /// Why it could not be read any more.
    pub failure: Option<String>,
}

/// The account of what was read frame by frame.
#[derive(Clone, Debug)]
pub struct PacketReport {
    /// What rows name as their source; of several files, the names of all.
    pub source: String,
    /// Frames and their fates.
    pub ledger: SourceLedger,
    /// How each file ended; `None` when it was not read to its end.
    pub files: Vec<(String, Option<End>)>,
    /// How an interface was read; `None` of files.
    pub interface: Option<InterfaceReport>,
    /// Damaged frames by reason; they are rows all the same.
    pub damage: DamageCounts,
    /// Frames of link types, EtherTypes and the like that are not read; they are rows all the same.
    pub unread: UnreadCounts,
    /// Octets that the frames had on the wire.
    pub frame_octets: u64,
    /// Flows that were built, if some query asked for them.
    pub flows: Option<FlowMeterCounters>,
}

impl PacketReport {
    /// Whether another one is of who reads other frames of the same interface.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        let is_read = self.interface.is_some() && other.interface.is_some();
        is_read && self.source == other.source
    }

    /// Adds what one that is beside it tells, of whose interface and flows the first one has told.
    pub fn add(&mut self, other: Self) {
        self.ledger += other.ledger;
        self.damage += other.damage;
        self.unread += other.unread;
        self.frame_octets += other.frame_octets;
        if let Some((interface, other)) = self.interface.as_mut().zip(other.interface) {
            interface.counters += other.counters;
            interface.failure = interface.failure.take().or(other.failure);
        }
    }
}
