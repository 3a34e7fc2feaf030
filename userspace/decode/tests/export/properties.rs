//! Any octets, and messages that were valid before some of their octets changed, in any order.
//!
//! Nothing panics, the fates add up, and what is kept for exporters stays within its limits.

use crate::messages::{ipfix, set, template, v9};
use crate::rows::{RECEIVED, decoder_with};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Protocol};

const DOMAINS_MAX: usize = 4;
const WAITING_OCTETS_MAX: usize = 4000;
const SECOND_NS: i64 = 1_000_000_000;

/// One message of a sequence: which exporter sends it, which one it is, and what becomes of its octets.
#[derive(Clone, Debug)]
struct Sent {
    port: u16,
    message: prop::sample::Index,
    changes: Vec<(prop::sample::Index, u8)>,
    keep: Option<prop::sample::Index>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        0_u16..6,
        any::<prop::sample::Index>(),
        changes,
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
    )
        .prop_map(|(port, message, changes, keep)| Sent { port, message, changes, keep })
}

/// Messages of all protocols: templates, records, new meanings, withdrawals, options.
fn messages() -> Vec<Vec<u8>> {
    let fields = [(1, 4), (8, 4), (58, 65535)];
    let mut messages = vec![
        ipfix(0, &[set(2, &template(256, &[]))]),
        ipfix(0, &[set(3, &template(3, &[])), set(2, &template(2, &[]))]),
        ipfix(0, &[set(2, &template(256, &fields)), set(256, &[0, 0, 0, 1, 10, 0, 0, 1, 1, 7])]),
        v9(0, &[set(256, &[1; 40]), set(300, &[2; 16])]),
    ];
    for protocol in Protocol::ALL {
        let redefine_every_datagrams = if protocol.has_templates() { 2 } else { 0 };
        let faults = Faults { redefine_every_datagrams, ..Faults::default() };
        let sampling_rate = (protocol != Protocol::NetflowV7).then_some(10);
        let plan = ExportPlan { block_records: 90, faults, sampling_rate, ..ExportPlan::new(protocol, 7) };
        let (mut fleet, mut outbox) = (Fleet::new(&plan, 0..1).unwrap(), Outbox::default());
        (0..8).for_each(|number| {
            fleet.emit(0, RECEIVED.0.unsigned_abs() + number * 1_000_000_000, &mut outbox);
        });
        messages.extend(outbox.datagrams().map(<[u8]>::to_vec));
    }
    messages
}

fn limited() -> ExportDecoder {
    decoder_with(ExportOptions {
        domains_max: DOMAINS_MAX,
        domain_idle_ns: 5 * SECOND_NS,
        templates_max: 2,
        waiting_octets_max: WAITING_OCTETS_MAX,
        waiting_ns_max: 20 * SECOND_NS,
        ..ExportOptions::default()
    })
}

/// Decodes payloads that come from these ports, a second apart, and checks after each one.
fn check(payloads: &[(u16, Vec<u8>)]) -> Result<(), TestCaseError> {
    let (mut decoder, mut rows) = (limited(), 0);
    for (number, (port, payload)) in (0..).zip(payloads) {
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), *port);
        decoder.push(&Datagram { received: RECEIVED.plus(number * SECOND_NS), sender, payload });
        rows += decoder.rows() as u64;
        if let Some(batch) = decoder.finish() {
            decoder.recycle(batch);
        }
        prop_assert!(decoder.waiting_octets() <= WAITING_OCTETS_MAX);
    }
    decoder.give_up_waiting();
    prop_assert_eq!(decoder.waiting_octets(), 0);
    let kept = decoder.accounts().filter(|account| account.exporter.is_some()).count();
    prop_assert!(kept <= DOMAINS_MAX);
    prop_assert_eq!(decoder.accounts().map(|account| account.counts.rows).sum::<u64>(), rows);
    for account in decoder.accounts() {
        prop_assert!(account.ledger().adds_up());
        let counts = account.counts;
        prop_assert_eq!(counts.sets_waited, counts.sets_replayed + counts.sets_expired, "{:?}", counts);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets(
        version in prop::sample::select(vec![vec![0, 5], vec![0, 7], vec![0, 9], vec![0, 10], vec![0, 0, 0, 5]]),
        payloads in prop::collection::vec((0_u16..6, prop::collection::vec(any::<u8>(), 0..200)), 1..8),
    ) {
        let versioned = payloads.into_iter().map(|(port, octets)| (port, [version.clone(), octets].concat()));
        check(&versioned.collect::<Vec<_>>())?;
    }

    #[test]
    fn messages_that_were_valid(sequence in prop::collection::vec(sent(), 1..40)) {
        let messages = messages();
        let payloads = sequence.into_iter().map(|sent| {
            let mut payload = sent.message.get(&messages).clone();
            for (place, octet) in sent.changes {
                // Headers are where most of the meaning is.
                let reach = if octet % 2 == 0 { payload.len().min(64) } else { payload.len() };
                payload[place.index(reach)] = octet;
            }
            payload.truncate(sent.keep.map_or(payload.len(), |keep| keep.index(payload.len())));
            (sent.port, payload)
        });
        check(&payloads.collect::<Vec<_>>())?;
    }
}
