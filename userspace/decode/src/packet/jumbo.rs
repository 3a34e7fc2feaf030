//! The jumbo payload option (RFC 2675 §2), in a hop-by-hop header.

use super::fields::Fields as _;

/// What no link carries at once is no length.
const PAYLOAD_OCTETS_MAX: u32 = 1 << 30;
const PAD_1: u8 = 0;
const JUMBO_PAYLOAD: u8 = 0xc2;

/// Octets behind the IPv6 header, as the hop-by-hop header at the beginning of `bytes` says, if it does.
pub(super) fn payload_octets(bytes: &[u8]) -> Option<usize> {
    let (&[_, units], rest) = bytes.split_first_chunk::<2>()?;
    let mut options = rest.get(..usize::from(units) * 8 + 6).unwrap_or(rest);
    loop {
        options = match options {
            [PAD_1, rest @ ..] => rest,
            [JUMBO_PAYLOAD, 4, value @ ..] => return believable(value.first_chunk::<4>()?.be32::<0>()),
            [_, octets, rest @ ..] => rest.get(usize::from(*octets)..)?,
            _ => return None,
        };
    }
}

fn believable(octets: u32) -> Option<usize> {
    (octets <= PAYLOAD_OCTETS_MAX).then_some(octets as usize)
}
