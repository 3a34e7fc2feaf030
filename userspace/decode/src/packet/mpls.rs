//! MPLS label stacks (RFC 3032), and what the bottom label leaves to be guessed (RFC 4928).

use super::columns::present;
use super::damage::Damage;
use super::fields::Fields as _;
use super::walk::Walk;
use super::{ethertype, ppp_protocol};
use tapline_record::PacketColumn::MplsLabel;

/// Set in the last entry of the stack.
const BOTTOM_OF_STACK: u32 = 1 << 8;
/// Octets of a pseudowire's control word (RFC 4385).
const CONTROL_WORD_OCTETS: usize = 4;

/// Takes the topmost label and gives what is behind the bottom one.
pub(super) fn strip<'a>(mut bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    loop {
        let (entry, rest) = walk.header::<4>(bytes, Damage::MplsTruncated)?;
        let entry = entry.be32::<0>();
        if !walk.row.has(MplsLabel) {
            walk.row.mpls_label = entry >> 12;
            walk.row.present |= present([MplsLabel]);
        }
        bytes = rest;
        if entry & BOTTOM_OF_STACK != 0 {
            return guess_payload(bytes, walk);
        }
    }
}

/// IP by its version, otherwise an Ethernet pseudowire.
fn guess_payload<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match bytes.first()? >> 4 {
        1 => return associated_channel(bytes, walk),
        4 => walk.ethertype = ethertype::IPV4,
        6 => walk.ethertype = ethertype::IPV6,
        _ => return Some(pseudowire(bytes, walk)),
    }
    Some(bytes)
}

/// A pseudowire's associated channel (RFC 4385 §5): its channel types for IP are those of PPP.
fn associated_channel<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = bytes.split_first_chunk::<CONTROL_WORD_OCTETS>()?;
    walk.ethertype = match header.be16::<2>() {
        ppp_protocol::IPV4 => ethertype::IPV4,
        ppp_protocol::IPV6 => ethertype::IPV6,
        _ => return None,
    };
    Some(bytes)
}

/// A first nibble of zero is a control word, or a frame's destination address: the EtherType, where
/// it would be without a control word, decides.
fn pseudowire<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> &'a [u8] {
    walk.ethertype = ethertype::BRIDGED_ETHERNET;
    let ethernet = bytes.first_chunk::<14>();
    let has_common_type = ethernet.is_some_and(|header| ethertype::is_common(header.be16::<12>()));
    match bytes {
        [0..=0x0f, _, _, _, frame @ ..] if !has_common_type => frame,
        frame => frame,
    }
}
