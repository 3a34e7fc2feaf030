//! No octets make reading panic, and mapped and streamed reading agree on any.

use proptest::collection::vec;
use proptest::prelude::*;
use tapline_capture::End;

use crate::reading::{mapped, piped};
use crate::written::{
    Big, KUZNETZOV, Little, MICROSECONDS, NANOSECONDS, Order, interface, old_packet, packet, pcap, pcapng,
    section, simple_packet,
};

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Little), Just(Big)]
}

fn frames() -> impl Strategy<Value = Vec<usize>> {
    vec(0_usize..100, 0..8)
}

fn blocks(order: Order) -> impl Strategy<Value = Vec<u8>> {
    let frame = || vec(any::<u8>(), 0..40);
    let block = prop_oneof![
        Just(section(order)),
        (any::<u16>(), any::<u32>(), vec(any::<u8>(), 0..24))
            .prop_map(move |(link, limit, options)| interface(order, link, limit, &options)),
        (0_u32..3, any::<u64>(), frame())
            .prop_map(move |(id, units, frame)| packet(order, id, units, &frame)),
        (0_u16..3, any::<u64>(), frame())
            .prop_map(move |(id, units, frame)| old_packet(order, id, units, &frame)),
        (0_u32..50, frame()).prop_map(move |(octets, frame)| simple_packet(order, octets, &frame)),
    ];
    vec(block, 0..10).prop_map(move |blocks| [section(order), blocks.concat()].concat())
}

/// The records of a usual file under any magic; under that of another kind they are damaged.
fn pcap_of_any_kind() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just(MICROSECONDS), Just(NANOSECONDS), Just(KUZNETZOV)];
    (order(), magic, frames()).prop_map(|(order, magic, lengths)| {
        let mut capture = pcap(order, &lengths);
        capture[..4].copy_from_slice(&order.u32(magic));
        capture
    })
}

fn capture() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        pcap_of_any_kind(),
        (order(), frames()).prop_map(|(order, lengths)| pcapng(order, &lengths)),
        order().prop_flat_map(blocks),
    ]
}

/// A capture with some octets changed, and cut somewhere.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (capture(), changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut capture, changes, end, cut)| {
            for (at, octet) in changes {
                let at = at.index(capture.len());
                capture[at] = octet;
            }
            let end = if cut { end.index(capture.len()) } else { capture.len() };
            capture.truncate(end);
            capture
        },
    )
}

fn agree(octets: &[u8], octets_at_once: usize) -> Result<(), TestCaseError> {
    match (mapped(octets), piped(octets, octets_at_once)) {
        (Ok(mapped), Ok(piped)) => {
            prop_assert_eq!(&mapped, &piped);
            let at = match mapped.end {
                End::Complete => octets.len() as u64,
                End::CutOff { at_octet } | End::Damaged { at_octet, .. } => at_octet,
            };
            prop_assert!(at <= octets.len() as u64);
        }
        (mapped, piped) => prop_assert!(mapped.is_err() && piped.is_err()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn any_damage_reads_the_same_mapped_and_streamed(octets in damaged(), octets_at_once in 1_usize..40) {
        agree(&octets, octets_at_once)?;
    }

    #[test]
    fn any_octets_read_the_same_mapped_and_streamed(
        start in prop_oneof![
            Just(pcap(Little, &[])), Just(pcap(Big, &[])), Just(section(Little)), Just(section(Big)),
            Just(vec![0x1f, 0x8b]), Just(vec![0x28, 0xb5, 0x2f, 0xfd]), Just(Vec::new()),
        ],
        octets in vec(any::<u8>(), 0..300),
    ) {
        agree(&[start, octets].concat(), 16)?;
    }
}
