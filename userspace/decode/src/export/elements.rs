//! Which information elements fill which columns of `flows`.
//!
//! Of a column's choices the first that a template holds is taken; where it holds several numbers, the first that is
//! not zero. The numbers are IANA's (RFC 5102, RFC 7012
//! and the registry), which NetFlow v9 shares below 128.

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
    (Element { enterprise: 9, id }, form)
}

const fn reverse(id: u16, form: Form) -> Choice {
    (Element::reverse(id), form)
}

/// What says when a flow began, the absolute forms first.
const START: &[Choice] = &[
    iana(152, Form::Millis),
    iana(154, Form::Ntp),
    iana(156, Form::Ntp),
    iana(150, Form::Seconds),
    iana(22, Form::Uptime),
    iana(158, Form::MicrosAgo),
];

/// What says when a flow ended.
const END: &[Choice] = &[
    iana(153, Form::Millis),
    iana(155, Form::Ntp),
    iana(157, Form::Ntp),
    iana(151, Form::Seconds),
    iana(21, Form::Uptime),
    iana(159, Form::MicrosAgo),
];

/// The choices for a column that one field fills.
pub(super) const fn choices(column: FlowColumn) -> &'static [Choice] {
    use FlowColumn as C;
    match column {
        C::StartTime => START,
        C::EndTime => END,
        C::Ts => {
            const {
                &[
                    iana(323, Form::Millis),
                    iana(324, Form::Ntp),
                    iana(325, Form::Ntp),
                    iana(322, Form::Seconds),
                ]
            }
        }
        C::SrcIp => const { &[iana(8, Form::V4), iana(27, Form::V6), cisco(12236, Form::V4)] },
        C::DstIp => const { &[iana(12, Form::V4), iana(28, Form::V6), cisco(12237, Form::V4)] },
        C::SrcPort => const { &[number(7), number(180), number(182), cisco(12240, Form::Number)] },
        C::DstPort => const { &[number(11), number(181), number(183), cisco(12241, Form::Number)] },
        C::Protocol => const { &[number(4)] },
        C::TcpFlags => const { &[number(6)] },
        C::Tos => const { &[number(5), iana(195, Form::Dscp)] },
        C::Packets => const { &[number(2), number(298), number(24)] },
        C::Octets => const { &[number(1), number(231), number(23), number(352)] },
        C::SrcAs => const { &[number(16)] },
        C::DstAs => const { &[number(17)] },
        C::SrcMask => const { &[number(9), number(29)] },
        C::DstMask => const { &[number(13), number(30)] },
        C::NextHop => const { &[iana(15, Form::V4), iana(62, Form::V6)] },
        C::BgpNextHop => const { &[iana(18, Form::V4), iana(63, Form::V6)] },
        C::InputInterface => const { &[number(10)] },
        C::OutputInterface => const { &[number(14)] },
        C::Vlan => const { &[number(58), number(243)] },
        C::PostVlan => const { &[number(59), number(254)] },
        C::MplsLabel => const { &[iana(70, Form::Bits(4, 20))] },
        C::SrcMac => const { &[iana(56, Form::Mac)] },
        C::DstMac => const { &[iana(80, Form::Mac)] },
        C::IcmpType => {
            const { &[number(176), number(178), iana(32, Form::Bits(8, 8)), iana(139, Form::Bits(8, 8))] }
        }
        C::IcmpCode => {
            const { &[number(177), number(179), iana(32, Form::Bits(0, 8)), iana(139, Form::Bits(0, 8))] }
        }
        C::FlowEndReason => const { &[number(136)] },
        C::Direction => const { &[number(61)] },
        C::IpVersion => const { &[number(60)] },
        C::NatSrcIp => const { &[iana(225, Form::V4), iana(281, Form::V6)] },
        C::NatDstIp => const { &[iana(226, Form::V4), iana(282, Form::V6)] },
        C::NatSrcPort => const { &[number(227)] },
        C::NatDstPort => const { &[number(228)] },
        C::ApplicationId => const { &[iana(95, Form::Application)] },
        C::Exporter
        | C::Sender
        | C::ObservationDomain
        | C::SamplingRate
        | C::ScaledPackets
        | C::ScaledOctets => &[],
    }
}

/// The choices for a column of the row that a biflow's other direction makes, before those of [`mirror`].
pub(super) const fn reverse_choices(column: FlowColumn) -> &'static [Choice] {
    use FlowColumn as C;
    match column {
        C::StartTime => {
            const {
                &[
                    reverse(152, Form::Millis),
                    reverse(154, Form::Ntp),
                    reverse(156, Form::Ntp),
                    reverse(150, Form::Seconds),
                    reverse(22, Form::Uptime),
                    reverse(158, Form::MicrosAgo),
                ]
            }
        }
        C::EndTime => {
            const {
                &[
                    reverse(153, Form::Millis),
                    reverse(155, Form::Ntp),
                    reverse(157, Form::Ntp),
                    reverse(151, Form::Seconds),
                    reverse(21, Form::Uptime),
                    reverse(159, Form::MicrosAgo),
                ]
            }
        }
        C::Packets => const { &[reverse(2, Form::Number), number(299), reverse(24, Form::Number)] },
        C::Octets => {
            const {
                &[
                    reverse(1, Form::Number),
                    number(232),
                    reverse(23, Form::Number),
                    reverse(352, Form::Number),
                ]
            }
        }
        C::TcpFlags => const { &[reverse(6, Form::Number)] },
        C::Tos => const { &[reverse(5, Form::Number)] },
        C::Vlan => const { &[reverse(58, Form::Number)] },
        C::PostVlan => const { &[reverse(59, Form::Number)] },
        C::MplsLabel => const { &[reverse(70, Form::Bits(4, 20))] },
        C::FlowEndReason => const { &[reverse(136, Form::Number)] },
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
pub(super) const OF_RESPONDER: [Element; 2] = [Element::iana(232), Element::iana(299)];

/// Types and codes of ICMP and ICMPv6: keys of a flow of which a biflow may have two.
pub(super) const ICMP_KEYS: [u16; 6] = [32, 139, 176, 177, 178, 179];

/// What counts both directions of a connection apart, by the column: the initiator's, the responder's.
pub(super) const PAIRS: [(FlowColumn, [u16; 2]); 2] =
    [(FlowColumn::Octets, [231, 232]), (FlowColumn::Packets, [298, 299])];

/// Octets of the frames, and not only of their IP packets (`layer2OctetDeltaCount`).
pub(super) const OF_FRAMES: Element = Element::iana(352);

/// Counts of all that was seen of a flow so far, which are no deltas, by the column.
pub(super) const TOTALS: [(FlowColumn, u16); 2] = [(FlowColumn::Octets, 85), (FlowColumn::Packets, 86)];

/// Addresses of both ends, IPv4 and IPv6.
pub(super) const ADDRESSES: [[u16; 2]; 2] = [[8, 12], [27, 28]];
