//! IP and MAC addresses as they stand in columns, and their text forms.
//!
//! An IP address is 16 octets in network order; IPv4 is mapped to `::ffff:a.b.c.d` (RFC 4291
//! §2.5.5.2), so that both families share one column and sort in one order.

use arrow_array::builder::StringBuilder;
use arrow_array::{Array as _, FixedSizeBinaryArray, StringArray};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// 16 octets in network order, IPv4 mapped.
pub type Address = [u8; 16];
/// 6 octets as they stand on the wire.
pub type Mac = [u8; 6];

/// Maps an IPv4 address in network order.
#[must_use]
#[inline]
pub const fn mapped_v4(octets: [u8; 4]) -> Address {
    let [a, b, c, d] = octets;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The column form of a standard library address.
#[must_use]
pub const fn from_ip(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => mapped_v4(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The standard library form; mapped addresses come back as IPv4.
#[must_use]
pub const fn to_ip(address: Address) -> IpAddr {
    match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        octets => IpAddr::V6(Ipv6Addr::from_octets(octets)),
    }
}

/// Parses `10.0.0.1` or `2001:db8::1`; `None` when `text` is neither.
#[must_use]
pub fn parse_ip(text: &str) -> Option<Address> {
    text.parse().ok().map(from_ip)
}

/// Parses six octets in hexadecimal, separated by `:` or `-`.
#[must_use]
pub fn parse_mac(text: &str) -> Option<Mac> {
    let mut octets = Mac::default();
    let mut parts = text.split([':', '-']);
    for octet in &mut octets {
        let part = parts.next()?;
        let is_octet = matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_hexdigit());
        *octet = if is_octet { u8::from_str_radix(part, 16).ok()? } else { return None };
    }
    parts.next().is_none().then_some(octets)
}

/// `aa:bb:cc:dd:ee:ff`.
#[must_use]
pub fn format_mac(mac: Mac) -> String {
    let mut text = String::with_capacity(17);
    write_mac(&mut text, mac);
    text
}

/// Appends the text of [`format_mac`].
pub fn write_mac(text: &mut String, mac: Mac) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    for (position, octet) in mac.into_iter().enumerate() {
        if position > 0 {
            text.push(':');
        }
        text.extend([digit(octet >> 4), digit(octet & 15)]);
    }
}

/// Appends the text of an IP address, as [`to_ip`] would be shown. Of IPv4 it is written digit by digit, which takes a
/// fraction of the time.
pub fn write_ip(text: &mut String, address: Address) {
    let IpAddr::V4(v4) = to_ip(address) else {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", Ipv6Addr::from_octets(address));
        return;
    };
    for (position, octet) in v4.octets().into_iter().enumerate() {
        if position > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
}

/// First and last address of `a.b.c.d/len` or `v6::/len`; a bare address is its own range.
/// `None` when `text` is not a prefix.
#[must_use]
pub fn parse_prefix(text: &str) -> Option<(Address, Address)> {
    let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
    let ip: IpAddr = ip.parse().ok()?;
    let widest = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(widest), |digits| digits.parse().ok())?;
    if length > widest {
        return None;
    }
    let host_bits = widest - length;
    let host_mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit - 1);
    let base = u128::from_be_bytes(from_ip(ip)) & !host_mask;
    Some((base.to_be_bytes(), (base | host_mask).to_be_bytes()))
}

/// The network that holds `address`, with `v4_bits` or `v6_bits` of prefix by its family.
#[must_use]
pub const fn network(address: Address, v4_bits: u8, v6_bits: u8) -> Address {
    let bits = match to_ip(address) {
        IpAddr::V4(_) => 96 + if v4_bits > 32 { 32 } else { v4_bits },
        IpAddr::V6(_) if v6_bits > 128 => 128,
        IpAddr::V6(_) => v6_bits,
    };
    let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
    (u128::from_be_bytes(address) & mask).to_be_bytes()
}

/// A column of addresses as text, each of `N` octets appended by `write`; NULL stays NULL.
pub fn texts<const N: usize>(
    addresses: &FixedSizeBinaryArray,
    write: impl Fn(&mut String, [u8; N]),
) -> StringArray {
    let mut texts = StringBuilder::with_capacity(addresses.len(), addresses.len() * N);
    let mut text = String::new();
    for octets in addresses {
        match octets.and_then(|octets| octets.try_into().ok()) {
            Some(octets) => {
                text.clear();
                write(&mut text, octets);
                texts.append_value(&text);
            }
            None => texts.append_null(),
        }
    }
    texts.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_columns_agree() {
        for text in ["10.0.0.1", "2001:db8::1", "::", "255.255.255.255"] {
            assert_eq!(to_ip(parse_ip(text).unwrap()).to_string(), text);
        }
        assert_eq!(parse_ip("10.0.0"), None);
        assert_eq!(format_mac(parse_mac("0A-1b-2C-3d-4E-5f").unwrap()), "0a:1b:2c:3d:4e:5f");
        for text in ["", "00:11:22:33:44", "00:11:22:33:44:55:66", "+1:11:22:33:44:55", "000:1:2:3:4:5"] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }

    #[test]
    fn columns_are_written_as_the_standard_library_does() {
        let mut text = String::new();
        for octet in 0..=255_u8 {
            let v4 = mapped_v4([octet, 255 - octet, octet / 2, octet % 11]);
            let mut v6 = [octet; 16];
            v6[usize::from(octet % 16)..].fill(0);
            for address in [v4, v6] {
                text.clear();
                write_ip(&mut text, address);
                assert_eq!(text, to_ip(address).to_string());
            }
            let mac = [octet, 0, 255, octet / 3, 9, 10];
            let expected = mac.map(|octet| format!("{octet:02x}")).join(":");
            assert_eq!(format_mac(mac), expected);
        }
    }

    #[test]
    fn prefixes_cover_their_range() {
        let range = |first, last| Some((parse_ip(first).unwrap(), parse_ip(last).unwrap()));
        assert_eq!(parse_prefix("10.1.2.3/8"), range("10.0.0.0", "10.255.255.255"));
        assert_eq!(parse_prefix("0.0.0.0/0"), range("0.0.0.0", "255.255.255.255"));
        assert_eq!(parse_prefix("2001:db8::/127"), range("2001:db8::", "2001:db8::1"));
        assert_eq!(parse_prefix("::/0"), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert_eq!(parse_prefix("10.0.0.1"), range("10.0.0.1", "10.0.0.1"));
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "x/8"] {
            assert_eq!(parse_prefix(text), None, "{text}");
        }
    }

    #[test]
    fn networks_keep_their_family() {
        let network_of = |text, v4, v6| to_ip(network(parse_ip(text).unwrap(), v4, v6)).to_string();
        assert_eq!(network_of("10.1.2.3", 16, 48), "10.1.0.0");
        assert_eq!(network_of("10.1.2.3", 0, 0), "0.0.0.0");
        assert_eq!(network_of("2001:db8:1:2::3", 16, 48), "2001:db8:1::");
        assert_eq!(network_of("2001:db8::1", 16, 0), "::");
    }
}
