//! Frames that are cut behind their headers: whoever reads these finds all that he would find in the whole.

use tapline_decode::{Decoded, Depth, Frame, LinkType, decode};
use tapline_ebpf_common::flags;
use tapline_ebpf_programs::cut::unneeded_octets;
use tapline_ebpf_programs::parse::parse;
use tapline_record::{EventTime, PacketRow};
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

use crate::sample_frames;

/// What is read of a frame of so many octets, of which these are there.
fn read(bytes: &[u8], octets: usize, depth: Depth) -> (PacketRow, String) {
    let mut row = PacketRow::default();
    let frame = Frame {
        ts: EventTime(0),
        link: LinkType::Ethernet,
        direction: None,
        interface: None,
        original_octets: octets as u32,
        bytes,
    };
    let Decoded { damage, unread, .. } = decode(&frame, depth, &mut row);
    (row, format!("{damage:?} {unread:?}"))
}

/// Compares a frame with what is left of it; says whether anything is cut.
#[track_caller]
fn check(bytes: &[u8]) -> bool {
    let octets = bytes.len();
    let headers = parse(bytes, octets as u32, flags::TCP_FLAGS).headers;
    let kept = octets - unneeded_octets(headers.transport_at, octets as u32) as usize;
    for depth in [Depth::Frame, Depth::Link, Depth::Network, Depth::Transport] {
        let (whole, cut) = (read(bytes, octets, depth), read(&bytes[..kept], octets, depth));
        assert_eq!(whole.0.present, cut.0.present, "{depth:?} {kept} of {bytes:02x?}");
        assert_eq!(format!("{whole:?}"), format!("{cut:?}"), "{depth:?} {kept} of {bytes:02x?}");
    }
    kept < octets
}

#[test]
fn headers_of_frames_that_are_cut_are_read_as_those_of_the_whole() {
    let mut random = Random::new(3, "cut");
    let mut cut = 0;
    for (_, link, bytes) in sample_frames() {
        if link != LinkType::Ethernet {
            continue;
        }
        for round in 0..2000 {
            let mut frame = bytes.clone();
            // Longer than its headers say, and than most of them are.
            frame.resize(bytes.len() + random.below(1200) as usize, 0x5a);
            // As long as its IP header says, where that is where it mostly is; and then lies.
            if round % 2 == 0 && frame.len() > 34 {
                let (at, header) = if frame[12..14] == [0x86, 0xdd] { (18, 54) } else { (16, 14) };
                let claim = (frame.len().saturating_sub(header) as u16).to_be_bytes();
                frame[at..at + 2].copy_from_slice(&claim);
            }
            for _ in 0..random.below(3) {
                let at = random.below(frame.len().min(120) as u64) as usize;
                frame[at] = random.below(256) as u8;
            }
            cut += usize::from(check(&frame));
        }
    }
    assert!(cut > 10_000, "{cut}");
}

#[test]
fn long_frames_of_an_office_are_cut() {
    let (mut cut, mut long, mut bytes) = (0, 0, vec![]);
    for frame in branch_office(7).frames.iter().take(20_000) {
        bytes.clear();
        frame.frame.write(&mut bytes);
        long += usize::from(bytes.len() > 300);
        cut += usize::from(check(&bytes));
    }
    assert!(cut > 0 && cut >= long, "{cut} of {long}");
}
