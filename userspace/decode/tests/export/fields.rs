//! Fields whose meaning follows from other ones: uptimes, ICMP without fields of its own, enterprises' addresses.

use crate::messages::{SENT, ipfix, octets, set, template, v5, v9};
use crate::rows::{Row, columns, decoder, push};

const START_MS: u64 = SENT as u64 * 1000 - 50_000;

/// The rows of one message with a template and its records.
fn rows(fields: &[(u16, u16)], records: &[u8]) -> Vec<Row> {
    push(&mut decoder(), &ipfix(0, &[set(2, &template(256, fields)), set(256, records)]))
}

fn nanoseconds(milliseconds: u64) -> String {
    (milliseconds * 1_000_000).to_string()
}

#[test]
fn uptimes_of_ipfix_count_from_the_start_that_is_told() {
    let names = ["start_time", "end_time", "ts"];
    let times = [START_MS + 10_000, START_MS + 40_000, START_MS + 40_000].map(nanoseconds);
    let record = octets().u32(10_000).u32(40_000).u64(START_MS).0;
    assert_eq!(columns(&rows(&[(22, 4), (21, 4), (160, 8)], &record)[0], &names), times);

    let mut decoder = decoder();
    let flows = |id| set(id, &octets().u32(10_000).u32(40_000).0);
    let unknown = push(&mut decoder, &ipfix(0, &[set(2, &template(256, &[(22, 4), (21, 4)])), flows(256)]));
    let sent = nanoseconds(u64::from(SENT) * 1000);
    assert_eq!(columns(&unknown[0], &names), ["-", "-", &sent]);
    let options = octets().u16(400).u16(2).u16(1).u16(144).u16(4).u16(160).u16(8).0;
    let announced = octets().u32(7).u64(START_MS).0;
    let known = push(&mut decoder, &ipfix(1, &[set(3, &options), set(400, &announced), flows(256)]));
    assert_eq!(columns(&known[0], &names), times);
}

#[test]
fn a_start_of_zero_is_none() {
    let record = octets().u32(10_000).u32(40_000).u64(0).0;
    assert_eq!(
        columns(&rows(&[(22, 4), (21, 4), (160, 8)], &record)[0], &["start_time", "end_time"]),
        ["-", "-"]
    );
}

#[test]
fn the_destination_port_may_stand_for_icmp() {
    let names = ["protocol", "dst_port", "icmp_type", "icmp_code"];
    let mut message = v5(0, 3, 0);
    for (record, protocol, port) in [(0, 1, [3, 1]), (1, 1, [0, 0])] {
        message[24 + 48 * record + 38] = protocol;
        message[24 + 48 * record + 34..][..2].copy_from_slice(&port);
    }
    let rows_of_v5 = push(&mut decoder(), &message);
    let found: Vec<_> = rows_of_v5.iter().map(|row| columns(row, &names)).collect();
    assert_eq!(found, [["1", "769", "3", "1"], ["1", "0", "0", "0"], ["6", "443", "-", "-"]]);

    let records = [[1, 8, 0], [58, 135, 0], [1, 0, 0], [17, 1, 1]].concat();
    let found = rows(&[(4, 1), (11, 2)], &records);
    let found: Vec<_> = found.iter().map(|row| columns(row, &names[2..])).collect();
    assert_eq!(found, [["8", "0"], ["135", "0"], ["-", "-"], ["-", "-"]], "a port of zero may tell nothing");
    let own = rows(&[(4, 1), (11, 2), (32, 2)], &[1, 8, 0, 3, 4]);
    assert_eq!(columns(&own[0], &names[2..]), ["3", "4"], "its own field is better");
}

#[test]
fn fields_of_icmp_tell_the_protocol() {
    assert_eq!(columns(&rows(&[(32, 2)], &[8, 0])[0], &["protocol", "icmp_type"]), ["1", "8"]);
    assert_eq!(columns(&rows(&[(139, 2)], &[128, 0])[0], &["protocol", "icmp_type"]), ["58", "128"]);
    assert_eq!(columns(&rows(&[(32, 2), (139, 2)], &[8, 0, 0, 0])[0], &["protocol"]), ["-"], "of either");
    assert_eq!(columns(&rows(&[(32, 2), (4, 1)], &[0, 0, 6])[0], &["protocol"]), ["6"]);
}

#[test]
fn of_several_numbers_the_first_that_is_not_zero_counts() {
    let names = ["octets", "packets", "scaled_octets"];
    let records = [[10, 1, 20, 2], [0, 0, 20, 2], [0, 1, 0, 2]].as_flattened();
    let found = rows(&[(1, 1), (2, 1), (23, 1), (24, 1)], records);
    let found: Vec<_> = found.iter().map(|row| columns(row, &names)).collect();
    assert_eq!(found, [["10", "1", "10"], ["20", "2", "20"], ["0", "1", "0"]]);
    let found = rows(&[(1, 65535), (23, 65535)], &[0, 1, 7, 0, 0]);
    let found: Vec<_> = found.iter().map(|row| columns(row, &names[..1])).collect();
    assert_eq!(found, [["7"], ["-"]], "fields without octets are none");
    let found = rows(&[(32, 2), (139, 2)], &[0, 0, 128, 1]);
    assert_eq!(columns(&found[0], &["icmp_type", "icmp_code"]), ["128", "1"]);
}

#[test]
fn both_ends_of_a_record_are_of_one_family() {
    let names = ["ip_version", "src_ip", "dst_ip", "next_hop"];
    let record = |src: u8, dst: u8, src6: u8, dst6: u8| {
        let long = |last: u8| [[0; 15].as_slice(), &[last]].concat();
        let short = |last: u8| [0, 0, 0, last];
        [&short(src)[..], &short(dst), &long(src6), &long(dst6), &short(0), &long(0)].concat()
    };
    let records = [record(1, 0, 0, 0), record(0, 0, 0, 2), record(0, 0, 0, 0), record(3, 0, 4, 0)].concat();
    let found = rows(&[(8, 4), (12, 4), (27, 16), (28, 16), (15, 4), (62, 16)], &records);
    let found: Vec<_> = found.iter().map(|row| columns(row, &names)).collect();
    let none = "0.0.0.0";
    let expected = [
        ["4", "0.0.0.1", none, none],
        ["6", "::", "::2", "::"],
        ["-", none, none, none],
        ["4", "0.0.0.3", none, none],
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_dscp_is_the_upper_part_of_a_type_of_service() {
    let message = v9(0, &[set(0, &template(256, &[(195, 1)])), set(256, &[46])]);
    assert_eq!(columns(&push(&mut decoder(), &message)[0], &["tos"]), ["184"]);
    assert_eq!(columns(&rows(&[(195, 1), (5, 1)], &[46, 7])[0], &["tos"]), ["7"]);
}

#[test]
fn clients_and_servers_of_application_visibility_are_ends_of_a_flow() {
    let cisco =
        |octets: crate::messages::Octets, id: u16, length: u16| octets.u16(0x8000 | id).u16(length).u32(9);
    let fields = octets().u16(256).u16(6);
    let fields = [(12236, 4), (12237, 4), (12240, 2), (12241, 2)]
        .into_iter()
        .fold(fields, |fields, (id, length)| cisco(fields, id, length));
    let fields = fields.u16(231).u16(4).u16(232).u16(4).0;
    let record = octets().and(&[10, 0, 0, 1, 10, 0, 0, 2]).u16(40_000).u16(443).u32(100).u32(9000).0;
    let rows = push(&mut decoder(), &ipfix(0, &[set(2, &fields), set(256, &record)]));
    let names = ["src_ip", "dst_ip", "src_port", "dst_port", "octets"];
    assert_eq!(columns(&rows[0], &names), ["10.0.0.1", "10.0.0.2", "40000", "443", "100"]);
    assert_eq!(columns(&rows[1], &names), ["10.0.0.2", "10.0.0.1", "443", "40000", "9000"]);
}

/// Ethernet with VLAN 100, IPv4 of 1500 octets, UDP; as many octets of it as samplers keep.
const FRAME: &[u8] = &[
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 100, 8, 0, // Ethernet, VLAN 100
    0x45, 0xb8, 5, 0xdc, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
    0x30, 0x39, 1, 0xbb, 5, 0xc8, 0, 0, // UDP
];

#[test]
fn a_record_may_hold_the_beginning_of_a_packet() {
    let names = ["src_ip", "dst_port", "vlan", "tos", "src_mac", "packets", "octets", "input_interface"];
    let expected = ["10.0.0.1", "443", "100", "184", "02:00:00:00:00:02", "1", "1500", "5"];
    let fields = [(10, 4), (312, 2), (315, 65535)];
    let length = u8::try_from(FRAME.len()).unwrap();
    let record = octets().u32(5).u16(1518).u8(length).and(FRAME).0;
    let found = rows(&fields, &record.repeat(70));
    assert_eq!(found.len(), 70);
    assert!(found.iter().all(|row| columns(row, &names) == expected), "{:?}", found[69]);
    let found = rows(&[(10, 4), (104, u16::from(length))], &[&[0, 0, 0, 5], FRAME].concat());
    assert_eq!(columns(&found[0], &names), expected);
    let found = rows(&[(313, u16::from(length) - 18)], &FRAME[18..]);
    assert_eq!(columns(&found[0], &names), ["10.0.0.1", "443", "-", "184", "-", "1", "1500", "-"]);
    let found = rows(&fields, &octets().u32(5).u16(60).u8(14).and(&FRAME[..12]).u16(0x0806).0);
    assert_eq!(columns(&found[0], &["octets", "src_mac", "ip_version"]), ["60", "02:00:00:00:00:02", "-"]);
    let found = rows(&fields, &octets().u32(5).u16(60).u8(0).0);
    assert_eq!(columns(&found[0], &names), ["-", "-", "-", "-", "-", "1", "60", "5"], "nothing was kept");
}

#[test]
fn fields_of_a_record_count_before_its_packet() {
    let length = u16::try_from(FRAME.len()).unwrap();
    let record = octets().u32(3000).u8(3).u32(40).and(FRAME).0;
    let found = rows(&[(1, 4), (2, 1), (34, 4), (315, length)], &record);
    let names = ["octets", "packets", "sampling_rate", "scaled_octets", "src_port"];
    assert_eq!(columns(&found[0], &names), ["3000", "3", "40", "120000", "12345"]);
    let record = octets().u32(40).and(FRAME).0;
    let found = rows(&[(34, 4), (315, length)], &record);
    assert_eq!(columns(&found[0], &names), ["1500", "1", "40", "60000", "12345"]);
}
