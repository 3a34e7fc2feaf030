//! The kernel's parser against the user-space decoder, on the decoder's own sample frames, on synthetic traffic,
//! and on both after they were cut short and made to lie.

#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

#[path = "../../../userspace/decode/tests/packet/frames.rs"]
mod frames;
#[path = "../../../userspace/decode/tests/packet/samples.rs"]
mod samples;

use tapline_decode::{Depth, Frame, LinkType, decode};
use tapline_ebpf_common::FlowKey;
use tapline_ebpf_programs::parse::parse;
use tapline_record::{EventTime, PacketColumn, PacketRow};
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

/// The columns that the kernel's table has; `None` is NULL.
#[derive(Debug, Default, PartialEq, Eq)]
struct Columns {
    vlan: Option<u16>,
    ip_version: Option<u8>,
    src_ip: Option<[u8; 16]>,
    dst_ip: Option<[u8; 16]>,
    protocol: Option<u8>,
    ports: Option<[u16; 2]>,
    tcp_flags: Option<u16>,
    icmp: Option<[u8; 2]>,
    octets: Option<u64>,
}

/// What the decoder says.
fn decoded(bytes: &[u8]) -> Columns {
    let mut row = PacketRow::default();
    let frame = Frame {
        ts: EventTime(0),
        link: LinkType::Ethernet,
        direction: None,
        interface: None,
        original_octets: bytes.len() as u32,
        bytes,
    };
    decode(&frame, Depth::Transport, &mut row);
    let has = |column| row.has(column);
    Columns {
        vlan: has(PacketColumn::Vlan).then_some(row.vlan),
        ip_version: has(PacketColumn::IpVersion).then_some(row.ip_version),
        src_ip: has(PacketColumn::SrcIp).then_some(row.src_ip),
        dst_ip: has(PacketColumn::DstIp).then_some(row.dst_ip),
        protocol: has(PacketColumn::Protocol).then_some(row.protocol),
        ports: has(PacketColumn::SrcPort).then_some([row.src_port, row.dst_port]),
        tcp_flags: has(PacketColumn::TcpFlags).then_some(row.tcp_flags),
        icmp: has(PacketColumn::IcmpType).then_some([row.icmp_type, row.icmp_code]),
        octets: has(PacketColumn::Octets).then_some(row.octets),
    }
}

fn columns(key: &FlowKey, octets: u32) -> Columns {
    let network = key.shape().network;
    Columns {
        vlan: key.vlan(),
        ip_version: network.ip_version(),
        src_ip: key.src_ip(),
        dst_ip: key.dst_ip(),
        protocol: key.protocol(),
        ports: key.ports(),
        tcp_flags: key.tcp_flags(),
        icmp: key.icmp(),
        octets: network.has_octets().then_some(octets.into()),
    }
}

/// Whether the two agree; a frame with more headers than the kernel looks through is left out.
#[track_caller]
fn assert_agreement(name: &str, bytes: &[u8]) -> bool {
    let parsed = parse(bytes, true);
    if parsed.is_too_deep {
        return false;
    }
    assert_eq!(columns(&parsed.key, parsed.octets), decoded(bytes), "{name}: {bytes:02x?}");
    true
}

/// Frames of every protocol and combination that the decoder's tests know.
fn sample_frames() -> Vec<(&'static str, Vec<u8>)> {
    let ethernet = samples::all().into_iter().filter(|(_, link, _)| *link == LinkType::Ethernet);
    ethernet.map(|(name, _, bytes)| (name, bytes)).collect()
}

#[test]
fn sample_frames_are_read_alike() {
    let frames = sample_frames();
    assert!(frames.len() > 60, "{}", frames.len());
    for (name, bytes) in &frames {
        assert!(assert_agreement(name, bytes), "{name} is too deep");
    }
}

#[test]
fn frames_that_are_cut_short_are_read_alike() {
    for (name, bytes) in sample_frames() {
        for octets in 0..bytes.len() {
            assert_agreement(name, &bytes[..octets]);
        }
    }
}

#[test]
fn frames_that_lie_are_read_alike() {
    let mut random = Random::new(1, "lies");
    let mut too_deep = 0;
    for (name, bytes) in sample_frames() {
        for _ in 0..3000 {
            let mut lie = bytes.clone();
            for _ in 0..=random.below(3) {
                lie[random.below(bytes.len() as u64) as usize] = random.below(256) as u8;
            }
            lie.truncate(bytes.len() - random.below(8).saturating_sub(4) as usize);
            too_deep += usize::from(!assert_agreement(name, &lie));
        }
    }
    assert!(too_deep < 1000, "{too_deep}");
}

#[test]
fn an_afternoon_at_the_office_is_read_alike() {
    let mut bytes = Vec::new();
    for frame in branch_office(7).frames.iter().take(100_000) {
        bytes.clear();
        frame.frame.write(&mut bytes);
        assert!(assert_agreement("office", &bytes));
    }
}

#[test]
fn tcp_flags_are_part_of_the_key_when_asked_for() {
    let segment = frames::ethernet(frames::IPV4, &frames::ipv4(6, &frames::tcp(b"")));
    let (with, without) = (parse(segment.as_slice(), true).key, parse(segment.as_slice(), false).key);
    assert_eq!((with.tcp_flags(), without.tcp_flags()), (Some(0x112), None));
    assert_eq!((with.ports(), with.protocol()), (without.ports(), without.protocol()));
}

#[test]
fn what_is_too_deep_says_so() {
    let tags = |count: usize| {
        let tagged = |inner: Vec<u8>, tag: usize| {
            let kind = if tag == 0 { frames::IPV4 } else { 0x8100 };
            frames::tag(7, kind, &inner)
        };
        frames::ethernet(0x8100, &(0..count).fold(frames::small_ipv4(), tagged))
    };
    assert!(!parse(tags(8).as_slice(), true).is_too_deep);
    let deep = parse(tags(9).as_slice(), true);
    assert!(deep.is_too_deep && !deep.is_ip && deep.key.vlan() == Some(7));
}
