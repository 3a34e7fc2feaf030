//! How far to read into a frame.

use super::columns::present;
use tapline_record::PacketColumn::{
    Direction, Dscp, DstIp, DstMac, DstPort, Ecn, Ethertype, FlowLabel, FragmentOffset, FrameOctets,
    IcmpCode, IcmpType, InnerVlan, Interface, IpId, IpVersion, MplsLabel, Octets, Payload, Protocol, Source,
    SrcIp, SrcMac, SrcPort, TcpAck, TcpFlags, TcpSeq, TcpWindow, Ts, Ttl, Vlan,
};

/// The deepest header that is read; damage further in is not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Nothing but what the capture says about the frame.
    #[default]
    Frame,
    /// MAC addresses, VLAN tags, MPLS labels, up to the IP header.
    Link,
    /// The IP header and its extension headers.
    Network,
    /// Ports, TCP, ICMP; all that a flow meter needs.
    Transport,
    /// The outermost tunnel and the packet inside.
    Tunnel,
}

const FRAME_COLUMNS: u64 = present([Ts, Source, Interface, FrameOctets]);
const LINK_COLUMNS: u64 = present([Direction, SrcMac, DstMac, Ethertype, Vlan, InnerVlan, MplsLabel]);
const NETWORK_COLUMNS: u64 =
    present([IpVersion, SrcIp, DstIp, Protocol, Ttl, Dscp, Ecn, IpId, FragmentOffset, FlowLabel, Octets]);
const TRANSPORT_COLUMNS: u64 =
    present([SrcPort, DstPort, TcpFlags, TcpSeq, TcpAck, TcpWindow, IcmpType, IcmpCode, Payload]);

impl Depth {
    /// The least depth that fills the columns at these positions of the stream `packets`.
    #[must_use]
    pub fn of_columns(positions: &[usize]) -> Self {
        positions.iter().map(|&position| Self::of_column(position)).max().unwrap_or_default()
    }

    fn of_column(position: usize) -> Self {
        let bit = u32::try_from(position).ok().and_then(|position| 1_u64.checked_shl(position)).unwrap_or(0);
        let depths = [
            (FRAME_COLUMNS, Self::Frame),
            (LINK_COLUMNS, Self::Link),
            (NETWORK_COLUMNS, Self::Network),
            (TRANSPORT_COLUMNS, Self::Transport),
        ];
        let depth = depths.into_iter().find(|(columns, _)| columns & bit != 0);
        depth.map_or(Self::Tunnel, |(_, depth)| depth)
    }
}
