//! Records that carry the beginning of a sampled packet instead of fields of its flow (PSAMP, RFC 5477).
//!
//! Takes the section of each record, gives the columns that no field of the template fills. One record is one
//! packet.

use super::information_element as ie;
use super::records::Records;
use super::sampled_packet::{fill_from_frame, set};
use super::slot::{Slot, find};
use super::template::{Element, Template};
use super::wire::number;
use crate::flow_meter::columns_of;
use crate::frame::LinkType;
use tapline_record::column::BURST_ROWS;
use tapline_record::{ColumnBuilder, FlowColumn, FlowRow, PacketRow};

/// Elements that hold a section, and how it begins.
const SECTIONS: [(u16, LinkType); 3] = [
    (ie::IP_HEADER_PACKET_SECTION, LinkType::RawIp),
    (ie::DATA_LINK_FRAME_SECTION, LinkType::Ethernet),
    (ie::LAYER2_PACKET_SECTION_DATA, LinkType::Ethernet),
];

/// Elements that tell how many octets the whole frame had.
const SIZES: [u16; 2] = [ie::DATA_LINK_FRAME_SIZE, ie::LAYER2_PACKET_SECTION_SIZE];

/// Where records have their section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    slot: Slot,
    link: LinkType,
    /// Octets of the frame.
    size: Option<Slot>,
}

/// The rows of sections.
#[derive(Debug, Default)]
pub(super) struct SectionRows {
    rows: Vec<FlowRow>,
    /// Room for a packet.
    packet: PacketRow,
}

impl Section {
    /// The section of records of this template, if they have any.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let slot_of = |id| find(template, Element::iana(id));
        let (slot, link) = SECTIONS.iter().find_map(|&(id, link)| Some((slot_of(id)?, link)))?;
        Some(Self { slot, link, size: SIZES.into_iter().find_map(slot_of) })
    }

    /// Whether a packet may tell of this column.
    pub(super) fn tells(column: FlowColumn) -> bool {
        const COUNTED: [FlowColumn; 4] =
            [FlowColumn::Packets, FlowColumn::Octets, FlowColumn::ScaledPackets, FlowColumn::ScaledOctets];
        COUNTED.contains(&column) || columns_of(u64::MAX) & column.bit() != 0
    }
}

impl SectionRows {
    /// Reads the sections of all records; `rates` are those of sampling, none when they are not needed.
    pub(super) fn read(&mut self, section: Section, records: &Records<'_>, rates: &[u64]) {
        self.rows.clear();
        for position in 0..records.len() {
            let bytes = records.field_of(position, section.slot);
            let size = section.size.map(|size| number(records.field_of(position, size)));
            let size = size.and_then(|size| u32::try_from(size).ok()).filter(|&size| size > 0);
            let mut row = FlowRow::default();
            let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            fill_from_frame(&mut row, &mut self.packet, section.link, size.unwrap_or(captured), bytes);
            if let Some(size) = size.filter(|_| !row.has(FlowColumn::Octets)) {
                set!(&mut row, octets: Octets = size.into());
            }
            let rate = rates.get(position).map_or(1, |&rate| rate.max(1));
            set!(&mut row, packets: Packets = 1, scaled_packets: ScaledPackets = rate);
            if row.has(FlowColumn::Octets) {
                let scaled = row.octets.saturating_mul(rate);
                set!(&mut row, scaled_octets: ScaledOctets = scaled);
            }
            self.rows.push(row);
        }
    }

    /// Appends a column of the rows that were read.
    pub(super) fn append(&self, position: FlowColumn, column: &mut ColumnBuilder) {
        self.rows.chunks(BURST_ROWS).for_each(|rows| FlowRow::append(rows, position as usize, column));
    }
}
