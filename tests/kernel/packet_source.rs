//! Frames read through `AF_PACKET`: all of them, as they were, and nothing is taken from the host.

use tapline_decode::Direction;
use tapline_interface::link;
use tapline_interface::live::{LiveMode, LiveOptions};

use crate::live_source::{assert_read, now_ns, numbered, open, read_all, send};
use crate::namespace::{self, FAR, NEAR, ip, wait_for};

const FRAMES: u32 = 5000;

#[test]
fn frames_are_read_as_they_were_sent() {
    for (interface, direction) in [(FAR, Direction::Ingress), (NEAR, Direction::Egress)] {
        if !namespace::enter() {
            return;
        }
        let Some(mut source) = open(interface, &LiveOptions::default()) else { return };
        assert_eq!(source.description().mode, LiveMode::Packet);
        assert!(source.description().reasons[0].contains("mirror"), "{:?}", source.description());
        let before_ns = now_ns();
        send(NEAR, 0..FRAMES);
        let read = read_all(&mut *source);
        assert_read(&read, 0..FRAMES, [before_ns, now_ns()]);
        assert!(read.iter().all(|frame| frame.direction == Some(direction)));
        let counted = source.counters().unwrap();
        let octets: usize = (0..FRAMES).map(|number| numbered(number).len()).sum();
        assert_eq!((counted.frames, counted.octets, counted.cut), (FRAMES.into(), octets as u64, 0));
        assert_eq!(counted.drops.sum(), 0, "{counted:?}");
    }
}

#[test]
fn a_frame_is_cut_and_its_length_kept() {
    if !namespace::enter() {
        return;
    }
    let options = LiveOptions { snap_octets: 64, ..LiveOptions::default() };
    let Some(mut source) = open(FAR, &options) else { return };
    send(NEAR, 1000..1010);
    let read = read_all(&mut *source);
    assert_eq!(read.len(), 10);
    for (frame, number) in read.iter().zip(1000..) {
        let sent = numbered(number);
        // A tag that the kernel took out and that is put back is not cut.
        assert!([64, 68].contains(&frame.bytes.len()), "{}", frame.bytes.len());
        assert_eq!(frame.bytes, sent[..frame.bytes.len()]);
        assert_eq!(frame.original_octets as usize, sent.len());
    }
    assert_eq!(source.counters().unwrap().cut, 10);
}

#[test]
fn what_finds_the_ring_full_is_counted() {
    if !namespace::enter() {
        return;
    }
    let options = LiveOptions { ring_octets: 2 << 20, ..LiveOptions::default() };
    let Some(mut source) = open(FAR, &options) else { return };
    send(NEAR, 0..FRAMES);
    let read = read_all(&mut *source).len() as u64;
    let dropped = source.counters().unwrap().drops.ring;
    assert!(dropped > 0, "the ring has room for {FRAMES} frames");
    assert_eq!(read + dropped, u64::from(FRAMES));
    // And afterwards all is well again.
    let before_ns = now_ns();
    send(NEAR, 0..100);
    assert_read(&read_all(&mut *source), 0..100, [before_ns, now_ns()]);
    let counted = source.counters().unwrap();
    assert_eq!((counted.frames, counted.drops.ring), (read + 100, dropped));
}

#[test]
fn nothing_is_left_behind() {
    if !namespace::enter() {
        return;
    }
    let before = link::find(FAR).unwrap().unwrap();
    let options = LiveOptions { is_promiscuous: true, ..LiveOptions::default() };
    let Some(source) = open(FAR, &options) else { return };
    assert_eq!(link::find(FAR).unwrap().unwrap().promiscuity, before.promiscuity + 1);
    drop(source);
    wait_for(|link| link.xdp.is_none() && link.promiscuity == before.promiscuity);
}

#[test]
fn an_interface_may_be_switched_off_and_on_and_its_end_is_an_error() {
    if !namespace::enter() {
        return;
    }
    let Some(mut source) = open(FAR, &LiveOptions::default()) else { return };
    assert!(ip(&["link", "set", FAR, "down"]));
    assert_eq!(read_all(&mut *source), []);
    assert!(ip(&["link", "set", FAR, "up"]));
    namespace::wait_for_carrier();
    let before_ns = now_ns();
    send(NEAR, 0..50);
    assert_read(&read_all(&mut *source), 0..50, [before_ns, now_ns()]);
    assert_eq!(source.counters().unwrap().interruptions, 1);
    assert!(ip(&["link", "del", FAR]));
    let gone = (0..5).find_map(|_| source.read(10, &mut |_| ()).err()).expect("an error");
    assert_eq!(gone.to_string(), format!("interface `{FAR}` is gone"));
}
