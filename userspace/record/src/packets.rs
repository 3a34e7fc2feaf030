//! The stream `packets`: one row a frame.

use crate::stream::stream;

stream! {
    /// One row a captured frame, damaged and non-IP frames too.
    PACKETS: Packets "packets" "One row a captured frame; what the frame does not carry is NULL.",
    PacketColumn, PacketRow {
        Ts ts: Timestamp, false, "ns", "Capture time, from the capture file or the kernel's clock";
        Source source: Text, false, "", "Name of the source that it came from: the interface, or the capture file as it was named";
        Interface interface: Text, true, "", "Name of the capturing interface (pcapng if_name, or the live interface)";
        Direction direction: UInt8, true, "", "0 received, 1 sent, as in IPFIX flowDirection (pcapng epb_flags, SLL packet type)";
        SrcMac src_mac: Mac, true, "", "Source MAC address of the outermost Ethernet header";
        DstMac dst_mac: Mac, true, "", "Destination MAC address of the outermost Ethernet header";
        Ethertype ethertype: UInt16, true, "", "The first EtherType that is no VLAN tag; MPLS and PPPoE frames keep theirs";
        Vlan vlan: UInt16, true, "", "VLAN id of the outermost 802.1Q or 802.1ad tag";
        InnerVlan inner_vlan: UInt16, true, "", "VLAN id of the second tag";
        MplsLabel mpls_label: UInt32, true, "", "Label of the topmost MPLS entry";
        IpVersion ip_version: UInt8, true, "", "4 or 6, of the outermost IP header";
        SrcIp src_ip: Address, true, "", "Source address of the outermost IP header";
        DstIp dst_ip: Address, true, "", "Destination address of the outermost IP header";
        Protocol protocol: UInt8, true, "", "IP protocol after IPv6 extension headers";
        Ttl ttl: UInt8, true, "hops", "IPv4 time to live or IPv6 hop limit";
        Dscp dscp: UInt8, true, "", "Differentiated services code point (upper 6 bits of TOS or traffic class)";
        Ecn ecn: UInt8, true, "", "Explicit congestion notification (lower 2 bits of TOS or traffic class)";
        IpId ip_id: UInt32, true, "", "IPv4 identification, or that of the IPv6 fragment header";
        FragmentOffset fragment_offset: UInt16, true, "octets", "Offset of this fragment in the original packet; NULL for IPv6 without fragment header";
        FlowLabel flow_label: UInt32, true, "", "IPv6 flow label";
        SrcPort src_port: UInt16, true, "", "Source port of TCP, UDP, SCTP, in the first fragment";
        DstPort dst_port: UInt16, true, "", "Destination port of TCP, UDP, SCTP, in the first fragment";
        TcpFlags tcp_flags: UInt16, true, "", "TCP flags, FIN = 1 … CWR = 128, AE = 256";
        TcpSeq tcp_seq: UInt32, true, "", "TCP sequence number, as sent";
        TcpAck tcp_ack: UInt32, true, "", "TCP acknowledgement number, as sent";
        TcpWindow tcp_window: UInt16, true, "", "TCP window, unscaled";
        IcmpType icmp_type: UInt8, true, "", "ICMP or ICMPv6 type";
        IcmpCode icmp_code: UInt8, true, "", "ICMP or ICMPv6 code";
        Octets octets: Counter, true, "octets", "IP packet, header included, as its header claims (IPv6: 40 + payload length); a claim of zero: what is left of the frame, or what a jumbogram says";
        FrameOctets frame_octets: Counter, false, "octets", "Frame on the wire, before any snap length";
        TunnelKind tunnel_kind: Text, true, "", "vxlan, geneve, gre, ipip, gtpu: the outermost tunnel";
        TunnelId tunnel_id: UInt32, true, "", "VNI, GRE key or TEID of that tunnel";
        InnerSrcIp inner_src_ip: Address, true, "", "Source address inside the outermost tunnel";
        InnerDstIp inner_dst_ip: Address, true, "", "Destination address inside the outermost tunnel";
        InnerProtocol inner_protocol: UInt8, true, "", "IP protocol inside the outermost tunnel";
        InnerSrcPort inner_src_port: UInt16, true, "", "Source port inside the outermost tunnel";
        InnerDstPort inner_dst_port: UInt16, true, "", "Destination port inside the outermost tunnel";
        Payload payload: Bytes, true, "", "Captured octets behind the outermost transport header";
    }
}
