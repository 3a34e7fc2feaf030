//! Fields of records into columns and vectors, four at a time where all are of one length.

use super::records::{Arrays, Records};
use super::slot::Slot;
use tapline_record::ColumnBuilder;
use tapline_record::column::{BURST_ROWS, ColumnValue};

/// Appends what `value` makes of a field that every record has.
#[inline]
pub(super) fn append_arrays<T: ColumnValue, const N: usize>(
    column: &mut ColumnBuilder,
    fields: Arrays<'_, N>,
    value: impl Fn([u8; N]) -> T + Copy,
) {
    column.append_fours(fields.fours().map(move |fields| fields.map(value)));
    column.append_present(fields.rest().map(value));
}

/// As [`append_arrays`], into a vector.
#[inline]
pub(super) fn extend_arrays<T, const N: usize>(
    out: &mut Vec<T>,
    fields: Arrays<'_, N>,
    value: impl Fn([u8; N]) -> T + Copy,
) {
    out.extend(fields.fours().flat_map(move |fields| fields.map(value)));
    out.extend(fields.rest().map(value));
}

/// Appends what `value` makes of each record's field.
pub(super) fn append_field<T: ColumnValue>(
    column: &mut ColumnBuilder,
    records: &Records<'_>,
    slot: Slot,
    value: impl Fn(&[u8]) -> Option<T>,
) {
    append_rows(column, records.len(), |row| value(records.field_of(row, slot)));
}

/// Appends what `value` makes of each row.
pub(super) fn append_rows<T: ColumnValue>(
    column: &mut ColumnBuilder,
    rows: usize,
    value: impl Fn(usize) -> Option<T>,
) {
    for first in (0..rows).step_by(BURST_ROWS) {
        let burst = first..rows.min(first + BURST_ROWS);
        column.append(burst.map(|row| {
            let value = value(row);
            (value.unwrap_or_default(), u64::from(value.is_some()))
        }));
    }
}
