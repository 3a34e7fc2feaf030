//! The pcap format.

use tapline_capture::{Counters, End};
use tapline_decode::LinkType;

use crate::reading::{both, mapped};
use crate::written::{Big, KUZNETZOV, Little, MICROSECONDS, NANOSECONDS, Order, pcap_header, pcap_record};

#[test]
fn both_byte_orders_and_resolutions_give_the_same_times() {
    for order in [Little, Big] {
        for (magic, fraction) in [(MICROSECONDS, 123_456), (NANOSECONDS, 123_456_000)] {
            let header = pcap_header(order, magic, 65_535, 1);
            let reading = both(&[header, pcap_record(order, 1_700_000_000, fraction, b"frame")].concat());
            assert_eq!(reading.frames[0].ts_ns, 1_700_000_000_123_456_000, "{order:?} {magic:x}");
            assert_eq!(reading.frames[0].bytes, b"frame");
            assert_eq!(reading.end, End::Complete);
        }
    }
}

#[test]
fn seconds_are_unsigned_and_a_long_fraction_carries_over() {
    let ts = |magic, seconds, fraction| {
        let header = pcap_header(Little, magic, 65_535, 1);
        both(&[header, pcap_record(Little, seconds, fraction, b"x")].concat()).frames[0].ts_ns
    };
    assert_eq!(ts(MICROSECONDS, u32::MAX, 0), 4_294_967_295_000_000_000);
    assert_eq!(ts(MICROSECONDS, 5, 1_500_000), 6_500_000_000);
    assert_eq!(ts(NANOSECONDS, 5, 1_500_000_000), 6_500_000_000);
    assert_eq!(ts(MICROSECONDS, u32::MAX, u32::MAX), 4_294_967_295_000_000_000 + 4_294_967_295_000);
}

#[test]
fn kuznetzovs_variant_has_a_longer_record_header() {
    for order in [Little, Big] {
        let mut file = pcap_header(order, KUZNETZOV, 65_535, 113);
        for second in [1, 2] {
            let mut record = pcap_record(order, second, 0, b"frame");
            record.splice(16..16, *b"ifindex!");
            file.extend(record);
        }
        let reading = both(&file);
        assert_eq!(reading.seconds(), [1, 2]);
        assert_eq!(reading.frames[1].bytes, b"frame");
        assert_eq!(reading.end, End::Complete);
    }
}

#[test]
fn link_types_are_known_by_number_without_the_bits_above() {
    let cases = [
        (0, LinkType::BsdNull),
        (1, LinkType::Ethernet),
        (12, LinkType::RawIp),
        (14, LinkType::RawIp),
        (101, LinkType::RawIp),
        (108, LinkType::BsdLoop),
        (113, LinkType::LinuxSll),
        (228, LinkType::Ipv4),
        (229, LinkType::Ipv6),
        (276, LinkType::LinuxSll2),
        (105, LinkType::Other(105)),
        (9, LinkType::Ppp),
        (50, LinkType::Ppp),
        (51, LinkType::PppOverEthernet),
        (166, LinkType::PppWithDirection),
        (204, LinkType::PppWithDirection),
        (239, LinkType::Nflog),
        (0x2400_0001, LinkType::EthernetWithFcs),
        (0x2000_0001, LinkType::Ethernet),
        (0x1400_0001, LinkType::Ethernet),
        (0xfc00_0065, LinkType::RawIp),
    ];
    for (number, link) in cases {
        let file = [pcap_header(Big, MICROSECONDS, 65_535, number), pcap_record(Big, 1, 0, b"x")].concat();
        assert_eq!(both(&file).frames[0].link, link, "{number:#x}");
    }
}

#[test]
fn a_cut_frame_keeps_its_length_on_the_wire() {
    let mut record = pcap_record(Little, 1, 0, b"12345");
    record[12..16].copy_from_slice(&1514_u32.to_le_bytes());
    let reading = both(&[pcap_header(Little, MICROSECONDS, 5, 1), record].concat());
    assert_eq!(reading.frames[0].original_octets, 1514);
    let counters = Counters { frames: 1, captured_octets: 5, original_octets: 1514, undecodable: 0 };
    assert_eq!(reading.counters, counters);
}

#[test]
fn versions_before_2_4_may_have_the_lengths_in_the_other_order() {
    let cases = [
        ((2, 4), [5, 1514], Some(1514)),
        ((2, 5), [5, 1514], Some(1514)),
        ((2, 3), [5, 1514], Some(1514)),
        ((2, 3), [1514, 5], Some(1514)),
        ((2, 2), [1514, 5], Some(1514)),
        ((2, 0), [1514, 5], Some(1514)),
        ((543, 0), [1514, 5], Some(1514)),
        ((2, 4), [1514, 5], None),
        ((2, 2), [5, 1514], None),
    ];
    for order in [Little, Big] {
        for ((major, minor), lengths, original) in cases {
            let mut header = pcap_header(order, MICROSECONDS, 65_535, 1);
            header[4..8].copy_from_slice(&[order.u16(major), order.u16(minor)].concat());
            let mut record = pcap_record(order, 1, 0, b"12345");
            record[8..16].copy_from_slice(&lengths.map(|octets| order.u32(octets)).concat());
            let reading = both(&[header, record].concat());
            let found = reading.frames.first().map(|frame| frame.original_octets);
            assert_eq!(found, original, "{major}.{minor} {lengths:?}");
            assert_eq!(reading.end == End::Complete, original.is_some(), "{major}.{minor} {lengths:?}");
        }
    }
}

#[test]
fn a_file_without_frames_is_complete() {
    let reading = both(&pcap_header(Little, MICROSECONDS, 65_535, 1));
    assert_eq!((reading.frames.len(), reading.end), (0, End::Complete));
}

#[test]
fn a_frame_longer_than_the_snapshot_length_is_read_as_long_as_it_is_usual() {
    let frame = vec![7; 200_000];
    let file =
        |order: Order| [pcap_header(order, MICROSECONDS, 96, 1), pcap_record(order, 1, 0, &frame)].concat();
    assert_eq!(both(&file(Big)).frames[0].bytes.len(), 200_000);
}

#[test]
fn a_frame_as_long_as_a_large_snapshot_length_allows_is_read() {
    let frame = vec![7; 3 << 20];
    let header = pcap_header(Little, MICROSECONDS, 4 << 20, 1);
    let reading =
        both(&[header, pcap_record(Little, 1, 0, &frame), pcap_record(Little, 2, 0, b"x")].concat());
    assert_eq!(reading.seconds(), [1, 2]);
    assert_eq!(reading.frames[0].bytes, frame);
}

#[test]
fn a_file_of_another_major_version_is_refused() {
    let mut file = pcap_header(Little, MICROSECONDS, 65_535, 1);
    file[4] = 3;
    let error = mapped(&file).unwrap_err().to_string();
    assert!(error.ends_with("cannot be read: pcap version 3; version 2 is expected"), "{error}");
}
