//! The account of what the kernel counted.

use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_interface::kernel::{AttachMode, CardUse, Counters, FilterState};
use tapline_record::ledger::SourceLedger;

/// The account of what the kernel counted.
#[derive(Clone, Debug)]
pub struct KernelReport {
    /// Where the program was attached.
    pub interface: String,
    /// Who ran the program that counts what is received; `None` where only what is sent was counted.
    pub mode: Option<AttachMode>,
    /// What the program took from the card.
    pub card: CardUse,
    /// Frames and their fates; those that the pre-filter refused are filtered.
    pub ledger: SourceLedger,
    /// What became of every frame.
    pub counters: Counters,
    /// What of that is of frames that the interface sent, if these were counted.
    pub sent: Option<Counters>,
    /// Frames of flows whose frames are, on average, longer than a packet of the interface: several are in one.
    pub joined: u64,
    /// Entries that were taken from the table, and those that had left it before.
    pub entries: u64,
    /// Flows that were metered, if some query asked for them.
    pub flows: Option<FlowMeterCounters>,
    /// How the program's filter stands.
    pub filter: FilterState,
    /// Why the table could not be read any more.
    pub failure: Option<String>,
}
