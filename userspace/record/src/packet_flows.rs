//! Packets as a flow table keeps them: the form in which `packets` comes out of the kernel, and out of a flow cache.

use crate::stream::stream;

stream! {
    /// One row a flow and pane, or a part of it; rows of one key add up. Columns of a name that [`crate::PACKETS`]
    /// has, too, are those of every packet of the row, but for octets, which are sums, and the event time, which is
    /// that of the first one. No query names this stream: the planner reads it where it may stand for packets.
    PACKET_FLOWS: PacketFlows "packet flows" "One row a flow of packets in one pane, or a part of it.",
    PacketFlowColumn, PacketFlowRow {
        Ts ts: Timestamp, false, "ns", "Time of the first packet";
        Source source: Text, false, "", "As of packets";
        Direction direction: UInt8, true, "", "As of packets";
        SrcMac src_mac: Mac, true, "", "As of packets";
        DstMac dst_mac: Mac, true, "", "As of packets";
        Ethertype ethertype: UInt16, true, "", "As of packets";
        Vlan vlan: UInt16, true, "", "As of packets";
        InnerVlan inner_vlan: UInt16, true, "", "As of packets";
        IpVersion ip_version: UInt8, true, "", "As of packets";
        SrcIp src_ip: Address, true, "", "As of packets";
        DstIp dst_ip: Address, true, "", "As of packets";
        Protocol protocol: UInt8, true, "", "As of packets";
        Ttl ttl: UInt8, true, "hops", "As of packets";
        Dscp dscp: UInt8, true, "", "As of packets";
        Ecn ecn: UInt8, true, "", "As of packets";
        SrcPort src_port: UInt16, true, "", "As of packets";
        DstPort dst_port: UInt16, true, "", "As of packets";
        TcpFlags tcp_flags: UInt16, true, "", "As of packets";
        IcmpType icmp_type: UInt8, true, "", "As of packets";
        IcmpCode icmp_code: UInt8, true, "", "As of packets";
        Octets octets: Counter, true, "octets", "Sum over the packets";
        FrameOctets frame_octets: Counter, false, "octets", "Sum over the packets";
        LastTs last_ts: Timestamp, false, "ns", "Time of the last packet";
        Packets packets: Counter, false, "packets", "How many packets the row stands for";
    }
}

impl PacketFlowColumn {
    /// Whether the kernel's table has it; all others a flow cache has, too.
    #[must_use]
    pub const fn is_in_kernel(self) -> bool {
        use PacketFlowColumn::{Dscp, DstMac, Ecn, Ethertype, InnerVlan, SrcMac, Ttl};
        !matches!(self, SrcMac | DstMac | Ethertype | InnerVlan | Ttl | Dscp | Ecn)
    }
}
