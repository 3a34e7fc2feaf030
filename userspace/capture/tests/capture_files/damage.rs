//! Files that end within a record, or at one that cannot be trusted.

use tapline_capture::{Damage, End};

use crate::reading::{both, mapped, piped};
use crate::written::{
    Big, KUZNETZOV, Little, MICROSECONDS, block, interface, packet, pcap, pcap_header, pcap_record, pcapng,
    section, section_of,
};

/// Where each record of a capture begins, and where the last one ends.
fn borders(records: &[Vec<u8>]) -> Vec<usize> {
    let ends = records.iter().scan(0, |end, record| {
        *end += record.len();
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Cuts a capture after each octet; `heads` records before the first frame.
fn cut_everywhere(records: &[Vec<u8>], heads: usize, octets_min: usize) {
    let (file, borders) = (records.concat(), borders(records));
    for length in octets_min..=file.len() {
        let reading = both(&file[..length]);
        let whole = borders.iter().rposition(|border| *border <= length).unwrap();
        let end = match length - borders[whole] {
            0 => End::Complete,
            _ => End::CutOff { at_octet: borders[whole] as u64 },
        };
        assert_eq!(reading.frames.len(), whole.saturating_sub(heads), "cut at {length}");
        assert_eq!(reading.end, end, "cut at {length}");
    }
}

#[test]
fn a_pcap_file_may_be_cut_at_any_octet() {
    for order in [Little, Big] {
        let frame = |second, octets| pcap_record(order, second, 0, &vec![9; octets]);
        let header = pcap_header(order, MICROSECONDS, 65_535, 1);
        cut_everywhere(&[header, frame(1, 9), frame(2, 0), frame(3, 31)], 1, 4);
    }
}

#[test]
fn a_pcapng_file_may_be_cut_at_any_octet() {
    for order in [Little, Big] {
        let head = [section(order), interface(order, 1, 0, &[])];
        let frame = |octets| packet(order, 0, 0, &vec![9; octets]);
        cut_everywhere(&[&head[..], &[frame(9), frame(0), frame(31)]].concat(), 2, 4);
    }
}

#[test]
fn a_file_of_less_than_a_magic_is_no_capture() {
    for octets in 1..4 {
        assert!(mapped(&pcap(Big, &[])[..octets]).is_err());
        assert!(piped(&pcapng(Big, &[])[..octets], 1).is_err());
    }
}

fn damage_after_one_frame(start: &[u8], damaged: &[u8], more: &[u8], reason: &Damage) {
    let reading = both(&[start, damaged, more].concat());
    let at_octet = start.len() as u64;
    assert_eq!(reading.end, End::Damaged { at_octet, reason: reason.clone() });
    assert_eq!(reading.frames.len(), 1);
}

#[test]
fn a_pcap_frame_longer_than_possible_is_damage() {
    for order in [Little, Big] {
        for (snapshot_octets, captured_max) in [(65_535, 262_144), (1 << 20, 1 << 20), (u32::MAX, 1 << 28)] {
            let header = pcap_header(order, MICROSECONDS, snapshot_octets, 1);
            let start = [header, pcap_record(order, 1, 0, b"fine")].concat();
            let mut lying = pcap_record(order, 2, 0, b"lying");
            let captured = captured_max + 1;
            lying[8..12].copy_from_slice(&order.u32(captured));
            let reason = Damage::FrameTooLong { captured, captured_max };
            damage_after_one_frame(&start, &lying, &pcap_record(order, 3, 0, b"lost"), &reason);
        }
    }
}

/// Found by fuzzing: mapped reading said damage, reading in pieces said cut.
#[test]
fn a_record_header_cut_behind_its_lengths_is_judged_by_them() {
    let header = pcap_header(Little, KUZNETZOV, 65_535, 1);
    let mut cut = pcap_record(Little, 1, 0, b"1234");
    cut[8..12].fill(0xff);
    let reason = Damage::FrameTooLong { captured: u32::MAX, captured_max: 262_144 };
    assert_eq!(both(&[header, cut].concat()).end, End::Damaged { at_octet: 24, reason });
}

#[test]
fn blocks_that_cannot_be_trusted_are_damage() {
    let changed = |mut block: Vec<u8>, at: usize, value: u32| {
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        block
    };
    let frame = packet(Little, 0, 0, b"frame");
    let (octets, trailer) = (frame.len() as u32, frame.len() - 4);
    let leading = octets + 4;
    let bad_magic = changed(section(Little), 8, 0x0403_0201);
    let cases = [
        (changed(frame.clone(), 4, 0), Damage::BlockLength { octets: 0 }),
        (changed(frame.clone(), 4, 11), Damage::BlockLength { octets: 11 }),
        (changed(frame.clone(), 4, (1 << 28) + 1), Damage::BlockLength { octets: (1 << 28) + 1 }),
        (changed(frame.clone(), 4, u32::MAX), Damage::BlockLength { octets: u32::MAX }),
        (changed(frame.clone(), trailer, 7), Damage::TrailingLength { leading: octets, trailing: 7 }),
        (changed(frame.clone(), 4, leading), Damage::TrailingLength { leading, trailing: 6 }),
        (bad_magic, Damage::ByteOrderMagic { magic: 0x0102_0304 }),
        (section_of(Big, 2), Damage::Version { major: 2 }),
        (block(Little, 0x0a0d_0d0a, &0x1a2b_3c4d_u32.to_le_bytes()), Damage::BlockLength { octets: 16 }),
        (block(Little, 1, &[]), Damage::BlockLength { octets: 12 }),
    ];
    let start = pcapng(Little, &[60]);
    for (damaged, reason) in cases {
        damage_after_one_frame(&start, &damaged, &frame, &reason);
    }
}

#[test]
fn a_long_block_beyond_the_end_is_a_cut() {
    let mut file = pcapng(Big, &[60, 60]);
    let at_octet = file.len() as u64;
    file.extend([0, 0, 0, 6, 0x0f, 0xff, 0xff, 0xfc, 0, 0, 0, 0]);
    let reading = both(&file);
    assert_eq!((reading.frames.len(), reading.end), (2, End::CutOff { at_octet }));
}

#[test]
fn a_damaged_first_section_is_refused() {
    let error = mapped(&section_of(Little, 7)).unwrap_err().to_string();
    assert!(error.ends_with("cannot be read: a section has version 7; only version 1 is known"), "{error}");
    let mut file = section(Little);
    file[8] = 0;
    assert!(mapped(&file).is_err());
}
