//! Any octets under any link type, through the decoder at every depth and through the batcher.
//!
//! The first two octets choose link type and snap length, the rest is the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use tapline_decode::{Depth, Frame, LinkType, PacketBatcher, decode};
use tapline_record::{EventTime, PACKETS, PacketColumn, PacketRow};

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
const DEPTHS: [Depth; 5] = [Depth::Frame, Depth::Link, Depth::Network, Depth::Transport, Depth::Tunnel];

const BATCH_ROWS: usize = 256;

/// Columns that no row has without the other one; an IP header may be cut short in any place.
const IMPLIED: [(PacketColumn, PacketColumn); 9] = [
    (PacketColumn::SrcPort, PacketColumn::DstIp),
    (PacketColumn::SrcPort, PacketColumn::Protocol),
    (PacketColumn::IcmpType, PacketColumn::Protocol),
    (PacketColumn::Protocol, PacketColumn::Octets),
    (PacketColumn::DstIp, PacketColumn::SrcIp),
    (PacketColumn::SrcIp, PacketColumn::IpVersion),
    (PacketColumn::InnerVlan, PacketColumn::Vlan),
    (PacketColumn::TunnelKind, PacketColumn::Protocol),
    (PacketColumn::InnerSrcIp, PacketColumn::TunnelKind),
];

thread_local! {
    static BATCHER: RefCell<PacketBatcher> = {
        let every_column: Vec<usize> = (0..PACKETS.columns.len()).collect();
        RefCell::new(PacketBatcher::new(&every_column, BATCH_ROWS))
    };
}

fuzz_target!(|input: &[u8]| {
    let [link, cut, bytes @ ..] = input else { return };
    let frame = Frame {
        ts: EventTime(0),
        link: LINKS[usize::from(*link) % LINKS.len()],
        direction: None,
        interface: Some("fuzz"),
        original_octets: bytes.len() as u32 + u32::from(*cut),
        bytes,
    };
    let deepest = decode_at_all_depths(&frame);
    BATCHER.with_borrow_mut(|batcher| {
        assert_eq!(batcher.push(&frame).present & deepest, deepest, "the batcher looks deepest");
        if batcher.is_full() {
            let batch = batcher.finish().expect("rows were pushed");
            assert_eq!(batch.num_rows(), BATCH_ROWS);
            batcher.recycle(batch);
        }
    });
});

/// The columns at the greatest depth.
fn decode_at_all_depths(frame: &Frame<'_>) -> u64 {
    let mut shallow = 0;
    for depth in DEPTHS {
        let mut row = PacketRow { present: u64::MAX, ..PacketRow::default() };
        let decoded = decode(frame, depth, &mut row);
        assert_eq!(shallow & !row.present, 0, "a deeper look loses no column");
        for (column, other) in IMPLIED {
            assert!(!row.has(column) || row.has(other), "{column:?} without {other:?}");
        }
        assert!(decoded.payload.is_none() || row.has(PacketColumn::SrcPort), "payload without ports");
        shallow = row.present;
    }
    shallow
}
