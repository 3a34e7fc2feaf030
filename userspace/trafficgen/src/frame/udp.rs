//! UDP (RFC 768).
//!
//! Takes ports and the datagram's length, writes a header of 8 octets. The checksum field is left zero.

pub(super) const PROTOCOL: u8 = 17;
pub(super) const OCTETS: usize = 8;
pub(super) const CHECKSUM_OFFSET: usize = 6;

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
}

impl Udp {
    pub(super) fn write(self, datagram_octets: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&(datagram_octets as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    }
}
