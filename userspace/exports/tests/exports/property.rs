//! Any octets are legal input: nothing panics, no octet is given twice, every frame has one fate.

use proptest::prelude::{Strategy, any, prop};
use proptest::{proptest, sample};

use crate::files::{ipfix, payloads, read, v5};
use crate::frames::{Captured, Link, frame, ipv4, ipv6, ipv6_fragment, pcap, seconds, tcp, udp, write};

/// Frames of every kind that may hold exports.
fn frames() -> Vec<Captured> {
    let (datagram, stream) = (udp(9000, 2055, &v5(4, 1)), [ipfix(1), ipfix(2), ipfix(3)].concat());
    let mut packets = vec![
        ipv4(17, 1, 0, &datagram),
        ipv6(17, &datagram),
        ipv4(17, 2, 1 << 13, &datagram[..104]),
        ipv4(17, 2, 13, &datagram[104..]),
        ipv6_fragment(3, 1, &datagram[..104]),
        ipv6_fragment(3, 104, &datagram[104..]),
        ipv4(6, 1, 0, &tcp(40_000, 9, 2, &[])),
    ];
    let segments = stream.chunks(20).zip((10..).step_by(20));
    packets.extend(segments.map(|(data, at)| ipv4(6, 1, 0, &tcp(40_000, at, 16, data))));
    seconds(packets.iter().map(|packet| frame(Link::Vlan, packet)))
}

/// Octets to overwrite: frame, position, value.
fn damage() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 0..12)
}

fn read_octets(octets: &[u8]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    payloads(&read(&[write(folder.path(), "file", octets)], &[]))
}

proptest! {
    #[test]
    fn damaged_frames_in_any_order_have_one_fate(
        damage in damage(),
        order in sample::subsequence((0..17).collect::<Vec<usize>>(), 0..17),
        moves in prop::collection::vec((any::<usize>(), any::<usize>()), 0..8),
        cut in 0..60_usize,
    ) {
        let mut frames = frames();
        for (frame, position, value) in damage {
            let index = frame % frames.len();
            let octets = &mut frames[index].frame;
            let position = position % octets.len();
            octets[position] = value;
        }
        for (from, to) in moves {
            let count = frames.len();
            frames.swap(from % count, to % count);
        }
        for index in order {
            if let Some(frame) = frames.get_mut(index) {
                frame.captured_octets = frame.captured_octets.saturating_sub(cut);
            }
        }
        read_octets(&pcap(Link::Vlan, &frames));
    }

    #[test]
    fn raw_files_of_any_octets_are_read(
        version in sample::select(vec![&[0, 5][..], &[0, 7], &[0, 9], &[0, 10], &[0, 0, 0, 5]]),
        octets in prop::collection::vec(any::<u8>(), 0..300),
        small in prop::collection::vec(0_u8..12, 0..300),
        tail in 0..70_000_usize,
    ) {
        let stored = [version, &[0; 2], &octets, version, &small, &vec![0; tail]].concat();
        let messages = read_octets(&stored);
        assert!(messages.iter().all(|message| !message.is_empty() && message.len() <= 65_535));
        assert!(stored.starts_with(&messages.concat()));
    }
}
