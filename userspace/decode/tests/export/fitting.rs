//! Sets and templates that do not fit each other: nothing is decoded by a template that was overtaken.

use crate::messages::{ipfix, octets, set, template, v9};
use crate::rows::{RECEIVED, columns, decoder, push};
use tapline_decode::export::{
    Datagram, ExportAccount, ExportDecoder, ExportOptions, Sender, Transport, Undecodable,
};

/// The template that was announced: 13 octets a record.
const OLD: &[(u16, u16)] = &[(8, 4), (12, 4), (4, 1), (1, 4)];
/// What the exporter made of it: 17 octets a record.
const NEW: &[(u16, u16)] = &[(8, 4), (12, 4), (10, 4), (4, 1), (1, 4)];

/// A kind of message: its number and its sets.
type Message = fn(u32, &[Vec<u8>]) -> Vec<u8>;
/// Both kinds of messages, each with the number of its sets of templates.
const KINDS: [(Message, u16); 2] = [(v9, 0), (ipfix, 2)];

fn announce(templates_id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    set(templates_id, &template(256, fields))
}

fn old(records: usize) -> Vec<u8> {
    octets().and(&[10, 0, 0, 1, 10, 0, 0, 2, 6]).u32(1500).0.repeat(records)
}

fn new(records: usize) -> Vec<u8> {
    octets().and(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 7, 6]).u32(1500).0.repeat(records)
}

fn account(decoder: &ExportDecoder) -> ExportAccount {
    decoder.accounts().next().unwrap()
}

/// The octets of each row.
fn push_octets(decoder: &mut ExportDecoder, message: &[u8]) -> Vec<String> {
    push(decoder, message).iter().map(|row| columns(row, &["octets"])[0].to_owned()).collect()
}

#[test]
fn nothing_is_decoded_between_a_change_and_its_template() {
    for (message, templates) in KINDS {
        let mut decoder = decoder();
        assert_eq!(push(&mut decoder, &message(0, &[announce(templates, OLD), set(256, &old(2))])).len(), 2);
        for (number, records) in [(2, 1), (3, 13), (16, 2), (18, 26)] {
            assert!(push(&mut decoder, &message(number, &[set(256, &new(records))])).is_empty());
        }
        let waiting = account(&decoder);
        assert_eq!(
            (waiting.counts.sets_waited, waiting.counts.records),
            (4, 2),
            "13 new ones are 17 old ones"
        );
        let rows = push_octets(&mut decoder, &message(44, &[announce(templates, NEW), set(256, &new(1))]));
        assert_eq!(rows, vec!["1500"; 43]);
        let account = account(&decoder);
        assert_eq!((account.counts.sets_replayed, account.counts.redefined), (4, 1));
        assert_eq!((account.ledger().undecodable, account.ledger().adds_up()), (0, true));
    }
}

#[test]
fn what_never_fits_is_undecodable_with_its_reason() {
    for (message, templates) in KINDS {
        let mut decoder = decoder();
        push(&mut decoder, &message(0, &[announce(templates, OLD), set(256, &new(1)), set(256, &old(1))]));
        decoder.give_up_waiting();
        let account = account(&decoder);
        assert_eq!((account.counts.records, account.counts.sets_expired), (0, 2));
        let reasons = account.counts.reasons;
        assert_eq!([Undecodable::Record, Undecodable::NoTemplate].map(|reason| reasons.of(reason)), [1, 1]);
        assert!(account.ledger().adds_up());
    }
}

#[test]
fn a_template_may_stand_behind_its_data() {
    for (message, templates) in KINDS {
        let mut decoder = decoder();
        push(&mut decoder, &message(0, &[announce(templates, OLD), set(256, &old(1))]));
        let rows = push(&mut decoder, &message(1, &[set(256, &new(3)), announce(templates, NEW)]));
        assert_eq!(rows.len(), 3);
        let account = account(&decoder);
        assert_eq!((account.counts.sets_waited, account.counts.sets_replayed), (1, 1));
        assert_eq!((account.ledger().undecodable, account.sequence.uncertain), (0, 0));
    }
}

#[test]
fn a_template_that_is_announced_again_is_believed() {
    let mut decoder = decoder();
    push(&mut decoder, &v9(0, &[announce(0, OLD), set(256, &new(1))]));
    assert!(push(&mut decoder, &v9(1, &[set(256, &old(1))])).is_empty());
    assert_eq!(push(&mut decoder, &v9(2, &[announce(0, OLD)])).len(), 1, "what fits waited for that");
    assert!(push(&mut decoder, &v9(3, &[set(256, &new(1))])).is_empty());
    assert_eq!(
        push(&mut decoder, &v9(4, &[set(256, &old(3))])).len(),
        3,
        "the others are the exporter's way"
    );
    let rows = push_octets(&mut decoder, &v9(5, &[announce(0, NEW)]));
    assert_eq!(rows, ["1500", "1500"]);
    assert!(push(&mut decoder, &v9(6, &[set(256, &old(1))])).is_empty());
    assert!(
        push(&mut decoder, &v9(7, &[set(256, &new(1))])).is_empty(),
        "a new meaning may be overtaken again"
    );
}

#[test]
fn what_was_sent_before_a_change_casts_no_doubt_on_it() {
    for (message, templates, numbers) in [(v9 as Message, 0, [0, 2, 1, 3]), (ipfix, 2, [0, 2, 1, 3])] {
        let mut decoder = decoder();
        push(&mut decoder, &message(numbers[0], &[announce(templates, OLD), set(256, &old(1))]));
        push(&mut decoder, &message(numbers[1], &[announce(templates, NEW), set(256, &new(1))]));
        assert!(push(&mut decoder, &message(numbers[2], &[set(256, &old(1))])).is_empty());
        assert_eq!(push(&mut decoder, &message(numbers[3], &[set(256, &new(1))])).len(), 1);
    }
}

#[test]
fn a_redefinition_that_is_refused_voids_the_old_meaning() {
    let long = [(210, 1); 40];
    let options = ExportOptions { template_fields_max: 32, ..ExportOptions::default() };
    for (message, templates) in KINDS {
        let mut decoder = crate::rows::decoder_with(options);
        push(&mut decoder, &message(0, &[announce(templates, OLD), set(256, &old(1))]));
        let refused = message(1, &[announce(templates, &long), set(256, &[0; 40]), set(256, &old(1))]);
        assert!(push(&mut decoder, &refused).is_empty());
        assert_eq!(decoder.templates().count(), 0);
        assert_eq!(
            account(&decoder).counts.reasons.of(Undecodable::Template),
            3,
            "sets of it wait for no other"
        );
        let rows = push(&mut decoder, &message(1, &[announce(templates, OLD), set(256, &old(1))]));
        assert_eq!(rows.len(), 1, "until it has one again");
        assert!(account(&decoder).ledger().adds_up());
    }
}

#[test]
fn a_redefinition_that_is_cut_short_voids_the_old_meaning() {
    for (message, templates) in KINDS {
        let mut decoder = decoder();
        push(&mut decoder, &message(0, &[announce(templates, OLD)]));
        let mut cut = template(256, NEW);
        cut.truncate(10);
        assert!(push(&mut decoder, &message(0, &[set(templates, &cut), set(256, &old(1))])).is_empty());
        assert_eq!(account(&decoder).counts.reasons.of(Undecodable::Template), 1);
        assert_eq!(push(&mut decoder, &message(1, &[announce(templates, OLD)])).len(), 1);
    }
}

#[test]
fn options_that_do_not_fit_tell_nothing() {
    let options = |fields: &[(u16, u16)]| {
        let length = u16::try_from(4 * fields.len()).unwrap();
        let head = octets().u16(400).u16(4).u16(length).u16(1).u16(4);
        fields.iter().fold(head, |head, &(id, length)| head.u16(id).u16(length)).0
    };
    let flows = set(256, &octets().u32(100).0);
    let mut decoder = decoder();
    push(&mut decoder, &v9(0, &[set(0, &template(256, &[(1, 4)])), set(1, &options(&[(34, 4), (35, 1)]))]));
    let announced = set(400, &octets().u32(0).u32(0).u32(7).u32(1000).u8(1).0);
    let rows = push(&mut decoder, &v9(1, &[announced, flows.clone()]));
    assert_eq!(columns(&rows[0], &["sampling_rate"]), ["-"]);
    push(&mut decoder, &v9(2, &[set(1, &options(&[(10, 4), (302, 4), (34, 4), (35, 1)]))]));
    assert_eq!(account(&decoder).counts.options_records, 1);
}

#[test]
fn a_number_may_change_its_kind() {
    let options = octets().u16(256).u16(4).u16(4).u16(1).u16(4).u16(34).u16(4).0;
    let mut decoder = decoder();
    push(&mut decoder, &v9(0, &[announce(0, OLD), set(1, &options)]));
    assert!(push(&mut decoder, &v9(1, &[set(256, &octets().u32(0).u32(50).0)])).is_empty());
    let counts = account(&decoder).counts;
    assert_eq!((counts.options_records, counts.records, counts.redefined), (1, 0, 1));
}

#[test]
fn records_of_varying_length_must_fill_their_set() {
    let fields: &[(u16, u16)] = &[(8, 4), (82, 65535), (1, 4)];
    let record = |name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        octets().and(&[10, 0, 0, 1]).u8(length).and(name).u32(5).0
    };
    let mut decoder = decoder();
    let whole = [record(b"eth0"), record(b""), vec![0; 2]].concat();
    let rows = push(&mut decoder, &ipfix(0, &[announce(2, fields), set(256, &whole)]));
    assert_eq!(rows.len(), 2, "padding is none");
    let rest = [record(b"eth0"), vec![10, 0, 0, 1, 200, 1, 2, 3, 4]].concat();
    assert!(push(&mut decoder, &ipfix(2, &[set(256, &rest)])).is_empty());
    decoder.give_up_waiting();
    assert_eq!(account(&decoder).counts.reasons.of(Undecodable::Record), 1);
}

#[test]
fn padding_of_real_exporters_is_none() {
    let padded = |records: Vec<u8>, padding: &[u8]| set(256, &[&records, padding].concat());
    for padding in [&[][..], &[0], &[0, 0], &[0; 3], &[0xff, 7, 1]] {
        for (message, templates) in KINDS {
            let sets = [announce(templates, OLD), padded(old(3), padding), padded(old(1), padding)];
            assert_eq!(push(&mut decoder(), &message(0, &sets)).len(), 4, "{padding:?}");
        }
    }
    let wide = |message: Message, templates, padding: &[u8]| {
        push(&mut decoder(), &message(0, &[announce(templates, OLD), padded(old(3), padding)])).len()
    };
    assert_eq!(
        (wide(ipfix, 2, &[0; 5]), wide(ipfix, 2, &[0, 0, 0, 0, 1])),
        (3, 0),
        "48 octets are six eights"
    );
    assert_eq!((wide(ipfix, 2, &[0; 4]), wide(v9, 0, &[0; 5])), (0, 0));
}

#[test]
fn short_records_may_be_padded() {
    for (fields, body) in
        [(&[(4, 1), (7, 2)][..], &[6, 0, 80, 0][..]), (&[(4, 1), (5, 1)], &[6, 0, 17, 0, 0])]
    {
        let rows = push(&mut decoder(), &v9(0, &[announce(0, fields), set(256, body)]));
        assert_eq!(columns(&rows[0], &["protocol"]), ["6"]);
    }
}

#[test]
fn zeros_behind_the_last_set_are_no_set() {
    let mut message = v9(0, &[announce(0, OLD), set(256, &old(2))]);
    message.extend([0; 900]);
    assert_eq!(push(&mut decoder(), &message).len(), 2);
}

#[test]
fn a_set_of_octets_that_are_no_record_waits() {
    let mut decoder = decoder();
    push(&mut decoder, &v9(0, &[announce(0, OLD), set(256, &[]), set(256, &[1, 2, 3])]));
    let counts = account(&decoder).counts;
    assert_eq!((counts.sets_waited, counts.records), (1, 0), "an empty one does not");
}

#[test]
fn in_a_stream_no_template_is_overtaken() {
    let mut decoder = decoder();
    let sender = Sender { transport: Transport::Tcp, ..Sender::udp([192, 0, 2, 1].into(), 2055) };
    let mut rows = |message: &[u8]| {
        decoder.push(&Datagram { received: RECEIVED, sender, payload: message });
        decoder.finish().map_or(0, |batch| batch.num_rows())
    };
    assert_eq!(rows(&ipfix(0, &[announce(2, OLD), set(256, &new(1)), set(256, &old(1))])), 1);
    assert_eq!(rows(&ipfix(2, &[set(256, &old(2))])), 2, "one set that does not fit voids nothing");
}
