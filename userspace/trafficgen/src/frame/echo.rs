//! The echo of ICMP (RFC 792) and ICMPv6 (RFC 4443).
//!
//! Takes a ping's numbers, writes a header of 8 octets. The checksum field is left zero.

pub(super) const PROTOCOL_V4: u8 = 1;
pub(super) const PROTOCOL_V6: u8 = 58;
pub(super) const OCTETS: usize = 8;
pub(super) const CHECKSUM_OFFSET: usize = 2;

/// The header of an echo request or reply.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// An answer, not a question.
    pub reply: bool,
    /// Whose ping it is.
    pub identifier: u16,
    /// Which of its pings it is.
    pub sequence: u16,
}

impl Echo {
    pub(super) fn write(self, is_ipv4: bool, out: &mut Vec<u8>) {
        let message_type = match (is_ipv4, self.reply) {
            (true, false) => 8,
            (true, true) => 0,
            (false, false) => 128,
            (false, true) => 129,
        };
        out.extend_from_slice(&[message_type, 0, 0, 0]);
        out.extend_from_slice(&self.identifier.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }
}
