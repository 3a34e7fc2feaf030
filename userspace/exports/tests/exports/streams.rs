//! IPFIX over TCP in captures.

use crate::files::{Read, ipfix, payloads, read};
use crate::frames::{Captured, Link, frame, ipv4, pcap, seconds, tcp, write};

const SYN: u8 = 2;
const FIN: u8 = 0x11;
const RST: u8 = 4;
const DATA: u8 = 0x10;

fn read_frames(frames: &[Captured]) -> Read {
    let folder = tempfile::tempdir().unwrap();
    read(&[write(folder.path(), "pcap", &pcap(Link::Ethernet, frames))], &[])
}

fn read_segments(segments: &[Vec<u8>]) -> Read {
    read_frames(&seconds(segments.iter().map(|segment| frame(Link::Ethernet, &ipv4(6, 1, 0, segment)))))
}

/// A stream in segments of `octets` octets behind a SYN; its sequence numbers wrap.
fn segments(src_port: u16, stream: &[u8], octets: usize) -> Vec<Vec<u8>> {
    let start = 0_u32.wrapping_sub(50);
    let mut segments = vec![tcp(src_port, start.wrapping_sub(1), SYN, &[])];
    let sequences = (0..).map(|index| start.wrapping_add(index * octets as u32));
    segments.extend(sequences.zip(stream.chunks(octets)).map(|(at, data)| tcp(src_port, at, DATA, data)));
    segments.push(tcp(src_port, start.wrapping_add(stream.len() as u32), FIN, &[]));
    segments
}

fn messages(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(ipfix).collect()
}

#[test]
fn messages_come_in_the_order_of_the_stream() {
    for octets in [20, 28, 100, 1400] {
        let all = messages(20);
        let in_order = segments(40_000, &all.concat(), octets);
        let mut swapped = in_order.clone();
        swapped[1..].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        let twice: Vec<_> = in_order.iter().flat_map(|segment| [segment.clone(), segment.clone()]).collect();
        for segments in [&in_order, &swapped] {
            let read = read_segments(segments);
            assert_eq!(payloads(&read), all, "{octets}");
            assert_eq!((read.closed.len(), read.closed[0].port), (1, 40_000), "{octets}");
            assert_eq!((read.counters.stream_gaps, read.counters.stream_lost_octets), (0, 0), "{octets}");
        }
        assert_eq!(payloads(&read_segments(&twice[..twice.len() - 2])), all, "{octets}");
    }
}

#[test]
fn connections_are_kept_apart_and_others_passed_over() {
    let (first, second) = (segments(1, &messages(9).concat(), 50), segments(2, &messages(7).concat(), 70));
    let web = segments(3, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 50);
    let longest = first.len().max(second.len());
    let all = [&first, &second, &web];
    let mixed: Vec<_> =
        (0..longest).flat_map(|index| all.iter().filter_map(move |one| one.get(index).cloned())).collect();
    let read = read_segments(&mixed);
    for (port, count) in [(1, 9), (2, 7), (3, 0)] {
        let of_port: Vec<_> = read.messages.iter().filter(|seen| seen.sender.port == port).collect();
        assert!(of_port.iter().map(|seen| &seen.payload).eq(messages(count).iter()));
    }
    assert_eq!(read.closed.len(), 2);
}

#[test]
fn a_connection_may_be_older_than_the_capture() {
    let late = segments(1, &messages(4).concat(), 28)[2..].to_vec();
    assert_eq!(payloads(&read_segments(&late)), messages(4)[1..]);
}

#[test]
fn what_is_missing_is_a_gap_and_reading_goes_on() {
    let mut with_gap = segments(1, &messages(100).concat(), 56);
    with_gap.remove(10);
    let read = read_segments(&with_gap);
    let expected: Vec<_> = (0..100).filter(|number| !matches!(number, 18 | 19)).map(ipfix).collect();
    assert_eq!(payloads(&read), expected);
    assert_eq!((read.counters.stream_gaps, read.closed.len()), (1, 0), "the end is behind a gap");
    let mut uneven = segments(1, &messages(14).concat(), 42);
    uneven.remove(2);
    let read = read_segments(&uneven);
    assert_eq!((read.counters.stream_gaps, payloads(&read).len()), (1, 12));
    assert_eq!(read.counters.stream_lost_octets, 14);
}

#[test]
fn a_stream_that_ends_within_a_message_is_counted() {
    let stream = messages(2).concat();
    let mut cut = segments(1, &stream[..50], 25);
    let read_cut = read_segments(&cut);
    assert_eq!((payloads(&read_cut), read_cut.counters.stream_lost_octets), (messages(1), 22));
    cut.pop();
    assert_eq!(read_segments(&cut).counters.stream_lost_octets, 22);
    cut.push(tcp(1, 0, RST, &[]));
    let read_reset = read_segments(&cut);
    assert_eq!((read_reset.closed.len(), read_reset.counters.stream_lost_octets), (1, 22));
}

#[test]
fn a_snap_length_makes_gaps() {
    let packets = segments(1, &messages(6).concat(), 56);
    let mut frames = seconds(packets.iter().map(|segment| frame(Link::Ethernet, &ipv4(6, 1, 0, segment))));
    frames[2].captured_octets -= 10;
    let read = read_frames(&frames);
    assert_eq!(payloads(&read), [&messages(6)[..3], &messages(6)[4..]].concat());
    assert_eq!((read.counters.stream_gaps, read.counters.cut, read.counters.stream_lost_octets), (1, 1, 18));
    assert_eq!(read.closed.len(), 1);
}

#[test]
fn many_connections_stay_within_bounds() {
    let half = |port: u16| [tcp(port, 9, SYN, &[]), tcp(port, 10, DATA, &ipfix(1)[..20])];
    let read = read_segments(&(1..3000).flat_map(half).collect::<Vec<_>>());
    assert_eq!((payloads(&read).len(), read.counters.stream_lost_octets), (0, 20 * 2999));
}
