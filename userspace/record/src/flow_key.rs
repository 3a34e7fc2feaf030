//! What makes two packets belong to one flow.

use crate::address::Address;

/// The key of a unidirectional flow.
///
/// What a packet does not carry equals nothing that one carries: its field is zero, and its bit is not set in
/// `carried`. Equal addresses of IPv4 and IPv6 (mapped ones) are told apart by the version.
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
    /// VLAN id of the outermost tag.
    pub vlan: u16,
    /// IP protocol.
    pub protocol: u8,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// 4 or 6; zero where it is not known.
    pub ip_version: u8,
    /// Which of ports, VLAN, protocol, ICMP type and code there are, see the constants.
    pub carried: u8,
}

impl FlowKey {
    /// There is a source port.
    pub const SRC_PORT: u8 = 1;
    /// There is a destination port.
    pub const DST_PORT: u8 = 1 << 1;
    /// There is a VLAN tag.
    pub const VLAN: u8 = 1 << 2;
    /// There is a protocol.
    pub const PROTOCOL: u8 = 1 << 3;
    /// There is an ICMP type.
    pub const ICMP_TYPE: u8 = 1 << 4;
    /// There is an ICMP code.
    pub const ICMP_CODE: u8 = 1 << 5;
}
