//! The kernel's parser against the user-space decoder, on the decoder's own sample frames, on synthetic traffic,
//! and on both after they were cut short and made to lie.

mod cut;
mod segments;

use harness::{columns, frames, samples};
use tapline_decode::LinkType;
use tapline_ebpf_common::flags;
use tapline_ebpf_programs::parse::{parse, parse_within};
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

/// Whether the two agree; a frame with more headers than the kernel looks through is left out.
#[track_caller]
fn assert_agreement(name: &str, link: LinkType, bytes: &[u8]) -> bool {
    assert_agreement_on_part(name, link, bytes, bytes.len() as u32)
}

/// Whether the two agree on a frame of so many octets, of which the first can be read.
#[track_caller]
fn assert_agreement_on_part(name: &str, link: LinkType, bytes: &[u8], octets: u32) -> bool {
    let switches = flags::TCP_FLAGS | if link == LinkType::RawIp { flags::RAW_IP } else { 0 };
    let parsed = parse(bytes, octets, switches);
    if parsed.is_too_deep {
        return false;
    }
    let found = (columns::of_key(&parsed.key), parsed.octets.into());
    assert_eq!(found, columns::of_frame(link, bytes, octets), "{name} of {octets} octets: {bytes:02x?}");
    true
}

/// Frames of every protocol and combination that the decoder's tests know: of Ethernet, and without its header.
fn sample_frames() -> Vec<samples::Sample> {
    let known = [LinkType::Ethernet, LinkType::RawIp];
    let samples: Vec<_> = samples::all().into_iter().filter(|(_, link, _)| known.contains(link)).collect();
    let is_ip = |bytes: &[u8]| matches!(bytes[12..14], [0x08, 0] | [0x86, 0xdd]);
    let ethernet = samples.iter().filter(|(_, link, bytes)| *link == LinkType::Ethernet && is_ip(bytes));
    let without: Vec<_> =
        ethernet.map(|(name, _, bytes)| (*name, LinkType::RawIp, bytes[14..].to_vec())).collect();
    [samples, without].concat()
}

#[test]
fn sample_frames_are_read_alike() {
    let frames = sample_frames();
    assert!(frames.len() > 100, "{}", frames.len());
    for (name, link, bytes) in &frames {
        assert!(assert_agreement(name, *link, bytes), "{name} is too deep");
    }
}

#[test]
fn a_tag_beside_a_frame_is_read_as_one_within() {
    for (name, link, bytes) in sample_frames().into_iter().filter(|(_, link, _)| *link == LinkType::Ethernet)
    {
        let octets = bytes.len() as u32;
        let beside = parse_within(&bytes[..], octets, flags::TCP_FLAGS, 0x123);
        let within = [&bytes[..12], &[0x81, 0, 0x61, 0x23], &bytes[12..]].concat();
        let expected = columns::of_frame(link, &within, octets + 4);
        assert_eq!((columns::of_key(&beside.key), beside.octets.into()), expected, "{name}: {within:02x?}");
    }
}

#[test]
fn frames_in_parts_are_read_alike() {
    for (name, link, bytes) in sample_frames() {
        for beyond in [1, 4000, 70_000] {
            assert!(assert_agreement_on_part(name, link, &bytes, bytes.len() as u32 + beyond), "{name}");
        }
    }
}

#[test]
fn a_length_of_zero_is_all_that_is_left_of_the_frame_whatever_can_be_read() {
    let mut packet = frames::ipv4(frames::UDP, &frames::udp(1234, 53, b""));
    packet[2..4].fill(0);
    let frame = frames::ethernet(frames::IPV4, &packet);
    let octets = |bytes: &[u8], octets, switches| parse(bytes, octets, switches).octets;
    assert_eq!(octets(&frame, 4096, 0), 4096 - 14);
    assert_eq!(octets(&packet, 4082, flags::RAW_IP), 4082);
}

#[test]
fn frames_that_are_cut_short_are_read_alike() {
    for (name, link, bytes) in sample_frames() {
        for octets in 0..bytes.len() {
            for beyond in [0, 1, 4000, 70_000] {
                assert_agreement_on_part(name, link, &bytes[..octets], octets as u32 + beyond);
            }
        }
    }
}

#[test]
fn frames_that_lie_are_read_alike() {
    let mut random = Random::new(1, "lies");
    let mut too_deep = 0;
    for (name, link, bytes) in sample_frames() {
        for _ in 0..3000 {
            let mut lie = bytes.clone();
            for _ in 0..=random.below(3) {
                lie[random.below(bytes.len() as u64) as usize] = random.below(256) as u8;
            }
            lie.truncate(bytes.len() - random.below(8).saturating_sub(4) as usize);
            let beyond = [0, 0, 7, 5000][random.below(4) as usize];
            let octets = lie.len() as u32 + beyond;
            too_deep += usize::from(!assert_agreement_on_part(name, link, &lie, octets));
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
        assert!(assert_agreement("office", LinkType::Ethernet, &bytes));
    }
}

#[test]
fn tcp_flags_are_part_of_the_key_when_asked_for() {
    let segment = frames::ethernet(frames::IPV4, &frames::ipv4(6, &frames::tcp(b"")));
    let parsed = |switches| parse(segment.as_slice(), segment.len() as u32, switches);
    let (with, without) = (parsed(flags::TCP_FLAGS), parsed(0));
    assert_eq!((with.tcp_flags, without.tcp_flags), (Some(0x112), Some(0x112)));
    let (with, without) = (with.key, without.key);
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
    let parsed = |frame: Vec<u8>| parse(frame.as_slice(), frame.len() as u32, flags::TCP_FLAGS);
    assert!(!parsed(tags(8)).is_too_deep);
    let deep = parsed(tags(9));
    assert!(deep.is_too_deep && !deep.is_ip && deep.key.vlan() == Some(7));
}
