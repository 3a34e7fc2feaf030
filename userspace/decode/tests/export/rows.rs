//! Messages in, rows as text out.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};
use tapline_record::address::{format_mac, to_ip};
use tapline_record::{ColumnType, EventTime, FLOWS};

/// Column names with the text of their values; NULL is left out.
pub(crate) type Row = BTreeMap<&'static str, String>;

/// When the messages of tests arrive.
pub(crate) const RECEIVED: EventTime = EventTime(1_700_000_000_000_000_000);

/// A decoder of every column.
pub(crate) fn decoder() -> ExportDecoder {
    decoder_with(ExportOptions::default())
}

pub(crate) fn decoder_with(limits: ExportOptions) -> ExportDecoder {
    let every_column: Vec<usize> = (0..FLOWS.columns.len()).collect();
    ExportDecoder::new(&every_column, 8192, limits)
}

/// A message of the exporter 192.0.2.1:2055.
pub(crate) fn datagram(payload: &[u8]) -> Datagram<'_> {
    let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 2055);
    Datagram { received: RECEIVED, sender, payload }
}

/// The rows that a message adds.
pub(crate) fn push(decoder: &mut ExportDecoder, payload: &[u8]) -> Vec<Row> {
    decoder.push(&datagram(payload));
    decoder.finish().map_or_else(Vec::new, |batch| rows_of(&batch))
}

/// The rows of a batch.
pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (column, array) in FLOWS.columns.iter().zip(batch.columns()) {
        for (row, fields) in rows.iter_mut().enumerate().filter(|(row, _)| array.is_valid(*row)) {
            fields.insert(column.name, text(column.kind, array, row));
        }
    }
    rows
}

pub(crate) fn text(kind: ColumnType, array: &ArrayRef, row: usize) -> String {
    match kind {
        ColumnType::Timestamp => array.as_primitive::<TimestampNanosecondType>().value(row).to_string(),
        ColumnType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        ColumnType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        ColumnType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        ColumnType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        ColumnType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        ColumnType::String | ColumnType::Text => array.as_string::<i32>().value(row).to_owned(),
        ColumnType::Counter | ColumnType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::Address => to_ip(array.as_fixed_size_binary().value(row).try_into().unwrap()).to_string(),
        ColumnType::Mac => format_mac(array.as_fixed_size_binary().value(row).try_into().unwrap()),
        other => unreachable!("flows has no {other:?}"),
    }
}

/// The columns of a row with these names, `-` where they are NULL.
pub(crate) fn columns<'a>(row: &'a Row, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().map(|name| row.get(name).map_or("-", String::as_str)).collect()
}
