//! netflow_parser finds the records that the truth knows, in every order of fields.

use std::collections::BTreeMap;

use netflow_parser::static_versions::v5::{self, V5};
use netflow_parser::static_versions::v7::{self, V7};
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField, IPFixField};
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser, V9Field};
use tapline_trafficgen::exports::{ExportPlan, PairAmount, Protocol};

use super::{START_NS, datagrams, faults, plan};

/// Source and destination autonomous system, packets, octets, start and end as the protocol has them.
type Record = [u64; 6];

#[test]
fn all_records_are_found_with_their_values() {
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV7, Protocol::NetflowV9, Protocol::Ipfix] {
        let mut plan = ExportPlan { faults: faults(protocol), ..plan(protocol, 1) };
        plan.sampling_rate = (protocol != Protocol::NetflowV7).then_some(100);
        let (sent, truth) = datagrams(&plan, 1, 1500);
        assert!(pairs(&records(&sent)) == truth.pairs, "{protocol}");
    }
}

#[test]
fn times_lie_shortly_before_the_export() {
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix] {
        let now_ms = match protocol {
            Protocol::Ipfix => START_NS / 1_000_000,
            _ => 10_000_000,
        };
        for [.., start, end] in records(&datagrams(&plan(protocol, 1), 0, 50).0) {
            assert!(
                start <= end && end <= now_ms + 1000 && start + 36_000 >= now_ms,
                "{protocol} {start} {end}"
            );
        }
    }
}

#[test]
fn no_template_comes_before_its_time() {
    for protocol in [Protocol::NetflowV9, Protocol::Ipfix] {
        let mut plan = plan(protocol, 1);
        plan.faults.withhold_datagrams = 20;
        let (sent, truth) = datagrams(&plan, 0, 50);
        assert_eq!((records(&sent[..20]), truth.withheld.datagrams), (Vec::new(), 20));
        assert!(!records(&sent[..22]).is_empty());
        assert_eq!(truth.control.templates, 2);
    }
}

#[test]
fn templates_come_again_by_time() {
    let plan = ExportPlan { control_every_ms: 100, ..ExportPlan::new(Protocol::NetflowV9, 1) };
    let (_, truth) = datagrams(&plan, 0, 100);
    assert_eq!((truth.control.templates, truth.generated.datagrams), (10, 90));
}

#[test]
fn options_announce_the_sampling_rate() {
    for protocol in [Protocol::NetflowV9, Protocol::Ipfix] {
        let mut plan = plan(protocol, 1);
        plan.sampling_rate = Some(4096);
        let (sent, truth) = datagrams(&plan, 0, 2);
        let text = format!("{:?}", NetflowParser::default().parse_bytes(&sent[0]).packets);
        let rate = if protocol == Protocol::Ipfix { "4095" } else { "4096" };
        assert!(text.contains("OptionsData") && text.contains(rate), "{text}");
        assert_eq!((truth.control.options_templates, truth.control.options_records), (1, 1));
    }
}

/// All records of an exporter's datagrams.
fn records(datagrams: &[Vec<u8>]) -> Vec<Record> {
    let mut parser = NetflowParser::default();
    let packets = datagrams.iter().flat_map(|datagram| parser.parse_bytes(datagram).packets);
    packets.flat_map(records_of).collect()
}

fn records_of(packet: NetflowPacket) -> Vec<Record> {
    match packet {
        NetflowPacket::V5(V5 { flowsets, .. }) => flowsets.iter().map(v5_record).collect(),
        NetflowPacket::V7(V7 { flowsets, .. }) => flowsets.iter().map(v7_record).collect(),
        NetflowPacket::V9(packet) => packet.flowsets.iter().flat_map(v9_records).collect(),
        NetflowPacket::IPFix(message) => message.flowsets.iter().flat_map(ipfix_records).collect(),
        other => panic!("{other:?}"),
    }
}

fn v5_record(flow: &v5::FlowSet) -> Record {
    let [src_as, dst_as] = [flow.src_as, flow.dst_as].map(u32::from);
    [src_as, dst_as, flow.d_pkts, flow.d_octets, flow.first, flow.last].map(u64::from)
}

fn v7_record(flow: &v7::FlowSet) -> Record {
    let [src_as, dst_as] = [flow.src_as, flow.dst_as].map(u32::from);
    [src_as, dst_as, flow.d_pkts, flow.d_octets, flow.first, flow.last].map(u64::from)
}

fn v9_records(set: &v9::FlowSet) -> Vec<Record> {
    let v9::FlowSetBody::Data(data) = &set.body else { return Vec::new() };
    data.fields.iter().map(|fields| v9_record(fields)).collect()
}

fn ipfix_records(set: &ipfix::FlowSet) -> Vec<Record> {
    let ipfix::FlowSetBody::Data(data) = &set.body else { return Vec::new() };
    data.fields.iter().map(|fields| ipfix_record(fields)).collect()
}

fn v9_record(fields: &[(V9Field, FieldValue)]) -> Record {
    use V9Field::{DstAs, FirstSwitched, InBytes, InPkts, LastSwitched, SrcAs};
    [SrcAs, DstAs, InPkts, InBytes, FirstSwitched, LastSwitched].map(|element| value(fields, &element))
}

fn ipfix_record(fields: &[(IPFixField, FieldValue)]) -> Record {
    use IANAIPFixField as Element;
    [
        Element::BgpSourceAsNumber,
        Element::BgpDestinationAsNumber,
        Element::PacketDeltaCount,
        Element::OctetDeltaCount,
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
    ]
    .map(|element| value(fields, &IPFixField::IANA(element)))
}

fn value<F: PartialEq + std::fmt::Debug>(fields: &[(F, FieldValue)], element: &F) -> u64 {
    let (_, value) = fields.iter().find(|(field, _)| field == element).unwrap();
    match value {
        FieldValue::DataNumber(number) => number.as_u64().unwrap(),
        FieldValue::Duration(duration) => duration.as_duration().as_millis() as u64,
        other => panic!("{element:?} is {other:?}"),
    }
}

fn pairs(records: &[Record]) -> BTreeMap<(u32, u32), PairAmount> {
    let mut pairs: BTreeMap<_, PairAmount> = BTreeMap::new();
    for &[src_as, dst_as, packets, octets, ..] in records {
        let pair = pairs.entry((src_as as u32, dst_as as u32)).or_default();
        *pair += PairAmount { records: 1, packets, octets };
    }
    pairs
}
