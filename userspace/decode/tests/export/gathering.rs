//! Records of several messages become rows together, and yet as if each message came alone.

use crate::messages::{SENT, UPTIME, ipfix, octets, set, template, v5, v9};
use crate::rows::{RECEIVED, Row, decoder, decoder_with, rows_of};
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{Datagram, EventTimeSource, ExportDecoder, ExportOptions, Sender, Transport};

/// A message, and the last octet of its sender's address.
type Arriving = (u8, Vec<u8>);

fn push(decoder: &mut ExportDecoder, (from, payload): &Arriving) {
    let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, *from)), 2055);
    decoder.push(&Datagram { received: RECEIVED, sender, payload });
}

fn finish(decoder: &mut ExportDecoder) -> Vec<Row> {
    decoder.finish().map_or_else(Vec::new, |batch| rows_of(&batch))
}

/// Decodes the messages, the rows of each as it comes and those of all at the end: both are the same, and what
/// is known of them is so after every message.
fn rows_together(messages: &[Arriving], options: ExportOptions) -> Vec<Row> {
    let (mut alone, mut together) = (decoder_with(options), decoder_with(options));
    let mut rows = vec![];
    for message in messages {
        push(&mut alone, message);
        push(&mut together, message);
        rows.extend(finish(&mut alone));
        assert_eq!(together.rows(), rows.len(), "those count that are pending");
        assert_eq!(together.latest(), alone.latest());
        assert_eq!(together.missing_records(), alone.missing_records());
        let accounts = |decoder: &ExportDecoder| format!("{:?}", decoder.accounts().collect::<Vec<_>>());
        assert_eq!(accounts(&together), accounts(&alone));
    }
    let all = finish(&mut together);
    assert!(all == rows, "the rows differ");
    assert_eq!((together.rows(), together.finish()), (0, None));
    rows
}

/// A v5 message of an exporter that has been up for so long, whose clock shows so many seconds.
fn v5_at(sequence: u32, records: u16, uptime_ms: u32, seconds: u32) -> Vec<u8> {
    let mut message = v5(sequence, records, 0);
    message[4..8].copy_from_slice(&uptime_ms.to_be_bytes());
    message[8..12].copy_from_slice(&seconds.to_be_bytes());
    message
}

fn of_column(rows: &[Row], name: &str) -> Vec<String> {
    rows.iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
}

#[test]
fn every_message_has_its_own_times() {
    let up = |seconds: u32| v5_at(2 * seconds, 2, UPTIME + 1000 * seconds, SENT + 2 * seconds);
    let messages: Vec<_> = (0..5).map(|seconds| (1, up(seconds))).collect();
    for event_time in [EventTimeSource::Flow, EventTimeSource::Export, EventTimeSource::Receive] {
        let options = ExportOptions { event_time, ..ExportOptions::default() };
        let ends = of_column(&rows_together(&messages, options), "end_time");
        let first: i64 = ends[0].parse().unwrap();
        let expected = (0..10).map(|row| (first + row / 2 * 1_000_000_000).to_string());
        assert_eq!(ends, expected.collect::<Vec<_>>());
    }
}

#[test]
fn nonsense_is_mended_by_message() {
    let year = 365 * 86_400;
    let mut messages: Vec<_> = (0..3).map(|place| (1, v5_at(place, 1, 1000 * place, SENT))).collect();
    messages.extend((3..6).map(|place| (1, v5_at(place, 1, UPTIME, SENT - year))));
    messages.extend((6..9).map(|place| (1, v5_at(place, 1, UPTIME, SENT))));
    let rows = rows_together(&messages, ExportOptions::default());
    assert_eq!(rows.len(), 9);
}

#[test]
fn the_sampling_rate_may_change_with_every_message() {
    let messages: Vec<_> = [7, 7, 0, 9, 9].map(|rate| (1, v5(0, 2, 0x4000 | rate))).into();
    let rates = of_column(&rows_together(&messages, ExportOptions::default()), "sampling_rate");
    assert_eq!(rates, ["7", "7", "7", "7", "7", "7", "9", "9", "9", "9"]);
}

#[test]
fn exporters_take_turns() {
    let turns = [1, 1, 1, 2, 1, 2, 2, 2, 3, 1, 1];
    let messages: Vec<_> = turns.map(|from| (from, v5(0, 3, u16::from(from)))).into();
    let rows = rows_together(&messages, ExportOptions::default());
    let expected = turns.iter().flat_map(|from| vec![format!("192.0.2.{from}"); 3]);
    assert_eq!(of_column(&rows, "exporter"), expected.collect::<Vec<_>>());
}

#[test]
fn one_exporter_has_several_engines_and_protocols() {
    let mut other_engine = v5(0, 2, 0);
    other_engine[21] = 9;
    let records = set(256, &[10, 0, 0, 1, 10, 0, 0, 2]);
    let learning = v9(0, &[set(0, &template(256, &[(8, 4)])), records.clone()]);
    let messages = [
        v5(0, 2, 0),
        v5(2, 2, 0),
        other_engine.clone(),
        other_engine,
        learning,
        v9(1, &[records.clone(), records.clone()]),
        v5(4, 2, 0),
        v5(6, 2, 0),
    ];
    let rows = rows_together(&messages.map(|message| (1, message)), ExportOptions::default());
    assert_eq!(rows.len(), 18);
}

#[test]
fn a_template_may_change_while_records_are_pending() {
    let of = |id| set(2, &template(256, &[(id, 4)]));
    let record = || set(256, &[10, 0, 0, 1]);
    let messages = [
        ipfix(0, &[of(8), record(), record()]),
        ipfix(2, &[record()]),
        ipfix(3, &[of(12), record(), record()]),
        ipfix(5, &[of(12), record()]),
        ipfix(6, &[set(2, &octets().u16(256).u16(0).0), record()]),
        ipfix(7, &[of(8), record()]),
    ];
    let rows = rows_together(&messages.map(|message| (1, message)), ExportOptions::default());
    let sources = rows.iter().map(|row| row.contains_key("src_ip")).collect::<Vec<_>>();
    assert_eq!(sources, [true, true, true, false, false, false, true, true]);
}

#[test]
fn a_sampler_may_change_its_rate_while_records_are_pending() {
    let options_template =
        set(1, &octets().u16(257).u16(4).u16(8).u16(1).u16(4).u16(48).u16(1).u16(50).u16(4).0);
    let rate = |rate| set(257, &octets().u32(0).u8(1).u32(rate).0);
    let learning = [options_template, set(0, &template(256, &[(48, 1), (1, 4)]))];
    let records = || set(256, &octets().u8(1).u32(5).u8(1).u32(6).0);
    let messages = [
        v9(0, &learning),
        v9(1, &[rate(10), records(), records()]),
        v9(2, &[records(), rate(20), records()]),
    ];
    let rows = rows_together(&messages.map(|message| (1, message)), ExportOptions::default());
    let scaled = ["50", "60", "50", "60", "50", "60", "100", "120"];
    assert_eq!(of_column(&rows, "scaled_octets"), scaled);
}

#[test]
fn large_messages_and_many_of_them() {
    let sizes = [30, 1, 0, 700, 30, 1300, 1300, 30, 511, 1].into_iter().chain([30; 100]);
    let messages: Vec<_> = sizes.clone().map(|records| (1, v5(0, records, 0))).collect();
    let rows = rows_together(&messages, ExportOptions::default());
    assert_eq!(rows.len(), sizes.map(usize::from).sum::<usize>());
}

#[test]
fn a_batch_is_full_by_what_is_pending() {
    let mut decoder = ExportDecoder::new(&[], 64, ExportOptions::default());
    for (place, is_full) in [(0, false), (1, false), (2, true)] {
        push(&mut decoder, &(1, v5(30 * place, 30, 0)));
        assert_eq!(decoder.is_full(), is_full, "after message {place}");
    }
    assert_eq!(decoder.finish().map(|batch| batch.num_rows()), Some(90));
}

#[test]
fn pending_rows_outlive_their_exporter() {
    let tcp = Sender { transport: Transport::Tcp, ..Sender::udp(Ipv4Addr::LOCALHOST.into(), 40_000) };
    let record = set(256, &[10, 0, 0, 1]);
    let learning = ipfix(0, &[set(2, &template(256, &[(8, 4)])), record.clone()]);
    let mut decoder = decoder();
    for payload in [&learning, &ipfix(1, std::slice::from_ref(&record)), &ipfix(2, &[record])] {
        decoder.push(&Datagram { received: RECEIVED, sender: tcp, payload });
    }
    decoder.close(tcp);
    assert_eq!((decoder.rows(), decoder.missing_records()), (3, 0));
    assert_eq!(of_column(&finish(&mut decoder), "src_ip"), ["10.0.0.1"; 3]);
}
