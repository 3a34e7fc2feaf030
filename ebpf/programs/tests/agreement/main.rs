//! The kernel's parser against the user-space decoder, on the decoder's own sample frames, on synthetic traffic,
//! and on both after they were cut short and made to lie.

#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

mod columns;
#[path = "../../../../userspace/decode/tests/packet/frames.rs"]
mod frames;
#[path = "../../../../userspace/decode/tests/packet/samples.rs"]
mod samples;

use tapline_decode::LinkType;
use tapline_ebpf_programs::parse::parse;
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

/// Whether the two agree; a frame with more headers than the kernel looks through is left out.
#[track_caller]
fn assert_agreement(name: &str, bytes: &[u8]) -> bool {
    let parsed = parse(bytes, true);
    if parsed.is_too_deep {
        return false;
    }
    let found = (columns::of_key(&parsed.key), parsed.octets.into());
    assert_eq!(found, columns::of_frame(bytes), "{name}: {bytes:02x?}");
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
