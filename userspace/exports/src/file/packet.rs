//! What a captured frame carries that may hold export messages: a UDP datagram, a piece of one, or a
//! segment of a TCP connection.
//!
//! Takes frames, of any octets, gives what is in them; everything else is `None`.

use tapline_decode::{Depth, Frame, decode};
use tapline_record::PacketColumn::{FragmentOffset, Protocol, TcpFlags};
use tapline_record::PacketRow;
use tapline_record::address::Address;

use crate::protocol::be16;

const TCP: u8 = 6;
const UDP: u8 = 17;
pub(super) const UDP_HEADER_OCTETS: usize = 8;
const MORE_FRAGMENTS_V4: u16 = 0x2000;
const MORE_FRAGMENTS_V6: u16 = 1;
const IPV6_HEADER_OCTETS: usize = 40;
/// Extension headers of IPv6 (IANA, "Assigned Internet Protocol Numbers").
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT_HEADER: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// What a frame carries.
pub(super) enum Carried<'a> {
    Datagram(UdpDatagram<'a>),
    Fragment(Fragment<'a>),
    Segment(Segment<'a>),
}

/// Both ends of a datagram or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) src: Address,
    pub(super) dst: Address,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
}

/// A UDP datagram in one frame.
pub(super) struct UdpDatagram<'a> {
    pub(super) ends: Ends,
    pub(super) payload: &'a [u8],
    /// Octets that the payload had when it was sent.
    pub(super) sent_octets: usize,
}

/// A piece of a UDP datagram.
#[derive(Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) key: FragmentKey,
    pub(super) offset: usize,
    pub(super) is_last: bool,
    pub(super) octets: &'a [u8],
}

/// What pieces of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentKey {
    pub(super) src: Address,
    pub(super) dst: Address,
    pub(super) ip_id: u32,
}

/// A TCP segment.
pub(super) struct Segment<'a> {
    pub(super) ends: Ends,
    pub(super) sequence: u32,
    pub(super) flags: u16,
    pub(super) payload: &'a [u8],
    /// Octets of the payload that the snap length cut off.
    pub(super) missing_octets: usize,
}

/// What `frame` carries; `row` is a place to work in.
pub(super) fn carried<'a>(frame: &Frame<'a>, row: &mut PacketRow) -> Option<Carried<'a>> {
    let decoded = decode(frame, Depth::Transport, row);
    if !row.has(Protocol) {
        return None;
    }
    match (row.protocol, decoded.payload) {
        (UDP, None) => fragment(frame.bytes, row).map(Carried::Fragment),
        (UDP, Some(payload)) => Some(udp(frame, payload, row)),
        (TCP, Some(payload)) if row.has(TcpFlags) => Some(Carried::Segment(segment(frame, payload, row))),
        _ => None,
    }
}

const fn ends(row: &PacketRow) -> Ends {
    Ends { src: row.src_ip, dst: row.dst_ip, src_port: row.src_port, dst_port: row.dst_port }
}

/// A datagram of which less is there than its header says is a first piece, or cut by the snap length.
fn udp<'a>(frame: &Frame<'a>, payload: &'a [u8], row: &PacketRow) -> Carried<'a> {
    let sent_octets = claimed_octets(frame.bytes, payload).unwrap_or(payload.len());
    if sent_octets > payload.len()
        && let Some(fragment) = fragment(frame.bytes, row)
        && !fragment.is_last
    {
        return Carried::Fragment(fragment);
    }
    Carried::Datagram(UdpDatagram { ends: ends(row), payload, sent_octets })
}

/// Octets of the payload by the header in front of it.
fn claimed_octets(frame: &[u8], payload: &[u8]) -> Option<usize> {
    let at = offset_in(frame, payload)?.checked_sub(UDP_HEADER_OCTETS - 4)?;
    let claim = be16(frame, at)?;
    usize::from(claim).checked_sub(UDP_HEADER_OCTETS)
}

/// Where a part of a frame stands in it.
fn offset_in(frame: &[u8], part: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)
}

fn segment<'a>(frame: &Frame<'a>, payload: &'a [u8], row: &PacketRow) -> Segment<'a> {
    let reaches_the_end = payload.as_ptr_range().end == frame.bytes.as_ptr_range().end;
    let cut_octets = (frame.original_octets as usize).saturating_sub(frame.bytes.len());
    Segment {
        ends: ends(row),
        sequence: row.tcp_seq,
        flags: row.tcp_flags,
        payload,
        missing_octets: if reaches_the_end { cut_octets } else { 0 },
    }
}

/// The piece in a frame of whose IP header `row` is filled. One that was cut by the snap length has no
/// octets, since they would be of no use.
fn fragment<'a>(frame: &'a [u8], row: &PacketRow) -> Option<Fragment<'a>> {
    let packet = packet(frame, row)?;
    let (data, is_last) = if row.ip_version == 4 { ipv4_data(packet)? } else { ipv6_data(packet)? };
    let is_cut = (packet.len() as u64) < row.octets;
    let octets = if is_cut { &[] } else { data };
    let offset = if row.has(FragmentOffset) { row.fragment_offset.into() } else { 0 };
    let key = FragmentKey { src: row.src_ip, dst: row.dst_ip, ip_id: row.ip_id };
    Some(Fragment { key, offset, is_last, octets })
}

/// The IP packet, as far as it was captured: the header is found by what the decoder read of it.
fn packet<'a>(frame: &'a [u8], row: &PacketRow) -> Option<&'a [u8]> {
    let octets = usize::try_from(row.octets).ok()?;
    let is_header = |start: &[u8]| {
        if row.ip_version == 4 {
            start[0] >> 4 == 4
                && be16(start, 2) == u16::try_from(octets).ok()
                && be16(start, 4).map(u32::from) == Some(row.ip_id)
                && start[12..16] == row.src_ip[12..]
                && start[16..20] == row.dst_ip[12..]
        } else {
            start[0] >> 4 == 6 && start[8..24] == row.src_ip && start[24..40] == row.dst_ip
        }
    };
    let header_octets = if row.ip_version == 4 { 20 } else { IPV6_HEADER_OCTETS };
    let at = frame.windows(header_octets).position(is_header)?;
    let captured = &frame[at..];
    Some(captured.get(..octets).unwrap_or(captured))
}

/// What follows the header, and whether it is the end of the datagram.
fn ipv4_data(packet: &[u8]) -> Option<(&[u8], bool)> {
    let header_octets = usize::from(packet.first()? & 0x0f) * 4;
    let is_last = be16(packet, 6)? & MORE_FRAGMENTS_V4 == 0;
    (packet.get(9) == Some(&UDP)).then_some((packet.get(header_octets..)?, is_last))
}

/// What follows the fragment header, and whether it is the end of the datagram.
fn ipv6_data(packet: &[u8]) -> Option<(&[u8], bool)> {
    let (mut at, mut next_header) = (IPV6_HEADER_OCTETS, *packet.get(6)?);
    while next_header != FRAGMENT_HEADER {
        if !matches!(next_header, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) {
            return None;
        }
        next_header = *packet.get(at)?;
        at += (usize::from(*packet.get(at + 1)?) + 1) * 8;
    }
    let is_last = be16(packet, at + 2)? & MORE_FRAGMENTS_V6 == 0;
    (packet.get(at) == Some(&UDP)).then_some((packet.get(at + 8..)?, is_last))
}
