//! Information elements that have no column of their own.

use crate::captures::{EXPORTERS, read};
use crate::messages::{ipfix, octets, set, template, v5, v9};
use crate::rows::{datagram, text};
use harness::captures::export_folder;
use netflow_parser::variable_versions::ipfix::lookup::IPFixField;
use netflow_parser::variable_versions::{ipfix as parsed_ipfix, v9 as parsed_v9};
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser, V9Field};
use std::collections::{BTreeSet, HashMap};
use tapline_decode::export::{ExportDecoder, ExportOptions, element_form};
use tapline_record::address::format_mac;
use tapline_record::{ElementColumn, ElementForm};

/// The values of one row, `-` for NULL.
type Values = Vec<String>;

fn decoder(elements: &[ElementColumn]) -> ExportDecoder {
    let columns: Vec<usize> = elements.iter().map(|element| element.position()).collect();
    ExportDecoder::new(&columns, 8192, ExportOptions::default())
}

/// The elements as SQL's `element` reads them.
fn elements(names: &[(u32, u16)]) -> Vec<ElementColumn> {
    let element = |&(enterprise, id)| ElementColumn { enterprise, id, form: element_form(enterprise, id) };
    names.iter().map(element).collect()
}

fn iana(ids: &[u16]) -> Vec<ElementColumn> {
    elements(&ids.iter().map(|&id| (0, id)).collect::<Vec<_>>())
}

fn push(decoder: &mut ExportDecoder, elements: &[ElementColumn], payload: &[u8]) -> Vec<Values> {
    decoder.push(&datagram(payload));
    let Some(batch) = decoder.finish() else { return vec![] };
    let value = |row: usize, column: usize| match batch.column(column) {
        array if array.is_null(row) => "-".to_owned(),
        array => text(elements[column].form.kind(), array, row),
    };
    let row = |row| (0..elements.len()).map(|column| value(row, column)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn decode(elements: &[ElementColumn], payload: &[u8]) -> Vec<Values> {
    push(&mut decoder(elements), elements, payload)
}

#[test]
fn values_have_their_registered_types() {
    let fields =
        [(61, 1), (148, 8), (434, 4), (311, 8), (130, 4), (131, 16), (57, 6), (82, 8), (90, 8), (276, 1)];
    let record = octets().u8(1).u64(u64::MAX).and(&[0xff, 0xff, 0xff, 0xfe]).and(&0.25_f64.to_be_bytes());
    let record = record.and(&[192, 0, 2, 9]).and(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let record = record.and(&[2, 0, 0, 0, 0, 1]).and(b"Gi0/1\0\0\0").u64(77).u8(2).0;
    let elements = iana(&fields.map(|(id, _)| id));
    let rows = decode(&elements, &v9(0, &[set(0, &template(256, &fields)), set(256, &record)]));
    let expected = ["1", "18446744073709551615", "-2", "0.25", "192.0.2.9", "2001:db8::7"];
    assert_eq!(rows, [[&expected[..], &["02:00:00:00:00:01", "Gi0/1", "77", "2"]].concat()]);
}

#[test]
fn lengths_may_be_reduced_and_those_that_do_not_fit_are_absent() {
    let fields = [(148, 3), (434, 1), (311, 4), (130, 3), (57, 7), (149, 9), (150, 0), (34, 2), (35, 1)];
    let record = octets().and(&[1, 0, 0]).u8(0x80).and(&0.5_f32.to_be_bytes()).and(&[9; 3 + 7 + 9]);
    let record = record.u16(300).u8(7).0;
    let elements = iana(&fields.map(|(id, _)| id));
    let rows = decode(&elements, &v9(0, &[set(0, &template(256, &fields)), set(256, &record)]));
    assert_eq!(rows, [["65536", "-128", "0.5", "-", "-", "-", "-", "300", "7"]]);
}

#[test]
fn lengths_may_vary() {
    let fields = [(82, 65535), (148, 65535), (130, 65535)];
    let first = octets().and(&[2, b'e', b'0', 2, 1, 1, 4, 10, 0, 0, 1]).0;
    let second = octets().and(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 16]).and(&[1; 16]).0;
    let third = octets().and(&[1, 0xff, 0, 3, 1, 2, 3]).0;
    let elements = iana(&[82, 148, 130]);
    let sets = [set(2, &template(300, &fields)), set(300, &[first, second, third].concat())];
    let rows = decode(&elements, &ipfix(0, &sets));
    let v6 = "101:101:101:101:101:101:101:101";
    assert_eq!(rows, [["e0", "257", "10.0.0.1"], ["", "-", v6], ["\u{fffd}", "-", "-"]]);
}

#[test]
fn enterprises_are_told_apart_and_unknown_ones_are_numbers() {
    let fields = octets().u16(300).u16(4).u16(95).u16(4).u16(0x8000 | 95).u16(3).u32(4_000_000_000);
    let fields = fields.u16(0x8000 | 12235).u16(4).u32(9).u16(0x8000 | 7).u16(9).u32(4_000_000_000).0;
    let record = octets().and(&[13, 0, 0, 5]).and(&[0, 1, 0]).and(b"host").and(&[0xab; 9]).0;
    let unknown = (4_000_000_000, 95);
    let mut elements = elements(&[(0, 95), unknown, (9, 12235), (4_000_000_000, 7), (9, 95)]);
    for form in [ElementForm::AsText, ElementForm::AsOctets] {
        elements.push(ElementColumn { enterprise: 9, id: 12235, form });
    }
    elements.push(ElementColumn { enterprise: 4_000_000_000, id: 7, form: ElementForm::AsOctets });
    let rows = decode(&elements, &ipfix(0, &[set(2, &fields), set(300, &record)]));
    let application = (13_u64 << 56 | 5).to_string();
    let expected = [&application, "256", "host", "-", "-", "host", "686f7374", &"ab".repeat(9)];
    assert_eq!(rows, [expected]);
}

#[test]
fn of_equal_elements_the_first_counts_and_templates_may_change() {
    let elements = iana(&[148, 61]);
    let mut decoder = decoder(&elements);
    let sets = [set(0, &template(256, &[(148, 1), (148, 2)])), set(256, &[1, 0, 2])];
    assert_eq!(push(&mut decoder, &elements, &v9(0, &sets)), [["1", "-"]]);
    let sets = [set(0, &template(256, &[(61, 2), (148, 1)])), set(256, &[1, 0, 2])];
    assert_eq!(push(&mut decoder, &elements, &v9(1, &sets)), [["2", "256"]]);
}

#[test]
fn the_other_direction_has_reverse_elements_where_there_are_any() {
    let fields = octets().u16(300).u16(5).u16(1).u16(2).u16(0x8001).u16(2).u32(29305);
    let fields = fields.u16(184).u16(1).u16(0x8000 | 184).u16(1).u32(29305).u16(148).u16(1).0;
    let record = octets().u16(100).u16(200).u8(3).u8(4).u8(5).0;
    let elements = elements(&[(0, 1), (0, 184), (29305, 184), (0, 148), (0, 185)]);
    let rows = decode(&elements, &ipfix(0, &[set(2, &fields), set(300, &record)]));
    assert_eq!(rows, [["100", "3", "4", "5", "-"], ["200", "4", "4", "5", "-"]]);
}

#[test]
fn v5_is_a_template_of_elements_too() {
    let elements = iana(&[8, 7, 9, 1, 61]);
    let rows = decode(&elements, &v5(0, 2, 0));
    assert_eq!(rows, vec![["10.0.0.1", "1234", "24", "700", "-"]; 2]);
}

/// The number and enterprise of what netflow_parser names.
fn numbers() -> HashMap<IPFixField, (u32, u16)> {
    let mut numbers = HashMap::new();
    for enterprise in [0, 9, 637, 5951, 6871, 6876, 29305] {
        for id in 0..=u16::MAX {
            let field = IPFixField::new(id, Some(enterprise).filter(|&enterprise| enterprise > 0));
            numbers.entry(field).or_insert((enterprise, id));
        }
    }
    numbers
}

type Record = Vec<((u32, u16), FieldValue)>;

fn records(
    parser: &mut NetflowParser,
    payload: &[u8],
    numbers: &HashMap<IPFixField, (u32, u16)>,
) -> Vec<Record> {
    let number = |field: &IPFixField| match *field {
        IPFixField::Enterprise { enterprise_number, field_number } => (enterprise_number, field_number),
        field => numbers[&field],
    };
    let of_v9 = |set: &parsed_v9::FlowSet| match &set.body {
        parsed_v9::FlowSetBody::Data(data) => {
            let field = |(field, value): &(V9Field, FieldValue)| ((0, u16::from(*field)), value.clone());
            data.fields.iter().map(|record| record.iter().map(field).collect()).collect()
        }
        _ => vec![],
    };
    let of_ipfix = |set: &parsed_ipfix::FlowSet| match &set.body {
        parsed_ipfix::FlowSetBody::Data(data) => {
            let field = |(field, value): &(IPFixField, FieldValue)| (number(field), value.clone());
            data.fields.iter().map(|record| record.iter().map(field).collect()).collect()
        }
        _ => vec![],
    };
    let of_packet = |packet: &NetflowPacket| match packet {
        NetflowPacket::V9(v9) => v9.flowsets.iter().flat_map(of_v9).collect(),
        NetflowPacket::IPFix(ipfix) => ipfix.flowsets.iter().flat_map(of_ipfix).collect(),
        _ => Vec::<Record>::new(),
    };
    parser.parse_bytes(payload).packets.iter().flat_map(of_packet).collect()
}

/// What a value of netflow_parser is as a column.
fn expected(value: &FieldValue) -> String {
    let mut octets = vec![];
    value.write_be_bytes(&mut octets).unwrap();
    let number = |octets: &[u8]| octets.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
    match value {
        FieldValue::Ip4Addr(ip) => ip.to_string(),
        FieldValue::Ip6Addr(ip) => ip.to_canonical().to_string(),
        FieldValue::MacAddr(mac) => format_mac(*mac),
        FieldValue::Float64(number) => number.to_string(),
        FieldValue::String(text) => {
            String::from_utf8_lossy(&text.raw).trim_end_matches('\0').chars().take(4096).collect()
        }
        FieldValue::ApplicationId(_) => (u64::from(octets[0]) << 56 | number(&octets[1..])).to_string(),
        _ if (1..=8).contains(&octets.len()) => number(&octets).to_string(),
        _ => "-".to_owned(),
    }
}

/// Files whose templates netflow_parser and tapline know of, besides those of [`EXPORTERS`].
const MORE: &[&[&str]] = &[
    &["ipfix_test_ixia_tpldata256.dat", "ipfix_test_ixia_tpldata271.dat"],
    &["ipfix_test_procera_tpl52935.dat", "ipfix_test_procera_data52935.dat"],
    &[
        "netflow9_test_paloalto_81_tpl256-263.dat",
        "netflow9_test_paloalto_81_data257_1flowset_in_large_zerofilled_packet.dat",
    ],
    &["netflow9_test_cisco_nbar_opttpl260.dat"],
];

#[test]
fn every_element_of_real_exporters_equals_that_of_netflow_parser() {
    let Some(folder) = export_folder() else { return };
    let numbers = numbers();
    let (mut compared, mut named) = (0, BTreeSet::new());
    for files in EXPORTERS.iter().chain(MORE) {
        let (mut parser, messages) = (NetflowParser::default(), read(&folder, files));
        let records: Vec<Vec<Record>> =
            messages.iter().map(|message| records(&mut parser, message, &numbers)).collect();
        let fields = records.iter().flatten().flatten();
        let seen: BTreeSet<(u32, u16)> = fields.map(|(element, _)| *element).collect();
        let elements = elements(&seen.iter().copied().collect::<Vec<_>>());
        let mut decoder = decoder(&elements);
        for (message, records) in messages.iter().zip(&records) {
            let rows = push(&mut decoder, &elements, message);
            assert!(rows.len() >= records.len(), "rows of {files:?}");
            // Where all are biflows, the rows of the records' own direction are the first half.
            let is_clear = rows.len() == records.len() || rows.len() == 2 * records.len();
            for (row, record) in rows.iter().zip(records).filter(|_| is_clear) {
                compared += compare(row, record, &elements);
            }
        }
        named.extend(seen);
    }
    println!("{compared} values of {} elements compared", named.len());
    assert!(compared > 3000, "only {compared} values of {} elements compared", named.len());
}

fn compare(row: &Values, record: &Record, elements: &[ElementColumn]) -> usize {
    for (value, element) in row.iter().zip(elements) {
        let field = record.iter().find(|(number, _)| *number == (element.enterprise, element.id));
        let expected = field.map_or("-".to_owned(), |(_, value)| expected(value));
        assert_eq!(*value, expected, "{} of {field:?}", element.name());
    }
    record.len()
}
