//! Rows of what the kernel counted.
//!
//! Takes entries of its table, gives rows of `packet flows`; of those that come at once the heaviest ones first.

use std::cmp::Reverse;
use tapline_interface::kernel::{Clock, FlowKey, KernelFlow};
use tapline_record::column::Symbol;
use tapline_record::{EventTime, PacketFlowColumn, PacketFlowRow};

/// So many rows of most packets come first each time.
const HEAVIEST: usize = 1024;

/// Puts the rows of most packets before the others: they are those that have to have places of their own where there is
/// no room for all.
pub(super) fn heaviest_first(rows: &mut [PacketFlowRow]) {
    if rows.len() > HEAVIEST {
        rows.select_nth_unstable_by_key(HEAVIEST, |row| Reverse(row.packets));
    }
}

/// The row of an entry of this source whose pane was made by this clock.
pub(super) fn row_of(flow: &KernelFlow, source: Symbol, clock: Clock, pane_ns: u64) -> PacketFlowRow {
    // The clock may have been measured anew since the pane was made; panes are whole all the same.
    let start = clock.utc_ns(flow.pane_start_ns);
    let start = start.saturating_add(pane_ns / 2) / pane_ns * pane_ns;
    let at = |time_ns: u64| time_of(start + time_ns.wrapping_sub(flow.pane_start_ns)).0;
    let mut row = PacketFlowRow {
        ts: at(flow.first_ns),
        source,
        direction: flow.direction as u8,
        last_ts: at(flow.last_ns),
        packets: flow.packets,
        frame_octets: flow.frame_octets,
        ..PacketFlowRow::default()
    };
    let own = [
        PacketFlowColumn::Ts,
        PacketFlowColumn::Source,
        PacketFlowColumn::Direction,
        PacketFlowColumn::LastTs,
        PacketFlowColumn::Packets,
        PacketFlowColumn::FrameOctets,
    ];
    row.present = own.map(PacketFlowColumn::bit).iter().sum();
    set_keys(&mut row, &flow.key);
    if flow.key.shape().network.has_octets() {
        row.octets = flow.octets;
        row.present |= PacketFlowColumn::Octets.bit();
    }
    row
}

/// Fills in what the key carries.
fn set_keys(row: &mut PacketFlowRow, key: &FlowKey) {
    macro_rules! set {
        ($($field:ident: $column:ident = $value:expr;)+) => {$(
            if let Some(value) = $value {
                row.$field = value;
                row.present |= PacketFlowColumn::$column.bit();
            }
        )+};
    }
    let (ports, icmp) = (key.ports(), key.icmp());
    set! {
        vlan: Vlan = key.vlan();
        ip_version: IpVersion = key.shape().network.ip_version();
        src_ip: SrcIp = key.src_ip();
        dst_ip: DstIp = key.dst_ip();
        protocol: Protocol = key.protocol();
        src_port: SrcPort = ports.map(|[src, _]| src);
        dst_port: DstPort = ports.map(|[_, dst]| dst);
        tcp_flags: TcpFlags = key.tcp_flags();
        icmp_type: IcmpType = icmp.map(|[kind, _]| kind);
        icmp_code: IcmpCode = icmp.map(|[_, code]| code);
    }
}

pub(super) fn time_of(utc_ns: u64) -> EventTime {
    EventTime(i64::try_from(utc_ns).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_decode::Direction;

    #[test]
    fn a_row_has_its_time_where_its_pane_began_before_the_boot() {
        const MINUTE: u64 = 60_000_000_000;
        let noon = 12 * 60 * MINUTE;
        let clock = Clock { offset_ns: noon + MINUTE / 2 };
        let flow = KernelFlow {
            key: FlowKey::default(),
            direction: Direction::Ingress,
            packets: 2,
            tcp_flags: None,
            octets: 0,
            frame_octets: 120,
            pane_start_ns: (MINUTE / 2).wrapping_neg(),
            first_ns: 7_000,
            last_ns: 9_000,
        };
        let row = row_of(&flow, Symbol::default(), clock, MINUTE);
        let times = [7_000, 9_000].map(|ns| (noon + MINUTE / 2 + ns) as i64);
        assert_eq!([row.ts, row.last_ts], times);
    }

    #[test]
    fn the_heaviest_rows_come_first() {
        let row = |packets| PacketFlowRow { packets, ..PacketFlowRow::default() };
        for count in [0, 1, HEAVIEST, HEAVIEST + 1, 40 * HEAVIEST] {
            // Each number once, in an order of its own.
            let mut rows: Vec<_> =
                (0..count as u64).map(|number| row(number * 7_919 % count as u64)).collect();
            heaviest_first(&mut rows);
            let first: Vec<u64> = rows.iter().take(HEAVIEST).map(|row| row.packets).collect();
            let lightest = count.saturating_sub(HEAVIEST) as u64;
            assert!(first.iter().all(|packets| *packets >= lightest), "{count} rows");
            let mut all: Vec<u64> = rows.iter().map(|row| row.packets).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count as u64), "none is lost");
        }
    }
}
