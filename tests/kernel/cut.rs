//! Frames of a mirror that are cut behind their headers while nobody reads what is there.

use std::sync::PoisonError;
use std::thread::sleep;

use harness::frames;
use tapline_interface::live::{FrameSource, LiveOptions, PacketSender};

use crate::changing::change_while_sending;
use crate::live_source::{ReadFrame, numbered, open, read_all, send};
use crate::namespace::{self, FAR, NEAR};
use crate::node::until;
use crate::pushed::{check_fates, mirror_node, packets_to, rows_of, used};
use crate::queries::{FRAMES_A_NAP, NAP};
use crate::several::enter;

const FRAMES: u32 = 2000;
/// The longest transport header, and a little more.
const KEPT_OCTETS: usize = 64;

fn set_whole(source: &dyn FrameSource, is_whole: bool) {
    let filter = source.filter().unwrap();
    let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
    filter.set_whole(is_whole);
    filter.settle().unwrap();
}

/// Where the headers of a numbered frame's IP packet end.
fn transport_at(frame: &[u8]) -> usize {
    let tags = frame[12..].chunks(4).take_while(|tag| matches!(tag[..2], [0x81, 0] | [0x88, 0xa8])).count();
    14 + 4 * tags + 20
}

fn check(read: &[ReadFrame], is_whole: bool) {
    assert_eq!(read.len(), FRAMES as usize);
    for (read, sent) in read.iter().zip((0..FRAMES).map(numbered)) {
        assert_eq!(read.original_octets as usize, sent.len());
        assert!(sent.starts_with(&read.bytes), "{sent:02x?}");
        let headers = transport_at(&sent) + KEPT_OCTETS;
        let is_cut = !is_whole && sent.len() >= headers + KEPT_OCTETS;
        assert_eq!(read.bytes.len(), if is_cut { headers } else { sent.len() }, "{sent:02x?}");
    }
}

#[test]
fn frames_that_are_cut_keep_their_headers_and_their_length() {
    if !namespace::enter_with("1") {
        return;
    }
    let options = LiveOptions { is_mirror: true, is_promiscuous: true, ..LiveOptions::default() };
    let Some(mut source) = open(FAR, &options) else { return };
    for (round, is_whole) in [true, false, true].into_iter().enumerate() {
        set_whole(&*source, is_whole);
        send(NEAR, 0..FRAMES);
        check(&read_all(&mut *source), is_whole);
        let counted = source.counters().unwrap();
        assert_eq!((counted.frames, counted.cut), ((round as u64 + 1) * u64::from(FRAMES), 0), "{counted:?}");
        let octets: usize = (0..FRAMES).map(|number| numbered(number).len()).sum();
        assert_eq!(counted.octets, (round as u64 + 1) * octets as u64);
    }
}

#[test]
fn what_has_no_transport_header_that_the_program_knows_stays_whole() {
    if !namespace::enter_with("1") {
        return;
    }
    let options = LiveOptions { is_mirror: true, is_promiscuous: true, ..LiveOptions::default() };
    let Some(mut source) = open(FAR, &options) else { return };
    set_whole(&*source, false);
    let datagram = frames::udp(1, 2, &[7; 600]);
    let behind = [frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram)), vec![0; 8]].concat();
    let others = [
        frames::ethernet(0x88cc, &[1; 700]),
        frames::ethernet(frames::IPV4, &frames::ipv4(33, &[9; 700])),
        // The frame goes on behind the packet.
        behind,
    ];
    let sender = PacketSender::open(NEAR, false).unwrap();
    others.iter().for_each(|frame| sender.send(frame).unwrap());
    let read: Vec<_> = read_all(&mut *source).into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(read, others);
}

#[test]
fn who_reads_payload_sees_no_frame_that_was_cut() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = mirror_node(folder.path());
    let add = |name: &str, sql: &str| assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    add("headers", &packets_to(53));
    until(&node, || namespace::has_program(FAR));
    let sender = PacketSender::open(NEAR, false).unwrap();
    let datagram = frames::udp(1, 53, &[&[b'x'; 600][..], b"end"].concat());
    let frame = frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram));
    let send = || {
        (0..FRAMES_A_NAP).for_each(|_| sender.send(&frame).unwrap());
        sleep(NAP);
    };
    // All end as they do where they are not cut.
    let whole = "SELECT count(*) AS n FROM packets WHERE payload LIKE '%end' GROUP BY tumble('1 second')";
    let change = |_| {
        add("whole", whole);
        until(&node, || used(&node, "whole") > 0);
        assert_eq!(rows_of(&node, "whole", "filtered"), 0);
        assert_eq!(node.ask(&["queries", "drop", "whole"]).code, Some(0));
    };
    let sent = FRAMES_A_NAP as u64 * change_while_sending(10, change, send);
    until(&node, || used(&node, "headers") == sent);
    check_fates(&node);
    assert_eq!(node.stop().code, Some(0));
}
