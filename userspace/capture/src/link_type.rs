//! Link types by their numbers in the tcpdump.org registry.
//!
//! Takes the number as a capture file states it, gives how its frames begin.

use tapline_decode::LinkType;

/// Length of the frame check sequence of Ethernet.
const ETHERNET_FCS_OCTETS: u32 = 4;

/// The link type with `number`, where each frame ends with a check sequence of so many octets.
pub(super) const fn with_fcs(number: u32, fcs_octets: u32) -> LinkType {
    match from_number(number) {
        LinkType::Ethernet if fcs_octets == ETHERNET_FCS_OCTETS => LinkType::EthernetWithFcs,
        other => other,
    }
}

/// The link type with `number`; unknown ones keep it.
pub(super) const fn from_number(number: u32) -> LinkType {
    match number {
        0 => LinkType::BsdNull,
        1 => LinkType::Ethernet,
        9 | 50 => LinkType::Ppp,
        12 | 14 | 101 => LinkType::RawIp,
        51 => LinkType::PppOverEthernet,
        108 => LinkType::BsdLoop,
        113 => LinkType::LinuxSll,
        166 | 204 => LinkType::PppWithDirection,
        219 => LinkType::Mpls,
        228 => LinkType::Ipv4,
        229 => LinkType::Ipv6,
        239 => LinkType::Nflog,
        276 => LinkType::LinuxSll2,
        other => LinkType::Other(other),
    }
}
