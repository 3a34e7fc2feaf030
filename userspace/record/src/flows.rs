//! The stream `flows`: one row a flow record.

use crate::stream::stream;

stream! {
    /// One row a flow record, unidirectional.
    FLOWS: Flows "flows" "One row a flow record, unidirectional; what the source does not carry is NULL.",
    FlowColumn, FlowRow {
        Ts ts: Timestamp, false, "ns", "Event time of the record: the flow's end";
        Source source: Text, false, "", "Name of the source that it came from: the listener's URL, the interface, or the file as it was named, for flows built from packets that of the first one";
        StartTime start_time: Timestamp, true, "ns", "Time of the first packet (IE 22, 150, 152, 154, 156)";
        EndTime end_time: Timestamp, true, "ns", "Time of the last packet (IE 21, 151, 153, 155, 157)";
        Exporter exporter: Address, true, "", "Address that made the record, which in sFlow is the agent's; NULL for flows built from packets";
        Sender sender: Address, true, "", "Address that the record came from, which in sFlow may be another one; NULL for flows built from packets";
        ObservationDomain observation_domain: UInt32, true, "", "IPFIX observation domain, v9 source id, v5 engine, sFlow sub-agent";
        SrcIp src_ip: Address, true, "", "Source address (IE 8, 27)";
        DstIp dst_ip: Address, true, "", "Destination address (IE 12, 28)";
        SrcPort src_port: UInt16, true, "", "Source port (IE 7)";
        DstPort dst_port: UInt16, true, "", "Destination port (IE 11)";
        Protocol protocol: UInt8, true, "", "IP protocol (IE 4)";
        TcpFlags tcp_flags: UInt16, true, "", "TCP flags of all packets, joined by OR (IE 6)";
        Tos tos: UInt8, true, "", "Type of service or traffic class of the first packet (IE 5)";
        Packets packets: Counter, true, "packets", "Packets, before sampling correction (IE 2, else 298, 24)";
        Octets octets: Counter, true, "octets", "Octets of the IP packets, before sampling correction (IE 1, else 231, 23; of frames, 352)";
        SamplingRate sampling_rate: Counter, true, "packets", "One packet in so many was sampled; NULL when the source does not say";
        ScaledPackets scaled_packets: Counter, true, "packets", "Packets times sampling rate";
        ScaledOctets scaled_octets: Counter, true, "octets", "Octets times sampling rate";
        SrcAs src_as: UInt32, true, "", "Source autonomous system (IE 16)";
        DstAs dst_as: UInt32, true, "", "Destination autonomous system (IE 17)";
        SrcMask src_mask: UInt8, true, "bits", "Prefix length of the source's route (IE 9, 29)";
        DstMask dst_mask: UInt8, true, "bits", "Prefix length of the destination's route (IE 13, 30)";
        NextHop next_hop: Address, true, "", "IP next hop (IE 15, 62)";
        BgpNextHop bgp_next_hop: Address, true, "", "BGP next hop (IE 18, 63)";
        InputInterface input_interface: UInt32, true, "", "SNMP index of the interface it came in by (IE 10)";
        OutputInterface output_interface: UInt32, true, "", "SNMP index of the interface it left by (IE 14)";
        Vlan vlan: UInt16, true, "", "VLAN id at the input (IE 58)";
        PostVlan post_vlan: UInt16, true, "", "VLAN id at the output (IE 59)";
        MplsLabel mpls_label: UInt32, true, "", "Label of the topmost MPLS entry (IE 70)";
        SrcMac src_mac: Mac, true, "", "Source MAC address (IE 56)";
        DstMac dst_mac: Mac, true, "", "Destination MAC address (IE 80)";
        IcmpType icmp_type: UInt8, true, "", "ICMP or ICMPv6 type (IE 32, 139, 176, 178)";
        IcmpCode icmp_code: UInt8, true, "", "ICMP or ICMPv6 code (IE 32, 139, 177, 179)";
        FlowEndReason flow_end_reason: UInt8, true, "", "1 idle timeout, 2 active timeout, 3 end of flow seen, 4 forced, 5 lack of resources (IE 136)";
        Direction direction: UInt8, true, "", "0 ingress, 1 egress (IE 61)";
        IpVersion ip_version: UInt8, true, "", "4 or 6 (IE 60)";
        NatSrcIp nat_src_ip: Address, true, "", "Source address after translation (IE 225, 281)";
        NatDstIp nat_dst_ip: Address, true, "", "Destination address after translation (IE 226, 282)";
        NatSrcPort nat_src_port: UInt16, true, "", "Source port after translation (IE 227)";
        NatDstPort nat_dst_port: UInt16, true, "", "Destination port after translation (IE 228)";
        ApplicationId application_id: UInt64, true, "", "Application, classification engine in the top octet (IE 95)";
    }
}
