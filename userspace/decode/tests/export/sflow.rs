//! sFlow datagrams, made by hand: every kind of sample and record, whole and cut short.

use crate::messages::{Octets, octets};
use crate::rows::{RECEIVED, Row, columns, datagram, decoder, decoder_with, push, rows_of};
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, UInt8Type};
use tapline_decode::export::{
    Datagram, ExportAccount, ExportDecoder, ExportOptions, SampleCounts, Sender, SentBy, Undecodable, Unit,
};
use tapline_record::INTERFACE_COUNTERS;

const FRAME: &[u8] = &[
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 100, 8, 0, // Ethernet, VLAN 100
    0x45, 0xb8, 5, 0xdc, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4, 1500 octets
    0x30, 0x39, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0, // TCP
];

/// A datagram of agent 192.0.2.1, sub-agent 3.
fn sflow(sequence: u32, uptime_ms: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let head = octets().u32(5).u32(1).and(&[192, 0, 2, 1]).u32(3).u32(sequence).u32(uptime_ms);
    head.u32(samples.len().try_into().unwrap()).and(&samples.concat()).0
}

/// A sample or a record with its format and length.
fn block(format: u32, body: &Octets) -> Vec<u8> {
    octets().u32(format).u32(body.0.len().try_into().unwrap()).and(&body.0).0
}

/// A compact flow sample of source 7, from interface 7 to 8, one packet in 100.
fn flow(sequence: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let head = octets().u32(sequence).u32(7).u32(100).u32(1000).u32(0).u32(7).u32(8);
    block(1, &head.u32(records.len().try_into().unwrap()).and(&records.concat()))
}

/// An expanded flow sample of source 7, from interface 7 to 8 in these forms, one packet in 100.
fn expanded_flow(sequence: u32, [input_form, output_form]: [u32; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let head = octets().u32(sequence).u32(0).u32(7).u32(100).u32(1000).u32(0);
    let head = head.u32(input_form).u32(7).u32(output_form).u32(8);
    block(3, &head.u32(records.len().try_into().unwrap()).and(&records.concat()))
}

fn counters(sequence: u32) -> Vec<u8> {
    let record = block(1, &Octets(vec![0; 88]));
    block(2, &octets().u32(sequence).u32(7).u32(1).and(&record))
}

fn expanded_counters(sequence: u32) -> Vec<u8> {
    let record = block(1, &Octets(vec![0; 88]));
    block(4, &octets().u32(sequence).u32(0).u32(7).u32(1).and(&record))
}

/// The beginning of a packet of so many octets, of which four were stripped.
fn header(protocol: u32, frame_octets: u32, bytes: &[u8]) -> Vec<u8> {
    let padding = vec![0; bytes.len().next_multiple_of(4) - bytes.len()];
    let head = octets().u32(protocol).u32(frame_octets).u32(4).u32(bytes.len().try_into().unwrap());
    block(1, &head.and(bytes).and(&padding))
}

fn gateway(path: &[u32]) -> Vec<u8> {
    let body = octets().u32(1).and(&[10, 9, 9, 9]).u32(64_500).u32(64_501).u32(64_502);
    block(1003, &path.iter().fold(body, |body, &word| body.u32(word)).u32(0).u32(100))
}

fn account(decoder: &ExportDecoder) -> ExportAccount {
    decoder.accounts().next().unwrap()
}

/// What the records of one sample give for these columns.
fn values(records: &[Vec<u8>], names: &[&str]) -> Vec<String> {
    let rows = push(&mut decoder(), &sflow(1, 1000, &[flow(1, records)]));
    columns(&rows[0], names).into_iter().map(String::from).collect()
}

#[test]
fn a_sampled_packet_is_a_row() {
    let rows = push(&mut decoder(), &sflow(1, 1000, &[flow(1, &[header(1, 1522, FRAME)])]));
    let received = RECEIVED.0.to_string();
    let times = ["ts", "start_time", "end_time", "exporter", "observation_domain"];
    assert_eq!(columns(&rows[0], &times), [&received, &received, &received, "192.0.2.1", "3"]);
    let names = ["src_ip", "dst_ip", "src_port", "dst_port", "protocol", "tcp_flags", "tos", "ip_version"];
    assert_eq!(columns(&rows[0], &names), ["10.0.0.1", "10.0.0.2", "12345", "443", "6", "24", "184", "4"]);
    let names = ["packets", "octets", "sampling_rate", "scaled_packets", "scaled_octets"];
    assert_eq!(columns(&rows[0], &names), ["1", "1500", "100", "100", "150000"]);
    let names = ["input_interface", "output_interface", "vlan", "src_mac", "dst_mac", "direction"];
    let expected = ["7", "8", "100", "02:00:00:00:00:02", "02:00:00:00:00:01", "-"];
    assert_eq!(columns(&rows[0], &names), expected);
}

#[test]
fn a_header_may_be_of_any_protocol() {
    let names = ["src_ip", "octets", "dst_port", "src_mac"];
    assert_eq!(values(&[header(11, 1504, &FRAME[18..])], &names), ["10.0.0.1", "1500", "443", "-"]);
    let v6 = octets().u32(0x6000_0000).u16(60).u8(17).u8(64).and(&[0x20; 16]).and(&[0x30; 16]);
    let v6 = v6.u16(53).u16(5353).u16(60).u16(0).0;
    let expected = ["2020:2020:2020:2020:2020:2020:2020:2020", "100", "5353", "-"];
    assert_eq!(values(&[header(12, 104, &v6)], &names), expected);
    assert_eq!(values(&[header(3, 104, &[1, 2, 3])], &names), ["-", "100", "-", "-"], "token ring");
    let mpls = octets().u32(16_001 << 12 | 0x1ff).and(&FRAME[18..]).0;
    let labelled = values(&[header(13, 1508, &mpls)], &["mpls_label", "src_ip", "octets", "dst_port"]);
    assert_eq!(labelled, ["16001", "10.0.0.1", "1500", "443"]);
    let arp = [&FRAME[..12], &[8, 6, 0, 1]].concat();
    assert_eq!(values(&[header(1, 64, &arp)], &names), ["-", "60", "-", "02:00:00:00:00:02"]);
}

#[test]
fn headers_may_come_without_their_packet() {
    let ports = octets().u32(12345).u32(443).u32(0x12).u32(0xb8);
    let v4 = octets().u32(1500).u32(6).and(&[10, 0, 0, 1, 10, 0, 0, 2]).and(&ports.0);
    let names = ["src_ip", "octets", "src_port", "tcp_flags", "tos", "ip_version"];
    assert_eq!(values(&[block(3, &v4)], &names), ["10.0.0.1", "1500", "12345", "18", "184", "4"]);
    let v6 = octets().u32(900).u32(58).and(&[0x20; 16]).and(&[0x30; 16]).and(&ports.0);
    let expected = ["2020:2020:2020:2020:2020:2020:2020:2020", "900", "-", "-", "184", "6"];
    assert_eq!(values(&[block(4, &v6)], &names), expected);
    let ethernet = octets().u32(64).and(&[2, 0, 0, 0, 0, 1, 0, 0]).and(&[2, 0, 0, 0, 0, 2, 0, 0]).u32(0x806);
    let names = ["src_mac", "dst_mac", "octets", "ip_version"];
    let expected = ["02:00:00:00:00:01", "02:00:00:00:00:02", "64", "-"];
    assert_eq!(values(&[block(2, &ethernet)], &names), expected);
    assert_eq!(values(&[block(2, &ethernet), block(3, &v4)], &names)[2], "1500");
}

#[test]
fn a_header_leaves_what_it_does_not_carry() {
    let untagged = [&FRAME[..12], &FRAME[16..]].concat();
    let switch = block(1001, &octets().u32(5).u32(0).u32(6).u32(0));
    let mpls = block(1006, &octets().u32(1).and(&[10, 2, 2, 2]).u32(1).u32(77 << 12 | 0x1ff).u32(0));
    let names = ["vlan", "post_vlan", "mpls_label", "src_ip"];
    let records = [switch, mpls, header(1, 1518, &untagged)];
    assert_eq!(values(&records, &names), ["5", "6", "77", "10.0.0.1"]);
    let ethernet = octets().u32(64).and(&[2, 0, 0, 0, 0, 3, 0, 0]).and(&[2, 0, 0, 0, 0, 4, 0, 0]).u32(0x800);
    let records = [block(2, &ethernet), header(11, 1504, &FRAME[18..])];
    assert_eq!(values(&records, &["src_mac", "octets"]), ["02:00:00:00:00:03", "1500"]);
}

#[test]
fn routes_and_translations_are_columns() {
    let switch = block(1001, &octets().u32(5).u32(0).u32(u32::MAX).u32(0));
    assert_eq!(values(&[header(1, 1522, FRAME), switch], &["vlan", "post_vlan"]), ["5", "-"]);
    let router = block(1002, &octets().u32(1).and(&[10, 1, 1, 1]).u32(24).u32(16));
    let names = ["next_hop", "src_mask", "dst_mask"];
    assert_eq!(values(&[router], &names), ["10.1.1.1", "24", "16"]);
    let router = block(1002, &octets().u32(2).and(&[0x20; 16]).u32(64).u32(128));
    assert_eq!(values(&[router], &names)[1..], ["64", "128"]);
    let names = ["src_as", "dst_as", "bgp_next_hop"];
    let path = [2, 2, 2, 64_503, 64_504, 1, 3, 1, 2, 4_200_000_001];
    assert_eq!(values(&[gateway(&path)], &names), ["64501", "4200000001", "10.9.9.9"]);
    assert_eq!(values(&[gateway(&[0])], &names), ["64501", "0", "10.9.9.9"], "its own system");
    assert_eq!(values(&[gateway(&[1, 2, u32::MAX])], &names), ["64501", "-", "10.9.9.9"]);
    let nat = block(1007, &octets().u32(1).and(&[1, 1, 1, 1]).u32(1).and(&[2, 2, 2, 2]));
    let ports = block(1020, &octets().u32(1000).u32(2000));
    let names = ["nat_src_ip", "nat_dst_ip", "nat_src_port", "nat_dst_port"];
    assert_eq!(values(&[nat, ports], &names), ["1.1.1.1", "2.2.2.2", "1000", "2000"]);
    let mpls = block(1006, &octets().u32(1).and(&[10, 2, 2, 2]).u32(1).u32(77 << 12 | 0x1ff).u32(0));
    assert_eq!(values(&[mpls], &["mpls_label", "next_hop"]), ["77", "10.2.2.2"]);
    let unknown = block(4413 << 12 | 1, &octets().u32(9));
    assert_eq!(values(&[unknown, header(1, 1522, FRAME)], &["octets"]), ["1500"]);
}

#[test]
fn expanded_samples_say_the_same() {
    let mut decoder = decoder();
    let records = [header(1, 1522, FRAME)];
    let compact = push(&mut decoder, &sflow(1, 1000, &[flow(1, &records)]));
    assert_eq!(push(&mut decoder, &sflow(2, 1000, &[expanded_flow(2, [0, 0], &records)])), compact);
    assert_eq!(account(&decoder).sequence.lost, 0, "both forms count on");
    let rows = push(&mut decoder, &sflow(3, 1000, &[expanded_flow(3, [1, 2], &records)]));
    assert_eq!(columns(&rows[0], &["input_interface", "output_interface"]), ["-", "-"]);
}

#[test]
fn counter_samples_are_control() {
    let mut decoder = decoder();
    let samples = [counters(1), flow(1, &[]), expanded_counters(4), counters(5)];
    assert_eq!(push(&mut decoder, &sflow(1, 1000, &samples)).len(), 1);
    let account = account(&decoder);
    let ledger = account.ledger();
    assert_eq!((ledger.delivered, ledger.control, ledger.lost_before_us, ledger.offered), (1, 3, 2, 6));
    assert_eq!((account.unit, account.version, account.domain), (Unit::Samples, 105, 3));
}

#[test]
fn counters_fill_a_table_of_their_own() {
    let numbers = |first: u64, count: u64| {
        (first..first + count).fold(octets(), |body, number| body.u32(number as u32))
    };
    let record = octets().u32(7).u32(6).u64(10_000_000_000).u32(1).u32(1).u64(1 << 40).and(&numbers(20, 6).0);
    let record = record.u64(1 << 41).and(&numbers(30, 5).0).u32(0);
    let sample =
        block(2, &octets().u32(1).u32(7).u32(2).and(&block(2, &octets().u32(9))).and(&block(1, &record)));
    let every_column: Vec<usize> = (0..INTERFACE_COUNTERS.columns.len()).collect();
    let mut decoder = decoder().with_interface_counters(&every_column);
    let source = decoder.intern_source("udp://0.0.0.0:6343");
    decoder.set_source(source);
    assert!(push(&mut decoder, &sflow(1, 1000, &[sample, counters(2)])).is_empty());
    let batch = decoder.finish_interface_counters().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.column_by_name("source").unwrap().as_string::<i32>().value(1), "udp://0.0.0.0:6343");
    let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(0);
    let names = [
        "speed",
        "in_octets",
        "in_unicast",
        "in_unknown_protocols",
        "out_octets",
        "out_unicast",
        "out_errors",
    ];
    assert_eq!(names.map(number), [10_000_000_000, 1 << 40, 20, 25, 1 << 41, 30, 34]);
    let up = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<UInt8Type>().value(0);
    assert_eq!(["admin_up", "oper_up", "duplex"].map(up), [1, 0, 1]);
    assert_eq!(batch.column_by_name("duplex").unwrap().null_count(), 1, "0 is unknown");
    assert!(decoder.finish_interface_counters().is_none());
}

#[test]
fn counters_may_be_unknown() {
    let words = |count| std::iter::repeat_n(u32::MAX, count).fold(octets(), Octets::u32);
    let known = octets().u32(7).u32(6).u64(u64::MAX).u32(0).u32(3);
    let record = known.u64(1 << 40).u32(20).and(&words(5).0).u64(u64::MAX).and(&words(4).0).u32(34).u32(0);
    let sample = block(2, &octets().u32(1).u32(7).u32(1).and(&block(1, &record)));
    let every_column: Vec<usize> = (0..INTERFACE_COUNTERS.columns.len()).collect();
    let mut decoder = decoder().with_interface_counters(&every_column);
    push(&mut decoder, &sflow(1, 1000, &[sample]));
    let batch = decoder.finish_interface_counters().unwrap();
    let known = |&(_, column): &(_, &arrow_array::ArrayRef)| column.is_valid(0);
    let fields = batch.schema();
    let known = fields.fields().iter().zip(batch.columns()).filter(known).skip(5);
    let names: Vec<_> = known.map(|(field, _)| field.name().as_str()).collect();
    let expected =
        ["interface", "interface_type", "admin_up", "oper_up", "in_octets", "in_unicast", "out_errors"];
    assert_eq!(names, expected);
}

#[test]
fn a_rate_may_be_unknown() {
    let mut sample = flow(1, &[header(1, 1522, FRAME)]);
    sample[16..20].fill(0);
    let mut known = decoder_with(ExportOptions { sampling_rate: Some(10), ..ExportOptions::default() });
    let names = ["sampling_rate", "scaled_octets"];
    let rows = push(&mut known, &sflow(1, 1000, std::slice::from_ref(&sample)));
    assert_eq!(columns(&rows[0], &names), ["10", "15000"]);
    let mut unknown = decoder();
    let rows = push(&mut unknown, &sflow(1, 1000, &[sample]));
    assert_eq!(columns(&rows[0], &names), ["-", "1500"]);
    assert_eq!(account(&unknown).extract.rates_unknown, 1);
}

#[test]
fn samples_are_counted_by_agent_and_source() {
    let mut decoder = decoder();
    for (sequence, number) in [(1, 1), (2, 2), (4, 6), (3, 4)] {
        push(&mut decoder, &sflow(sequence, 1000, &[flow(number, &[])]));
    }
    let counted = account(&decoder);
    assert_eq!((counted.sequence.lost, counted.sequence.reordered), (2, 1));
    assert_eq!((counted.datagrams.lost, counted.datagrams.reordered), (0, 1));
}

/// The datagrams of agents, each with the last octet of the agent's address and of the sender's, and the sender's port.
fn relayed(datagrams: &[(u8, u8, u16, Vec<u8>)]) -> (Vec<ExportAccount>, Vec<Row>) {
    let mut decoder = decoder();
    for (agent, sender, port, payload) in datagrams {
        let mut payload = payload.clone();
        payload[11] = *agent;
        let sender = Sender::udp([192, 0, 2, *sender].into(), *port);
        decoder.push(&Datagram { received: RECEIVED, sender, payload: &payload });
    }
    let rows = decoder.finish().map_or_else(Vec::new, |batch| rows_of(&batch));
    (decoder.accounts().collect(), rows)
}

#[test]
fn an_agent_is_one_whichever_way_its_datagrams_come() {
    let datagram = |sequence: u32| sflow(sequence, 1000, &[flow(sequence, &[])]);
    let ways = [(1, 5000), (2, 5000), (1, 6000), (2, 7000)];
    let sent: Vec<_> =
        (1..).zip(ways).map(|(number, (way, port))| (99, way, port, datagram(number))).collect();
    let (accounts, rows) = relayed(&sent);
    let [account] = &accounts[..] else { unreachable!("{accounts:?}") };
    assert_eq!((account.ledger().delivered, account.ledger().lost_before_us), (4, 0));
    assert_eq!((account.exporter.map(|address| address[15]), account.port), (Some(99), 0));
    assert_eq!(account.sent_by, SentBy::Several);
    let found: Vec<_> = rows.iter().map(|row| columns(row, &["exporter", "sender"])).collect();
    assert_eq!(found[0], ["192.0.2.99", "192.0.2.1"]);
    assert_eq!(found[3], ["192.0.2.99", "192.0.2.2"]);
}

#[test]
fn agents_behind_a_relay_stay_apart() {
    let datagram = |sequence: u32| sflow(sequence, 1000, &[flow(sequence, &[]), counters(sequence)]);
    let agents = [(10, 1), (20, 500), (10, 2), (20, 501)];
    let sent: Vec<_> = agents.map(|(agent, sequence)| (agent, 1, 5000, datagram(sequence))).into();
    let (accounts, rows) = relayed(&sent);
    let found: Vec<_> = accounts.iter().map(|account| account.ledger().lost_before_us).collect();
    assert_eq!((found, rows.len()), (vec![0, 0], 4));
    assert!(accounts.iter().all(|account| account.sent_by.one().is_some_and(|sender| sender[15] == 1)));
    let mut second = datagram(1);
    second[15] = 4;
    let (accounts, _) = relayed(&[(10, 1, 1, datagram(7)), (10, 1, 1, second)]);
    assert_eq!(accounts.len(), 2, "so do the parts of one");
}

#[test]
fn an_agent_without_an_address_of_its_own_is_who_sent_it() {
    for agent in [[0, 0, 0, 0], [127, 0, 0, 1]] {
        let mut payload = sflow(1, 1000, &[flow(1, &[])]);
        payload[8..12].copy_from_slice(&agent);
        let rows = push(&mut decoder(), &payload);
        assert_eq!(columns(&rows[0], &["exporter", "sender"]), ["192.0.2.1", "192.0.2.1"]);
    }
    let unknown = octets().u32(5).u32(0).u32(3).u32(1).u32(1000).u32(1).and(&flow(1, &[])).0;
    assert_eq!(columns(&push(&mut decoder(), &unknown)[0], &["exporter"]), ["192.0.2.1"]);
}

#[test]
fn an_agent_that_starts_anew_loses_nothing() {
    let mut decoder = decoder();
    push(&mut decoder, &sflow(900, 50_000_000, &[flow(5000, &[]), counters(70)]));
    push(&mut decoder, &sflow(1, 1000, &[flow(1, &[]), counters(1)]));
    push(&mut decoder, &sflow(2, 2000, &[flow(3, &[]), counters(2)]));
    let account = account(&decoder);
    assert_eq!((account.sequence.lost, account.sequence.restarts, account.datagrams.restarts), (1, 1, 1));
}

/// The notification of a discarded packet.
fn dropped(sequence: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let head = octets().u32(sequence).u32(0).u32(7).u32(0).u32(1).u32(0).u32(0x102);
    block(5, &head.u32(records.len().try_into().unwrap()).and(&records.concat()))
}

#[test]
fn samples_that_are_not_of_flows_are_control() {
    let mut decoder = decoder();
    let vendors =
        [block(4300 << 12 | 1, &octets().u32(1)), block(9, &octets()), block(0xffff_ffff, &octets())];
    for number in [1, 2, 4] {
        let drops = [dropped(2 * number, &[header(1, 1522, FRAME)]), dropped(2 * number + 1, &[])];
        let samples = [vec![flow(number, &[]), counters(number)], drops.to_vec(), vendors.to_vec()].concat();
        assert_eq!(push(&mut decoder, &sflow(number, 1000, &samples)).len(), 1);
    }
    let account = account(&decoder);
    let ledger = account.ledger();
    assert_eq!((ledger.delivered, ledger.control, ledger.undecodable), (3, 18, 0));
    assert_eq!(ledger.lost_before_us, 4, "a flow, counters and two drops are missing");
    assert_eq!(account.counts.samples, SampleCounts { counters: 3, drops: 6, others: 9 });
    assert_eq!(account.counts.reasons.total(), 0);
}

#[test]
fn samples_that_are_cut_short_are_undecodable() {
    let mut decoder = decoder();
    let longer = block(1, &octets().u32(2).u32(7).u32(100).u32(0).u32(0).u32(7).u32(8).u32(9));
    let mut cut = dropped(1, &[header(1, 1522, FRAME)]);
    cut.truncate(60);
    cut[7] = 52;
    let samples = [block(5, &octets().u32(1)), cut, longer, flow(3, &[])];
    assert_eq!(push(&mut decoder, &sflow(1, 1000, &samples)).len(), 1);
    let mut vendor = sflow(2, 1000, &[block(1 << 12 | 1, &octets().u32(1).u32(2))]);
    vendor.truncate(40);
    push(&mut decoder, &vendor);
    let account = account(&decoder);
    assert_eq!((account.ledger().undecodable, account.ledger().lost_before_us), (3, 0));
    assert_eq!((account.counts.reasons.of(Undecodable::Sample), account.ledger().control), (4, 0));
}

/// A datagram that is cut after every octet: each sample whose number was read has its fate, and what was cut off
/// shows as a gap as soon as the next datagram comes.
#[test]
fn a_datagram_may_be_cut_short_anywhere() {
    let records = [header(1, 1522, FRAME), gateway(&[1, 2, 1, 64_503])];
    let samples = [flow(1, &records), expanded_flow(2, [0, 0], &records), counters(1), expanded_counters(2)];
    let whole = sflow(1, 1000, &samples);
    for end in 0..=whole.len() {
        let mut decoder = decoder();
        push(&mut decoder, &sflow(0, 1000, &[flow(0, &[]), counters(0)]));
        let rows = push(&mut decoder, &whole[..end]);
        push(&mut decoder, &sflow(2, 1000, &[flow(3, &[]), counters(3)]));
        let account = account(&decoder);
        let ledger = account.ledger();
        assert!(ledger.adds_up(), "{end}");
        assert_eq!(ledger.offered, 8, "{end} {account:?}");
        assert_eq!(ledger.delivered, 2 + rows.len() as u64, "{end}");
        let whole_samples = usize::from(ledger.undecodable == 0 && ledger.lost_before_us == 0);
        assert_eq!(whole_samples, usize::from(end == whole.len()), "{end}");
    }
}

#[test]
fn what_claims_too_much_is_counted() {
    let mut decoder = decoder();
    let mut message = sflow(1, 1000, &[flow(1, &[])]);
    message[27] = 200;
    message.extend([1, 2, 3]);
    assert_eq!(push(&mut decoder, &message).len(), 1);
    let counts = account(&decoder).counts;
    assert_eq!((counts.reasons.of(Undecodable::Length), counts.trailing_octets), (1, 3));
    decoder.push(&datagram(&[0, 0, 0, 5, 0, 0, 0, 9, 1, 2, 3, 4]));
    assert_eq!(decoder.strays().reasons.of(Undecodable::Header), 1, "an address of unknown type");
}
