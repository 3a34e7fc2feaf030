//! Why a frame's headers could not be read to the end.
//!
//! A damaged frame is a row all the same; its reason is an annotation that is counted, one a frame:
//! the first that the walk through its headers meets.

use crate::reasons::reasons;

reasons! {
    /// What is wrong with a frame. In the order in which headers follow each other.
    Damage,
    /// How many frames were damaged, by reason.
    DamageCounts;

    /// The frame itself may be sound.
    SnapLength "capture's snap length cut off headers";
    LinuxSllTruncated "Linux cooked header is cut short";
    BsdLoopbackTruncated "BSD loopback header is cut short";
    EthernetTruncated "Ethernet header is cut short";
    EthernetLengthTooLong "802.3 length is more than the frame holds";
    LlcTruncated "LLC or SNAP header is cut short";
    VlanTruncated "VLAN tag is cut short";
    MplsTruncated "MPLS label stack is cut short";
    PppoeTruncated "PPPoE header is cut short";
    PppoeLengthTooLong "PPPoE length is more than the frame holds";
    PppTruncated "PPP header is cut short";
    PbbTruncated "provider backbone tag is cut short";
    FabricPathTruncated "FabricPath header is cut short";
    NshTruncated "network service header is cut short";
    NshLengthTooShort "network service header length is below 8 octets";
    NflogTruncated "NFLOG attribute is cut short";
    ArpTruncated "ARP packet is cut short";
    IpEmpty "IP packet has no octets";
    IpVersionUnknown "IP version is not the expected one";
    Ipv4HeaderTruncated "IPv4 header is cut short";
    Ipv4HeaderLengthTooShort "IPv4 header length is below 20 octets";
    Ipv4TotalLengthTooShort "IPv4 total length is below the header length";
    Ipv4TotalLengthTooLong "IPv4 total length is more than the frame holds";
    Ipv4OptionsTruncated "IPv4 options are cut short";
    Ipv6HeaderTruncated "IPv6 header is cut short";
    Ipv6PayloadLengthTooLong "IPv6 payload length is more than the frame holds";
    IpExtensionTruncated "IP extension header is cut short";
    TcpTruncated "TCP header is cut short";
    TcpDataOffsetTooShort "TCP data offset is below 20 octets";
    UdpTruncated "UDP header is cut short";
    UdpLengthTooShort "UDP length is below 8 octets";
    UdpLengthTooLong "UDP length is more than the packet holds";
    SctpTruncated "SCTP header is cut short";
    DccpTruncated "DCCP header is cut short";
    IcmpTruncated "ICMP header is cut short";
    VxlanTruncated "VXLAN header is cut short";
    GeneveTruncated "Geneve header is cut short";
    GreTruncated "GRE header is cut short";
    GtpuTruncated "GTP-U header is cut short";
}
