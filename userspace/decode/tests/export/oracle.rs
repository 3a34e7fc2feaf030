//! What `netflow_parser` makes of a message: each record's fields as octets, and the columns that they mean.

use crate::rows::Row;
use netflow_parser::variable_versions::ipfix::lookup::{
    IANAIPFixField, IPFixField, ReverseInformationElement,
};
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser};
use std::net::{Ipv4Addr, Ipv6Addr};
use tapline_record::address::format_mac;

/// A record: element numbers with octets; the reverse elements of biflows have [`REVERSE`] added.
pub(crate) type Record = Vec<(u32, Vec<u8>)>;

pub(crate) const REVERSE: u32 = 1 << 16;

/// The data records of a message.
pub(crate) fn records(parser: &mut NetflowParser, payload: &[u8]) -> Vec<Record> {
    let result = parser.parse_bytes(payload);
    result.packets.iter().flat_map(records_of).collect()
}

fn records_of(packet: &NetflowPacket) -> Vec<Record> {
    match packet {
        NetflowPacket::V9(v9) => v9.flowsets.iter().flat_map(|set| v9_records(&set.body)).collect(),
        NetflowPacket::IPFix(ipfix) => {
            ipfix.flowsets.iter().flat_map(|set| ipfix_records(&set.body)).collect()
        }
        _ => vec![],
    }
}

fn v9_records(body: &v9::FlowSetBody) -> Vec<Record> {
    let v9::FlowSetBody::Data(data) = body else { return vec![] };
    let field = |(field, value): &(netflow_parser::V9Field, FieldValue)| {
        (u32::from(u16::from(*field)), octets(value))
    };
    data.fields.iter().map(|record| record.iter().map(field).collect()).collect()
}

fn ipfix_records(body: &ipfix::FlowSetBody) -> Vec<Record> {
    let ipfix::FlowSetBody::Data(data) = body else { return vec![] };
    let field = |(field, value): &(IPFixField, FieldValue)| (number(*field), octets(value));
    data.fields.iter().map(|record| record.iter().map(field).collect()).collect()
}

fn number(field: IPFixField) -> u32 {
    let is = |id: &u16| IANAIPFixField::from(*id);
    match field {
        IPFixField::IANA(IANAIPFixField::Unknown(id)) => u32::from(id),
        IPFixField::IANA(element) => u32::from((0..=600).find(|id| is(id) == element).unwrap()),
        IPFixField::ReverseInformationElement(element) => {
            let found = (0..=600).find(|id| ReverseInformationElement::from(*id) == element);
            found.map_or(u32::MAX, |id| REVERSE + u32::from(id))
        }
        _ => u32::MAX,
    }
}

fn octets(value: &FieldValue) -> Vec<u8> {
    let mut octets = vec![];
    value.write_be_bytes(&mut octets).unwrap();
    octets
}

/// The columns that the forward row of a record must have, times relative to an exporter's start aside.
pub(crate) fn row(record: &Record) -> Row {
    let mut row = Row::new();
    for (element, octets) in record {
        let Some((column, text)) = value(*element, octets) else { continue };
        row.entry(column).or_insert(text);
    }
    row
}

fn value(element: u32, octets: &[u8]) -> Option<(&'static str, String)> {
    let number = || octets.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
    let v4 = || Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).to_string());
    let v6 = || Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_string());
    let mac = || Some(format_mac(octets.try_into().ok()?));
    let decimal = || (!octets.is_empty()).then(|| number().to_string());
    let milliseconds = || (number() > 0).then(|| format!("{}000000", number()));
    let seconds = || (number() > 0).then(|| format!("{}000000000", number()));
    let bits = |shift: u32, bits: u32| Some(((number() >> shift) & ((1 << bits) - 1)).to_string());
    let (column, text) = match element {
        1 | 231 => ("octets", decimal()),
        2 | 298 => ("packets", decimal()),
        4 => ("protocol", decimal()),
        5 => ("tos", decimal()),
        6 => ("tcp_flags", decimal()),
        7 => ("src_port", decimal()),
        8 => ("src_ip", v4()),
        9 | 29 => ("src_mask", decimal()),
        10 => ("input_interface", decimal()),
        11 => ("dst_port", decimal()),
        12 => ("dst_ip", v4()),
        13 | 30 => ("dst_mask", decimal()),
        14 => ("output_interface", decimal()),
        15 => ("next_hop", v4()),
        16 => ("src_as", decimal()),
        17 => ("dst_as", decimal()),
        18 => ("bgp_next_hop", v4()),
        27 => ("src_ip", v6()),
        28 => ("dst_ip", v6()),
        32 | 139 => ("icmp_type", bits(8, 8)),
        34 | 50 => ("sampling_rate", (number() > 0).then(|| number().to_string())),
        56 => ("src_mac", mac()),
        58 | 243 => ("vlan", decimal()),
        59 | 254 => ("post_vlan", decimal()),
        60 => ("ip_version", decimal()),
        61 => ("direction", decimal()),
        62 => ("next_hop", v6()),
        63 => ("bgp_next_hop", v6()),
        70 => ("mpls_label", bits(4, 20)),
        80 => ("dst_mac", mac()),
        136 => ("flow_end_reason", decimal()),
        150 => ("start_time", seconds()),
        151 => ("end_time", seconds()),
        152 => ("start_time", milliseconds()),
        153 => ("end_time", milliseconds()),
        176 | 178 => ("icmp_type", decimal()),
        177 | 179 => ("icmp_code", decimal()),
        225 => ("nat_src_ip", v4()),
        226 => ("nat_dst_ip", v4()),
        227 => ("nat_src_port", decimal()),
        228 => ("nat_dst_port", decimal()),
        _ => return None,
    };
    Some((column, text?))
}
