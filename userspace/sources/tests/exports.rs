//! A listener that ends without a word, and another one that goes on behind what is known of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};

use tapline_exports::{ListenerAddress, UdpOptions};
use tapline_record::{FLOWS, FlowColumn, StreamId};
use tapline_sources::{Demand, ExportSource, Listener, PaneWidths, Source, SourceOptions, Step};

const SECOND_NS: i64 = 1_000_000_000;
const SECOND: PaneWidths = PaneWidths { width_ns: SECOND_NS, closing_ns: SECOND_NS };
/// Steps of a listener until what was sent over loopback must be there; each waits a moment where nothing is.
const STEPS_MAX: usize = 1_000;

/// A listener on loopback, and its address.
fn listener() -> (ExportSource, SocketAddr) {
    let options = UdpOptions { receive_buffer_octets: 1 << 16, ..UdpOptions::default() };
    let address = ListenerAddress::Udp("127.0.0.1:0".parse().unwrap());
    let listener = Listener::bind(address, &options).unwrap();
    let Listener::Udp(udp) = &listener else { unreachable!("it is of datagrams") };
    let address = udp.local_address().unwrap();
    (ExportSource::of_listener(listener, None, &SourceOptions::default()), address)
}

fn bind(source: &mut ExportSource) {
    let mut demand = Demand::default();
    demand.add(&FLOWS, &[FlowColumn::Ts as usize], Some(SECOND));
    source.bind(&demand).unwrap();
}

/// A message of NetFlow v5 with one flow.
fn message(sequence: u32) -> [u8; 72] {
    let mut message = [0; 72];
    (message[1], message[3]) = (5, 1);
    message[16..20].copy_from_slice(&sequence.to_be_bytes());
    message
}

/// Reads until there are rows; gives how many.
fn rows(source: &mut ExportSource) -> usize {
    let mut read = || {
        assert_ne!(source.step(), Step::End);
        source.take(StreamId::Flows, true)
    };
    let batch = (0..STEPS_MAX).find_map(|_| read());
    batch.expect("what is sent arrives over loopback").num_rows()
}

/// What a source says of the numbers of exporters.
fn numbers(source: &ExportSource) -> Vec<String> {
    let position = source.position().unwrap();
    let (since, numbers) = position.split_once('\n').unwrap();
    assert!(since.starts_with("since "), "{position}");
    numbers.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_sent_behind_a_position_is_missing_for_who_goes_on_there() {
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut first, address) = listener();
    bind(&mut first);
    assert!(numbers(&first).is_empty(), "nobody has sent anything");
    exporter.send_to(&message(1_000_001), address).unwrap();
    assert_eq!(rows(&mut first), 1);
    let position = first.position().unwrap();
    let known = numbers(&first);
    assert!(known.len() == 1 && known[0].contains(" messages 1000002 "), "{position}");
    // It is not ended: nothing is left of it but what somebody has asked for.
    drop(first);
    let (second, address) = listener();
    let mut second = second.resuming(position);
    bind(&mut second);
    assert_eq!(numbers(&second), known, "nothing came since");
    exporter.send_to(&message(1_000_005), address).unwrap();
    assert_eq!(rows(&mut second), 1);
    let missed = second.missed_before();
    let of_flows = missed.iter().filter(|missed| missed.stream == StreamId::Flows);
    assert_eq!(of_flows.map(|missed| missed.records).collect::<Vec<_>>(), [Some(3)]);
    assert!(numbers(&second)[0].contains(" messages 1000006 "));
    // Somebody who was not known may have sent since then, too.
    let newcomer = UdpSocket::bind("127.0.0.1:0").unwrap();
    newcomer.send_to(&message(7), address).unwrap();
    assert_eq!(rows(&mut second), 1);
    let missed = second.missed_before();
    assert!(!missed.is_empty() && missed.iter().all(|missed| missed.records.is_none()), "{missed:?}");
    let (third, _) = listener();
    let mut third = third.resuming("no number\n".to_owned());
    bind(&mut third);
    assert!(numbers(&third).is_empty(), "what is damaged is left out");
}
