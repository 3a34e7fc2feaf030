//! Link types by their numbers in the tcpdump.org registry.
//!
//! Takes the number as a capture file states it, gives how its frames begin.

use tapline_decode::LinkType;

/// The link type with `number`; unknown ones keep it.
pub(super) const fn from_number(number: u32) -> LinkType {
    match number {
        0 => LinkType::BsdNull,
        1 => LinkType::Ethernet,
        12 | 14 | 101 => LinkType::RawIp,
        108 => LinkType::BsdLoop,
        113 => LinkType::LinuxSll,
        219 => LinkType::Mpls,
        228 => LinkType::Ipv4,
        229 => LinkType::Ipv6,
        276 => LinkType::LinuxSll2,
        other => LinkType::Other(other),
    }
}
