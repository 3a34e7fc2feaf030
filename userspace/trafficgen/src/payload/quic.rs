//! QUIC packets with a short header (RFC 9000 section 17.3.1), as established connections send them.
//!
//! Takes a connection identifier, gives the payload of a datagram; all but the first octet and the
//! identifier is zero, where it would be encrypted.

use super::Payload;

/// A datagram of so many octets; at least 30, so that it has room for its identifier and a packet.
#[must_use]
pub fn datagram(connection: u64, octets: usize) -> Payload {
    const SHORT_HEADER: u8 = 0x41;
    let mut head = vec![SHORT_HEADER];
    head.extend_from_slice(&connection.to_be_bytes());
    let filler = octets.max(30) - head.len();
    Payload::new(head, filler)
}
