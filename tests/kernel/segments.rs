//! What leaves the host before it is cut is counted as it arrives: frame by frame, with the headers, the octets and the TCP
//! flags of each segment.

use std::collections::HashMap;
use std::ffi::c_void;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::Duration;

use tapline_decode::Direction;
use tapline_interface::kernel::{
    AttachMode, Clock, FlowKey, KernelCapture, KernelOptions, PaneGrid, monotonic_ns,
};

use crate::joined::{FRAMES, send_uncut};
use crate::namespace::{self, FAR, NEAR, ip};
use crate::queries::NAP;
use crate::rights::load;

/// Packets, octets and octets of frames by flow, which TCP flags tell apart.
pub(crate) type Counted = HashMap<FlowKey, [u64; 3]>;

/// Octets of a transfer.
const OCTETS: usize = 24 << 20;
/// So few octets are on their way that all frames of them find room.
const WINDOW_OCTETS: i32 = 40_000;
/// Octets of each datagram of those that the kernel cuts, and datagrams that are sent at once.
const DATAGRAM_OCTETS: i32 = 1000;
const BURSTS: usize = 50;
const BURST_OCTETS: usize = 12_345;
/// `SOL_UDP` and `UDP_SEGMENT`.
const UDP_SEGMENT: (libc::c_int, libc::c_int) = (17, 103);

/// Takes the programs off their interfaces, and all out of the table.
pub(crate) fn drained(kernel: &mut KernelCapture) -> Counted {
    // What was sent a moment ago may be on its way.
    sleep(Duration::from_millis(200));
    kernel.detach().unwrap();
    let mut counted = Counted::new();
    for _ in 0..2 {
        let grid = Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns());
        let drained = kernel.table().drain(grid, |flow| {
            let sums = counted.entry(flow.key).or_default();
            let more = [flow.packets, flow.octets, flow.frame_octets];
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        });
        drained.unwrap();
    }
    counted
}

/// What loads the program that counts what is sent, too.
pub(crate) fn options() -> KernelOptions {
    let panes = Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns());
    KernelOptions { counts_sent: true, panes, ..KernelOptions::default() }
}

fn set_option(socket: &impl AsRawFd, (level, name): (libc::c_int, libc::c_int), value: i32) {
    let octets = size_of::<i32>() as libc::socklen_t;
    let value = (&raw const value).cast::<c_void>();
    // SAFETY: the option is a number, which is alive during the call.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, octets) };
    assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
}

/// The far end, in a network of its own: takes a connection, and counts frames as they arrive.
fn receive(own_id: &Sender<i32>, orders: &Receiver<()>) -> Option<Counted> {
    if !namespace::unshare() {
        return None;
    }
    // SAFETY: asks for this thread's number.
    own_id.send(unsafe { libc::gettid() }).unwrap();
    orders.recv().unwrap();
    assert!(ip(&["addr", "add", "10.9.0.2/24", "dev", FAR]) && ip(&["link", "set", FAR, "up"]));
    let listener = TcpListener::bind("10.9.0.2:7000").unwrap();
    set_option(&listener, (libc::SOL_SOCKET, libc::SO_RCVBUF), WINDOW_OCTETS);
    let _datagrams = UdpSocket::bind("10.9.0.2:7001").unwrap();
    let mut kernel = load(&options())?;
    kernel.attach(FAR, AttachMode::Native).unwrap();
    own_id.send(0).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), OCTETS);
    drop(stream);
    orders.recv().unwrap();
    Some(drained(&mut kernel))
}

/// A transfer over TCP, whose frames are cut late, and datagrams that the kernel cuts.
fn send() {
    let mut stream = TcpStream::connect("10.9.0.2:7000").unwrap();
    let octets: Vec<u8> = (0..OCTETS).map(|place| (place * 31) as u8).collect();
    octets.chunks(123_457).for_each(|chunk| stream.write_all(chunk).unwrap());
    drop(stream);
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.connect("10.9.0.2:7001").unwrap();
    socket.send(b"one").unwrap();
    set_option(&socket, UDP_SEGMENT, DATAGRAM_OCTETS);
    for _ in 0..BURSTS {
        assert_eq!(socket.send(&[7; BURST_OCTETS]).unwrap(), BURST_OCTETS);
        sleep(NAP);
    }
}

/// Without what the hosts say to find each other, at times of their own.
fn of_ip(counted: Counted) -> Counted {
    counted.into_iter().filter(|(key, _)| key.protocol().is_some()).collect()
}

/// One host's program counts what it sends; the other host's program of XDP is the truth of what went over the wire.
#[test]
fn a_transfer_is_counted_as_it_arrives() {
    if !namespace::enter() {
        return;
    }
    let Some(mut kernel) = load(&options()) else { return };
    let (send_id, id) = channel();
    let (send_order, orders) = channel();
    let other = thread::spawn(move || receive(&send_id, &orders));
    let Ok(thread_id) = id.recv() else { return };
    assert!(ip(&["link", "set", FAR, "netns", &thread_id.to_string()]));
    assert!(ip(&["addr", "add", "10.9.0.1/24", "dev", NEAR]));
    send_order.send(()).unwrap();
    assert_eq!(id.recv(), Ok(0));
    namespace::wait_for_carrier_at(NEAR);
    kernel.attach_to_sent(NEAR).unwrap();
    let dropped_before = namespace::dropped();
    send();
    sleep(Duration::from_millis(500));
    // The near end goes with the other host.
    let dropped = namespace::dropped() - dropped_before;
    send_order.send(()).unwrap();
    let sent = of_ip(drained(&mut kernel));
    let received = of_ip(other.join().unwrap().expect("the programs are there"));
    assert_eq!(dropped, 0, "all frames arrived");
    let of = |counted: &Counted, protocol| {
        let flows = counted.iter().filter(|(key, _)| key.protocol() == Some(protocol));
        flows.map(|(_, [packets, ..])| *packets).sum::<u64>()
    };
    assert!(of(&sent, 6) > OCTETS as u64 / 1500, "{sent:?}");
    // One datagram, and of each burst twelve that are full and one that is not.
    assert_eq!(of(&sent, 17), 1 + 13 * BURSTS as u64, "{sent:?}");
    assert_eq!(sent, received);
}

/// Whoever sends says how the kernel has to cut, and not into how many segments.
#[test]
fn frames_that_others_have_not_cut_are_counted_as_segments() {
    if !namespace::enter() {
        return;
    }
    let Some(mut kernel) = load(&options()) else { return };
    kernel.attach_to_sent(NEAR).unwrap();
    send_uncut();
    let counted = drained(&mut kernel);
    let sent = kernel.sent();
    let packets: u64 = counted.values().map(|[packets, ..]| packets).sum();
    assert_eq!((packets, sent.seen_packets), (5 * FRAMES as u64, 5 * FRAMES as u64), "{counted:?}");
    let octets: u64 = counted.values().map(|[_, _, frame_octets]| frame_octets).sum();
    assert_eq!(octets, FRAMES as u64 * 5 * 1058);
}

/// What a CPU receives and what it sends meanwhile are in parts of the table of their own.
#[test]
fn both_ways_are_counted_at_once() {
    const FLOWS: u16 = 300;
    if !namespace::enter() {
        return;
    }
    let Some(mut kernel) = load(&options()) else { return };
    kernel.attach_to_sent(NEAR).unwrap();
    kernel.attach(NEAR, AttachMode::Native).unwrap();
    let senders = [NEAR, FAR].map(|end| thread::spawn(move || crate::several::send(end, FLOWS)));
    let mut found = [0; 2];
    let mut count = |kernel: &mut KernelCapture| {
        let grid = Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns());
        let taken = kernel.table().drain(grid, |flow| {
            found[usize::from(flow.direction == Direction::Egress)] += flow.packets;
        });
        taken.unwrap();
    };
    while !senders.iter().all(thread::JoinHandle::is_finished) {
        count(&mut kernel);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    sleep(Duration::from_millis(200));
    kernel.detach().unwrap();
    count(&mut kernel);
    count(&mut kernel);
    let each = 100 * u64::from(FLOWS);
    assert_eq!(found, [each, each], "{:?}", kernel.counters());
    assert_eq!((kernel.sent().seen_packets, kernel.counters().seen_packets), (each, 2 * each));
}
