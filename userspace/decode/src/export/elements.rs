//! Which information elements fill which columns of `flows`.
//!
//! Of a column's choices the first that a template holds is taken; where it holds several numbers, the first that is
//! not zero.

use super::enterprise::CISCO;
use super::information_element as ie;
use super::template::Element;
use tapline_record::FlowColumn;

/// How the octets of a field become a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An unsigned number.
    Number,
    /// Some bits of a number: shifted right by so many, then so many kept.
    Bits(u8, u8),
    /// An application id: engine in the first octet, selector in the others.
    Application,
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// A MAC address.
    Mac,
    /// Milliseconds since the exporter started.
    Uptime,
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Millis,
    /// NTP's 64 bits (RFC 5905), for micro- and nanoseconds alike.
    Ntp,
    /// Microseconds before the message was sent.
    MicrosAgo,
    /// The upper six bits of a type of service.
    Dscp,
}

/// An element that may fill a column.
pub(super) type Choice = (Element, Form);

const fn number(id: u16) -> Choice {
    (Element::iana(id), Form::Number)
}

const fn iana(id: u16, form: Form) -> Choice {
    (Element::iana(id), form)
}

/// An element of Cisco's own, of its application visibility.
const fn cisco(id: u16, form: Form) -> Choice {
    (Element { enterprise: CISCO, id }, form)
}

const fn reverse(id: u16, form: Form) -> Choice {
    (Element::reverse(id), form)
}

/// What says when a flow began, the absolute forms first.
const START: &[Choice] = &[
    iana(ie::FLOW_START_MILLISECONDS, Form::Millis),
    iana(ie::FLOW_START_MICROSECONDS, Form::Ntp),
    iana(ie::FLOW_START_NANOSECONDS, Form::Ntp),
    iana(ie::FLOW_START_SECONDS, Form::Seconds),
    iana(ie::FLOW_START_SYS_UP_TIME, Form::Uptime),
    iana(ie::FLOW_START_DELTA_MICROSECONDS, Form::MicrosAgo),
];

/// What says when a flow ended.
const END: &[Choice] = &[
    iana(ie::FLOW_END_MILLISECONDS, Form::Millis),
    iana(ie::FLOW_END_MICROSECONDS, Form::Ntp),
    iana(ie::FLOW_END_NANOSECONDS, Form::Ntp),
    iana(ie::FLOW_END_SECONDS, Form::Seconds),
    iana(ie::FLOW_END_SYS_UP_TIME, Form::Uptime),
    iana(ie::FLOW_END_DELTA_MICROSECONDS, Form::MicrosAgo),
];

/// When something was observed that has no duration.
const TS: &[Choice] = &[
    iana(ie::OBSERVATION_TIME_MILLISECONDS, Form::Millis),
    iana(ie::OBSERVATION_TIME_MICROSECONDS, Form::Ntp),
    iana(ie::OBSERVATION_TIME_NANOSECONDS, Form::Ntp),
    iana(ie::OBSERVATION_TIME_SECONDS, Form::Seconds),
];

/// The source address.
const SRC_IP: &[Choice] = &[
    iana(ie::SOURCE_IPV4_ADDRESS, Form::V4),
    iana(ie::SOURCE_IPV6_ADDRESS, Form::V6),
    cisco(ie::cisco::CONNECTION_CLIENT_IPV4_ADDRESS, Form::V4),
];

/// The destination address.
const DST_IP: &[Choice] = &[
    iana(ie::DESTINATION_IPV4_ADDRESS, Form::V4),
    iana(ie::DESTINATION_IPV6_ADDRESS, Form::V6),
    cisco(ie::cisco::CONNECTION_SERVER_IPV4_ADDRESS, Form::V4),
];

/// The source port.
const SRC_PORT: &[Choice] = &[
    number(ie::SOURCE_TRANSPORT_PORT),
    number(ie::UDP_SOURCE_PORT),
    number(ie::TCP_SOURCE_PORT),
    cisco(ie::cisco::CONNECTION_CLIENT_TRANSPORT_PORT, Form::Number),
];

/// The destination port.
const DST_PORT: &[Choice] = &[
    number(ie::DESTINATION_TRANSPORT_PORT),
    number(ie::UDP_DESTINATION_PORT),
    number(ie::TCP_DESTINATION_PORT),
    cisco(ie::cisco::CONNECTION_SERVER_TRANSPORT_PORT, Form::Number),
];

/// Packets of a flow.
const PACKETS: &[Choice] =
    &[number(ie::PACKET_DELTA_COUNT), number(ie::INITIATOR_PACKETS), number(ie::POST_PACKET_DELTA_COUNT)];

/// Octets of a flow.
const OCTETS: &[Choice] = &[
    number(ie::OCTET_DELTA_COUNT),
    number(ie::INITIATOR_OCTETS),
    number(ie::POST_OCTET_DELTA_COUNT),
    number(ie::LAYER2_OCTET_DELTA_COUNT),
];

/// Bits of the source network.
const SRC_MASK: &[Choice] = &[number(ie::SOURCE_IPV4_PREFIX_LENGTH), number(ie::SOURCE_IPV6_PREFIX_LENGTH)];

/// Bits of the destination network.
const DST_MASK: &[Choice] =
    &[number(ie::DESTINATION_IPV4_PREFIX_LENGTH), number(ie::DESTINATION_IPV6_PREFIX_LENGTH)];

/// The next hop.
const NEXT_HOP: &[Choice] =
    &[iana(ie::IP_NEXT_HOP_IPV4_ADDRESS, Form::V4), iana(ie::IP_NEXT_HOP_IPV6_ADDRESS, Form::V6)];

/// The next hop of BGP.
const BGP_NEXT_HOP: &[Choice] =
    &[iana(ie::BGP_NEXT_HOP_IPV4_ADDRESS, Form::V4), iana(ie::BGP_NEXT_HOP_IPV6_ADDRESS, Form::V6)];

/// The type of an ICMP message.
const ICMP_TYPE: &[Choice] = &[
    number(ie::ICMP_TYPE_IPV4),
    number(ie::ICMP_TYPE_IPV6),
    iana(ie::ICMP_TYPE_CODE_IPV4, Form::Bits(8, 8)),
    iana(ie::ICMP_TYPE_CODE_IPV6, Form::Bits(8, 8)),
];

/// The code of an ICMP message.
const ICMP_CODE: &[Choice] = &[
    number(ie::ICMP_CODE_IPV4),
    number(ie::ICMP_CODE_IPV6),
    iana(ie::ICMP_TYPE_CODE_IPV4, Form::Bits(0, 8)),
    iana(ie::ICMP_TYPE_CODE_IPV6, Form::Bits(0, 8)),
];

/// The source address behind a translator.
const NAT_SRC_IP: &[Choice] =
    &[iana(ie::POST_NAT_SOURCE_IPV4_ADDRESS, Form::V4), iana(ie::POST_NAT_SOURCE_IPV6_ADDRESS, Form::V6)];

/// The destination address behind a translator.
const NAT_DST_IP: &[Choice] = &[
    iana(ie::POST_NAT_DESTINATION_IPV4_ADDRESS, Form::V4),
    iana(ie::POST_NAT_DESTINATION_IPV6_ADDRESS, Form::V6),
];

/// The choices for a column that one field fills.
pub(super) const fn choices(column: FlowColumn) -> &'static [Choice] {
    use FlowColumn as C;
    match column {
        C::StartTime => START,
        C::EndTime => END,
        C::Ts => TS,
        C::SrcIp => SRC_IP,
        C::DstIp => DST_IP,
        C::SrcPort => SRC_PORT,
        C::DstPort => DST_PORT,
        C::Protocol => const { &[number(ie::PROTOCOL_IDENTIFIER)] },
        C::TcpFlags => const { &[number(ie::TCP_CONTROL_BITS)] },
        C::Tos => const { &[number(ie::IP_CLASS_OF_SERVICE), iana(ie::IP_DIFF_SERV_CODE_POINT, Form::Dscp)] },
        C::Packets => PACKETS,
        C::Octets => OCTETS,
        C::SrcAs => const { &[number(ie::BGP_SOURCE_AS_NUMBER)] },
        C::DstAs => const { &[number(ie::BGP_DESTINATION_AS_NUMBER)] },
        C::SrcMask => SRC_MASK,
        C::DstMask => DST_MASK,
        C::NextHop => NEXT_HOP,
        C::BgpNextHop => BGP_NEXT_HOP,
        C::InputInterface => const { &[number(ie::INGRESS_INTERFACE)] },
        C::OutputInterface => const { &[number(ie::EGRESS_INTERFACE)] },
        C::Vlan => const { &[number(ie::VLAN_ID), number(ie::DOT1Q_VLAN_ID)] },
        C::PostVlan => const { &[number(ie::POST_VLAN_ID), number(ie::POST_DOT1Q_VLAN_ID)] },
        C::MplsLabel => const { &[iana(ie::MPLS_TOP_LABEL_STACK_SECTION, Form::Bits(4, 20))] },
        C::SrcMac => const { &[iana(ie::SOURCE_MAC_ADDRESS, Form::Mac)] },
        C::DstMac => const { &[iana(ie::DESTINATION_MAC_ADDRESS, Form::Mac)] },
        C::IcmpType => ICMP_TYPE,
        C::IcmpCode => ICMP_CODE,
        C::FlowEndReason => const { &[number(ie::FLOW_END_REASON)] },
        C::Direction => const { &[number(ie::FLOW_DIRECTION)] },
        C::IpVersion => const { &[number(ie::IP_VERSION)] },
        C::NatSrcIp => NAT_SRC_IP,
        C::NatDstIp => NAT_DST_IP,
        C::NatSrcPort => const { &[number(ie::POST_NAPT_SOURCE_TRANSPORT_PORT)] },
        C::NatDstPort => const { &[number(ie::POST_NAPT_DESTINATION_TRANSPORT_PORT)] },
        C::ApplicationId => const { &[iana(ie::APPLICATION_ID, Form::Application)] },
        C::Source
        | C::Exporter
        | C::Sender
        | C::ObservationDomain
        | C::SamplingRate
        | C::ScaledPackets
        | C::ScaledOctets => &[],
    }
}

/// What says when the other direction of a flow began.
const REVERSE_START: &[Choice] = &[
    reverse(ie::FLOW_START_MILLISECONDS, Form::Millis),
    reverse(ie::FLOW_START_MICROSECONDS, Form::Ntp),
    reverse(ie::FLOW_START_NANOSECONDS, Form::Ntp),
    reverse(ie::FLOW_START_SECONDS, Form::Seconds),
    reverse(ie::FLOW_START_SYS_UP_TIME, Form::Uptime),
    reverse(ie::FLOW_START_DELTA_MICROSECONDS, Form::MicrosAgo),
];

/// What says when the other direction of a flow ended.
const REVERSE_END: &[Choice] = &[
    reverse(ie::FLOW_END_MILLISECONDS, Form::Millis),
    reverse(ie::FLOW_END_MICROSECONDS, Form::Ntp),
    reverse(ie::FLOW_END_NANOSECONDS, Form::Ntp),
    reverse(ie::FLOW_END_SECONDS, Form::Seconds),
    reverse(ie::FLOW_END_SYS_UP_TIME, Form::Uptime),
    reverse(ie::FLOW_END_DELTA_MICROSECONDS, Form::MicrosAgo),
];

/// Packets of the other direction.
const REVERSE_PACKETS: &[Choice] = &[
    reverse(ie::PACKET_DELTA_COUNT, Form::Number),
    number(ie::RESPONDER_PACKETS),
    reverse(ie::POST_PACKET_DELTA_COUNT, Form::Number),
];

/// Octets of the other direction.
const REVERSE_OCTETS: &[Choice] = &[
    reverse(ie::OCTET_DELTA_COUNT, Form::Number),
    number(ie::RESPONDER_OCTETS),
    reverse(ie::POST_OCTET_DELTA_COUNT, Form::Number),
    reverse(ie::LAYER2_OCTET_DELTA_COUNT, Form::Number),
];

/// The choices for a column of the row that a biflow's other direction makes, before those of [`mirror`].
pub(super) const fn reverse_choices(column: FlowColumn) -> &'static [Choice] {
    use FlowColumn as C;
    match column {
        C::StartTime => REVERSE_START,
        C::EndTime => REVERSE_END,
        C::Packets => REVERSE_PACKETS,
        C::Octets => REVERSE_OCTETS,
        C::TcpFlags => const { &[reverse(ie::TCP_CONTROL_BITS, Form::Number)] },
        C::Tos => const { &[reverse(ie::IP_CLASS_OF_SERVICE, Form::Number)] },
        C::Vlan => const { &[reverse(ie::VLAN_ID, Form::Number)] },
        C::PostVlan => const { &[reverse(ie::POST_VLAN_ID, Form::Number)] },
        C::MplsLabel => const { &[reverse(ie::MPLS_TOP_LABEL_STACK_SECTION, Form::Bits(4, 20))] },
        C::FlowEndReason => const { &[reverse(ie::FLOW_END_REASON, Form::Number)] },
        _ => &[],
    }
}

/// The column whose fields fill `column` in the other direction; `None` when only reverse elements do.
pub(super) const fn mirror(column: FlowColumn) -> Option<FlowColumn> {
    use FlowColumn as C;
    Some(match column {
        C::SrcIp => C::DstIp,
        C::DstIp => C::SrcIp,
        C::SrcPort => C::DstPort,
        C::DstPort => C::SrcPort,
        C::SrcAs => C::DstAs,
        C::DstAs => C::SrcAs,
        C::SrcMask => C::DstMask,
        C::DstMask => C::SrcMask,
        C::SrcMac => C::DstMac,
        C::DstMac => C::SrcMac,
        C::InputInterface => C::OutputInterface,
        C::OutputInterface => C::InputInterface,
        C::NatSrcIp => C::NatDstIp,
        C::NatDstIp => C::NatSrcIp,
        C::NatSrcPort => C::NatDstPort,
        C::NatDstPort => C::NatSrcPort,
        C::Packets | C::Octets | C::TcpFlags | C::Tos | C::NextHop | C::BgpNextHop | C::MplsLabel => {
            return None;
        }
        same => same,
    })
}

/// Elements that make a record count for both directions, as any reverse one does (RFC 5103).
pub(super) const OF_RESPONDER: [Element; 2] =
    [Element::iana(ie::RESPONDER_OCTETS), Element::iana(ie::RESPONDER_PACKETS)];

/// Types and codes of ICMP and ICMPv6: keys of a flow of which a biflow may have two.
pub(super) const ICMP_KEYS: [u16; 6] = [
    ie::ICMP_TYPE_CODE_IPV4,
    ie::ICMP_TYPE_CODE_IPV6,
    ie::ICMP_TYPE_IPV4,
    ie::ICMP_CODE_IPV4,
    ie::ICMP_TYPE_IPV6,
    ie::ICMP_CODE_IPV6,
];

/// What counts both directions of a connection apart, by the column: the initiator's, the responder's.
pub(super) const PAIRS: [(FlowColumn, [u16; 2]); 2] = [
    (FlowColumn::Octets, [ie::INITIATOR_OCTETS, ie::RESPONDER_OCTETS]),
    (FlowColumn::Packets, [ie::INITIATOR_PACKETS, ie::RESPONDER_PACKETS]),
];

/// Octets of the frames, and not only of their IP packets (`layer2OctetDeltaCount`).
pub(super) const OF_FRAMES: Element = Element::iana(ie::LAYER2_OCTET_DELTA_COUNT);

/// Counts of all that was seen of a flow so far, which are no deltas, by the column.
pub(super) const TOTALS: [(FlowColumn, u16); 2] =
    [(FlowColumn::Octets, ie::OCTET_TOTAL_COUNT), (FlowColumn::Packets, ie::PACKET_TOTAL_COUNT)];

/// Addresses of both ends, IPv4 and IPv6.
pub(super) const ADDRESSES: [[u16; 2]; 2] = [
    [ie::SOURCE_IPV4_ADDRESS, ie::DESTINATION_IPV4_ADDRESS],
    [ie::SOURCE_IPV6_ADDRESS, ie::DESTINATION_IPV6_ADDRESS],
];
