//! Writes captures in either byte order, octet by octet, with whatever is wrong in them.

/// Byte order of a written capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

pub(crate) use Order::{Big, Little};

impl Order {
    pub(crate) const fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }

    pub(crate) const fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }

    pub(crate) const fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }
}

pub(crate) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(crate) const KUZNETZOV: u32 = 0xa1b2_cd34;

/// A pcap file header.
pub(crate) fn pcap_header(order: Order, magic: u32, snapshot_octets: u32, link: u32) -> Vec<u8> {
    [&order.u32(magic)[..], &order.u16(2), &order.u16(4), &order.words(&[0, 0, snapshot_octets, link])]
        .concat()
}

/// A pcap record that is as long on the wire as it was captured.
pub(crate) fn pcap_record(order: Order, seconds: u32, fraction: u32, frame: &[u8]) -> Vec<u8> {
    let octets = frame.len() as u32;
    [&order.words(&[seconds, fraction, octets, octets])[..], frame].concat()
}

/// A pcap file in microseconds, one frame of `lengths` octets a second from second 1 on.
pub(crate) fn pcap(order: Order, lengths: &[usize]) -> Vec<u8> {
    let mut file = pcap_header(order, MICROSECONDS, 65_535, 1);
    for (index, length) in lengths.iter().enumerate() {
        file.extend(pcap_record(order, index as u32 + 1, 0, &vec![index as u8; *length]));
    }
    file
}

/// A pcapng block with padding and both lengths.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let total = order.u32((12 + body.len() + padding.len()) as u32);
    [&order.u32(kind)[..], &total, body, &padding, &total].concat()
}

/// A section header block of a version, with a section length that is not known.
pub(crate) fn section_of(order: Order, major: u16) -> Vec<u8> {
    let body = [&order.u32(0x1a2b_3c4d)[..], &order.u16(major), &order.u16(0), &order.u64(u64::MAX)].concat();
    block(order, 0x0a0d_0d0a, &body)
}

/// A section header block.
pub(crate) fn section(order: Order) -> Vec<u8> {
    section_of(order, 1)
}

/// An option of a block, padded.
pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
    [&order.u16(code)[..], &order.u16(value.len() as u16), value, &padding].concat()
}

/// An interface description block; `options` are written already.
pub(crate) fn interface(order: Order, link: u16, snapshot_octets: u32, options: &[u8]) -> Vec<u8> {
    let body = [&order.u16(link)[..], &order.u16(0), &order.u32(snapshot_octets), options].concat();
    block(order, 1, &body)
}

fn packet_body(order: Order, start: &[u8], units: u64, frame: &[u8], options: &[u8]) -> Vec<u8> {
    let octets = frame.len() as u32;
    let header = order.words(&[(units >> 32) as u32, units as u32, octets, octets]);
    let padding = vec![0; frame.len().next_multiple_of(4) - frame.len()];
    [start, &header, frame, &padding, options].concat()
}

/// An enhanced packet block without options.
pub(crate) fn packet(order: Order, interface: u32, units: u64, frame: &[u8]) -> Vec<u8> {
    block(order, 6, &packet_body(order, &order.u32(interface), units, frame, &[]))
}

/// An enhanced packet block with the option `epb_flags`, after a comment.
pub(crate) fn packet_with_flags(order: Order, units: u64, frame: &[u8], flags: u32) -> Vec<u8> {
    let options =
        [option(order, 1, b"about"), option(order, 2, &order.u32(flags)), option(order, 0, &[])].concat();
    block(order, 6, &packet_body(order, &order.u32(0), units, frame, &options))
}

/// A packet block of the older kind.
pub(crate) fn old_packet(order: Order, interface: u16, units: u64, frame: &[u8]) -> Vec<u8> {
    let start = [order.u16(interface), order.u16(7)].concat();
    block(order, 2, &packet_body(order, &start, units, frame, &[]))
}

/// A simple packet block.
pub(crate) fn simple_packet(order: Order, original_octets: u32, frame: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(original_octets), frame].concat())
}

/// A section with an Ethernet interface and one frame of `lengths` octets a second.
pub(crate) fn pcapng(order: Order, lengths: &[usize]) -> Vec<u8> {
    let mut file = [section(order), interface(order, 1, 0, &[])].concat();
    for (index, length) in lengths.iter().enumerate() {
        file.extend(packet(order, 0, (index as u64 + 1) * 1_000_000, &vec![index as u8; *length]));
    }
    file
}
