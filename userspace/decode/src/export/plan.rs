//! Compiled templates: for each column that is built, where its values come from.
//!
//! A plan is made once a template and runs column by column over the records of a set (`extract.rs`). It holds
//! one operation a built column, in the order of the batch's columns; a biflow's has a second list, for the
//! rows of the other direction.

use super::elements::{
    ADDRESSES, Choice, Form, ICMP_KEYS, OF_FRAMES, OF_RESPONDER, PAIRS, TOTALS, choices, mirror,
    reverse_choices,
};
use super::enterprise::{IANA, REVERSE};
use super::family::Families;
use super::information_element as ie;
use super::rate_fields::RateFields;
use super::records::{Records, Span};
use super::section::Section;
use super::slot::{Slot, find};
use super::template::{Element, TEMPLATE_ID_MIN, Template, VARIABLE};
use super::wire::number;
use crate::packet::protocol;
use std::sync::Arc;
use tapline_record::{ColumnType, ElementColumn, ElementForm, FLOWS, FlowColumn};

/// How the records of one template become rows.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) template: Arc<Template>,
    /// Octets of a record, `None` when they vary.
    pub(super) stride: Option<usize>,
    pub(super) forward: Side,
    /// The other direction of a biflow.
    pub(super) reverse: Option<Side>,
    /// Whether a count is told only as a total, which is no delta.
    pub(super) tells_totals_only: bool,
    /// Whether octets are told only of frames, headers of the link layer included.
    pub(super) tells_frames_only: bool,
    pub(super) standing: Standing,
}

/// How far a template is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The template is of an earlier run, and its exporter has not announced it since.
    Provisional,
    /// The template was announced.
    Announced,
    /// A set came that the template does not fit, so that its number must have got another meaning, which was missed.
    Doubted,
    /// The template was announced again after a set that it does not fit, or no other one can have been missed: sets
    /// that it does not fit are left out, one by one.
    Confirmed,
}

impl Standing {
    /// What a template is when the same one is announced again.
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
    /// Fields of which the first that is not zero counts, for each column that has several.
    pub(super) several: Vec<Vec<Part>>,
    /// Which address counts in records that hold addresses of both families.
    pub(super) families: Option<Families>,
    /// Whether the rows are of a biflow's other direction.
    pub(super) is_reverse: bool,
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
    /// The first of several numbers that is not zero, by the place in [`Side::several`].
    First(ColumnType, usize),
    Application(Slot),
    V4(Slot),
    V6(Slot),
    /// Whichever of an IPv4 and an IPv6 address is not all zero.
    Either(Slot, Slot),
    /// Whichever of an IPv4 and an IPv6 address is of the record's family.
    OfFamily(Slot, Slot),
    /// The record's family.
    Family,
    Mac(Slot),
    Ts,
    StartTime,
    EndTime,
    Source,
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
    /// The first of several counters that is not zero, times the sampling rate.
    ScaledFirst(usize),
    /// What the packet says that a record holds the beginning of.
    OfPacket(FlowColumn),
    /// An information element that has no column of its own.
    Element(ElementForm, Slot),
}

/// Some bits of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) slot: Slot,
    pub(super) shift: u8,
    pub(super) bits: u8,
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

/// Whether an element says that something went the other way. The reverse of a key, which exporters have of ICMP types,
/// only says what the key would be.
fn tells_the_other_direction(element: Element) -> bool {
    let is_key = ICMP_KEYS.contains(&element.id);
    element.enterprise == REVERSE && !is_key || OF_RESPONDER.contains(&element)
}

/// Where the sampling rate of a row comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RateSource {
    /// No column asks for it.
    Unused,
    /// The record's own fields, if it has any; else what the exporter announced.
    Told(Option<Box<RateFields>>),
}

impl Plan {
    /// The plan of `template` for the columns at these positions of [`FLOWS`].
    pub(super) fn compile(template: Template, columns: &[usize]) -> Self {
        let stride = (!template.is_variable()).then(|| template.octets_min());
        let is_biflow = template.fields.iter().any(|field| tells_the_other_direction(field.element));
        let (tells_totals_only, tells_frames_only) =
            (tells_totals_only(&template), tells_frames_only(&template));
        let forward = Side::compile(&template, columns, Direction::Forward);
        let reverse = is_biflow.then(|| Side::compile(&template, columns, Direction::Reverse));
        let standing = Standing::Announced;
        let template = Arc::new(template);
        Self { template, stride, forward, reverse, standing, tells_totals_only, tells_frames_only }
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
        let mut compiler = Compiler { template, direction, several: vec![] };
        let operation = |&position: &usize| match compiler.operation_at(position) {
            Operation::Absent => of_packet(position),
            operation => operation,
        };
        let operations: Vec<_> = columns.iter().map(operation).collect();
        let needs_packet = operations.iter().any(|operation| matches!(operation, Operation::OfPacket(_)));
        let needs_family = operations.iter().any(|operation| {
            matches!(operation, Operation::Family | Operation::OfFamily(..) | Operation::Either(..))
        });
        Self {
            several: compiler.several,
            families: Families::of(template).filter(|_| needs_family),
            section: section.filter(|_| needs_packet),
            is_reverse: direction == Direction::Reverse,
            times: times(template, direction),
            rate: if needs_rate { RateSource::of(template) } else { RateSource::Unused },
            operations,
        }
    }
}

impl Side {
    /// The fields that an operation with this place may take its numbers from.
    pub(super) fn parts(&self, place: usize) -> &[Part] {
        self.several.get(place).map_or(&[], Vec::as_slice)
    }
}

impl RateSource {
    fn of(template: &Template) -> Self {
        Self::Told(RateFields::of(template).map(Box::new))
    }
}

fn times(template: &Template, direction: Direction) -> Times {
    let all = |column| fields(template, column, direction).collect();
    Times {
        start: all(FlowColumn::StartTime),
        end: all(FlowColumn::EndTime),
        observed: all(FlowColumn::Ts),
        init: find(template, Element::iana(ie::SYSTEM_INIT_TIME_MILLISECONDS)),
        duration: [(ie::FLOW_DURATION_MILLISECONDS, 1_000_000), (ie::FLOW_DURATION_MICROSECONDS, 1_000)]
            .into_iter()
            .find_map(|(id, unit_ns)| Some((find(template, Element::iana(id))?, unit_ns))),
    }
}

/// Finds the operations for the rows of one direction.
struct Compiler<'a> {
    template: &'a Template,
    direction: Direction,
    several: Vec<Vec<Part>>,
}

impl Compiler<'_> {
    /// The operation for the column at a position, be it one of [`FLOWS`] or an element.
    fn operation_at(&mut self, position: usize) -> Operation {
        match ElementColumn::at(position) {
            Some(element) => self.of_element(element),
            None => FlowColumn::ALL.get(position).map_or(Operation::Absent, |&column| self.operation(column)),
        }
    }

    /// The operation for an element. A biflow's other direction has the reverse element where the template has
    /// one; a field that has none stands in the rows of both.
    fn of_element(&self, column: ElementColumn) -> Operation {
        let own = Element { enterprise: column.enterprise, id: column.id };
        let is_reversed = self.direction == Direction::Reverse && own.enterprise == IANA;
        let reversed = if is_reversed { find(self.template, Element::reverse(own.id)) } else { None };
        match reversed.or_else(|| find(self.template, own)) {
            None => Operation::Absent,
            Some(slot) if column.form == ElementForm::Unsigned && (1..=8).contains(&slot.length) => {
                Operation::Number(ColumnType::UInt64, slot)
            }
            Some(slot) => Operation::Element(column.form, slot),
        }
    }

    fn operation(&mut self, column: FlowColumn) -> Operation {
        match column {
            FlowColumn::Ts => Operation::Ts,
            FlowColumn::StartTime => Operation::StartTime,
            FlowColumn::EndTime => Operation::EndTime,
            FlowColumn::Source => Operation::Source,
            FlowColumn::Exporter | FlowColumn::Sender => Operation::Exporter,
            FlowColumn::ObservationDomain => Operation::ObservationDomain,
            FlowColumn::SamplingRate => Operation::SamplingRate,
            FlowColumn::ScaledPackets => self.scaled(FlowColumn::Packets),
            FlowColumn::ScaledOctets => self.scaled(FlowColumn::Octets),
            FlowColumn::IpVersion if Families::of(self.template).is_some() => Operation::Family,
            column => self.of_fields(column).unwrap_or_else(|| implied(self.template, column)),
        }
    }

    fn scaled(&mut self, counter: FlowColumn) -> Operation {
        match self.of_fields(counter) {
            Some(Operation::Number(_, slot)) => Operation::Scaled(slot),
            Some(Operation::First(_, place)) => Operation::ScaledFirst(place),
            _ => Operation::Absent,
        }
    }

    /// The operation for a column that a field fills, or several do.
    fn of_fields(&mut self, column: FlowColumn) -> Option<Operation> {
        let fields: Vec<_> = fields(self.template, column, self.direction).collect();
        let &(slot, form) = fields.first()?;
        let kind = FLOWS.columns[column as usize].kind;
        let numbers: Vec<_> = fields.iter().filter_map(|&(slot, form)| Part::of(slot, form)).collect();
        Some(match form {
            Form::Number | Form::Bits(..) if numbers.len() > 1 => {
                self.several.push(numbers);
                Operation::First(kind, self.several.len() - 1)
            }
            Form::Bits(shift, bits) => Operation::Bits { kind, slot, shift, bits },
            Form::Application => Operation::Application(slot),
            Form::V4 => {
                let v6 = fields.iter().find(|(_, form)| *form == Form::V6);
                let is_end = matches!(column, FlowColumn::SrcIp | FlowColumn::DstIp);
                v6.map_or(Operation::V4(slot), |&(v6, _)| {
                    if is_end { Operation::OfFamily(slot, v6) } else { Operation::Either(slot, v6) }
                })
            }
            Form::V6 => Operation::V6(slot),
            Form::Mac => Operation::Mac(slot),
            Form::Dscp => Operation::Dscp(slot),
            _ => Operation::Number(kind, slot),
        })
    }
}

impl Part {
    /// The number that a field of this form holds, if it does.
    const fn of(slot: Slot, form: Form) -> Option<Self> {
        match form {
            Form::Number => Some(Self { slot, shift: 0, bits: 64 }),
            Form::Bits(shift, bits) => Some(Self { slot, shift, bits }),
            _ => None,
        }
    }

    /// The number in a record's field.
    pub(super) fn of_record(self, records: &Records<'_>, row: usize) -> u64 {
        number(records.field_of(row, self.slot)) >> self.shift & u64::MAX >> (64 - self.bits)
    }
}

/// What a template says of a column without having a field for it.
fn implied(template: &Template, column: FlowColumn) -> Operation {
    let has = |id| find(template, Element::iana(id)).is_some();
    match column {
        FlowColumn::IpVersion => match ADDRESSES.map(|ids| ids.into_iter().any(has)) {
            [true, false] => Operation::Octet(4),
            [false, true] => Operation::Octet(6),
            _ => Operation::Absent,
        },
        FlowColumn::Protocol => match (
            [ie::ICMP_TYPE_CODE_IPV4, ie::ICMP_TYPE_IPV4].map(has),
            [ie::ICMP_TYPE_CODE_IPV6, ie::ICMP_TYPE_IPV6].map(has),
        ) {
            ([true, _] | [_, true], [false, false]) => Operation::Octet(protocol::ICMP),
            ([false, false], [true, _] | [_, true]) => Operation::Octet(protocol::ICMPV6),
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
    match (of_length(ie::PROTOCOL_IDENTIFIER, 1), of_length(ie::DESTINATION_TRANSPORT_PORT, 2)) {
        (Some(protocol), Some(port)) => {
            let is_always_told = template.id < TEMPLATE_ID_MIN;
            Operation::IcmpOfPort(IcmpOfPort { protocol, port, shift, is_always_told })
        }
        _ => Operation::Absent,
    }
}

/// Whether octets or packets are told, but only all of a flow's so far.
fn tells_totals_only(template: &Template) -> bool {
    TOTALS.into_iter().any(|(column, total)| {
        find(template, Element::iana(total)).is_some()
            && fields(template, column, Direction::Forward).next().is_none()
    })
}

/// Whether octets are told, but with the headers of the link layer.
fn tells_frames_only(template: &Template) -> bool {
    let mut octets = fields(template, FlowColumn::Octets, Direction::Forward);
    octets.next().is_some_and(|(slot, _)| template.fields[slot.field].element == OF_FRAMES)
}

/// The fields that may fill a column, in order of preference: those among its choices that the template holds in a
/// length that fits.
fn fields(
    template: &Template,
    column: FlowColumn,
    direction: Direction,
) -> impl Iterator<Item = (Slot, Form)> + use<'_> {
    const NONE: &[Choice] = &[];
    let fits = |choice: &Choice| {
        Some((find(template, choice.0)?, choice.1)).filter(|&(slot, form)| fits(template, slot, form))
    };
    let has_any = |choices: &[Choice]| choices.iter().any(|choice| fits(choice).is_some());
    let choices = match direction {
        Direction::Forward => initiators(template, column).unwrap_or(choices(column)),
        Direction::Reverse if has_any(reverse_choices(column)) => reverse_choices(column),
        Direction::Reverse => mirror(column).map_or(NONE, |mirrored| choices(mirrored)),
    };
    choices.iter().filter_map(fits)
}

/// The only choice where counts of initiator and responder are apart: what else is counted may be both together.
fn initiators(template: &Template, column: FlowColumn) -> Option<&'static [Choice]> {
    let has = |element| find(template, element).is_some();
    let (_, pair) = PAIRS.into_iter().find(|(counter, _)| *counter == column)?;
    let is_reverse_told = has(Element::reverse(choices(column).first()?.0.id));
    if is_reverse_told || !pair.into_iter().all(|id| has(Element::iana(id))) {
        return None;
    }
    choices(column)
        .iter()
        .position(|(element, _)| element.id == pair[0])
        .map(|place| &choices(column)[place..=place])
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
