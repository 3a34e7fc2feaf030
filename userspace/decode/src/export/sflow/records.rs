//! The records of a flow sample, as columns of its row.
//!
//! A record that is cut short fills what it can; of two that tell the same, the later one counts. Where records
//! do not hold an IP packet, the frame tells how many octets there were.

use super::xdr::{Block, Xdr};
use crate::flow_meter::columns_of;
use crate::packet::{Depth, decode};
use crate::{Frame, LinkType};
use tapline_record::address::{Address, mapped_v4};
use tapline_record::{EventTime, FlowColumn, FlowRow, PacketColumn, PacketRow};

/// A VLAN id has twelve bits.
const VLAN_MAX: u32 = 0xfff;

/// Sets fields of a row, and that they are there.
macro_rules! set {
    ($row:expr, $($field:ident: $column:ident = $value:expr),+ $(,)?) => {{
        let row = &mut *$row;
        $(row.$field = $value;)+
        row.present |= $(FlowColumn::$column.bit())|+;
    }};
}

pub(super) use set;

/// What the records of one sample have told so far.
#[derive(Debug)]
pub(super) struct Sampled<'a> {
    pub(super) row: &'a mut FlowRow,
    /// Room for the sampled packet.
    pub(super) packet: &'a mut PacketRow,
    /// Octets of the frame, without its check sequence where the agent removed it.
    pub(super) frame_octets: Option<u32>,
}

impl Sampled<'_> {
    /// Takes a record in; what is not known is left out.
    pub(super) fn note(&mut self, Block { format, body, .. }: Block<'_>) -> Option<()> {
        match format {
            1 => self.packet_header(body),
            2 => self.ethernet(body),
            3 => self.ip::<4>(body, mapped_v4, 4),
            4 => self.ip::<16>(body, |address| address, 6),
            1001 => self.switch(body),
            1002 => self.router(body),
            1003 => self.gateway(body),
            1006 => self.mpls(body),
            1007 => self.nat(body),
            1020 => self.nat_ports(body),
            _ => Some(()),
        }
    }

    fn packet_header(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let [protocol, frame_octets, stripped, header_octets] = xdr.numbers()?;
        let header_octets = usize::try_from(header_octets).ok()?.min(xdr.0.len());
        let original_octets = frame_octets.saturating_sub(stripped);
        self.frame_octets = Some(original_octets);
        let link = match protocol {
            1 => LinkType::Ethernet,
            11 => LinkType::Ipv4,
            12 => LinkType::Ipv6,
            other => LinkType::Other(other),
        };
        let frame = Frame {
            ts: EventTime(0),
            link,
            direction: None,
            interface: None,
            original_octets,
            bytes: xdr.take(header_octets)?,
        };
        decode(&frame, Depth::Transport, self.packet);
        fill_from_packet(self.row, self.packet);
        Some(())
    }

    fn ethernet(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let octets = xdr.u32()?;
        self.frame_octets.get_or_insert(octets);
        set!(self.row, src_mac: SrcMac = xdr.mac()?);
        set!(self.row, dst_mac: DstMac = xdr.mac()?);
        Some(())
    }

    /// An IP header without its packet.
    fn ip<const N: usize>(
        &mut self,
        mut xdr: Xdr<'_>,
        address: impl Fn([u8; N]) -> Address,
        version: u8,
    ) -> Option<()> {
        let [octets, protocol] = xdr.numbers()?;
        let [src_ip, dst_ip] = [xdr.array()?, xdr.array()?].map(address);
        set!(
            self.row,
            octets: Octets = octets.into(),
            protocol: Protocol = u8::try_from(protocol).ok()?,
            ip_version: IpVersion = version,
            src_ip: SrcIp = src_ip,
            dst_ip: DstIp = dst_ip,
        );
        let [src_port, dst_port, tcp_flags, tos] = xdr.numbers()?;
        match protocol {
            6 => self.ports(src_port, dst_port, Some(tcp_flags)),
            17 | 33 | 132 => self.ports(src_port, dst_port, None),
            _ => {}
        }
        set!(self.row, tos: Tos = u8::try_from(tos).ok()?);
        Some(())
    }

    fn ports(&mut self, src_port: u32, dst_port: u32, tcp_flags: Option<u32>) {
        if let (Ok(src_port), Ok(dst_port)) = (u16::try_from(src_port), u16::try_from(dst_port)) {
            set!(self.row, src_port: SrcPort = src_port, dst_port: DstPort = dst_port);
        }
        if let Some(tcp_flags) = tcp_flags.and_then(|flags| u16::try_from(flags).ok()) {
            set!(self.row, tcp_flags: TcpFlags = tcp_flags);
        }
    }

    /// VLANs at both sides; 0 is none.
    fn switch(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let [vlan, _priority, post_vlan, _post_priority] = xdr.numbers()?;
        if (1..=VLAN_MAX).contains(&vlan) {
            set!(self.row, vlan: Vlan = u16::try_from(vlan).ok()?);
        }
        if (1..=VLAN_MAX).contains(&post_vlan) {
            set!(self.row, post_vlan: PostVlan = u16::try_from(post_vlan).ok()?);
        }
        Some(())
    }

    fn router(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        if let Some(next_hop) = xdr.address()? {
            set!(self.row, next_hop: NextHop = next_hop);
        }
        let masks = xdr.numbers()?.map(|bits| u8::try_from(bits).ok().filter(|&bits| bits <= 128));
        if let [Some(src_mask), Some(dst_mask)] = masks {
            set!(self.row, src_mask: SrcMask = src_mask, dst_mask: DstMask = dst_mask);
        }
        Some(())
    }

    /// The route to the destination ends at its autonomous system; a path without any stays in the router's own,
    /// for which 0 stands, as in NetFlow.
    fn gateway(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        if let Some(bgp_next_hop) = xdr.address()? {
            set!(self.row, bgp_next_hop: BgpNextHop = bgp_next_hop);
        }
        let [_router_as, src_as, _src_peer_as, segments] = xdr.numbers()?;
        set!(self.row, src_as: SrcAs = src_as);
        let mut dst_as = 0;
        for _ in 0..segments {
            let [_kind, systems] = xdr.numbers()?;
            if systems > 0 {
                dst_as = xdr.last_of(systems)?;
            }
        }
        set!(self.row, dst_as: DstAs = dst_as);
        Some(())
    }

    /// The topmost label that the packet came with.
    fn mpls(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let next_hop = xdr.address()?;
        if let Some(next_hop) = next_hop.filter(|_| !self.row.has(FlowColumn::NextHop)) {
            set!(self.row, next_hop: NextHop = next_hop);
        }
        if xdr.u32()? > 0 {
            set!(self.row, mpls_label: MplsLabel = xdr.u32()? >> 12);
        }
        Some(())
    }

    fn nat(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        if let Some(address) = xdr.address()? {
            set!(self.row, nat_src_ip: NatSrcIp = address);
        }
        if let Some(address) = xdr.address()? {
            set!(self.row, nat_dst_ip: NatDstIp = address);
        }
        Some(())
    }

    fn nat_ports(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let [src_port, dst_port] = xdr.numbers()?.map(u16::try_from);
        set!(self.row, nat_src_port: NatSrcPort = src_port.ok()?, nat_dst_port: NatDstPort = dst_port.ok()?);
        Some(())
    }
}

/// Moves what a packet carries; it does not tell its direction.
fn fill_from_packet(row: &mut FlowRow, packet: &PacketRow) {
    row.present |= columns_of(packet.present);
    row.src_ip = packet.src_ip;
    row.dst_ip = packet.dst_ip;
    row.src_port = packet.src_port;
    row.dst_port = packet.dst_port;
    row.protocol = packet.protocol;
    row.tcp_flags = packet.tcp_flags;
    row.tos = packet.dscp << 2 | packet.ecn & 3;
    row.vlan = packet.vlan;
    row.mpls_label = packet.mpls_label;
    row.src_mac = packet.src_mac;
    row.dst_mac = packet.dst_mac;
    row.icmp_type = packet.icmp_type;
    row.icmp_code = packet.icmp_code;
    row.ip_version = packet.ip_version;
    if packet.has(PacketColumn::Octets) {
        set!(row, octets: Octets = packet.octets);
    }
}
