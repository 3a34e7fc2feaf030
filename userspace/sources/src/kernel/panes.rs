//! The panes in which the kernel's table counts, and how often it is emptied for them.

use crate::demand::Demand;
use std::time::Duration;
use tapline_decode::flow_meter::FLOW_BORDERS_NS;
use tapline_record::StreamId;
use tapline_record::time::greatest_common_divisor;

/// The table is emptied so many times a pane.
const DRAINS_A_PANE: u64 = 4;
/// It is emptied no more often than this, and no less often than that.
pub(super) const DRAIN_MIN: Duration = Duration::from_millis(50);
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// The longest pane of the table, in nanoseconds: so long its microseconds fit.
const PANE_NS_MAX: u64 = 3_600_000_000_000;

/// How often the table is emptied for panes of this width.
pub(super) fn drains_every(pane_ns: u64) -> Duration {
    Duration::from_nanos(pane_ns / DRAINS_A_PANE).clamp(DRAIN_MIN, DRAIN_MAX)
}

/// The panes of a table that what is demanded can be made of, in nanoseconds.
pub(super) fn pane_of(demand: &Demand) -> u64 {
    let of_rows = demand.common_pane_ns(StreamId::PacketFlows);
    // No entry may lie on both sides of where a record of a flow may end.
    let of_flows = demand.columns(StreamId::TableFlows).map(|_| FLOW_BORDERS_NS);
    let widths = of_rows.into_iter().chain(of_flows).map(i64::unsigned_abs);
    match widths.fold(0, greatest_common_divisor) {
        0 => PANE_NS_MAX,
        width => table_pane(width),
    }
}

/// The panes of the table: those of the queries, or parts of them that fit into an hour.
const fn table_pane(pane_ns: u64) -> u64 {
    if pane_ns <= PANE_NS_MAX { pane_ns } else { greatest_common_divisor(pane_ns, PANE_NS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::PaneWidths;
    use tapline_record::{PACKET_FLOWS, TABLE_FLOWS};

    #[test]
    fn panes_of_the_table_divide_those_of_the_queries() {
        const SECOND: u64 = 1_000_000_000;
        const HOUR: u64 = PANE_NS_MAX;
        assert_eq!([SECOND, HOUR, 2 * HOUR, 3 * HOUR / 2].map(table_pane), [SECOND, HOUR, HOUR, HOUR / 2]);
        for pane in [1, 2 * HOUR + SECOND, 24 * HOUR, 1000 * HOUR + 7] {
            let table = table_pane(pane);
            assert!(table <= HOUR && pane % table == 0, "{pane} in parts of {table}");
        }
    }

    #[test]
    fn panes_of_a_table_whose_flows_are_read_divide_a_second() {
        const SECOND: u64 = 1_000_000_000;
        let mut demand = Demand::default();
        assert_eq!(pane_of(&demand), PANE_NS_MAX);
        let panes = |width_ns| Some(PaneWidths { width_ns, closing_ns: width_ns });
        demand.add(&PACKET_FLOWS, &[], panes(60_000_000_000));
        assert_eq!(pane_of(&demand), 60 * SECOND);
        // What its own windows are does not matter.
        demand.add(&TABLE_FLOWS, &[], panes(60_000_000_000));
        assert_eq!(pane_of(&demand), SECOND);
        demand.add(&PACKET_FLOWS, &[], panes(250_000_000));
        assert_eq!(pane_of(&demand), SECOND / 4);
    }
}
