//! What makes two packets belong to one flow.

use crate::address::Address;

/// The key of a unidirectional flow.
///
/// Ports are zero where the protocol has none, ICMP type and code where it is not ICMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Source address.
    pub src_ip: Address,
    /// Destination address.
    pub dst_ip: Address,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// VLAN id of the outermost tag, [`FlowKey::NO_VLAN`] without one.
    pub vlan: u16,
    /// IP protocol.
    pub protocol: u8,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
}

impl FlowKey {
    /// Stands for "no tag"; tagged ids have 12 bits.
    pub const NO_VLAN: u16 = u16::MAX;
}
