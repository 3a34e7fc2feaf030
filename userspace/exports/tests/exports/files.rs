//! Export files: real ones as they are and inside of captures, and what is said of others.

use std::path::{Path, PathBuf};

use harness::captures::{export_files, packet_files};
use tapline_capture::{Damage, End};
use tapline_decode::{Sender, Transport};
use tapline_exports::{ExportCounters, ExportEvent, ExportSet};
use tapline_record::EventTime;
use tapline_record::address::{from_ip, mapped_v4};

use crate::frames::{Captured, EXPORTER, EXPORTER_V6, Link, frame, ipv4, ipv6, pcap, seconds, udp, write};

/// A message that was lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) received: EventTime,
    pub(crate) sender: Sender,
    pub(crate) payload: Vec<u8>,
}

/// Everything that files give.
pub(crate) struct Read {
    pub(crate) messages: Vec<Seen>,
    pub(crate) closed: Vec<Sender>,
    pub(crate) counters: ExportCounters,
    pub(crate) ends: Vec<End>,
}

pub(crate) fn read<P: AsRef<Path>>(paths: &[P], ports: &[u16]) -> Read {
    read_all(ExportSet::open(paths, ports).unwrap())
}

fn read_all(mut set: ExportSet) -> Read {
    let (mut messages, mut closed) = (Vec::new(), Vec::new());
    let mut see = |event: &ExportEvent<'_>| match event {
        ExportEvent::Message(datagram) => messages.push(Seen {
            received: datagram.received,
            sender: datagram.sender,
            payload: datagram.payload.to_vec(),
        }),
        ExportEvent::Closed(sender) => closed.push(*sender),
    };
    while set.read(3, &mut see) > 0 {}
    assert!(set.is_at_end());
    let ends = set.files().map(|(_, end)| end.unwrap().clone()).collect();
    let counters = set.counters();
    let ExportCounters { frames, datagrams, fragments, segments, other, .. } = counters;
    assert_eq!(frames, datagrams + fragments + segments + other, "every frame has one fate");
    assert_eq!(counters.messages, messages.len() as u64);
    Read { messages, closed, counters, ends }
}

/// The octets of what was read, one message after the other.
pub(crate) fn payloads(read: &Read) -> Vec<Vec<u8>> {
    read.messages.iter().map(|seen| seen.payload.clone()).collect()
}

#[test]
fn real_exports_are_cut_into_their_messages() {
    for path in export_files() {
        let read = read(&[&path], &[]);
        let expected = match path.file_name().unwrap().to_str().unwrap() {
            "netflow5.dat" => 12,
            "ipfix.dat" => 3,
            _ => 1,
        };
        assert_eq!(read.messages.len(), expected, "{}", path.display());
        assert_eq!(read.ends, [End::Complete], "{}", path.display());
        assert_eq!(read.counters.cut, 0, "{}", path.display());
        assert_eq!(payloads(&read).concat(), std::fs::read(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn other_traffic_holds_no_exports() {
    for path in packet_files() {
        let read = read(&[&path], &[]);
        assert_eq!((read.messages.len(), read.closed.len()), (0, 0), "{}", path.display());
        assert_eq!(read.ends, [End::Complete], "{}", path.display());
    }
}

/// Frames around payloads, from the port 9000 to 9995.
fn wrapped(link: Link, is_ipv6: bool, payloads: &[Vec<u8>]) -> Vec<Captured> {
    let packet = |payload: &Vec<u8>| {
        let datagram = udp(9000, 9995, payload);
        if is_ipv6 { ipv6(17, &datagram) } else { ipv4(17, 1, 0, &datagram) }
    };
    seconds(payloads.iter().map(|payload| frame(link, &packet(payload))))
}

#[test]
fn real_exports_in_captures_are_the_same_messages() {
    let folder = tempfile::tempdir().unwrap();
    let stored: Vec<_> = export_files().iter().flat_map(|path| payloads(&read(&[path], &[]))).collect();
    if stored.is_empty() {
        return;
    }
    for link in [Link::Ethernet, Link::Vlan, Link::RawIp] {
        for is_ipv6 in [false, true] {
            let path = write(folder.path(), "pcap", &pcap(link, &wrapped(link, is_ipv6, &stored)));
            for ports in [&[][..], &[9995], &[1, 9995]] {
                let read = read(&[&path], ports);
                assert!(payloads(&read) == stored, "{link:?} {is_ipv6} {ports:?}");
                let address = if is_ipv6 { EXPORTER_V6 } else { mapped_v4(EXPORTER) };
                let sender = Sender { address, port: 9000, transport: Transport::Udp };
                assert!(read.messages.iter().all(|seen| seen.sender == sender));
                assert_eq!(read.messages[1].received, EventTime::from_parts(101, 0));
            }
            assert_eq!(read(&[&path], &[9000]).counters.other, stored.len() as u64);
        }
    }
}

/// A NetFlow v5 datagram of so many records, exported at this second.
pub(crate) fn v5(records: u16, export_seconds: u32) -> Vec<u8> {
    let uptime = [0, 0, 0, 1];
    let header =
        [&[0, 5][..], &records.to_be_bytes(), &uptime, &export_seconds.to_be_bytes(), &[0; 12]].concat();
    [header, vec![7; usize::from(records) * 48]].concat()
}

/// A NetFlow v9 datagram with one template set.
fn v9(export_seconds: u32) -> Vec<u8> {
    let header = [&[0, 9, 0, 1, 0, 0, 0, 1][..], &export_seconds.to_be_bytes(), &[0; 8]].concat();
    [header, vec![0, 0, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4]].concat()
}

/// An IPFIX message with one template set.
pub(crate) fn ipfix(export_seconds: u32) -> Vec<u8> {
    let header = [&[0, 10, 0, 28][..], &export_seconds.to_be_bytes(), &[0; 8]].concat();
    [header, vec![0, 2, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4]].concat()
}

/// An sFlow datagram with one sample of no known kind.
fn sflow() -> Vec<u8> {
    [0_u32, 5, 1, 0xc000_0207, 0, 1, 2500, 1, 0x7000, 8, 1, 2]
        .iter()
        .skip(1)
        .flat_map(|w| w.to_be_bytes())
        .collect()
}

#[test]
fn messages_of_every_protocol_are_told_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let padded = [v9(4), vec![0; 100]].concat();
    let all = [v5(2, 1), v9(2), sflow(), v9(3), padded, ipfix(5), ipfix(6), v5(30, 7), v9(8)];
    let seconds = [1_000, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000];
    let plain = all.concat();
    for stored in [plain.clone(), zstd::encode_all(&plain[..], 1).unwrap()] {
        let read = read(&[write(folder.path(), "raw.dat", &stored)], &[]);
        assert!(payloads(&read) == all);
        let received: Vec<_> = read.messages.iter().map(|seen| seen.received.0 / 1_000_000).collect();
        assert_eq!((received, read.ends), (seconds.to_vec(), vec![End::Complete]));
    }
    for (index, message) in all.iter().enumerate() {
        let read = read(&[write(folder.path(), "one.dat", message)], &[]);
        assert!(payloads(&read) == [&message[..]]);
        let transport = if matches!(index, 5 | 6) { Transport::File } else { Transport::Udp };
        let sender = Sender { address: from_ip([127, 0, 0, 1].into()), port: 0, transport };
        assert_eq!(read.messages[0].sender, sender);
    }
}

#[test]
fn what_follows_a_message_and_is_none_belongs_to_it() {
    let folder = tempfile::tempdir().unwrap();
    for message in [v5(3, 1), v9(1), ipfix(1), sflow()] {
        let odd = [&message[..], b"\0\x03some octets more"].concat();
        let read = read(&[write(folder.path(), "odd.dat", &odd)], &[]);
        assert_eq!((payloads(&read), read.ends), (vec![odd], vec![End::Complete]));
    }
}

#[test]
fn a_raw_file_may_be_cut_off_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let cut = [ipfix(1), ipfix(2)[..27].to_vec()].concat();
    let read_cut = read(&[write(folder.path(), "cut.dat", &cut)], &[]);
    assert_eq!(payloads(&read_cut), [ipfix(1), ipfix(2)[..27].to_vec()]);
    assert_eq!((read_cut.counters.cut, &read_cut.ends[..]), (1, &[End::CutOff { at_octet: 28 }][..]));
    let damaged = [ipfix(1), vec![1; 200_000]].concat();
    let read_damaged = read(&[write(folder.path(), "damaged.dat", &damaged)], &[]);
    assert_eq!(payloads(&read_damaged), [ipfix(1)]);
    assert_eq!(read_damaged.ends, [End::Damaged { at_octet: 28, reason: Damage::NoMessage }]);
    let lying = [vec![0, 5, 0xff, 0xff], vec![0; 100]].concat();
    assert_eq!(payloads(&read(&[write(folder.path(), "lying.dat", &lying)], &[])), [lying]);
}

#[test]
fn a_compressed_raw_file_may_be_cut_off_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<_> = (0..3000).map(|second| v5(30, second)).collect();
    let mut state = 1_u32;
    for octet in all.iter_mut().flat_map(|message| &mut message[24..]) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *octet = (state >> 24) as u8;
    }
    let stored = zstd::encode_all(&all.concat()[..], 1).unwrap();
    let cut = read(&[write(folder.path(), "cut.zst", &stored[..stored.len() / 2])], &[]);
    assert!(matches!(cut.ends[..], [End::CutOff { .. }]), "{:?}", cut.ends);
    assert!(all.concat().starts_with(&payloads(&cut).concat()));
    let mut harmed = stored;
    let middle = harmed.len() / 2;
    harmed[middle..].fill(0xff);
    let harmed = read(&[write(folder.path(), "harmed.zst", &harmed)], &[]);
    assert!(matches!(harmed.ends[..], [End::Damaged { .. }]), "{:?}", harmed.ends);
}

#[test]
fn a_large_raw_file_is_read_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> =
        (0..5000).map(|second| if second % 2 == 0 { v9(second) } else { v5(30, second) }).collect();
    let plain = all.concat();
    for stored in [plain.clone(), zstd::encode_all(&plain[..], 1).unwrap()] {
        assert!(payloads(&read(&[write(folder.path(), "large", &stored)], &[])) == all);
    }
}

#[test]
fn captures_are_merged_by_time_and_other_files_come_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let captured = |seconds: &[u32]| {
        let frames = seconds.iter().map(|&seconds| {
            let frame = frame(Link::Ethernet, &ipv4(17, 1, 0, &udp(9000, 2055, &v5(1, seconds))));
            Captured { seconds, captured_octets: frame.len(), frame }
        });
        pcap(Link::Ethernet, &frames.collect::<Vec<_>>())
    };
    let odd = write(folder.path(), "odd.pcap", &captured(&[1, 3, 5]));
    let even = write(folder.path(), "even.pcap", &captured(&[2, 4]));
    let raw = write(folder.path(), "raw.dat", &v5(1, 0));
    let order = |paths: &[&PathBuf]| -> Vec<i64> {
        read(paths, &[]).messages.iter().map(|seen| seen.received.0 / 1_000_000_000).collect()
    };
    assert_eq!(order(&[&odd, &even]), [1, 2, 3, 4, 5]);
    assert_eq!(order(&[&odd, &raw, &even]), [1, 3, 5, 0, 2, 4]);
}

#[test]
fn frames_without_exports_and_cut_ones_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let whole = frame(Link::Ethernet, &ipv4(17, 1, 0, &udp(9000, 2055, &v5(2, 1))));
    let other = frame(Link::Ethernet, &ipv4(17, 1, 0, &udp(9000, 53, b"a name, please")));
    let mut frames = seconds([whole.clone(), other, vec![1; 60], vec![], whole]);
    frames[4].captured_octets -= 20;
    let read = read(&[write(folder.path(), "pcap", &pcap(Link::Ethernet, &frames))], &[]);
    let lengths: Vec<_> = read.messages.iter().map(|seen| seen.payload.len()).collect();
    assert_eq!(lengths, [120, 100]);
    let expected =
        ExportCounters { messages: 2, frames: 5, datagrams: 2, other: 3, cut: 1, ..Default::default() };
    assert_eq!(read.counters, expected);
}

#[test]
fn files_are_read_again_from_their_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let message = v5(2, 1);
    let frames = [2055, 53].map(|port| frame(Link::Ethernet, &ipv4(17, 1, 0, &udp(9000, port, &message))));
    let capture = write(folder.path(), "pcap", &pcap(Link::Ethernet, &seconds(frames)));
    let raw = write(folder.path(), "raw", &message.repeat(3));
    for (paths, messages) in [(vec![&capture], 1), (vec![&capture, &raw], 4)] {
        let mut set = ExportSet::open(&paths, &[2055]).unwrap();
        while set.read(2, &mut |_| {}) > 0 {}
        let again = set.again().unwrap();
        assert_eq!((set.counters().messages, again.counters().messages), (messages, 0));
        assert_eq!(read_all(again).messages.len() as u64, messages);
    }
}

#[test]
fn files_without_exports_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, octets: &[u8]| write(folder.path(), name, octets);
    let cases = [
        (folder.path().join("missing"), "there is no such file"),
        (folder.path().to_owned(), "is a directory"),
        (path("empty", b""), "is empty"),
        (path("text", b"src,dst\n"), "holds no flow exports: it looks like a text file; expected NetFlow"),
        (path("nfdump", b"\x0c\xa5...."), "it looks like an nfdump flow file"),
        (path("short", b"\x01"), "data that begins with 01"),
    ];
    for (path, words) in cases {
        let message = ExportSet::open(&[path], &[]).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let message = ExportSet::open(&["-", "-"], &[]).unwrap_err().to_string();
    assert!(message.contains("named twice"), "{message}");
}

#[test]
fn captures_without_exports_give_none() {
    let folder = tempfile::tempdir().unwrap();
    let read = read(&[write(folder.path(), "pcap", &pcap(Link::Ethernet, &[]))], &[]);
    assert_eq!((read.messages.len(), read.ends), (0, vec![End::Complete]));
}
