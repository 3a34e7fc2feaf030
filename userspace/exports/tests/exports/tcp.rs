//! The TCP listener: what peers send over loopback arrives message by message, or is counted.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tapline_decode::Sender;
use tapline_exports::{ExportEvent, IpfixListener, ListenError, TcpCounters, TcpOptions};
use tapline_record::EventTime;

use crate::files::ipfix;

const SECOND: i64 = 1_000_000_000;

fn listen(connections_max: usize) -> (IpfixListener, SocketAddr) {
    let options = TcpOptions { connections_max, message_time_max: Duration::from_secs(10) };
    let listener = IpfixListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

/// Messages by sender, and closed connections, in their order.
#[derive(Default)]
struct Seen {
    messages: Vec<(Sender, Vec<u8>)>,
    closed: Vec<Sender>,
}

impl Seen {
    /// Reads at a time until the listener's counters are as awaited.
    fn read_until(
        &mut self,
        listener: &mut IpfixListener,
        now: EventTime,
        is_so: impl Fn(&TcpCounters) -> bool,
    ) {
        let happens = (0..100).any(|_| {
            self.read(listener, now);
            is_so(&listener.counters())
        });
        assert!(happens, "{:?}", listener.counters());
    }

    fn read(&mut self, listener: &mut IpfixListener, now: EventTime) {
        let before = self.messages.len();
        let count = listener.read(|| now, &mut |event| match event {
            ExportEvent::Message(datagram) => {
                assert_eq!(datagram.received, now);
                self.messages.push((datagram.sender, datagram.payload.to_vec()));
            }
            ExportEvent::Closed(sender) => self.closed.push(*sender),
        });
        assert_eq!(self.messages.len(), before + count.unwrap());
        let TcpCounters { connections, closed, foreign, timed_out, .. } = listener.counters();
        let open = listener.connections() as u64;
        assert_eq!(connections, open + closed + foreign + timed_out, "every connection has one fate");
    }

    fn of(&self, sender: Sender) -> Vec<&[u8]> {
        self.messages.iter().filter(|(of, _)| *of == sender).map(|(_, payload)| &payload[..]).collect()
    }
}

/// A message of so many octets, with a set that no one knows.
fn long(octets: u16) -> Vec<u8> {
    let mut message = ipfix(1);
    message.resize(octets.into(), 9);
    message[2..4].copy_from_slice(&octets.to_be_bytes());
    message
}

#[test]
fn messages_of_many_peers_arrive_whole_and_in_order() {
    const PEERS: u16 = 20;
    let (mut listener, address) = listen(PEERS.into());
    let all: Vec<_> = (0..200).map(|index| long(16 + index * 300)).collect();
    let stream = [all.concat(), long(65_535)].concat();
    let peers: Vec<_> = (0..PEERS)
        .map(|peer| {
            let (mut socket, stream) = (TcpStream::connect(address).unwrap(), stream.clone());
            let sender = Sender::tcp(socket.local_addr().unwrap());
            let step = 1 + usize::from(peer) * 3571;
            let sending = thread::spawn(move || {
                stream.chunks(step.max(100)).for_each(|piece| socket.write_all(piece).unwrap());
            });
            (sender, sending)
        })
        .collect();
    let mut seen = Seen::default();
    let awaited = u64::from(PEERS);
    seen.read_until(&mut listener, EventTime(7), |counters| counters.connections == awaited);
    while listener.counters().closed < awaited {
        seen.read(&mut listener, EventTime(7));
    }
    for (sender, sending) in peers {
        sending.join().unwrap();
        assert!(seen.of(sender).concat() == stream);
        assert_eq!((seen.of(sender).len(), seen.closed.contains(&sender)), (201, true));
    }
    let counters = listener.counters();
    assert_eq!((counters.half_messages, listener.connections()), (0, 0));
    assert_eq!(counters.octets, stream.len() as u64 * u64::from(PEERS));
}

#[test]
fn another_protocol_is_closed_and_counted() {
    let (mut listener, address) = listen(4);
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&[&ipfix(1)[..], b"GET / HTTP/1.1\r\n\r\n"].concat()).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut listener, EventTime(0), |counters| counters.foreign == 1);
    assert_eq!((seen.messages.len(), seen.closed.len(), listener.connections()), (1, 1, 0));
    assert_eq!(socket.read(&mut [0; 9]).unwrap_or(0), 0, "the peer is told");
}

#[test]
fn a_peer_that_closes_within_a_message_is_counted() {
    let (mut listener, address) = listen(4);
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&[&ipfix(1)[..], &ipfix(2)[..20]].concat()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut seen = Seen::default();
    seen.read_until(&mut listener, EventTime(0), |counters| counters.closed == 1);
    assert_eq!((seen.messages.len(), seen.closed.len(), listener.counters().half_messages), (1, 1, 1));
}

#[test]
fn slow_peers_are_disconnected_and_quiet_ones_are_not() {
    let (mut listener, address) = listen(4);
    let [_silent, mut quiet, mut slow] = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    let mut seen = Seen::default();
    seen.read_until(&mut listener, EventTime(0), |counters| counters.connections == 3);
    quiet.write_all(&ipfix(1)).unwrap();
    slow.write_all(&[&ipfix(1)[..], &ipfix(2)[..9]].concat()).unwrap();
    seen.read_until(&mut listener, EventTime(SECOND), |counters| counters.messages == 2);
    slow.write_all(&ipfix(2)[9..10]).unwrap();
    seen.read_until(&mut listener, EventTime(11 * SECOND), |counters| counters.timed_out == 1);
    assert_eq!((seen.closed.len(), listener.connections()), (0, 2), "the silent one never sent a message");
    seen.read_until(&mut listener, EventTime(12 * SECOND), |counters| counters.timed_out == 2);
    let slow = Sender::tcp(slow.local_addr().unwrap());
    assert_eq!((&seen.closed[..], listener.counters().half_messages), (&[slow][..], 1));
    seen.read(&mut listener, EventTime(1000 * SECOND));
    quiet.write_all(&ipfix(3)).unwrap();
    seen.read_until(&mut listener, EventTime(1000 * SECOND), |counters| counters.messages == 3);
    assert_eq!(listener.connections(), 1);
}

#[test]
fn more_peers_than_may_be_are_turned_away() {
    let (mut listener, address) = listen(2);
    let sockets = [(); 5].map(|()| TcpStream::connect(address).unwrap());
    let mut seen = Seen::default();
    seen.read_until(&mut listener, EventTime(0), |counters| counters.refused == 3);
    assert_eq!((listener.connections(), listener.counters().connections), (2, 2));
    drop(sockets);
    seen.read_until(&mut listener, EventTime(0), |counters| counters.closed == 2);
    assert_eq!(seen.closed.len(), 0);
    let _another = TcpStream::connect(address).unwrap();
    seen.read_until(&mut listener, EventTime(0), |counters| counters.connections == 3);
}

#[test]
fn a_port_that_is_taken_is_explained() {
    let (_listener, address) = listen(1);
    let error = IpfixListener::bind(address, &TcpOptions::default()).err().unwrap();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
}

#[test]
fn all_addresses_are_ipv4_too_and_senders_are_mapped() {
    let options = TcpOptions::default();
    let mut listener = IpfixListener::bind("[::]:0".parse().unwrap(), &options).unwrap();
    let port = listener.local_address().unwrap().port();
    let mut seen = Seen::default();
    for (index, ip) in ["127.0.0.1", "::1"].into_iter().enumerate() {
        let mut socket = TcpStream::connect(SocketAddr::new(ip.parse().unwrap(), port)).unwrap();
        socket.write_all(&ipfix(1)).unwrap();
        seen.read_until(&mut listener, EventTime(0), |counters| counters.messages == index as u64 + 1);
        assert_eq!(seen.messages[index].0, Sender::tcp(socket.local_addr().unwrap()));
    }
}
