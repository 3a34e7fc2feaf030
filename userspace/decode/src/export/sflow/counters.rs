//! The counters of an interface: a record of a counter sample in, a row of `interface_counters` out.

use super::numbers::IF_COUNTERS;
use super::xdr::{Block, Xdr};
use tapline_record::column::BURST_ROWS;
use tapline_record::{BatchBuilder, INTERFACE_COUNTERS, InterfaceColumn, InterfaceRow};

/// What an agent says of a counter that it does not have: all bits set, in either width.
const UNKNOWN: u64 = u64::MAX;

/// Rows of `interface_counters` on their way into a batch.
#[derive(Debug)]
pub(in crate::export) struct InterfaceRows {
    pub(in crate::export) batch: BatchBuilder,
    rows: Vec<InterfaceRow>,
}

impl InterfaceRows {
    /// Rows of the columns at these positions.
    pub(in crate::export) fn new(columns: &[usize]) -> Self {
        Self { batch: BatchBuilder::new(&INTERFACE_COUNTERS, columns, BURST_ROWS), rows: vec![] }
    }

    /// Builds the columns at these positions instead, from an empty batch on.
    pub(in crate::export) fn relayout(&mut self, columns: &[usize]) {
        self.batch.relayout(columns);
    }

    pub(super) fn push(&mut self, row: InterfaceRow) {
        self.rows.push(row);
        if self.rows.len() == BURST_ROWS {
            self.flush();
        }
    }

    /// Moves what was pushed into the batch.
    pub(in crate::export) fn flush(&mut self) {
        let rows = &self.rows;
        self.batch.append(rows.len(), |position, column| InterfaceRow::append(rows, position, column));
        self.rows.clear();
    }
}

/// The row of a record, on top of what `row` holds; `None` when the record is another one or is cut short.
pub(super) fn read(record: Block<'_>, row: &InterfaceRow) -> Option<InterfaceRow> {
    if record.format != IF_COUNTERS || !record.is_whole {
        return None;
    }
    let mut xdr = record.body;
    let [interface, interface_type] = xdr.numbers()?;
    let speed = u64_of(&mut xdr)?;
    let [duplex, status] = xdr.numbers()?;
    let in_octets = u64_of(&mut xdr)?;
    let [in_unicast, in_multicast, in_broadcast, in_discards, in_errors, in_unknown_protocols] =
        packets(&mut xdr)?;
    let out_octets = u64_of(&mut xdr)?;
    let [out_unicast, out_multicast, out_broadcast, out_discards, out_errors] = packets(&mut xdr)?;
    let mut row = InterfaceRow {
        interface,
        interface_type,
        speed,
        duplex: duplex as u8,
        admin_up: (status & 1) as u8,
        oper_up: (status >> 1 & 1) as u8,
        in_octets,
        in_unicast,
        in_multicast,
        in_broadcast,
        in_discards,
        in_errors,
        in_unknown_protocols,
        out_octets,
        out_unicast,
        out_multicast,
        out_broadcast,
        out_discards,
        out_errors,
        ..*row
    };
    row.present = (1 << INTERFACE_COUNTERS.columns.len()) - 1;
    if !(1..=4).contains(&duplex) {
        row.present &= !InterfaceColumn::Duplex.bit();
    }
    let unknown = counters_of(&row).into_iter().filter(|&(_, count)| count == UNKNOWN);
    row.present = unknown.fold(row.present, |present, (column, _)| present & !column.bit());
    Some(row)
}

/// The columns whose counts an agent may not know.
const fn counters_of(row: &InterfaceRow) -> [(InterfaceColumn, u64); 14] {
    use InterfaceColumn as C;
    [
        (C::Speed, row.speed),
        (C::InOctets, row.in_octets),
        (C::InUnicast, row.in_unicast),
        (C::InMulticast, row.in_multicast),
        (C::InBroadcast, row.in_broadcast),
        (C::InDiscards, row.in_discards),
        (C::InErrors, row.in_errors),
        (C::InUnknownProtocols, row.in_unknown_protocols),
        (C::OutOctets, row.out_octets),
        (C::OutUnicast, row.out_unicast),
        (C::OutMulticast, row.out_multicast),
        (C::OutBroadcast, row.out_broadcast),
        (C::OutDiscards, row.out_discards),
        (C::OutErrors, row.out_errors),
    ]
}

fn u64_of(xdr: &mut Xdr<'_>) -> Option<u64> {
    xdr.array().map(u64::from_be_bytes)
}

fn packets<const N: usize>(xdr: &mut Xdr<'_>) -> Option<[u64; N]> {
    let count = |number: u32| if number == u32::MAX { UNKNOWN } else { number.into() };
    xdr.numbers().map(|numbers| numbers.map(count))
}
