//! IPv6 (RFC 8200).

use super::columns::{columns_within, present};
use super::damage::Damage;
use super::fields::Fields as _;
use super::protocol;
use super::walk::Walk;
use super::{ip_extension, jumbo};
use tapline_record::PacketColumn::{Dscp, DstIp, Ecn, FlowLabel, IpVersion, Octets, Protocol, SrcIp, Ttl};

/// Length of the header without extensions.
const HEADER_OCTETS: usize = 40;
/// Where each field ends, and its columns; the protocol is that behind extension headers, and of how many octets a
/// length of zero speaks, the next header says.
const FIELDS: [(usize, u64); 7] = [
    (1, present([IpVersion])),
    (2, present([Dscp, Ecn])),
    (4, present([FlowLabel])),
    (7, present([Octets])),
    (8, present([Ttl])),
    (24, present([SrcIp])),
    (40, present([DstIp])),
];
const COLUMNS: u64 = columns_within(&FIELDS, HEADER_OCTETS);

/// Fills the columns of the header and of its extension headers.
#[inline]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let Some((header, _)) = walk.header::<HEADER_OCTETS>(bytes, Damage::Ipv6HeaderTruncated) else {
        return fill_start(bytes, walk);
    };
    let octets = claimed_octets(header, bytes, walk);
    fill(header, octets, walk);
    let packet = walk.limit(bytes, octets, Damage::Ipv6PayloadLengthTooLong);
    let bytes = walk.skip(packet, HEADER_OCTETS, Damage::Ipv6HeaderTruncated)?;
    walk.protocol = header[6];
    walk.is_fragmented = false;
    let bytes = ip_extension::look_through(bytes, walk)?;
    note_protocol(walk);
    Some(bytes)
}

#[inline]
fn claimed_octets(header: &[u8; HEADER_OCTETS], captured: &[u8], walk: &Walk<'_, '_>) -> usize {
    match header.be16::<4>() {
        0 => unclaimed_octets(header[6], captured, walk),
        payload_length => HEADER_OCTETS + usize::from(payload_length),
    }
}

/// What there is when the header claims nothing: no payload where nothing follows, what a jumbogram says, and all that
/// is left of the frame of a segment that the card will cut up.
#[cold]
fn unclaimed_octets(next_header: u8, captured: &[u8], walk: &Walk<'_, '_>) -> usize {
    let jumbo = match next_header {
        protocol::NO_NEXT_HEADER => Some(0),
        protocol::HOP_BY_HOP => captured.get(HEADER_OCTETS..).and_then(jumbo::payload_octets),
        _ => None,
    };
    jumbo.map_or_else(|| walk.sent_octets(captured), |payload| HEADER_OCTETS + payload)
}

#[inline]
fn fill(header: &[u8; HEADER_OCTETS], octets: usize, walk: &mut Walk<'_, '_>) {
    let row = &mut *walk.row;
    let first = header.be32::<0>();
    let [_, _, _, traffic_class] = (first >> 20).to_be_bytes();
    row.ip_version = 6;
    row.dscp = traffic_class >> 2;
    row.ecn = traffic_class & 0b11;
    row.flow_label = first & 0xf_ffff;
    row.octets = octets as u64;
    row.ttl = header[7];
    row.src_ip = header.octets::<8, 16>();
    row.dst_ip = header.octets::<24, 16>();
    row.present |= COLUMNS;
}

#[inline]
fn note_protocol(walk: &mut Walk<'_, '_>) {
    walk.row.protocol = walk.protocol;
    walk.row.present |= present([Protocol]);
}

/// A header that is cut short: fills the columns whose fields are whole.
#[cold]
fn fill_start<'a>(bytes: &[u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let mut header = [0; HEADER_OCTETS];
    header[..bytes.len()].copy_from_slice(bytes);
    fill(&header, claimed_octets(&header, bytes, walk), walk);
    walk.row.present &= !COLUMNS | columns_within(&FIELDS, bytes.len());
    walk.protocol = header[6];
    if bytes.len() > 6 && ip_extension::is_last(walk.protocol) {
        note_protocol(walk);
    }
    None
}
