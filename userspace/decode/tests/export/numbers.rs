//! Exporters that number something else than their protocol says.

use crate::messages::{ipfix, octets, set, template, v9};
use crate::rows::{RECEIVED, decoder, push};
use tapline_decode::export::{Datagram, ExportAccount, Sender, Transport, Unit};

/// So many records of template 256.
fn records(count: usize) -> Vec<u8> {
    set(256, &octets().u32(7).0.repeat(count))
}

/// The account of messages with these numbers and so many records each; the template comes first.
fn account(message: fn(u32, &[Vec<u8>]) -> Vec<u8>, numbers: &[(u32, usize)]) -> ExportAccount {
    let templates = if message(0, &[])[1] == 9 { 0 } else { 2 };
    let mut decoder = decoder();
    for (place, &(number, count)) in numbers.iter().enumerate() {
        let first = (place == 0).then(|| set(templates, &template(256, &[(1, 4)])));
        push(&mut decoder, &message(number, &[first.unwrap_or_default(), records(count)]));
    }
    decoder.accounts().next().unwrap()
}

#[test]
fn ipfix_may_number_messages() {
    let numbers: Vec<_> =
        (0..60).filter(|number| ![2, 30, 31].contains(number)).map(|number| (number, 24)).collect();
    let account = account(ipfix, &numbers);
    assert_eq!((account.unit, account.unit.is_odd_for(account.version)), (Unit::Messages, true));
    let ledger = account.ledger();
    assert_eq!((ledger.offered, ledger.delivered, ledger.lost_before_us), (60, 57, 3));
    assert_eq!((account.sequence.duplicates, account.sequence.restarts), (0, 0));
    assert_eq!((account.lost_records(), account.counts.records), (72, 57 * 24));
}

#[test]
fn connections_that_number_messages_begin_anew() {
    let mut decoder = decoder();
    for connection in 0..2 {
        let sender =
            Sender { transport: Transport::Tcp, ..Sender::udp([192, 0, 2, 1].into(), 5000 + connection) };
        for number in 0..4 {
            let template = set(2, &template(256, &[(1, 4)]));
            let payload = ipfix(number, &[template, records(3)]);
            decoder.push(&Datagram { received: RECEIVED, sender, payload: &payload });
        }
        decoder.close(sender);
    }
    let account = decoder.accounts().next().unwrap();
    assert_eq!((account.unit, account.ledger().delivered), (Unit::Messages, 8));
    assert_eq!((account.sequence.duplicates, account.sequence.restarts), (0, 0));
}

#[test]
fn ipfix_that_numbers_records_is_not_mistaken() {
    let numbers: Vec<_> = (0..60).filter(|number| *number != 30).map(|number| (24 * number, 24)).collect();
    let account = account(ipfix, &numbers);
    assert_eq!((account.unit, account.ledger().lost_before_us), (Unit::Records, 24));
    assert_eq!(account.ledger().delivered, 59 * 24);
}

#[test]
fn v9_may_number_records() {
    let sizes = [20_u32, 7, 30];
    let mut next = 0;
    let numbers = sizes.iter().cycle().take(60).map(|&size| {
        next += size;
        (next - size, size as usize)
    });
    let numbers: Vec<_> =
        numbers.enumerate().filter(|(place, _)| *place != 40).map(|(_, number)| number).collect();
    let account = account(v9, &numbers);
    assert_eq!((account.unit, account.unit.is_odd_for(account.version)), (Unit::Records, true));
    assert_eq!((account.ledger().delivered, account.ledger().lost_before_us), (19 * 57 + 50, 7));
}
