//! Where fields stand in the scratch, and by what a filter knows that they are there.

use super::assembler::Label;
use crate::field::Field;
use crate::ranges::Ranges;
use std::mem::offset_of;
use std::sync::LazyLock;
use tapline_ebpf_common::{Counters, CpuState, Network, Scratch, Shape, Transport, word_4};

/// The last word of the key, which holds all fields but addresses and lengths.
pub(super) const WORD_4: i16 = offset_of!(Scratch, key) as i16 + 32;
/// Where a filter writes who wants the frame.
pub(super) const WANTED: i16 = offset_of!(Scratch, wanted) as i16;
/// Where it finds what becomes of a frame that nobody wants, and where it counts these.
pub(super) const VERDICT: i16 = offset_of!(Scratch, verdict) as i16;
pub(super) const UNWANTED: i16 =
    (offset_of!(CpuState, counters) + offset_of!(Counters, unwanted_packets)) as i16;
const _: () =
    assert!(offset_of!(CpuState, scratch) == 0, "a filter takes the entry of its CPU for the scratch");
/// Shapes of a key, as its bits have them.
pub(super) const SHAPES: u64 = 1 << 11;

/// Where the value of a field is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// So many bits of the key's last word, from this one on.
    Bits { from: u32, bits: u32 },
    /// An address at this offset.
    Address(i16),
    /// A number of 32 bits at this offset.
    Number(i16),
    /// The shape of the key says it: for each value the shapes that have it.
    Shape(&'static LazyLock<[(u64, Ranges); 2]>),
}

/// By what a field is there.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    Always,
    /// This bit of the key's last word.
    Bit(u32),
    /// The key has one of these shapes.
    Shape(&'static LazyLock<Ranges>),
}

// What is asked of all shapes is computed once.
static WITH_SRC_IP: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.network.has_src_ip()));
static WITH_DST_IP: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.network.has_dst_ip()));
static WITH_PROTOCOL: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.network.has_protocol()));
static WITH_OCTETS: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.network.has_octets()));
static WITH_IP_VERSION: LazyLock<Ranges> =
    LazyLock::new(|| shapes(|shape| shape.network.ip_version().is_some()));
static WITH_PORTS: LazyLock<Ranges> =
    LazyLock::new(|| shapes(|shape| matches!(shape.transport, Transport::Ports | Transport::Tcp)));
static WITH_TCP_FLAGS: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.transport == Transport::Tcp));
static WITH_ICMP: LazyLock<Ranges> = LazyLock::new(|| shapes(|shape| shape.transport == Transport::Icmp));
static IP_VERSIONS: LazyLock<[(u64, Ranges); 2]> = LazyLock::new(|| {
    let of = |version: u8| shapes(|shape| shape.network.ip_version() == Some(version));
    [4, 6].map(|version| (u64::from(version), of(version)))
});

/// Where a field is; `None` of what the program in the kernel does not parse, or does not keep.
pub(super) fn of(field: Field) -> Option<(Place, Presence)> {
    let key = offset_of!(Scratch, key) as i16;
    let bits = |from, bits| Place::Bits { from, bits };
    Some(match field {
        Field::SrcIp => (Place::Address(key), Presence::Shape(&WITH_SRC_IP)),
        Field::DstIp => (Place::Address(key + 16), Presence::Shape(&WITH_DST_IP)),
        Field::SrcPort => (bits(word_4::SRC_PORT, 16), Presence::Shape(&WITH_PORTS)),
        Field::DstPort => (bits(word_4::DST_PORT, 16), Presence::Shape(&WITH_PORTS)),
        Field::IcmpType => (bits(word_4::SRC_PORT, 8), Presence::Shape(&WITH_ICMP)),
        Field::IcmpCode => (bits(word_4::DST_PORT, 8), Presence::Shape(&WITH_ICMP)),
        Field::Protocol => (bits(word_4::PROTOCOL, 8), Presence::Shape(&WITH_PROTOCOL)),
        Field::Vlan => (bits(word_4::VLAN, 12), Presence::Bit(word_4::HAS_VLAN)),
        Field::TcpFlags => (bits(word_4::SHAPE, 9), Presence::Shape(&WITH_TCP_FLAGS)),
        Field::IpVersion => (Place::Shape(&IP_VERSIONS), Presence::Shape(&WITH_IP_VERSION)),
        Field::Octets => {
            let octets = offset_of!(Scratch, octets) as i16;
            (Place::Number(octets), Presence::Shape(&WITH_OCTETS))
        }
        Field::FrameOctets => (Place::Number(offset_of!(Scratch, frame_octets) as i16), Presence::Always),
        Field::Direction
        | Field::SrcMac
        | Field::DstMac
        | Field::Ethertype
        | Field::InnerVlan
        | Field::MplsLabel
        | Field::Ttl
        | Field::IpId
        | Field::FragmentOffset
        | Field::TcpSeq
        | Field::TcpAck
        | Field::TcpWindow => return None,
    })
}

/// The shapes of which something is true, as the bits that a key has for them. Bits that no program writes are like those
/// before them, so that there are few ranges.
fn shapes(is_met: impl Fn(Shape) -> bool) -> Ranges {
    let mut is_open = false;
    let met = (0..SHAPES).filter(|bits| {
        let shape = Shape::of_bits(*bits);
        if is_written(shape, *bits) {
            is_open = is_met(shape);
        }
        is_open
    });
    Ranges::of(met.map(u128::from))
}

/// Whether a program writes these bits: what is behind an IP header is only known where that is whole.
fn is_written(shape: Shape, bits: u64) -> bool {
    let is_whole = matches!(shape.network, Network::V4 | Network::V6);
    shape.bits() == bits && (is_whole || shape.transport == Transport::None)
}

/// Numbers of 64 bits, and where to go if a register holds one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) then: Label,
}

/// Those of these numbers that are at most `max`, all of which lead to one place.
pub(super) fn entries(ranges: &Ranges, max: u64, then: Label) -> Vec<Entry> {
    let entry = |(first, last): &(u128, u128)| {
        let last = (*last).min(max.into());
        (*first <= last).then_some(Entry { first: *first as u64, last: last as u64, then })
    };
    ranges.as_slice().iter().filter_map(entry).collect()
}

/// Addresses whose first halves are in one range, and the ranges of their second halves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Halves {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Empty where these are all.
    pub(super) seconds: Vec<(u64, u64)>,
}

/// The addresses in these ranges by their first half, ascending.
pub(super) fn halves(ranges: &Ranges) -> Vec<Halves> {
    let mut halves: Vec<Halves> = vec![];
    for (from, to) in ranges.as_slice() {
        let ((first, start), (last, end)) = (split(*from), split(*to));
        // The halves at both ends may be there in part.
        let is_one = first == last;
        let begins = if is_one { (start, end) } else { (start, u64::MAX) };
        let ends = if is_one { (0, u64::MAX) } else { (0, end) };
        let whole_from = if is_whole(begins) { Some(first) } else { first.checked_add(1) };
        let whole_to = if is_whole(ends) { Some(last) } else { last.checked_sub(1) };
        if !is_whole(begins) {
            add_part(&mut halves, first, begins);
        }
        if let (Some(first), Some(last)) = (whole_from, whole_to)
            && first <= last
        {
            halves.push(Halves { first, last, seconds: vec![] });
        }
        if !is_whole(ends) {
            add_part(&mut halves, last, ends);
        }
    }
    halves
}

fn is_whole(seconds: (u64, u64)) -> bool {
    seconds == (0, u64::MAX)
}

fn add_part(halves: &mut Vec<Halves>, half: u64, seconds: (u64, u64)) {
    match halves.last_mut() {
        Some(before) if before.last == half => before.seconds.push(seconds),
        _ => halves.push(Halves { first: half, last: half, seconds: vec![seconds] }),
    }
}

fn split(address: u128) -> (u64, u64) {
    ((address >> 64) as u64, address as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ranges_of_shapes_say_what_is_there() {
        let Some((_, Presence::Shape(ranges))) = of(Field::DstIp) else { panic!("the shape says it") };
        assert_eq!(ranges.as_slice(), [(1, 3), (17, 2047)]);
        for bits in 0..SHAPES {
            let shape = Shape::of_bits(bits);
            let is_there = shape.network.has_dst_ip();
            assert!(!is_written(shape, bits) || ranges.holds(bits.into()) == is_there, "{shape:?}");
        }
    }

    #[test]
    fn versions_are_told_apart_by_shapes() {
        for bits in 0..SHAPES {
            let shape = Shape::of_bits(bits);
            let found = IP_VERSIONS.iter().find(|(_, shapes)| shapes.holds(bits.into()));
            let version = shape.network.ip_version().map(u64::from);
            assert!(!is_written(shape, bits) || found.map(|(version, _)| *version) == version, "{shape:?}");
        }
    }

    #[test]
    fn what_shapes_say_is_computed_once() {
        let shapes = |field| match of(field) {
            Some((_, Presence::Shape(shapes))) => shapes.as_slice().as_ptr(),
            _ => panic!("the shape says it"),
        };
        assert_eq!(shapes(Field::SrcPort), shapes(Field::SrcPort));
        assert_eq!(shapes(Field::SrcPort), shapes(Field::DstPort));
    }

    #[test]
    fn addresses_are_split_in_halves() {
        let address = |first: u64, second: u64| u128::from(first) << 64 | u128::from(second);
        let ranges: Ranges = [
            (address(0, 5), address(0, 6)),
            (address(0, 9), address(0, 9)),
            (address(1, 7), address(4, 8)),
            (address(6, 0), address(7, u64::MAX)),
        ]
        .into_iter()
        .collect();
        let half = |first, last, seconds: &[(u64, u64)]| Halves { first, last, seconds: seconds.to_vec() };
        let expected = [
            half(0, 0, &[(5, 6), (9, 9)]),
            half(1, 1, &[(7, u64::MAX)]),
            half(2, 3, &[]),
            half(4, 4, &[(0, 8)]),
            half(6, 7, &[]),
        ];
        assert_eq!(halves(&ranges), expected);
        assert_eq!(halves(&Ranges::between(0, u128::MAX)), [half(0, u64::MAX, &[])]);
    }
}
