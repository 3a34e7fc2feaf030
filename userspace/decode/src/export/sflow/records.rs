//! The records of a flow sample, as columns of its row.
//!
//! A record that is cut short fills what it can; of two that tell the same, the later one counts. Where records
//! do not hold an IP packet, the frame tells how many octets there were.

use super::header_protocol::find_packet;
use super::numbers;
use super::xdr::{Block, Xdr};
use crate::export::sampled_packet::{fill_from_frame, set};
use crate::packet::protocol;
use tapline_record::address::{Address, mapped_v4};
use tapline_record::{FlowColumn, FlowRow, PacketRow};

/// A VLAN id has twelve bits.
const VLAN_MAX: u32 = 0xfff;

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
            numbers::SAMPLED_HEADER => self.packet_header(body),
            numbers::SAMPLED_ETHERNET => self.ethernet(body),
            numbers::SAMPLED_IPV4 => self.ip::<4>(body, mapped_v4, 4),
            numbers::SAMPLED_IPV6 => self.ip::<16>(body, |address| address, 6),
            numbers::EXTENDED_SWITCH => self.switch(body),
            numbers::EXTENDED_ROUTER => self.router(body),
            numbers::EXTENDED_GATEWAY => self.gateway(body),
            numbers::EXTENDED_MPLS => self.mpls(body),
            numbers::EXTENDED_NAT => self.nat(body),
            numbers::EXTENDED_NAT_PORT => self.nat_ports(body),
            _ => Some(()),
        }
    }

    fn packet_header(&mut self, mut xdr: Xdr<'_>) -> Option<()> {
        let [protocol, frame_octets, stripped, header_octets] = xdr.numbers()?;
        let header_octets = usize::try_from(header_octets).ok()?.min(xdr.0.len());
        let original_octets = frame_octets.saturating_sub(stripped);
        self.frame_octets = Some(original_octets);
        let header = xdr.take(header_octets)?;
        let start = find_packet(protocol, header)?;
        let packet_octets = original_octets.saturating_sub(u32::try_from(start.octets).ok()?);
        fill_from_frame(self.row, self.packet, start.link, packet_octets, &header[start.octets..]);
        if let Some([src_mac, dst_mac]) = start.macs {
            set!(self.row, src_mac: SrcMac = src_mac, dst_mac: DstMac = dst_mac);
        }
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
        match u8::try_from(protocol) {
            Ok(protocol::TCP) => self.ports(src_port, dst_port, Some(tcp_flags)),
            Ok(protocol::UDP | protocol::DCCP | protocol::SCTP) => self.ports(src_port, dst_port, None),
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
