//! IPv4 (RFC 791).

use super::columns::{columns_within, present};
use super::damage::Damage;
use super::fields::Fields as _;
use super::ip_extension;
use super::walk::Walk;
use tapline_record::PacketColumn::{
    Dscp, DstIp, Ecn, FragmentOffset, IpId, IpVersion, Octets, Protocol, SrcIp, Ttl,
};
use tapline_record::address::mapped_v4;

/// Length of the header without options.
const HEADER_OCTETS: usize = 20;
/// Set in every fragment but the last.
const MORE_FRAGMENTS: u16 = 0x2000;
/// Where each field ends, and its columns.
const FIELDS: [(usize, u64); 9] = [
    (1, present([IpVersion])),
    (2, present([Dscp, Ecn])),
    (4, present([Octets])),
    (6, present([IpId])),
    (8, present([FragmentOffset])),
    (9, present([Ttl])),
    (10, present([Protocol])),
    (16, present([SrcIp])),
    (20, present([DstIp])),
];
const COLUMNS: u64 = columns_within(&FIELDS, HEADER_OCTETS);

/// Fills the columns of the header.
#[inline]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let Some((header, _)) = walk.header::<HEADER_OCTETS>(bytes, Damage::Ipv4HeaderTruncated) else {
        return fill_start(bytes, bytes.len(), walk);
    };
    let header_octets = header_octets(header);
    let octets = claimed_octets(header, bytes, walk);
    if header_octets < HEADER_OCTETS || (octets < header_octets && header.be16::<2>() != 0) {
        return distrust(header, walk);
    }
    let fragment = header.be16::<6>();
    fill(header, octets, walk);
    let packet = walk.limit(bytes, octets, Damage::Ipv4TotalLengthTooLong);
    let bytes = walk.skip(packet, header_octets, Damage::Ipv4OptionsTruncated)?;
    if offset_octets(fragment) != 0 {
        return None;
    }
    walk.protocol = header[9];
    walk.is_fragmented = fragment & MORE_FRAGMENTS != 0;
    ip_extension::look_through_in_ipv4(bytes, walk)
}

#[inline]
fn fill(header: &[u8; HEADER_OCTETS], octets: usize, walk: &mut Walk<'_, '_>) {
    let row = &mut *walk.row;
    row.ip_version = 4;
    row.dscp = header[1] >> 2;
    row.ecn = header[1] & 0b11;
    row.octets = octets as u64;
    row.ip_id = header.be16::<4>().into();
    row.fragment_offset = offset_octets(header.be16::<6>());
    row.ttl = header[8];
    row.protocol = header[9];
    row.src_ip = mapped_v4(header.octets::<12, 4>());
    row.dst_ip = mapped_v4(header.octets::<16, 4>());
    row.present |= COLUMNS;
}

/// The fragment offset, which the header gives in units of 8 octets.
#[inline]
const fn offset_octets(fragment: u16) -> u16 {
    fragment << 3
}

/// What the header claims; when that is nothing, for the card will cut the packet up, all that is left of the frame.
#[inline]
fn claimed_octets(header: &[u8; HEADER_OCTETS], captured: &[u8], walk: &Walk<'_, '_>) -> usize {
    match header.be16::<2>() {
        0 => walk.sent_octets(captured),
        total_length => total_length.into(),
    }
}

#[inline]
fn header_octets(header: &[u8; HEADER_OCTETS]) -> usize {
    usize::from(header[0] & 0x0f) * 4
}

/// A header whose lengths contradict each other: what stands before the wrong one is kept.
#[cold]
fn distrust<'a>(header: &[u8; HEADER_OCTETS], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    if header_octets(header) < HEADER_OCTETS {
        walk.note(Damage::Ipv4HeaderLengthTooShort);
        return fill_start(header, 1, walk);
    }
    walk.note(Damage::Ipv4TotalLengthTooShort);
    fill_start(header, 4, walk)
}

/// Fills the columns whose fields end within the first `octets` octets of a header.
#[cold]
fn fill_start<'a>(bytes: &[u8], octets: usize, walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let mut header = [0; HEADER_OCTETS];
    header[..bytes.len()].copy_from_slice(bytes);
    fill(&header, claimed_octets(&header, bytes, walk), walk);
    walk.row.present &= !COLUMNS | columns_within(&FIELDS, octets);
    None
}
