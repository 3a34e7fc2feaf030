//! What comes out of the kernel's table, as whoever reads it wants it.
//!
//! Takes entries one by one, gives rows of `packet flows`, and counts of flows to those who meter them: into records
//! of `table flows`, and for whoever asks for flows that are active.

use super::flows::TableFlows;
use super::rows::row_of;
use crate::selection::Selecting;
use crate::watch::{Watch, update_of};
use tapline_interface::kernel::{Clock, KernelFlow};
use tapline_record::column::Symbol;
use tapline_record::{EventTime, PacketFlowRow};

/// Who takes entries, and what was taken.
#[derive(Default)]
pub(super) struct Intake {
    /// The symbol of the interface's name in rows.
    pub(super) source: Symbol,
    /// Whether some query reads rows.
    pub(super) sends_rows: bool,
    /// Rows that were taken.
    pub(super) rows: Vec<PacketFlowRow>,
    /// Flows, while some query reads records of them.
    pub(super) flows: Option<TableFlows>,
    /// Flows, while somebody asks for those that are active, and no query reads records of them.
    pub(super) watch: Option<Watch>,
    /// Octets of the longest frame that holds one packet of the interface.
    pub(super) frame_octets_max: u64,
    /// Which flows become rows.
    pub(super) selecting: Selecting,
    /// Frames.
    pub(super) delivered: u64,
    /// Frames that came out of the table, and do not become rows.
    pub(super) filtered: u64,
    /// Those in entries whose frames are, on average, longer than a packet: several are in one.
    pub(super) joined: u64,
}

impl Intake {
    /// Takes an entry, whose pane was made by this clock and is of this length, or a multiple of it, in nanoseconds.
    pub(super) fn take(&mut self, entry: &KernelFlow, clock: Clock, pane_ns: u64) {
        if !self.selecting.keeps(&entry.key) {
            self.filtered += entry.packets;
            return;
        }
        self.count(entry);
        let row = row_of(entry, self.source, clock, pane_ns);
        if (self.flows.is_some() || self.watch.is_some())
            && let Some(update) = update_of(&row, entry.tcp_flags)
        {
            self.flows.iter_mut().for_each(|flows| flows.add(&update));
            self.watch.iter_mut().for_each(|watch| watch.add(&update));
        }
        if self.sends_rows {
            self.rows.push(row);
        }
    }

    /// All frames before this time were taken.
    pub(super) fn advance(&mut self, until: EventTime) {
        self.flows.iter_mut().for_each(|flows| flows.advance(until));
        self.watch.iter_mut().for_each(|watch| watch.advance(until));
    }

    fn count(&mut self, entry: &KernelFlow) {
        self.delivered += entry.packets;
        if entry.frame_octets > entry.packets.saturating_mul(self.frame_octets_max) {
            self.joined += entry.packets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::Selection;
    use std::sync::Arc;
    use tapline_decode::Direction;
    use tapline_filter::{Condition, Field};
    use tapline_interface::kernel::{FlowKey, Shape};

    fn flow(key: FlowKey, packets: u64, frame_octets: u64) -> KernelFlow {
        let tcp_flags = None;
        KernelFlow {
            key,
            direction: Direction::Ingress,
            packets,
            tcp_flags,
            octets: 0,
            frame_octets,
            pane_start_ns: 0,
            first_ns: 0,
            last_ns: 0,
        }
    }

    #[test]
    fn entries_of_frames_that_are_several_packets_are_counted() {
        let flow = |packets, frame_octets| flow(FlowKey::default(), packets, frame_octets);
        let mut intake = Intake { frame_octets_max: 1522, ..Intake::default() };
        for flow in [flow(2, 2 * 1522), flow(3, 3 * 1522 + 1), flow(5, 300)] {
            intake.take(&flow, Clock { offset_ns: 0 }, 1);
        }
        assert_eq!((intake.delivered, intake.joined), (10, 3));
        assert!(intake.rows.is_empty(), "nobody reads them");
    }

    #[test]
    fn entries_that_the_filter_leaves_out_are_counted_as_that() {
        let selection = Selection::default();
        selection.set(Some(Arc::new(Condition::is_in(Field::Vlan, [7]).predicate())));
        let mut intake = Intake { selecting: Selecting::by(&selection), ..Intake::default() };
        for (vlan, packets) in [(None, 5), (Some(7), 3), (Some(8), 2)] {
            let mut key = FlowKey::default();
            key.set_rest([0; 2], 0, vlan, Shape::of_bits(0));
            intake.take(&flow(key, packets, 60), Clock { offset_ns: 0 }, 1);
        }
        assert_eq!((intake.delivered, intake.filtered), (3, 7));
    }
}
