//! What templates do: reduced lengths, biflows, options, late arrival, new meanings, caps.

use crate::messages::{SENT, ipfix, octets, set, template, v5, v9};
use crate::rows::{columns, datagram, decoder, decoder_with, push};
use tapline_decode::export::{ExportAccount, ExportDecoder, ExportOptions, Undecodable};

const SENT_NS: i64 = SENT as i64 * 1_000_000_000;

fn account(decoder: &ExportDecoder) -> ExportAccount {
    decoder.accounts().next().unwrap()
}

#[test]
fn v5_fills_its_columns() {
    let mut decoder = decoder();
    let rows = push(&mut decoder, &v5(100, 2, 0x4064));
    assert_eq!(rows.len(), 2);
    let names = ["exporter", "observation_domain", "src_ip", "dst_ip", "next_hop", "src_port", "dst_port"];
    let expected = ["192.0.2.1", "258", "10.0.0.1", "10.0.0.2", "10.0.0.3", "1234", "443"];
    assert_eq!(columns(&rows[0], &names), expected);
    let names = ["protocol", "tcp_flags", "tos", "packets", "octets", "input_interface", "output_interface"];
    assert_eq!(columns(&rows[0], &names), ["6", "27", "32", "6", "700", "4", "5"]);
    let names = ["src_as", "dst_as", "src_mask", "dst_mask", "ip_version", "vlan", "bgp_next_hop"];
    assert_eq!(columns(&rows[0], &names), ["64500", "64501", "24", "16", "4", "-", "-"]);
    let names = ["sampling_rate", "scaled_packets", "scaled_octets"];
    assert_eq!(columns(&rows[0], &names), ["100", "600", "70000"]);
    let sent = SENT_NS + 500_000_000;
    let times =
        [sent - 3_000_000_000, sent - 8_000_000_000, sent - 3_000_000_000].map(|time| time.to_string());
    assert_eq!(columns(&rows[1], &["ts", "start_time", "end_time"]), times);
    assert!(account(&decoder).ledger().adds_up());
    assert_eq!(account(&decoder).ledger().delivered, 2);
}

#[test]
fn v5_counts_flows() {
    let mut decoder = decoder();
    push(&mut decoder, &v5(0, 30, 0));
    push(&mut decoder, &v5(90, 30, 0));
    push(&mut decoder, &v5(30, 30, 0));
    let ledger = account(&decoder).ledger();
    assert_eq!((ledger.offered, ledger.delivered, ledger.lost_before_us), (120, 90, 30));
    let mut cut = v5(120, 30, 0);
    cut.truncate(24 + 48 * 10 + 5);
    push(&mut decoder, &cut);
    let ledger = account(&decoder).ledger();
    assert_eq!((ledger.delivered, ledger.undecodable), (100, 20), "what is there counts");
}

#[test]
fn lengths_may_be_reduced() {
    let fields = [(1, 3), (2, 1), (8, 4), (10, 2), (16, 2), (7, 2), (6, 1), (61, 1)];
    let record = octets().and(&[1, 0, 0, 9, 10, 1, 1, 1]).u16(77).u16(64500).u16(53).u8(2).u8(1).0;
    let mut decoder = decoder();
    let rows = push(&mut decoder, &v9(0, &[set(0, &template(256, &fields)), set(256, &record)]));
    let names =
        ["octets", "packets", "src_ip", "input_interface", "src_as", "src_port", "tcp_flags", "direction"];
    assert_eq!(columns(&rows[0], &names), ["65536", "9", "10.1.1.1", "77", "64500", "53", "2", "1"]);
    assert_eq!(columns(&rows[0], &["dst_ip", "scaled_octets", "sampling_rate"]), ["-", "65536", "-"]);
    assert_eq!(account(&decoder).extract.rates_unknown, 1);
}

#[test]
fn numbers_that_do_not_fit_are_absent() {
    let record = octets().u32(70_000).u32(443).u64(u64::MAX).0;
    let mut decoder = decoder();
    let rows =
        push(&mut decoder, &v9(0, &[set(0, &template(256, &[(7, 4), (11, 4), (1, 8)])), set(256, &record)]));
    let expected = ["-", "443", "9223372036854775807"];
    assert_eq!(columns(&rows[0], &["src_port", "dst_port", "octets"]), expected);
}

#[test]
fn records_of_varying_length() {
    let fields = [(8, 4), (82, 65535), (1, 4), (58, 65535), (95, 65535)];
    let first = octets().and(&[10, 0, 0, 1, 2, 65, 66]).u32(5).and(&[2, 0, 9, 4, 13, 0, 1, 2]).0;
    let second = octets().and(&[10, 0, 0, 2, 0]).u32(6).and(&[0, 0]).0;
    let mut decoder = decoder();
    let sets = [set(2, &template(300, &fields)), set(300, &[first, second].concat())];
    let rows = push(&mut decoder, &ipfix(0, &sets));
    let names = ["src_ip", "octets", "vlan", "application_id"];
    let application = ((13_u64 << 56) + 258).to_string();
    assert_eq!(columns(&rows[0], &names), ["10.0.0.1", "5", "9", &application]);
    assert_eq!(columns(&rows[1], &names), ["10.0.0.2", "6", "-", "-"], "zero octets are no value");
}

#[test]
fn a_biflow_is_one_record_and_two_rows() {
    let fields = octets().u16(256).u16(6).u16(8).u16(4).u16(12).u16(4).u16(1).u16(4).u16(153).u16(8);
    let fields = fields.u16(0x8001).u16(4).u32(29305).u16(7).u16(2).0;
    let record = octets().and(&[10, 0, 0, 1, 10, 0, 0, 2]).u32(100).u64(1_699_999_998_000).u32(900).u16(53).0;
    let mut decoder = decoder();
    let rows = push(&mut decoder, &ipfix(0, &[set(2, &fields), set(256, &record)]));
    let names = ["src_ip", "dst_ip", "octets", "src_port", "dst_port", "end_time"];
    let end = "1699999998000000000";
    assert_eq!(columns(&rows[0], &names), ["10.0.0.1", "10.0.0.2", "100", "53", "-", end]);
    assert_eq!(columns(&rows[1], &names), ["10.0.0.2", "10.0.0.1", "900", "-", "53", end]);
    let account = account(&decoder);
    assert_eq!((account.counts.records, account.counts.rows, account.ledger().delivered), (1, 2, 1));
}

#[test]
fn initiator_and_responder_are_a_biflow_and_totals_are_no_deltas() {
    let record = octets().and(&[10, 0, 0, 1, 10, 0, 0, 2]).u32(7).u32(8).u32(9).0;
    let fields = [(8, 4), (12, 4), (231, 4), (232, 4), (85, 4)];
    let mut decoder = decoder();
    let rows = push(&mut decoder, &v9(0, &[set(0, &template(256, &fields)), set(256, &record)]));
    assert_eq!(columns(&rows[0], &["src_ip", "octets"]), ["10.0.0.1", "7"]);
    assert_eq!(columns(&rows[1], &["src_ip", "octets"]), ["10.0.0.2", "8"]);
    let rows = push(&mut decoder, &v9(1, &[set(0, &template(257, &[(85, 4)])), set(257, &[0, 0, 0, 5])]));
    assert_eq!(columns(&rows[0], &["octets"]), ["-"]);
}

#[test]
fn sampling_comes_by_options() {
    let options = octets().u16(400).u16(4).u16(8).u16(2).u16(4).u16(34).u16(4).u16(35).u16(1).0;
    let announced = octets().u32(7).u32(1000).u8(1).u32(8).u32(50).u8(1).0;
    let flows = octets().u32(100).u32(7).u32(200).u32(8).u32(300).u32(9).0;
    let mut decoder = decoder();
    push(&mut decoder, &v9(0, &[set(1, &options), set(400, &announced)]));
    let rows = push(&mut decoder, &v9(1, &[set(0, &template(256, &[(1, 4), (10, 4)])), set(256, &flows)]));
    let rates: Vec<_> = rows.iter().map(|row| columns(row, &["sampling_rate", "scaled_octets"])).collect();
    assert_eq!(rates, [["1000", "100000"], ["50", "10000"], ["-", "300"]]);
    let account = account(&decoder);
    assert_eq!((account.ledger().control, account.ledger().delivered), (1, 1));
    assert_eq!(account.extract.rates_unknown, 1);
}

#[test]
fn a_configured_rate_holds_where_none_is_said() {
    let limits = ExportOptions { sampling_rate: Some(10), ..ExportOptions::default() };
    let rows = push(&mut decoder_with(limits), &v5(0, 1, 0));
    assert_eq!(columns(&rows[0], &["sampling_rate", "scaled_octets"]), ["10", "7000"]);
}

#[test]
fn sets_wait_for_their_template() {
    let mut decoder = decoder();
    assert!(push(&mut decoder, &ipfix(0, &[set(256, &[1, 2, 3, 4, 5, 6, 7, 8])])).is_empty());
    assert!(push(&mut decoder, &ipfix(2, &[set(256, &[9, 9, 9, 9])])).is_empty());
    let ledger = account(&decoder).ledger();
    assert_eq!((ledger.delivered, ledger.undecodable), (0, 2), "the numbers tell how many wait");
    let rows = push(&mut decoder, &ipfix(3, &[set(2, &template(256, &[(8, 4)]))]));
    let addresses: Vec<_> = rows.iter().map(|row| columns(row, &["src_ip"])).collect();
    assert_eq!(addresses, [["1.2.3.4"], ["5.6.7.8"], ["9.9.9.9"]]);
    let account = account(&decoder);
    assert_eq!((account.counts.sets_waited, account.counts.sets_replayed), (2, 2));
    assert_eq!((account.ledger().delivered, account.ledger().undecodable), (3, 0));
    assert_eq!(account.sequence.uncertain, 2);
}

#[test]
fn rows_are_of_the_source_that_their_message_came_from() {
    let mut decoder = decoder();
    let sources = ["a", "b"].map(|name| decoder.intern_source(name));
    let mut push_of = |source: usize, sequence, sets: &[Vec<u8>]| {
        decoder.set_source(sources[source]);
        let rows = push(&mut decoder, &ipfix(sequence, sets));
        let of_row = |row| columns(row, &["source", "src_ip"]).join(" ");
        rows.iter().map(of_row).collect::<Vec<_>>()
    };
    assert!(push_of(0, 0, &[set(256, &[1, 2, 3, 4])]).is_empty());
    let rows = push_of(1, 1, &[set(2, &template(256, &[(8, 4)])), set(256, &[9; 4])]);
    assert_eq!(rows, ["a 1.2.3.4", "b 9.9.9.9"], "what waited, too");
    decoder.push(&datagram(&ipfix(2, &[set(256, &[7; 4])])));
    decoder.set_source(sources[0]);
    let rows = push(&mut decoder, &ipfix(3, &[set(256, &[8; 4])]));
    let found: Vec<_> = rows.iter().map(|row| columns(row, &["source"])).collect();
    assert_eq!(found, [["b"], ["a"]], "what is gathered is of one source");
    let rows = push(&mut decoder, &v5(0, 1, 0));
    assert_eq!(columns(&rows[0], &["source"]), ["a"]);
}

#[test]
fn datagrams_of_v9_wait_too() {
    let mut decoder = decoder();
    push(&mut decoder, &v9(5, &[set(256, &[1, 2, 3, 4]), set(257, &[1, 2, 3, 4])]));
    assert_eq!(account(&decoder).ledger().undecodable, 1);
    push(&mut decoder, &v9(6, &[set(0, &template(257, &[(8, 4)]))]));
    let ledger = account(&decoder).ledger();
    assert_eq!((ledger.delivered, ledger.control, ledger.undecodable), (1, 1, 0));
    decoder.give_up_waiting();
    let account = account(&decoder);
    assert_eq!((account.counts.sets_expired, account.counts.reasons.of(Undecodable::NoTemplate)), (1, 1));
    assert!(account.ledger().adds_up());
}

#[test]
fn a_queue_that_is_full_gives_up() {
    let limits = ExportOptions { waiting_octets_max: 300, ..ExportOptions::default() };
    let mut decoder = decoder_with(limits);
    for sequence in 0..3 {
        push(&mut decoder, &v9(sequence, &[set(256, &[1, 2, 3, 4])]));
    }
    assert_eq!(account(&decoder).counts.sets_expired, 1);
    let rows = push(&mut decoder, &v9(3, &[set(0, &template(256, &[(8, 4)]))]));
    assert_eq!(rows.len(), 2);
    push(&mut decoder, &v9(4, &[set(300, &[1, 2, 3, 4])]));
    assert_eq!(account(&decoder).counts.sets_expired, 1, "there is room again");
    push(&mut decoder, &v9(5, &vec![set(300, &[]); 100]));
    assert_eq!(account(&decoder).counts.sets_expired, 101, "sets without octets take room, too");
}

#[test]
fn a_template_may_change_and_be_withdrawn() {
    let mut decoder = decoder();
    push(&mut decoder, &ipfix(0, &[set(2, &template(256, &[(8, 4)]))]));
    let rows = push(&mut decoder, &ipfix(0, &[set(2, &template(256, &[(12, 4)])), set(256, &[1, 2, 3, 4])]));
    assert_eq!(columns(&rows[0], &["src_ip", "dst_ip"]), ["-", "1.2.3.4"]);
    assert!(
        push(&mut decoder, &ipfix(1, &[set(2, &template(256, &[])), set(256, &[1, 2, 3, 4])])).is_empty()
    );
    let counts = account(&decoder).counts;
    assert_eq!((counts.redefined, counts.withdrawn, counts.sets_waited), (1, 1, 1));
}

#[test]
fn templates_outlive_the_process_until_others_come() {
    let mut before = decoder();
    push(&mut before, &v9(0, &[set(0, &template(256, &[(8, 4), (1, 4)]))]));
    let saved: Vec<_> = before.templates().map(|template| template.to_string()).collect();
    assert_eq!(saved, ["192.0.2.1 2055 udp 9 7 data 256 0.8.4 0.1.4"]);
    let restored = || {
        let mut decoder = decoder();
        assert!(saved.iter().all(|line| decoder.restore(line.parse().unwrap())));
        decoder
    };
    let record = [1, 2, 3, 4, 0, 0, 0, 9];
    let mut decoder = restored();
    let rows = push(&mut decoder, &v9(1, &[set(256, &record)]));
    assert_eq!(columns(&rows[0], &["src_ip", "octets"]), ["1.2.3.4", "9"]);
    let rows = push(&mut decoder, &v9(2, &[set(0, &template(256, &[(1, 4), (8, 4)])), set(256, &record)]));
    assert_eq!(columns(&rows[0], &["src_ip"]), ["0.0.0.9"], "what the exporter says counts");
    let counts = account(&decoder).counts;
    assert_eq!((counts.sets_provisional, counts.redefined), (1, 0));

    let mut decoder = restored();
    assert!(push(&mut decoder, &v9(1, &[set(256, &[1, 2, 3, 4, 5, 6, 7])])).is_empty(), "data do not fit");
    let rows = push(&mut decoder, &v9(2, &[set(0, &template(256, &[(7, 2), (8, 4), (4, 1)]))]));
    assert_eq!(columns(&rows[0], &["src_ip", "protocol"]), ["3.4.5.6", "7"], "they waited for the right one");
}

#[test]
fn a_restart_is_no_loss() {
    let mut decoder = decoder();
    push(&mut decoder, &v5(1_000_000, 30, 0));
    let mut again = v5(0, 30, 0);
    again[4..8].copy_from_slice(&5_000_u32.to_be_bytes());
    push(&mut decoder, &again);
    let account = account(&decoder);
    assert_eq!((account.sequence.restarts, account.ledger().lost_before_us), (1, 0));
}

#[test]
fn zeros_fill_a_message_up() {
    let mut message = v9(0, &[set(0, &template(256, &[(8, 4)])), set(256, &[1, 2, 3, 4])]);
    message.extend([0; 700]);
    let mut decoder = decoder();
    assert_eq!(push(&mut decoder, &message).len(), 1);
    assert_eq!(account(&decoder).counts.trailing_octets, 700);
}

#[test]
fn what_makes_no_sense_is_counted() {
    let mut decoder = decoder();
    for message in [&[][..], &[9], &[0, 6, 1, 2, 3, 4], &[0, 9, 0, 1], &[0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(push(&mut decoder, message).is_empty());
    }
    assert_eq!(decoder.strays().messages, 5);
    push(&mut decoder, &v9(0, &[set(0, &template(256, &[(8, 0)])), set(5, &[1])]));
    push(&mut decoder, &v9(1, &[set(0, &template(257, &[(8, 60_000), (8, 60_000)]))]));
    let counts = account(&decoder).counts;
    assert_eq!((counts.reasons.of(Undecodable::Template), counts.reasons.of(Undecodable::Reserved)), (2, 1));
}

#[test]
fn caps_hold() {
    let limits = ExportOptions { templates_max: 2, domains_max: 1, ..ExportOptions::default() };
    let mut decoder = decoder_with(limits);
    let templates: Vec<_> = (256..260).map(|id| template(id, &[(8, 4)])).collect();
    push(&mut decoder, &v9(0, &[set(0, &templates.concat())]));
    assert_eq!(account(&decoder).counts.reasons.of(Undecodable::Cap), 2);
    push(&mut decoder, &v5(0, 1, 0));
    assert_eq!(decoder.strays().reasons.of(Undecodable::Cap), 1);
}
