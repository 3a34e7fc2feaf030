//! Packets that are cut later against the frames that they are cut into: these, parsed one by one, are the truth.

use std::collections::HashMap;

use harness::frames;
use tapline_ebpf_common::{FlowKey, flags};
use tapline_ebpf_programs::parse::{NO_VLAN, Parsed, parse_within};
use tapline_ebpf_programs::segments::{Outgoing, Segments};

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;
/// Octets of the header of TCP, and of UDP.
const TCP_OCTETS: usize = 24;
const UDP_OCTETS: usize = 8;

/// Frames, octets and octets of frames by flow, which TCP flags tell apart.
type Counted = HashMap<FlowKey, [u64; 3]>;

fn add(counted: &mut Counted, key: FlowKey, [frames, octets, frame_octets]: [u32; 3]) {
    let sums = counted.entry(key).or_default();
    sums.iter_mut().zip([frames, octets, frame_octets]).for_each(|(sum, more)| *sum += u64::from(more));
}

fn parsed(frame: &[u8], tag: Option<u16>) -> Parsed {
    let vlan = tag.map_or(NO_VLAN, |tag| tag & 0xfff);
    parse_within(frame, frame.len() as u32, flags::TCP_FLAGS, vlan)
}

/// What a packet is said to come to.
fn said(frame: &[u8], tag: Option<u16>, segment_octets: u32, estimated_octets: u32) -> Counted {
    let tag_octets = if tag.is_some() { 4 } else { 0 };
    let octets = frame.len() as u32;
    let outgoing = Outgoing { octets, tag_octets, segment_octets, segments: 0, estimated_octets };
    let parsed = parsed(frame, tag);
    let mut counted = Counted::new();
    for train in Segments::of(&parsed, &outgoing).trains().into_iter().filter(|train| train.frames > 0) {
        let key = parsed.key.with_tcp_flags(train.tcp_flags);
        add(&mut counted, key, [train.frames, train.octets, train.frame_octets]);
    }
    counted
}

/// The frames of a transport header and what it carries, as they are on the wire.
fn on_wire(segments: &[Vec<u8>], build: impl Fn(&[u8]) -> Vec<u8>, tag: Option<u16>) -> Counted {
    let tag_octets = if tag.is_some() { 4 } else { 0 };
    let mut counted = Counted::new();
    for segment in segments {
        let frame = build(segment);
        let parsed = parsed(&frame, tag);
        add(&mut counted, parsed.key, [1, parsed.octets, frame.len() as u32 + tag_octets]);
    }
    counted
}

fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    frames::patched(frames::tcp(payload), 12, &format!("60{flags:02x}"))
}

/// Cuts as the kernel does.
fn cut(flags: u8, payload: &[u8], segment_octets: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(segment_octets) - 1;
    let chunks = payload.chunks(segment_octets).enumerate();
    let segment = |(number, chunk): (usize, &[u8])| {
        let first = if number == 0 { 0 } else { CWR };
        let before_last = if number == last { 0 } else { FIN | PSH };
        tcp(flags & !first & !before_last, chunk)
    };
    chunks.map(segment).collect()
}

/// Packets of TCP behind Ethernet, behind a tag in the frame, and with a tag beside it.
#[test]
fn a_packet_comes_to_the_frames_that_it_is_cut_into() {
    let plain = |segment: &[u8]| frames::ethernet(frames::IPV4, &frames::ipv4(6, segment));
    let tagged =
        |segment: &[u8]| frames::ethernet(0x8100, &frames::tag(100, frames::IPV4, &frames::ipv4(6, segment)));
    for flags in [ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | FIN | CWR] {
        for payload in [1, 999, 1000, 1001, 2000, 2500, 60_000] {
            let payload = vec![b'x'; payload];
            let (whole, segments) = (tcp(flags, &payload), cut(flags, &payload, 1000));
            for tag in [None, Some(7)] {
                let what = format!("flags {flags:x}, {} octets, tag {tag:?}", payload.len());
                assert_eq!(said(&plain(&whole), tag, 1000, 0), on_wire(&segments, plain, tag), "{what}");
                assert_eq!(said(&tagged(&whole), tag, 1000, 0), on_wire(&segments, tagged, tag), "{what}");
            }
        }
    }
    assert_eq!(tcp(ACK, b"").len(), TCP_OCTETS);
}

#[test]
fn datagrams_that_are_sent_at_once_are_counted_one_by_one() {
    let build = |datagram: &[u8]| frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, datagram));
    let payload = [7_u8; 2500];
    let whole = build(&frames::udp(1, 53, &payload));
    let segments: Vec<_> = payload.chunks(1000).map(|chunk| frames::udp(1, 53, chunk)).collect();
    let estimated = whole.len() + 2 * (14 + 20 + UDP_OCTETS);
    assert_eq!(said(&whole, None, 1000, estimated as u32), on_wire(&segments, build, None));
}

#[test]
fn a_tag_beside_a_frame_is_its_outermost() {
    let inner = frames::ethernet(0x8100, &frames::tag(100, frames::IPV4, &frames::small_ipv4()));
    assert_eq!(parsed(&inner, None).key.vlan(), Some(100));
    assert_eq!(parsed(&inner, Some(7)).key.vlan(), Some(7));
    assert_eq!(parsed(&inner, Some(0xf007)).key.vlan(), Some(7), "priority is no part of it");
}
