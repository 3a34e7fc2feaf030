//! Exporters that come and go: what is kept of them has limits, and nothing that was counted is lost.

use crate::messages::{ipfix, octets, set, template, v5, v9};
use crate::rows::{RECEIVED, columns, decoder_with};
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{
    Datagram, ExportAccount, ExportDecoder, ExportOptions, Sender, Transport, Undecodable,
};

const SECOND_NS: i64 = 1_000_000_000;
const IDLE_S: i64 = 60;

fn limited(domains_max: usize) -> ExportDecoder {
    decoder_with(ExportOptions {
        domains_max,
        domain_idle_ns: IDLE_S * SECOND_NS,
        ..ExportOptions::default()
    })
}

fn sender(port: u16, transport: Transport) -> Sender {
    Sender { transport, ..Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port) }
}

/// Pushes a message that arrives after so many seconds; gives the rows it makes.
fn push(decoder: &mut ExportDecoder, second: i64, sender: Sender, payload: &[u8]) -> usize {
    let before = decoder.rows();
    decoder.push(&Datagram { received: RECEIVED.plus(second * SECOND_NS), sender, payload });
    decoder.rows() - before
}

fn push_udp(decoder: &mut ExportDecoder, second: i64, port: u16, payload: &[u8]) -> usize {
    push(decoder, second, sender(port, Transport::Udp), payload)
}

/// An IPFIX message with a template and one record.
fn one_record(sequence: u32) -> Vec<u8> {
    ipfix(sequence, &[set(2, &template(256, &[(8, 4)])), set(256, &[10, 0, 0, 1])])
}

fn accounts(decoder: &ExportDecoder) -> Vec<ExportAccount> {
    decoder.accounts().collect()
}

#[test]
fn the_next_connection_goes_on_with_the_account() {
    let mut decoder = limited(1);
    for connection in 0..5 {
        let sender = sender(40_000 + connection, Transport::Tcp);
        assert_eq!(push(&mut decoder, 0, sender, &ipfix(0, &[set(256, &[10, 0, 0, 1])])), 0, "no template");
        assert_eq!(push(&mut decoder, 0, sender, &one_record(1)), 2, "one of them waited");
        decoder.close(sender);
    }
    let accounts = accounts(&decoder);
    assert_eq!((accounts.len(), accounts[0].port), (1, 40_004));
    let (ledger, sequence) = (accounts[0].ledger(), accounts[0].sequence);
    assert_eq!((ledger.offered, ledger.delivered, sequence.restarts, sequence.lost), (10, 10, 0, 0));
    assert_eq!(decoder.strays().messages, 0);
}

#[test]
fn connections_at_once_have_accounts_of_their_own() {
    let mut decoder = limited(10);
    let senders = [1, 2].map(|port| sender(port, Transport::Tcp));
    senders.iter().for_each(|sender| assert_eq!(push(&mut decoder, 0, *sender, &one_record(0)), 1));
    senders.iter().for_each(|sender| decoder.close(*sender));
    assert_eq!(push(&mut decoder, 0, sender(3, Transport::Tcp), &one_record(0)), 1);
    let records: Vec<_> = accounts(&decoder).iter().map(|account| account.counts.records).collect();
    assert_eq!(records.iter().sum::<u64>(), 3);
    assert_eq!(records.len(), 2);
}

#[test]
fn who_was_silent_for_long_is_given_up_for_a_new_one() {
    let mut decoder = limited(2);
    push_udp(&mut decoder, 0, 1, &v5(0, 2, 0));
    push_udp(&mut decoder, 30, 2, &v5(0, 1, 0));
    assert_eq!(push_udp(&mut decoder, 59, 3, &v5(0, 1, 0)), 0, "none was silent for long enough");
    assert_eq!(push_udp(&mut decoder, 60, 3, &v5(0, 1, 0)), 1);
    assert_eq!(push_udp(&mut decoder, 61, 1, &v5(100, 1, 0)), 0, "none is, again");
    let accounts = accounts(&decoder);
    let seen: Vec<_> = accounts.iter().map(|account| (account.port, account.ledger().delivered)).collect();
    assert_eq!(seen, [(3, 1), (2, 1), (0, 2)]);
    assert_eq!(accounts[2].exporter, None);
    assert_eq!(decoder.strays().reasons.of(Undecodable::Cap), 2);
    let mut ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn forged_senders_keep_nobody_out_for_long() {
    let options = ExportOptions { domains_max: 100, ..ExportOptions::default() };
    let mut decoder = decoder_with(options);
    for second in 0..5 {
        push_udp(&mut decoder, second, 1, &v5(second as u32, 1, 0));
    }
    for forged in 0..5000 {
        push_udp(&mut decoder, 10 + i64::from(forged) / 1000, 1000 + forged, &v5(7, 1, 0));
    }
    assert_eq!(push_udp(&mut decoder, 30, 2, &v5(0, 1, 0)), 0, "there is no room");
    assert_eq!(push_udp(&mut decoder, 30, 1, &v5(5, 1, 0)), 1, "who was known stays");
    assert_eq!(push_udp(&mut decoder, 70, 2, &v5(1, 1, 0)), 1, "a minute later there is");
    let known = accounts(&decoder).into_iter().find(|account| account.port == 1);
    assert_eq!(known.map(|account| account.counts.records), Some(6));
}

#[test]
fn what_is_given_up_leaves_its_room() {
    let mut decoder = limited(1);
    for exporter in 0..100 {
        let data = set(300, &[0; 1000]);
        push_udp(&mut decoder, i64::from(exporter) * IDLE_S, exporter, &v9(0, &[data]));
        assert_eq!(decoder.waiting_octets(), 1128);
    }
    let counts = accounts(&decoder)[1].counts;
    assert_eq!((counts.sets_waited, counts.sets_expired), (99, 99));
}

#[test]
fn the_fields_of_all_templates_have_a_limit() {
    let options = ExportOptions { template_fields_all_max: 3 * 17, ..ExportOptions::default() };
    let mut decoder = decoder_with(options);
    let announce = |ids: &[u16]| {
        let templates: Vec<_> = ids.iter().map(|id| template(*id, &[(8, 4)])).collect();
        ipfix(0, &[set(2, &templates.concat())])
    };
    push_udp(&mut decoder, 0, 1, &announce(&[256, 257]));
    push_udp(&mut decoder, 0, 2, &announce(&[256, 257]));
    let refused = |decoder: &ExportDecoder| {
        accounts(decoder).iter().map(|account| account.counts.reasons.of(Undecodable::Cap)).sum::<u64>()
    };
    assert_eq!(refused(&decoder), 1);
    push_udp(&mut decoder, 0, 1, &ipfix(0, &[set(2, &template(256, &[]))]));
    push_udp(&mut decoder, 0, 2, &announce(&[257]));
    assert_eq!(refused(&decoder), 1, "a withdrawal makes room");
    push_udp(&mut decoder, 0, 2, &ipfix(0, &[set(2, &template(257, &[(12, 4)]))]));
    assert_eq!((refused(&decoder), decoder.templates().count()), (1, 3), "so does a new meaning");
}

#[test]
fn templates_from_another_port_are_noticed() {
    let mut decoder = limited(10);
    push_udp(&mut decoder, 0, 1, &v9(0, &[set(0, &template(256, &[(8, 4)]))]));
    let data = v9(1, &[set(256, &[10, 0, 0, 1])]);
    [2, 2, 3].iter().for_each(|port| assert_eq!(push_udp(&mut decoder, 0, *port, &data), 0));
    push_udp(&mut decoder, 0, 3, &v9(2, &[set(0, &template(256, &[(8, 4)]))]));
    push_udp(&mut decoder, 0, 4, &of_domain(8, 1, &[set(256, &[10, 0, 0, 1])]));
    let mut other = sender(2, Transport::Udp);
    other.address[15] = 9;
    push(&mut decoder, 0, other, &data);
    let found: Vec<_> = decoder.report().iter().map(|account| account.sets_of_other_ports).collect();
    assert_eq!(found, [0, 2, 0, 0, 0], "not of who has its own, of another domain, of another exporter");
}

#[test]
fn what_is_not_decoded_counts_as_its_header_has_it() {
    let mut decoder = limited(10);
    let mut data = v9(1, &[set(256, &[0; 400])]);
    data[2..4].copy_from_slice(&25_u16.to_be_bytes());
    push_udp(&mut decoder, 0, 1, &data);
    assert_eq!(decoder.missing_records(), 25);
    data[2..4].copy_from_slice(&60_000_u16.to_be_bytes());
    push_udp(&mut decoder, 0, 2, &data);
    assert_eq!(decoder.missing_records(), 25 + 26, "no more than there is room for");
    push_udp(&mut decoder, 0, 1, &v9(2, &[set(0, &template(256, &[(210, 16)]))]));
    assert_eq!(decoder.missing_records(), 26);
}

#[test]
fn what_is_refused_counts_as_its_header_has_it() {
    let mut decoder = limited(1);
    push_udp(&mut decoder, 0, 1, &v5(0, 2, 0));
    push_udp(&mut decoder, 0, 2, &v5(0, 3, 0));
    push_udp(&mut decoder, 0, 3, &one_record(0));
    assert_eq!((decoder.strays().messages, decoder.strays().records, decoder.missing_records()), (2, 3, 3));
    decoder.push(&Datagram { received: RECEIVED, sender: sender(4, Transport::Udp), payload: &[0, 6, 0, 9] });
    assert_eq!(decoder.missing_records(), 3, "not of what nobody knows");
}

#[test]
fn one_exporters_templates_leave_room_for_those_of_others() {
    let options = ExportOptions { templates_max: usize::MAX, ..ExportOptions::default() };
    let mut decoder = decoder_with(options);
    let fields = [(210, 1); 500];
    for (port, id) in (1..4_u16).flat_map(|port| (256..1256).map(move |id| (port, id))) {
        push_udp(&mut decoder, 0, port, &ipfix(0, &[set(2, &template(id, &fields))]));
    }
    let kept = decoder.templates().count();
    assert!((200..300).contains(&kept), "{kept} templates of 516, of a ninth of a million");
    let sender = Sender { address: [7; 16], ..sender(1, Transport::Udp) };
    let message = ipfix(0, &[set(2, &template(256, &[(8, 4)])), set(256, &[1, 2, 3, 4])]);
    assert_eq!(push(&mut decoder, 0, sender, &message), 1, "another exporter");
}

#[test]
fn sets_of_one_exporter_that_wait_leave_room_for_those_of_others() {
    let mut decoder = decoder_with(ExportOptions { waiting_octets_max: 300_000, ..ExportOptions::default() });
    for port in 0..400 {
        push_udp(&mut decoder, 0, port, &v9(0, &[set(300, &[0; 1000])]));
    }
    let waiting = decoder.waiting_octets();
    assert!((98_000..=100_000).contains(&waiting), "{waiting} of a third");
    let sender = Sender { address: [7; 16], ..sender(1, Transport::Udp) };
    push(&mut decoder, 0, sender, &v9(0, &[set(300, &[0; 1000])]));
    assert_eq!(decoder.waiting_octets(), waiting + 1128);
}

/// A v9 message of this source id.
fn of_domain(domain: u8, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut message = v9(sequence, sets);
    message[19] = domain;
    message
}

/// Announces the rate of a sampler.
fn sampler(domain: u8, sequence: u32, sampler: u32, rate: u32) -> Vec<u8> {
    let options = octets().u16(400).u16(4).u16(8).u16(1).u16(4).u16(48).u16(4).u16(50).u16(4).0;
    let announced = octets().u32(0).u32(sampler).u32(rate).0;
    of_domain(domain, sequence, &[set(1, &options), set(400, &announced)])
}

#[test]
fn samplers_may_be_announced_in_another_domain() {
    let flow = |domain, sequence, sampler: u32| {
        let record = octets().u32(100).u32(sampler).0;
        of_domain(domain, sequence, &[set(0, &template(256, &[(1, 4), (48, 4)])), set(256, &record)])
    };
    let mut decoder = crate::rows::decoder();
    let mut rate = |message: &[u8]| {
        let rows = crate::rows::push(&mut decoder, message);
        rows.first().map(|row| columns(row, &["sampling_rate"])[0].to_owned())
    };
    assert_eq!(rate(&flow(1, 0, 9)).as_deref(), Some("-"));
    assert_eq!(rate(&sampler(6, 0, 9, 50)), None);
    assert_eq!(rate(&flow(1, 1, 9)).as_deref(), Some("50"), "a domain that was known before");
    assert_eq!(rate(&flow(2, 0, 9)).as_deref(), Some("50"), "one that was not");
    assert_eq!(rate(&flow(2, 1, 10)).as_deref(), Some("-"), "another sampler");
    assert_eq!(rate(&sampler(7, 0, 9, 70)), None);
    assert_eq!(rate(&flow(1, 2, 9)).as_deref(), Some("-"), "they do not agree");
    assert_eq!(rate(&flow(7, 1, 9)).as_deref(), Some("70"), "its own domain is right");
    assert_eq!(rate(&sampler(6, 1, 9, 70)), None);
    assert_eq!(rate(&flow(1, 3, 9)).as_deref(), Some("70"), "they do again");
    let flow = flow(1, 0, 9);
    decoder.push(&Datagram { received: RECEIVED, sender: sender(9999, Transport::Udp), payload: &flow });
    let batch = decoder.finish().unwrap();
    assert_eq!(columns(&crate::rows::rows_of(&batch)[0], &["sampling_rate"]), ["-"], "another exporter");
}
