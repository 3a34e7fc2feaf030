//! Templates: which fields a record has, in which order.
//!
//! Takes the information elements of a protocol, writes templates and records by them. Elements have the same
//! numbers in NetFlow v9 and in IPFIX. Records are written with ages where their times will stand.

use super::flow::Flow;
use super::octets::Put;

/// An information element and its octets.
pub(super) type Field = (u16, u16);

/// The number of the template that describes flows.
pub(super) const FLOW_TEMPLATE: u16 = 256;
/// The number of the options template that describes sampling.
pub(super) const SAMPLING_TEMPLATE: u16 = 257;

/// Start and end of a flow, in both protocols.
const START_ELEMENTS: [u16; 2] = [22, 152];
const END_ELEMENTS: [u16; 2] = [21, 153];

/// What records have in both protocols: addresses, interfaces, ports, protocol, flags, service, autonomous systems,
/// prefixes and direction.
const COMMON: [Field; 15] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (6, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
];

/// An order of fields.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    fields: Vec<Field>,
    record_octets: usize,
    start_offset: usize,
    end_offset: usize,
}

impl Layout {
    /// The fields in this order, or from the last to the first; start and end must be among them.
    pub(super) fn new(fields: &[Field], is_reversed: bool) -> Self {
        let mut fields = fields.to_vec();
        if is_reversed {
            fields.reverse();
        }
        let (start_offset, end_offset) = (offset(&fields, START_ELEMENTS), offset(&fields, END_ELEMENTS));
        Self { record_octets: octets(&fields), start_offset, end_offset, fields }
    }

    /// Octets of a record.
    pub(super) fn record_octets(&self) -> usize {
        self.record_octets
    }

    /// Where in a record its two times are.
    pub(super) fn time_offsets(&self) -> [usize; 2] {
        [self.start_offset, self.end_offset]
    }

    /// Appends the set that holds the template.
    pub(super) fn write_template(&self, set: u16, out: &mut Vec<u8>) {
        out.put_u16(set);
        out.put_u16((8 + 4 * self.fields.len()) as u16);
        out.put_u16(FLOW_TEMPLATE);
        out.put_u16(self.fields.len() as u16);
        write_fields(&self.fields, out);
    }

    /// Appends a record.
    pub(super) fn write_record(&self, flow: &Flow, out: &mut Vec<u8>) {
        for &(element, octets) in &self.fields {
            out.put_lowest(value(element, flow), octets.into());
        }
    }
}

/// The fields of a protocol, in order.
pub(super) fn fields(counters_and_times: [Field; 4], last: Field) -> Vec<Field> {
    [&counters_and_times[..], &COMMON, &[last]].concat()
}

/// Appends the descriptions of fields.
pub(super) fn write_fields(fields: &[Field], out: &mut Vec<u8>) {
    for &(element, octets) in fields {
        out.put_u16(element);
        out.put_u16(octets);
    }
}

/// Octets of a record of these fields.
pub(super) fn octets(fields: &[Field]) -> usize {
    fields.iter().map(|&(_, octets)| usize::from(octets)).sum()
}

/// Octets before the first of the elements.
fn offset(fields: &[Field], elements: [u16; 2]) -> usize {
    let before: Vec<_> =
        fields.iter().take_while(|(element, _)| !elements.contains(element)).copied().collect();
    octets(&before)
}

/// What a flow has for an element; 0 for what it does not have.
fn value(element: u16, flow: &Flow) -> u64 {
    const IDLE_TIMEOUT: u64 = 1;
    const SAMPLER: u64 = 1;
    match element {
        1 => flow.octets.into(),
        2 => flow.packets.into(),
        4 => flow.protocol.into(),
        5 => flow.tos.into(),
        6 => flow.tcp_flags.into(),
        7 => flow.src_port.into(),
        8 => flow.src_ip.to_bits().into(),
        9 => flow.src_mask.into(),
        10 => flow.input.into(),
        11 => flow.dst_port.into(),
        12 => flow.dst_ip.to_bits().into(),
        13 => flow.dst_mask.into(),
        14 => flow.output.into(),
        15 => flow.next_hop.to_bits().into(),
        16 => flow.src_as.into(),
        17 => flow.dst_as.into(),
        21 | 153 => flow.end_age_ms.into(),
        22 | 152 => flow.start_age_ms.into(),
        48 => SAMPLER,
        136 => IDLE_TIMEOUT,
        _ => 0,
    }
}
