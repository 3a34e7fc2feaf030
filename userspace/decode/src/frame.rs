//! What a capture source hands to the decoder.

use tapline_record::EventTime;

/// How a frame begins (the names are those of the tcpdump.org link-type registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// `LINKTYPE_ETHERNET` (1).
    Ethernet,
    /// `LINKTYPE_ETHERNET` of a capture that says that each frame ends with its frame check sequence of 4 octets.
    EthernetWithFcs,
    /// `LINKTYPE_RAW` (101, and 12 or 14 on some systems): IPv4 or IPv6 by the version nibble.
    RawIp,
    /// `LINKTYPE_LINUX_SLL` (113).
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2` (276).
    LinuxSll2,
    /// `LINKTYPE_NULL` (0): address family in the byte order of the capturing host.
    BsdNull,
    /// `LINKTYPE_LOOP` (108): address family in network byte order.
    BsdLoop,
    /// `LINKTYPE_IPV4` (228).
    Ipv4,
    /// `LINKTYPE_IPV6` (229).
    Ipv6,
    /// `LINKTYPE_MPLS` (219): a label stack first.
    Mpls,
    /// `LINKTYPE_PPP` (9) and `LINKTYPE_PPP_HDLC` (50): PPP, with or without address and control.
    Ppp,
    /// `LINKTYPE_PPP_ETHER` (51): a PPPoE session.
    PppOverEthernet,
    /// `LINKTYPE_PPP_PPPD` (166) and `LINKTYPE_PPP_WITH_DIR` (204): an octet for the direction, then PPP.
    PppWithDirection,
    /// `LINKTYPE_NFLOG` (239): what Linux's netfilter logs.
    Nflog,
    /// Any other one: frames are counted, their headers are not read.
    Other(u32),
}

/// Which way a frame crossed its interface, as in IPFIX flowDirection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Received.
    Ingress = 0,
    /// Sent.
    Egress = 1,
}

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Capture time.
    pub ts: EventTime,
    /// How `bytes` begins.
    pub link: LinkType,
    /// Direction, where the capture says it.
    pub direction: Option<Direction>,
    /// Name of the capturing interface, where the capture says it.
    pub interface: Option<&'a str>,
    /// Length on the wire; at least `bytes.len()` in an honest capture.
    pub original_octets: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}
