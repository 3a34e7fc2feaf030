//! Properties: no octets make the decoder panic, and less of a frame gives fewer columns, not others.

use crate::rows::{cut, decode, whole};
use harness::samples;
use proptest::collection::vec;
use proptest::prelude::*;
use tapline_decode::{Depth, Frame, LinkType, decode as decode_row};
use tapline_record::{PacketColumn, PacketRow};

const LINKS: [LinkType; 14] = [
    LinkType::Ethernet,
    LinkType::EthernetWithFcs,
    LinkType::Ppp,
    LinkType::PppOverEthernet,
    LinkType::PppWithDirection,
    LinkType::Nflog,
    LinkType::RawIp,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::BsdNull,
    LinkType::BsdLoop,
    LinkType::Ipv4,
    LinkType::Ipv6,
    LinkType::Other(147),
];

#[test]
fn every_prefix_of_a_frame_has_a_subset_of_its_columns() {
    for (name, link, frame) in samples::all() {
        let (mut full, damage) = decode(&whole(link, &frame));
        assert_eq!(damage, None, "{name}");
        // The payload shrinks with the frame, octet by octet.
        full.remove("payload");
        for octets in 0..frame.len() {
            let (mut row, _) = decode(&cut(link, &frame, octets));
            row.remove("payload");
            let others: Vec<_> = row.iter().filter(|(name, value)| full.get(*name) != Some(*value)).collect();
            assert!(others.is_empty(), "{octets} octets of {name}: {others:?}");
        }
    }
}

/// Columns at each depth; stale fields must not shine through. What is not read is so at any depth.
fn present_at_all_depths(frame: &Frame<'_>) -> Vec<u64> {
    let decoded = |depth| {
        let mut row = PacketRow { present: u64::MAX, ..PacketRow::default() };
        let unread = decode_row(frame, depth, &mut row).unread;
        assert!(unread.is_none() || !row.has(PacketColumn::IpVersion), "{unread:?}");
        (row.present, unread)
    };
    let depths = [Depth::Link, Depth::Network, Depth::Transport, Depth::Tunnel].map(decoded);
    assert!(depths.iter().all(|(_, unread)| *unread == depths[0].1), "{depths:?}");
    [decoded(Depth::Frame)].into_iter().chain(depths).map(|(present, _)| present).collect()
}

proptest! {
    #[test]
    fn any_octets_are_a_row(link in 0..LINKS.len(), bytes in vec(any::<u8>(), 0..200)) {
        let frame = whole(LINKS[link], &bytes);
        let (row, _) = decode(&frame);
        prop_assert_eq!(&row["frame_octets"], &bytes.len().to_string());
        let present = present_at_all_depths(&frame);
        prop_assert!(present.windows(2).all(|pair| pair[0] & !pair[1] == 0), "{present:x?}");
    }

    #[test]
    fn any_change_of_a_frame_is_a_row(
        choice in 0..samples::all().len(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        snap in any::<prop::sample::Index>(),
    ) {
        let (_, link, mut bytes) = samples::all().swap_remove(choice);
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        let octets = snap.index(bytes.len());
        prop_assert!(decode(&whole(link, &bytes)).0.contains_key("frame_octets"));
        let present = present_at_all_depths(&cut(link, &bytes, octets));
        prop_assert!(present.windows(2).all(|pair| pair[0] & !pair[1] == 0), "{present:x?}");
    }
}
