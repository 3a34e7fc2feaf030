//! The UDP listener: what is sent over loopback arrives, or is counted as dropped.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tapline_decode::{Datagram, Sender, Transport};
use tapline_exports::{ListenError, UdpListener, UdpOptions};
use tapline_record::{EventTime, address::from_ip};

use crate::sending::{connected, cut_into, number, numbered};

const NOW: EventTime = EventTime(42);

fn listen(on: &str, merges_segments: bool) -> UdpListener {
    let options = UdpOptions { merges_segments, receive_buffer_octets: 4 << 20, ..UdpOptions::default() };
    UdpListener::bind(on.parse().unwrap(), &options).unwrap()
}

/// Numbers, lengths and senders of what arrives, until a read finds nothing.
fn read_all(listener: &mut UdpListener) -> Vec<(u32, usize, Sender)> {
    let mut seen = Vec::new();
    let mut see = |datagram: &Datagram<'_>| {
        assert_eq!(datagram.received, NOW);
        seen.push((number(datagram.payload), datagram.payload.len(), datagram.sender));
    };
    while listener.read(|| NOW, &mut see).unwrap() > 0 {}
    seen
}

fn sender(socket: &UdpSocket) -> Sender {
    let address = socket.local_addr().unwrap();
    Sender { address: from_ip(address.ip()), port: address.port(), transport: Transport::Udp }
}

#[test]
fn plain_datagrams_of_every_size_arrive_in_order() {
    for on in ["127.0.0.1:0", "[::1]:0"] {
        for merges_segments in [true, false] {
            let mut listener = listen(on, merges_segments);
            let socket = connected(listener.local_address().unwrap());
            let sizes = [4, 5, 100, 1400, 1472, 8972, 65_507, 4, 1400, 1400];
            let mut expected = Vec::new();
            for (index, octets) in sizes.into_iter().enumerate() {
                socket.send(&numbered(index as u32, octets)).unwrap();
                expected.push((index as u32, octets, sender(&socket)));
            }
            assert_eq!(read_all(&mut listener), expected, "{on}");
            let counters = listener.counters();
            assert_eq!((counters.datagrams, counters.cut, listener.drops().unwrap()), (10, 0, 0));
            assert_eq!(counters.octets, sizes.iter().sum::<usize>() as u64);
        }
    }
}

/// Sends datagrams of `octets` octets, 40 with one call, and a shorter one at its end.
fn send_merged(socket: &UdpSocket, first: u32, octets: usize) -> Vec<(u32, usize, Sender)> {
    cut_into(socket, octets);
    let expected: Vec<_> = (0..41)
        .map(|index| (first + index, if index == 40 { octets / 2 } else { octets }, sender(socket)))
        .collect();
    let payload: Vec<u8> =
        expected.iter().flat_map(|(number, octets, _)| numbered(*number, *octets)).collect();
    socket.send(&payload).unwrap();
    expected
}

#[test]
fn datagrams_sent_with_one_call_arrive_one_by_one() {
    for on in ["127.0.0.1:0", "[::1]:0"] {
        for merges_segments in [true, false] {
            let mut listener = listen(on, merges_segments);
            let socket = connected(listener.local_address().unwrap());
            let sizes = [8, 100, 1400].into_iter().zip([0, 41, 82]);
            let expected: Vec<_> =
                sizes.flat_map(|(octets, first)| send_merged(&socket, first, octets)).collect();
            assert_eq!(read_all(&mut listener), expected, "{on}, merged: {merges_segments}");
        }
    }
}

#[test]
fn what_is_not_read_in_time_is_counted() {
    let options = UdpOptions { receive_buffer_octets: 8192, merges_segments: false, ..UdpOptions::default() };
    let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let sockets = [(); 2].map(|()| connected(listener.local_address().unwrap()));
    cut_into(&sockets[1], 500);
    let mut seen = Vec::new();
    for round in 1..=20 {
        for number in 0..50 {
            sockets[0].send(&numbered(number, 1400)).unwrap();
        }
        sockets[1].send(&(0..50).flat_map(|number| numbered(number, 500)).collect::<Vec<_>>()).unwrap();
        seen.extend(read_all(&mut listener));
        assert_eq!(seen.len() as u64 + listener.drops().unwrap(), round * 100);
    }
    assert!(listener.drops().unwrap() > 0);
}

/// As a busy network does: several senders at once, and a reader that now and then is late.
#[test]
fn under_load_sent_is_read_and_dropped() {
    let options =
        UdpOptions { receive_buffer_octets: 1 << 20, merges_segments: false, ..UdpOptions::default() };
    let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let to = listener.local_address().unwrap();
    let sent_all = AtomicBool::new(false);
    let (mut last, mut read) = (std::collections::HashMap::new(), 0);
    let mut see = |datagram: &Datagram<'_>| {
        let number = number(datagram.payload);
        let before = last.insert(datagram.sender, number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
        if number.is_multiple_of(5000) {
            thread::sleep(Duration::from_millis(5));
        }
    };
    thread::scope(|scope| {
        let senders = [false, true].map(|merged| scope.spawn(move || send_many(to, merged)));
        let sent_all = &sent_all;
        scope.spawn(move || {
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            sent_all.store(true, Ordering::Release);
        });
        while !sent_all.load(Ordering::Acquire) {
            read += listener.read(|| NOW, &mut see).unwrap();
        }
        while let more @ 1.. = listener.read(|| NOW, &mut see).unwrap() {
            read += more;
        }
    });
    assert_eq!(read as u64 + listener.drops().unwrap(), 40_000);
}

fn send_many(to: SocketAddr, merged: bool) {
    let socket = connected(to);
    if merged {
        cut_into(&socket, 1000);
    }
    for first in (0..20_000).step_by(20) {
        let datagrams: Vec<_> = (first..first + 20).map(|number| numbered(number, 1000)).collect();
        if merged {
            socket.send(&datagrams.concat()).unwrap();
        } else {
            datagrams.iter().for_each(|datagram| assert_eq!(socket.send(datagram).unwrap(), 1000));
        }
    }
}

#[test]
fn all_addresses_are_ipv4_too_and_senders_are_mapped() {
    let mut listener = listen("[::]:0", true);
    let port = listener.local_address().unwrap().port();
    let sockets = ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let sockets = sockets.map(|ip| connected(SocketAddr::new(ip, port)));
    for (number, socket) in (0..).zip(&sockets) {
        socket.send(&numbered(number, 10)).unwrap();
    }
    assert_eq!(read_all(&mut listener), [(0, 10, sender(&sockets[0])), (1, 10, sender(&sockets[1]))]);
}

#[test]
fn a_read_without_datagrams_ends_soon() {
    let mut listener = listen("127.0.0.1:0", true);
    let start = Instant::now();
    assert_eq!(listener.read(|| NOW, &mut |_| {}).unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_port_is_shared_when_all_agree_and_else_not() {
    let options = UdpOptions { shares_port: true, ..UdpOptions::default() };
    let first = UdpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let address = first.local_address().unwrap();
    let mut listeners = [first, UdpListener::bind(address, &options).unwrap()];
    let error = UdpListener::bind(address, &UdpOptions::default()).err().unwrap();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another program listens there"), "{error}");
    for number in 0..32 {
        connected(address).send(&numbered(number, 10)).unwrap();
    }
    let read: usize = listeners.iter_mut().map(|listener| read_all(listener).len()).sum();
    assert_eq!(read, 32);
}

#[test]
fn what_cannot_be_bound_is_explained() {
    let error = UdpListener::bind("192.0.2.1:2055".parse().unwrap(), &UdpOptions::default()).err().unwrap();
    assert!(error.to_string().starts_with("192.0.2.1:2055: this machine has no such address"), "{error}");
}

#[test]
fn the_granted_buffer_is_reported() {
    let options = UdpOptions { receive_buffer_octets: 256 << 10, ..UdpOptions::default() };
    let listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert_eq!(listener.receive_buffer_octets(), 256 << 10);
}
