//! Compiled templates: for each column that is built, where its values come from.
//!
//! A plan is made once a template and runs column by column over the records of a set (`extract.rs`). It holds
//! one operation a built column, in the order of the batch's columns; a biflow's has a second list, for the
//! rows of the other direction.

use super::elements::{BIFLOW, Choice, Form, choices, mirror, reverse_choices};
use super::records::{Records, Slot, Span};
use super::section::Section;
use super::template::{Element, TEMPLATE_ID_MIN, Template, VARIABLE};
use std::sync::Arc;
use tapline_record::{ColumnType, ElementColumn, ElementForm, FLOWS, FlowColumn};

/// Protocol numbers of ICMP and ICMPv6.
pub(super) const ICMP: u8 = 1;
pub(super) const ICMP_V6: u8 = 58;

/// How the records of one template become rows.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) template: Arc<Template>,
    /// Octets of a record, `None` when they vary.
    pub(super) stride: Option<usize>,
    pub(super) forward: Side,
    /// The other direction of a biflow.
    pub(super) reverse: Option<Side>,
    pub(super) standing: Standing,
}

/// How far a template is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is of an earlier run, and its exporter has not announced it since.
    Provisional,
    /// It was announced.
    Announced,
    /// A set came that it does not fit, so that its number must have got another meaning, which was missed.
    Doubted,
    /// It was announced again after such a set, or no other one can have been missed: sets that it does not fit are
    /// left out, one by one.
    Confirmed,
}

impl Standing {
    /// What it is when the same template is announced again.
    pub(super) const fn announced_again(self) -> Self {
        match self {
            Self::Provisional | Self::Announced => Self::Announced,
            Self::Doubted | Self::Confirmed => Self::Confirmed,
        }
    }
}

/// How the rows of one direction are made.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) operations: Vec<Operation>,
    pub(super) times: Times,
    pub(super) rate: RateSource,
    /// The beginning of a packet, where records hold one that is needed.
    pub(super) section: Option<Section>,
}

/// What fills a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Absent,
    Number(ColumnType, Slot),
    Bits {
        kind: ColumnType,
        slot: Slot,
        shift: u8,
        bits: u8,
    },
    Application(Slot),
    V4(Slot),
    V6(Slot),
    /// Whichever of an IPv4 and an IPv6 address is not all zero.
    Either(Slot, Slot),
    Mac(Slot),
    Ts,
    StartTime,
    EndTime,
    Exporter,
    ObservationDomain,
    /// The same octet in all rows.
    Octet(u8),
    Dscp(Slot),
    /// Type or code of ICMP, where the destination port stands for both.
    IcmpOfPort(IcmpOfPort),
    SamplingRate,
    /// A counter times the sampling rate.
    Scaled(Slot),
    /// What the packet says that a record holds the beginning of.
    OfPacket(FlowColumn),
    /// An information element that has no column of its own.
    Element(ElementForm, Slot),
}

/// Where a message of ICMP stands in records that have no field for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IcmpOfPort {
    pub(super) protocol: Slot,
    pub(super) port: Slot,
    /// The type stands in the upper octet, the code in the lower.
    pub(super) shift: u8,
    /// Whether a port of zero is an echo reply, and not a port that is not told.
    pub(super) is_always_told: bool,
}

/// Where the times of a row come from: of each, all fields that may tell it, the best one first.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) start: Vec<(Slot, Form)>,
    pub(super) end: Vec<(Slot, Form)>,
    /// When something was observed that has no duration.
    pub(super) observed: Vec<(Slot, Form)>,
    /// When the exporter started, for the times by its uptime.
    pub(super) init: Option<Slot>,
    /// Between start and end, and how many nanoseconds its unit has.
    pub(super) duration: Option<(Slot, i64)>,
}

/// Where the sampling rate of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RateSource {
    /// No column asks for it.
    Unused,
    /// The record's own field.
    Record(Slot),
    /// The rate that the exporter announced for this sampler.
    Sampler(Slot),
    /// The rate that the exporter announced for this input interface, or for all.
    Interface(Slot),
    /// The rate that the exporter announced.
    Exporter,
}

impl Plan {
    /// The plan of `template` for the columns at these positions of [`FLOWS`].
    pub(super) fn compile(template: Template, columns: &[usize]) -> Self {
        let stride = (!template.is_variable()).then(|| template.octets_min());
        let is_biflow = BIFLOW.iter().any(|&element| find(&template, element).is_some());
        let forward = Side::compile(&template, columns, Direction::Forward);
        let reverse = is_biflow.then(|| Side::compile(&template, columns, Direction::Reverse));
        Self { template: Arc::new(template), stride, forward, reverse, standing: Standing::Announced }
    }

    /// The records of a set's body.
    pub(super) fn records<'a>(&self, body: &'a [u8], spans: &'a mut Vec<Span>) -> Records<'a> {
        match self.stride {
            Some(stride) => Records::fixed(body, stride),
            None => Records::varying(body, &self.template, spans),
        }
    }

    /// Rows that a record makes.
    pub(super) fn rows_per_record(&self) -> usize {
        1 + usize::from(self.reverse.is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Reverse,
}

impl Side {
    fn compile(template: &Template, columns: &[usize], direction: Direction) -> Self {
        let built = || columns.iter().filter_map(|&position| FlowColumn::ALL.get(position).copied());
        let needs_rate = built().any(|column| {
            use FlowColumn as C;
            matches!(column, C::SamplingRate | C::ScaledOctets | C::ScaledPackets)
        });
        let section = Section::of(template).filter(|_| direction == Direction::Forward);
        let of_packet = |position: usize| {
            let column = FlowColumn::ALL.get(position).filter(|&&column| Section::tells(column));
            section.and(column).map_or(Operation::Absent, |&column| Operation::OfPacket(column))
        };
        let operation = |&position: &usize| match operation_at(template, position, direction) {
            Operation::Absent => of_packet(position),
            operation => operation,
        };
        let operations: Vec<_> = columns.iter().map(operation).collect();
        let needs_packet = operations.iter().any(|operation| matches!(operation, Operation::OfPacket(_)));
        Self {
            operations,
            section: section.filter(|_| needs_packet),
            times: Times {
                start: pick_all(template, FlowColumn::StartTime, direction),
                end: pick_all(template, FlowColumn::EndTime, direction),
                observed: pick_all(template, FlowColumn::Ts, direction),
                init: find(template, Element::iana(160)),
                duration: [(161, 1_000_000), (162, 1_000)]
                    .into_iter()
                    .find_map(|(id, unit_ns)| Some((find(template, Element::iana(id))?, unit_ns))),
            },
            rate: if needs_rate { rate_source(template) } else { RateSource::Unused },
        }
    }
}

/// The operation for the column at a position, be it one of [`FLOWS`] or an element.
fn operation_at(template: &Template, position: usize, direction: Direction) -> Operation {
    let column = FlowColumn::ALL.get(position);
    match ElementColumn::at(position) {
        Some(element) => of_element(template, element, direction),
        None => column.map_or(Operation::Absent, |&column| operation(template, column, direction)),
    }
}

/// The operation for an element. A biflow's other direction has the reverse element where the template has one;
/// a field that has none stands in the rows of both.
fn of_element(template: &Template, column: ElementColumn, direction: Direction) -> Operation {
    let own = Element { enterprise: column.enterprise, id: column.id };
    let is_reversed = direction == Direction::Reverse && own.enterprise == 0;
    let reversed = if is_reversed { find(template, Element::reverse(own.id)) } else { None };
    match reversed.or_else(|| find(template, own)) {
        None => Operation::Absent,
        Some(slot) if column.form == ElementForm::Unsigned && (1..=8).contains(&slot.length) => {
            Operation::Number(ColumnType::UInt64, slot)
        }
        Some(slot) => Operation::Element(column.form, slot),
    }
}

fn operation(template: &Template, column: FlowColumn, direction: Direction) -> Operation {
    let counter = |column| pick(template, column, direction).map(|(slot, _)| slot);
    match column {
        FlowColumn::Ts => Operation::Ts,
        FlowColumn::StartTime => Operation::StartTime,
        FlowColumn::EndTime => Operation::EndTime,
        FlowColumn::Exporter | FlowColumn::Sender => Operation::Exporter,
        FlowColumn::ObservationDomain => Operation::ObservationDomain,
        FlowColumn::SamplingRate => Operation::SamplingRate,
        FlowColumn::ScaledPackets => {
            counter(FlowColumn::Packets).map_or(Operation::Absent, Operation::Scaled)
        }
        FlowColumn::ScaledOctets => counter(FlowColumn::Octets).map_or(Operation::Absent, Operation::Scaled),
        column => pick(template, column, direction)
            .map_or_else(|| implied(template, column), |choice| of_field(template, column, choice)),
    }
}

/// The operation for a column that a field fills.
fn of_field(template: &Template, column: FlowColumn, (slot, form): (Slot, Form)) -> Operation {
    let kind = FLOWS.columns[column as usize].kind;
    match form {
        Form::Bits(shift, bits) => Operation::Bits { kind, slot, shift, bits },
        Form::Application => Operation::Application(slot),
        Form::V4 => {
            let other = choices(column).iter().filter(|(_, form)| *form == Form::V6);
            other
                .filter_map(|&(element, _)| find(template, element))
                .next()
                .map_or(Operation::V4(slot), |v6| Operation::Either(slot, v6))
        }
        Form::V6 => Operation::V6(slot),
        Form::Mac => Operation::Mac(slot),
        Form::Dscp => Operation::Dscp(slot),
        _ => Operation::Number(kind, slot),
    }
}

/// What a template says of a column without having a field for it.
fn implied(template: &Template, column: FlowColumn) -> Operation {
    let has = |id| find(template, Element::iana(id)).is_some();
    match column {
        FlowColumn::IpVersion if has(8) != has(27) => Operation::Octet(if has(8) { 4 } else { 6 }),
        FlowColumn::Protocol => match ([32, 176].map(has), [139, 178].map(has)) {
            ([true, _] | [_, true], [false, false]) => Operation::Octet(ICMP),
            ([false, false], [true, _] | [_, true]) => Operation::Octet(ICMP_V6),
            _ => Operation::Absent,
        },
        FlowColumn::IcmpType => icmp_of_port(template, 8),
        FlowColumn::IcmpCode => icmp_of_port(template, 0),
        _ => Operation::Absent,
    }
}

/// Type or code of ICMP by protocol and destination port. Versions 5 and 7 have no other place for it; other
/// exporters may tell nothing.
fn icmp_of_port(template: &Template, shift: u8) -> Operation {
    let of_length = |id, length| find(template, Element::iana(id)).filter(|slot| slot.length == length);
    match (of_length(4, 1), of_length(11, 2)) {
        (Some(protocol), Some(port)) => {
            let is_always_told = template.id < TEMPLATE_ID_MIN;
            Operation::IcmpOfPort(IcmpOfPort { protocol, port, shift, is_always_told })
        }
        _ => Operation::Absent,
    }
}

/// The first of a column's choices that the template holds in a length that fits.
fn pick(template: &Template, column: FlowColumn, direction: Direction) -> Option<(Slot, Form)> {
    pick_all(template, column, direction).first().copied()
}

/// All of them, in their order.
fn pick_all(template: &Template, column: FlowColumn, direction: Direction) -> Vec<(Slot, Form)> {
    let among = |choices: &[Choice]| -> Vec<_> {
        let fitting = |&(element, form): &Choice| Some((find(template, element)?, form));
        choices.iter().filter_map(fitting).filter(|&(slot, form)| fits(template, slot, form)).collect()
    };
    match direction {
        Direction::Forward => among(choices(column)),
        Direction::Reverse => match among(reverse_choices(column)) {
            none if none.is_empty() => mirror(column).map_or(none, |mirrored| among(choices(mirrored))),
            picked => picked,
        },
    }
}

/// Whether a field of this length can hold a value of this form.
fn fits(template: &Template, slot: Slot, form: Form) -> bool {
    if template.fields[slot.field].length == VARIABLE {
        return true;
    }
    match form {
        Form::V4 => slot.length == 4,
        Form::V6 => slot.length == 16,
        Form::Mac => slot.length == 6,
        Form::Ntp => slot.length == 8,
        _ => (1..=8).contains(&slot.length),
    }
}

/// Where a template has an element, for the first time.
pub(super) fn find(template: &Template, element: Element) -> Option<Slot> {
    let field = template.fields.iter().position(|field| field.element == element)?;
    let length = |length: u16| if length == VARIABLE { 0 } else { usize::from(length) };
    let offset = template.fields[..field].iter().map(|field| length(field.length)).sum();
    Some(Slot { field, offset, length: length(template.fields[field].length) })
}

fn rate_source(template: &Template) -> RateSource {
    let first = |ids: &[u16]| ids.iter().find_map(|&id| find(template, Element::iana(id)));
    if let Some(slot) = first(&[34, 50]) {
        return RateSource::Record(slot);
    }
    let sampler = first(&[48, 302]).map(RateSource::Sampler);
    sampler.or_else(|| first(&[10]).map(RateSource::Interface)).unwrap_or(RateSource::Exporter)
}
