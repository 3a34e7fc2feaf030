//! Decodes a sequence of export messages and checks what always holds.
//!
//! The first octet chooses the options; then comes, again and again, an octet for the sender, two for a length,
//! and a message of so many octets or of what is left.

use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{
    Datagram, EventTimeSource, ExportDecoder, ExportOptions, ExporterIdentity, Sender, Transport, Unit,
};
use tapline_record::{ElementColumn, ElementForm, EventTime, FLOWS, FlowColumn};

const DOMAINS_MAX: usize = 8;
const WAITING_OCTETS_MAX: usize = 2048;
const SECOND_NS: i64 = 1_000_000_000;

/// Elements of every form, those that records are likely to have first.
fn elements() -> impl Iterator<Item = usize> {
    use ElementForm as F;
    let forms = [
        F::Unsigned,
        F::Signed,
        F::Float,
        F::Application,
        F::Address,
        F::Mac,
        F::Text,
        F::AsText,
        F::AsOctets,
    ];
    let elements = (1..=12).flat_map(move |id| forms.map(|form| ElementColumn { enterprise: 0, id, form }));
    elements.map(ElementColumn::position)
}

/// Decodes the messages of `input`, each behind `prefix`.
pub fn check(input: &[u8], prefix: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let every_column: Vec<usize> = (0..FLOWS.columns.len()).chain(elements()).collect();
    let [mut all, mut few] = [&every_column[..], &[FlowColumn::Octets as usize]]
        .map(|columns| ExportDecoder::new(columns, 64, options(*choice)));
    let (mut rest, mut rows, mut received) = (rest, [0; 2], EventTime(1_700_000_000 * SECOND_NS));
    while let [from, high, low, next @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]) % 4096).min(next.len());
        let (message, next) = next.split_at(length);
        let payload = [prefix, message].concat();
        received = received.plus(i64::from(*from) * SECOND_NS);
        let datagram = Datagram { received, sender: sender(*from), payload: &payload };
        for (decoder, rows) in [&mut all, &mut few].into_iter().zip(&mut rows) {
            push(decoder, &datagram, rows);
        }
        rest = next;
    }
    all.give_up_waiting();
    few.give_up_waiting();
    assert_eq!(all.waiting_octets(), 0);
    check_accounts(&all, rows[0]);
    compare(&all, &few, rows);
}

fn options(choice: u8) -> ExportOptions {
    let identities = [ExporterIdentity::AddressAndPort, ExporterIdentity::Address];
    let times = [EventTimeSource::Flow, EventTimeSource::Export, EventTimeSource::Receive];
    ExportOptions {
        domains_max: DOMAINS_MAX,
        templates_max: 4,
        template_fields_max: 64,
        waiting_octets_max: WAITING_OCTETS_MAX,
        waiting_ns_max: 600 * SECOND_NS,
        identity: identities[usize::from(choice & 1)],
        sampling_rate: (choice & 2 != 0).then_some(u64::MAX),
        event_time: times[usize::from(choice >> 2) % times.len()],
        ..ExportOptions::default()
    }
}

fn sender(from: u8) -> Sender {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from & 1));
    let transports = [Transport::Udp, Transport::Udp, Transport::Tcp, Transport::File];
    Sender { transport: transports[usize::from(from >> 2 & 3)], ..Sender::udp(address, u16::from(from & 2)) }
}

fn push(decoder: &mut ExportDecoder, datagram: &Datagram<'_>, rows: &mut u64) {
    decoder.push(datagram);
    assert!(decoder.waiting_octets() <= WAITING_OCTETS_MAX);
    *rows += decoder.rows() as u64;
    if let Some(batch) = decoder.finish() {
        decoder.recycle(batch);
    }
}

fn check_accounts(decoder: &ExportDecoder, rows: u64) {
    assert!(decoder.accounts().count() <= DOMAINS_MAX);
    assert_eq!(decoder.accounts().map(|account| account.counts.rows).sum::<u64>(), rows);
    for account in decoder.accounts() {
        let (ledger, counts) = (account.ledger(), account.counts);
        assert!(ledger.adds_up(), "{account:?}");
        assert!(counts.records <= counts.rows && counts.rows <= 2 * counts.records, "{account:?}");
        let counts_messages = matches!(account.unit, Unit::Datagrams | Unit::Messages);
        let delivered = if counts_messages { counts.messages } else { counts.records };
        assert!(ledger.delivered <= delivered, "{account:?}");
        assert!(counts.sets_replayed + counts.sets_expired <= counts.sets_waited, "{account:?}");
    }
}

/// Which columns are built changes nothing in the accounts.
fn compare(all: &ExportDecoder, few: &ExportDecoder, rows: [u64; 2]) {
    assert_eq!((rows[0], all.strays()), (rows[1], few.strays()));
    for (all, few) in all.accounts().zip(few.accounts()) {
        assert_eq!((all.counts, all.sequence, all.datagrams), (few.counts, few.sequence, few.datagrams));
    }
}
