//! The Internet checksum (RFC 1071).
//!
//! Takes octets, gives their sum in network order, to be added up over parts and finished once. Every part
//! but the last has an even number of octets.

use std::net::IpAddr;

/// The sum of the octets, not yet folded; an odd last octet counts as if a zero followed.
pub(super) fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let mut sum = 0;
    for word in &mut words {
        sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    sum + u64::from(u32::from_be_bytes(last))
}

/// The sum of the pseudo header that TCP, UDP and ICMPv6 add (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub(super) fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, segment_octets: usize) -> u64 {
    address(src) + address(dst) + u64::from(protocol) + segment_octets as u64
}

/// The checksum of a sum: folded to 16 bits, complemented.
pub(super) fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(finish(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
    }

    #[test]
    fn an_odd_octet_is_the_high_one() {
        assert_eq!(finish(sum(&[0x12])), !0x1200);
        assert_eq!(finish(sum(&[0, 0, 0, 0, 0x12])), !0x1200);
    }
}
