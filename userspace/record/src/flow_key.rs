//! What makes two packets belong to one flow.

use crate::PacketColumn;
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
    /// Which of the columns of a key the packets carry: bits of [`PacketColumn`], those in [`FlowKey::MAY_LACK`].
    pub carried: u32,
}

impl FlowKey {
    /// Whether the packets carry a column, which is one that they may lack.
    #[must_use]
    pub const fn carries(&self, column: PacketColumn) -> bool {
        self.carried as u64 & column.bit() != 0
    }

    /// The columns of a key that a packet may lack.
    pub const MAY_LACK: u32 = {
        let columns = PacketColumn::SrcPort.bit()
            | PacketColumn::DstPort.bit()
            | PacketColumn::Vlan.bit()
            | PacketColumn::Protocol.bit()
            | PacketColumn::IcmpType.bit()
            | PacketColumn::IcmpCode.bit();
        assert!(columns <= u32::MAX as u64, "they are among the first columns");
        columns as u32
    };
}
