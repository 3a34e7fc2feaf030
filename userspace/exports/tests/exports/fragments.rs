//! Export datagrams that came in pieces.

use crate::files::{payloads, read, v5};
use crate::frames::{Link, frame, ipv4, ipv6_fragment, pcap, seconds, udp, write};

/// The pieces of a datagram as IP packets, each of at most `octets` octets.
fn pieces(is_ipv6: bool, id: u16, datagram: &[u8], octets: usize) -> Vec<Vec<u8>> {
    let count = datagram.chunks(octets).count();
    let piece = |(index, data): (usize, &[u8])| {
        let (units, has_more) = ((index * octets / 8) as u16, index + 1 < count);
        if is_ipv6 {
            ipv6_fragment(id.into(), units << 3 | u16::from(has_more), data)
        } else {
            ipv4(17, id, units | u16::from(has_more) << 13, data)
        }
    };
    datagram.chunks(octets).enumerate().map(piece).collect()
}

fn assert_whole(packets: &[Vec<u8>], expected: &[Vec<u8>], lost: u64) {
    let folder = tempfile::tempdir().unwrap();
    let frames = seconds(packets.iter().map(|packet| frame(Link::Vlan, packet)));
    let read = read(&[write(folder.path(), "pcap", &pcap(Link::Vlan, &frames))], &[]);
    assert!(payloads(&read) == expected);
    assert_eq!((read.counters.fragments, read.counters.fragments_lost), (packets.len() as u64, lost));
}

#[test]
fn pieces_in_any_order_become_their_datagram() {
    let payload = v5(30, 1);
    for is_ipv6 in [false, true] {
        for octets in [32, 504, 1400] {
            let mut packets = pieces(is_ipv6, 9, &udp(9000, 2055, &payload), octets);
            assert_whole(&packets, std::slice::from_ref(&payload), 0);
            packets.reverse();
            assert_whole(&packets, std::slice::from_ref(&payload), 0);
        }
    }
}

#[test]
fn pieces_of_several_datagrams_are_kept_apart() {
    let payloads = [v5(30, 1), v5(29, 2)];
    let [first, second] =
        [0, 1].map(|index| pieces(false, index as u16, &udp(9000, 2055, &payloads[index]), 512));
    let mixed: Vec<_> = first.into_iter().zip(second).flat_map(|(first, second)| [second, first]).collect();
    assert_whole(&mixed, &[payloads[1].clone(), payloads[0].clone()], 0);
}

#[test]
fn pieces_of_what_is_never_whole_are_counted() {
    let datagram = udp(9000, 2055, &v5(30, 1));
    let mut packets = pieces(false, 9, &datagram, 512);
    packets.remove(1);
    assert_whole(&packets, &[], 2);
    let many: Vec<_> = (0..300).flat_map(|id| pieces(false, id, &datagram, 512)[..2].to_vec()).collect();
    assert_whole(&many, &[], 600);
    let odd = [ipv4(17, 1, 1 << 13, &datagram[..13]), ipv4(17, 1, 0x1fff, &datagram[..100])];
    assert_whole(&odd, &[], 2);
}
