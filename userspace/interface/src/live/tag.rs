//! A VLAN tag that stood beside its frame, put back where it was on the wire.

use tapline_ebpf_common::Tag;

/// Octets of a tag.
pub(super) const TAG_OCTETS: usize = Tag::OCTETS as usize;
/// Octets of both addresses of Ethernet, which stand before a tag.
const ADDRESSES_OCTETS: usize = 12;

/// The frame behind the first [`TAG_OCTETS`] octets, with its tag within it, if there is one; without where the frame is too
/// short for both addresses.
pub(super) fn put_back(octets: &mut [u8], tag: Option<[u8; TAG_OCTETS]>) -> &[u8] {
    let end = ADDRESSES_OCTETS + TAG_OCTETS;
    let Some(tag) = tag.filter(|_| octets.len() >= end) else {
        return octets.get(TAG_OCTETS..).unwrap_or_default();
    };
    octets.copy_within(TAG_OCTETS..end, 0);
    octets[ADDRESSES_OCTETS..end].copy_from_slice(&tag);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_behind_the_addresses() {
        let mut octets: Vec<_> = (0..20).collect();
        let expected = [&(4..16).collect::<Vec<u8>>()[..], &[0x81, 0, 0, 7], &[16, 17, 18, 19]].concat();
        assert_eq!(put_back(&mut octets, Some([0x81, 0, 0, 7])), expected);
    }

    #[test]
    fn a_frame_without_a_tag_or_too_short_for_one_is_left_alone() {
        let mut octets: Vec<_> = (0..16).collect();
        assert_eq!(put_back(&mut octets, None), (4..16).collect::<Vec<u8>>());
        let tag = Some([0x81, 0, 0, 7]);
        assert_eq!(put_back(&mut octets[..15], tag), (4..15).collect::<Vec<u8>>());
        assert_eq!(put_back(&mut octets[..3], tag), [0; 0]);
    }
}
