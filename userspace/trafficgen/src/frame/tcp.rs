//! TCP (RFC 9293).
//!
//! Takes a segment's numbers, writes a header of 20 octets, or 32 with the options of a SYN. The checksum
//! field is left zero.

pub(super) const PROTOCOL: u8 = 6;
pub(super) const CHECKSUM_OFFSET: usize = 16;

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Reset the connection.
pub const RST: u8 = 0x04;
/// Push the data to the reader.
pub(crate) const PSH: u8 = 0x08;
/// The acknowledgement is valid.
pub const ACK: u8 = 0x10;

/// Maximum segment size 1440, selective acknowledgements, a window scale of 7, padding.
const SYN_OPTIONS: [u8; 12] = [2, 4, 0x05, 0xa0, 4, 2, 3, 3, 7, 1, 1, 1];

/// The header of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The number of the first octet.
    pub seq: u32,
    /// The number of the octet that is expected next.
    pub ack: u32,
    /// The control bits.
    pub flags: u8,
}

impl Tcp {
    pub(super) fn octets(&self) -> usize {
        20 + self.options().len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        const WINDOW: u16 = 502;
        const NO_CHECKSUM_AND_URGENT: [u8; 4] = [0; 4];
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[(self.octets() as u8 / 4) << 4, self.flags]);
        out.extend_from_slice(&WINDOW.to_be_bytes());
        out.extend_from_slice(&NO_CHECKSUM_AND_URGENT);
        out.extend_from_slice(self.options());
    }

    fn options(&self) -> &'static [u8] {
        if self.flags & SYN == 0 { &[] } else { &SYN_OPTIONS }
    }
}
