//! The pcapng format.

use tapline_capture::{Counters, End};
use tapline_decode::{Direction, LinkType};

use crate::reading::both;
use crate::written::{
    Big, Little, Order, block, interface, old_packet, option, packet, packet_with_flags, section,
    simple_packet,
};

const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;

#[test]
fn each_interface_has_its_own_link_type_name_and_resolution() {
    for order in [Little, Big] {
        let options = |name: &[u8], resolution| {
            [option(order, NAME, name), option(order, RESOLUTION, &[resolution])].concat()
        };
        let file = [
            section(order),
            interface(order, 1, 0, &options(b"eth0", 9)),
            interface(order, 101, 0, &options(b"tun0", 3)),
            packet(order, 1, 2_500, b"second"),
            packet(order, 0, 1_500_000_000, b"first"),
        ]
        .concat();
        let reading = both(&file);
        let frames: Vec<_> =
            reading.frames.iter().map(|f| (f.ts_ns, f.link, f.interface.as_deref())).collect();
        let tun0 = (2_500_000_000, LinkType::RawIp, Some("tun0"));
        assert_eq!(frames, [tun0, (1_500_000_000, LinkType::Ethernet, Some("eth0"))], "{order:?}");
        assert_eq!(reading.end, End::Complete);
    }
}

#[test]
fn interfaces_may_be_described_between_packets() {
    let file = [
        section(Little),
        interface(Little, 1, 0, &[]),
        packet(Little, 0, 0, b"a"),
        interface(Little, 229, 0, &[]),
        packet(Little, 1, 0, b"b"),
        packet(Little, 0, 0, b"c"),
    ]
    .concat();
    let links: Vec<_> = both(&file).frames.iter().map(|frame| frame.link).collect();
    assert_eq!(links, [LinkType::Ethernet, LinkType::Ipv6, LinkType::Ethernet]);
}

#[test]
fn each_section_has_its_own_byte_order_and_interfaces() {
    let part =
        |order: Order, link| [section(order), interface(order, link, 0, &[]), packet(order, 0, 0, b"x")];
    let file = [part(Big, 1), part(Little, 228), part(Big, 0)].concat().concat();
    let links: Vec<_> = both(&file).frames.iter().map(|frame| frame.link).collect();
    assert_eq!(links, [LinkType::Ethernet, LinkType::Ipv4, LinkType::BsdNull]);
}

#[test]
fn resolutions_and_offsets_give_the_time() {
    let second = 1_000_000_000;
    let cases: &[(u8, i64, u64, i64)] = &[
        (0, 0, 7, 7 * second),
        (6, 0, 1_500_000, 1_500_000_000),
        (9, 0, 1_500_000_000, 1_500_000_000),
        (12, 0, 1_500_000_000_999, 1_500_000_000),
        (18, 0, 2_000_000_000_000_000_000, 2 * second),
        (28, 0, u64::MAX, 1),
        (29, 0, u64::MAX, 0),
        (127, 0, u64::MAX, 0),
        (0x80, 0, 7, 7 * second),
        (0x80 | 10, 0, 1536, 1_500_000_000),
        (0x80 | 32, 0, 3 << 31, 1_500_000_000),
        (0x80 | 63, 0, 1 << 62, 500_000_000),
        (0xff, 0, u64::MAX, 0),
        (6, 100, 1_500_000, 101_500_000_000),
        (6, -2, 1_500_000, -500_000_000),
        // The epoch of another calendar: neither part fits, their sum does.
        (6, -62_135_596_800, 63_835_596_800_000_000, 1_700_000_000_000_000_000),
        // Beyond what can be said.
        (0, 0, u64::MAX, i64::MAX),
        (9, 0, u64::MAX, i64::MAX),
        (9, i64::MAX, u64::MAX, i64::MAX),
        (9, i64::MIN, 0, i64::MIN),
    ];
    for (resolution, offset, units, ts_ns) in cases {
        for order in [Little, Big] {
            let options = [
                option(order, RESOLUTION, &[*resolution]),
                option(order, OFFSET, &order.u64(offset.cast_unsigned())),
            ];
            let description = interface(order, 1, 0, &options.concat());
            let file = [section(order), description, packet(order, 0, *units, b"x")].concat();
            assert_eq!(both(&file).frames[0].ts_ns, *ts_ns, "10^-{resolution} {offset} {units} {order:?}");
        }
    }
}

#[test]
fn without_a_resolution_units_are_microseconds() {
    let file = [section(Big), interface(Big, 1, 0, &[]), packet(Big, 0, 1_500_000, b"x")].concat();
    assert_eq!(both(&file).frames[0].ts_ns, 1_500_000_000);
}

#[test]
fn flags_say_the_direction() {
    let cases = [
        (0, None),
        (1, Some(Direction::Ingress)),
        (2, Some(Direction::Egress)),
        (3, None),
        (0x1d, Some(Direction::Ingress)),
    ];
    for (flags, direction) in cases {
        for order in [Little, Big] {
            let packet = packet_with_flags(order, 0, b"12345", flags);
            let file = [section(order), interface(order, 1, 0, &[]), packet].concat();
            assert_eq!(both(&file).frames[0].direction, direction, "{flags:#x} {order:?}");
        }
    }
}

#[test]
fn an_interface_says_whether_frames_end_with_their_check_sequence() {
    let cases = [
        (1, 4, LinkType::EthernetWithFcs),
        (1, 0, LinkType::Ethernet),
        (1, 255, LinkType::Ethernet),
        (101, 4, LinkType::RawIp),
    ];
    for (number, fcs_octets, link) in cases {
        let options = option(Big, 13, &[fcs_octets]);
        let file = [section(Big), interface(Big, number, 0, &options), packet(Big, 0, 0, b"x")].concat();
        assert_eq!(both(&file).frames[0].link, link, "{number} {fcs_octets}");
    }
}

#[test]
fn the_older_packet_block_is_read() {
    for order in [Little, Big] {
        let interfaces = [interface(order, 1, 0, &[]), interface(order, 101, 0, &[])].concat();
        let file = [section(order), interfaces, old_packet(order, 1, 2_000_000, b"frame")].concat();
        let reading = both(&file);
        assert_eq!((reading.frames[0].ts_ns, reading.frames[0].link), (2_000_000_000, LinkType::RawIp));
        assert_eq!(reading.frames[0].bytes, b"frame");
    }
}

#[test]
fn a_simple_packet_is_of_the_first_interface_and_as_old_as_the_packet_before() {
    let file = [
        section(Little),
        interface(Little, 101, 4, &option(Little, NAME, b"any")),
        simple_packet(Little, 100, b"1234"),
        packet(Little, 0, 3_000_000, b"x"),
        simple_packet(Little, 3, b"123"),
    ]
    .concat();
    let reading = both(&file);
    assert_eq!(reading.seconds(), [0, 3, 3]);
    assert_eq!((&reading.frames[0].bytes[..], reading.frames[0].original_octets), (&b"1234"[..], 100));
    assert_eq!((&reading.frames[2].bytes[..], reading.frames[2].original_octets), (&b"123"[..], 3));
    assert_eq!(reading.frames[2].link, LinkType::RawIp);
    assert_eq!(reading.frames[2].interface.as_deref(), Some("any"));
}

#[test]
fn blocks_without_frames_are_passed_over() {
    let names = block(Little, 4, b"names...");
    let statistics = block(Little, 5, &[0; 24]);
    let secrets = block(Little, 0xa, b"CLIENT_RANDOM");
    let custom = block(Little, 0xbad, &[0; 70_000]);
    let head = [section(Little), names.clone(), interface(Little, 1, 0, &[])].concat();
    let frame = |second: u64| packet(Little, 0, second * 1_000_000, b"frame");
    let file = [head, frame(1), statistics.clone(), secrets, custom, frame(2), names, statistics].concat();
    let reading = both(&file);
    assert_eq!((reading.seconds(), reading.end), (vec![1, 2], End::Complete));
}

#[test]
fn frames_that_cannot_be_delivered_are_counted() {
    let lying = {
        let mut block = packet(Little, 0, 0, b"12345678");
        block[20..24].copy_from_slice(&9_u32.to_le_bytes());
        block
    };
    let file = [
        section(Little),
        packet(Little, 0, 0, b"before its interface"),
        simple_packet(Little, 5, b"12345"),
        interface(Little, 1, 0, &[]),
        packet(Little, 0, 0, b"fine"),
        packet(Little, 1, 0, b"no such interface"),
        old_packet(Little, 0xffff, 0, b"no interface at all"),
        lying,
        block(Little, 6, b"short"),
        simple_packet(Little, 6, b"1234"),
        packet(Little, 0, 0, b"fine"),
    ]
    .concat();
    let reading = both(&file);
    let counters = Counters { frames: 2, captured_octets: 8, original_octets: 8, undecodable: 7 };
    assert_eq!((reading.counters, reading.end), (counters, End::Complete));
}

#[test]
fn damaged_options_are_not_believed() {
    let options = [&option(Big, NAME, b"good")[..], &[0, 9, 0xff, 0xff, 9]].concat();
    let file = [section(Big), interface(Big, 1, 0, &options), packet(Big, 0, 1_000_000, b"x")].concat();
    let frame = &both(&file).frames[0];
    assert_eq!((frame.ts_ns, frame.interface.as_deref()), (1_000_000_000, Some("good")));
}

#[test]
fn a_length_without_the_padding_is_understood() {
    let mut unpadded = packet(Little, 0, 1_000_000, b"12345");
    let total = (unpadded.len() - 3) as u32;
    let end = unpadded.len() - 4;
    unpadded[4..8].copy_from_slice(&total.to_le_bytes());
    unpadded[end..].copy_from_slice(&total.to_le_bytes());
    let head = [section(Little), interface(Little, 1, 0, &[])].concat();
    let reading = both(&[head, unpadded, packet(Little, 0, 2_000_000, b"x")].concat());
    assert_eq!(reading.seconds(), [1, 2]);
    assert_eq!(reading.frames[0].bytes, b"12345");
}
