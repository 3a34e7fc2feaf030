//! Flows of what the kernel counts, while somebody asks for those that are active.
//!
//! Takes the entries that come out of the table, gives the flows that they are parts of. These are no records of
//! `flows`, and nobody reads them as such: so a flow is one, however long it lasts.

use crate::active::{FlowsAsk, FlowsTold};
use tapline_decode::flow_meter::{FlowUpdate, without_active_timeout};
use tapline_decode::{FlowMeter, FlowMeterLimits};
use tapline_record::{EventTime, FlowKey, PacketColumn, PacketFlowColumn, PacketFlowRow};

/// Meters flows of the kernel's table.
pub(crate) struct Watch {
    meter: FlowMeter,
    since: EventTime,
}

impl Watch {
    /// Meters what is given from now on, which the kernel has counted since then.
    pub(crate) fn new(limits: FlowMeterLimits, since: EventTime) -> Self {
        let mut meter = FlowMeter::new(without_active_timeout(limits));
        meter.keep_ended(true);
        Self { meter, since }
    }

    /// Counts an entry into its flow.
    pub(crate) fn add(&mut self, update: &FlowUpdate) {
        self.meter.add(update, &mut |_| ());
    }

    /// All that the kernel counted before this time was given.
    pub(crate) fn advance(&mut self, time: EventTime) {
        self.meter.advance(time, &mut |_| ());
    }

    /// Tells flows, as many as may be told at once; says whether that was all.
    pub(crate) fn tell(&self, ask: &mut FlowsAsk, now: EventTime) -> bool {
        ask.tell(&self.meter, FlowsTold::by(&self.meter, now, self.since))
    }
}

/// Columns of the table that a meter looks at.
const CARRIED: [(PacketFlowColumn, PacketColumn); 10] = [
    (PacketFlowColumn::Direction, PacketColumn::Direction),
    (PacketFlowColumn::SrcIp, PacketColumn::SrcIp),
    (PacketFlowColumn::DstIp, PacketColumn::DstIp),
    (PacketFlowColumn::SrcPort, PacketColumn::SrcPort),
    (PacketFlowColumn::DstPort, PacketColumn::DstPort),
    (PacketFlowColumn::Vlan, PacketColumn::Vlan),
    (PacketFlowColumn::Protocol, PacketColumn::Protocol),
    (PacketFlowColumn::IcmpType, PacketColumn::IcmpType),
    (PacketFlowColumn::IcmpCode, PacketColumn::IcmpCode),
    (PacketFlowColumn::IpVersion, PacketColumn::IpVersion),
];

/// An entry as a meter takes it, with the flags of all of its frames, joined by OR; `None` where these belong to no flow.
pub(crate) fn update_of(row: &PacketFlowRow, tcp_flags: Option<u16>) -> Option<FlowUpdate> {
    if !row.has(PacketFlowColumn::SrcIp) || !row.has(PacketFlowColumn::DstIp) {
        return None;
    }
    let carried = CARRIED.iter().filter(|(of_row, _)| row.has(*of_row));
    let flags = tcp_flags.map_or(0, |_| PacketColumn::TcpFlags.bit());
    let present = carried.fold(flags, |present, (_, column)| present | column.bit());
    let key = FlowKey {
        src_ip: row.src_ip,
        dst_ip: row.dst_ip,
        src_port: row.src_port,
        dst_port: row.dst_port,
        vlan: row.vlan,
        protocol: row.protocol,
        icmp_type: row.icmp_type,
        icmp_code: row.icmp_code,
        ip_version: row.ip_version,
        carried: present as u32 & FlowKey::MAY_LACK,
    };
    Some(FlowUpdate {
        key,
        present,
        packets: row.packets,
        octets: row.octets,
        first: row.ts,
        last: row.last_ts,
        tcp_flags: tcp_flags.unwrap_or_default(),
        direction: row.direction,
        ..FlowUpdate::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active::{Taken, ask_flows};
    use tapline_decode::flow_meter::ActiveFlow;

    const SECOND: i64 = 1_000_000_000;

    fn entry(second: i64, tcp_flags: u16) -> FlowUpdate {
        let columns = [PacketFlowColumn::SrcIp, PacketFlowColumn::DstIp, PacketFlowColumn::SrcPort];
        let row = PacketFlowRow {
            present: columns.map(PacketFlowColumn::bit).iter().sum(),
            src_port: 443,
            ts: second * SECOND,
            last_ts: second * SECOND,
            packets: 10,
            octets: 1000,
            ..PacketFlowRow::default()
        };
        update_of(&row, Some(tcp_flags)).unwrap()
    }

    fn flows(watch: &Watch) -> Vec<ActiveFlow> {
        let (mut ask, mut answer) = ask_flows(true);
        while !watch.tell(&mut ask, EventTime(0)) {}
        let mut flows = vec![];
        assert!(matches!(answer.take(|flow| flows.push(flow)), Taken::All(_)));
        flows
    }

    #[test]
    fn entries_of_a_flow_are_one_however_long_it_lasts() {
        let mut watch = Watch::new(FlowMeterLimits::default(), EventTime(0));
        for second in 0..100 {
            [0x10, 0x18].iter().for_each(|flags| watch.add(&entry(second, *flags)));
            watch.advance(EventTime(second * SECOND));
        }
        let [flow] = flows(&watch)[..] else { panic!() };
        assert_eq!((flow.packets, flow.octets, flow.tcp_flags), (2_000, 200_000, Some(0x18)));
        assert_eq!((flow.start, flow.last), (EventTime(0), EventTime(99 * SECOND)));
        assert!(flow.key.carries(PacketColumn::SrcPort) && !flow.key.carries(PacketColumn::Vlan));
        assert!(update_of(&PacketFlowRow::default(), None).is_none(), "frames without addresses");
        watch.advance(EventTime(120 * SECOND));
        assert!(flows(&watch)[0].end_reason.is_some());
    }
}
