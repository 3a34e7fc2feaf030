//! Frames to rows of text, through the batcher and all its columns, so that tests compare words.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tapline_decode::{Damage, Frame, LinkType, PacketBatcher};
use tapline_record::address::{format_mac, to_ip};
use tapline_record::{ColumnType, EventTime, PACKETS};

/// Columns that a row carries, by name.
pub(crate) type Row = BTreeMap<&'static str, String>;

/// A frame that was captured whole.
pub(crate) fn whole(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    let original_octets = u32::try_from(bytes.len()).unwrap();
    Frame { ts: EventTime(0), link, direction: None, interface: None, original_octets, bytes }
}

/// A frame of which the snap length left `octets` octets.
pub(crate) fn cut(link: LinkType, bytes: &[u8], octets: usize) -> Frame<'_> {
    Frame { bytes: &bytes[..octets], ..whole(link, bytes) }
}

/// All columns of one frame, and its damage.
pub(crate) fn decode(frame: &Frame<'_>) -> (Row, Option<Damage>) {
    let every_column: Vec<usize> = (0..PACKETS.columns.len()).collect();
    let mut batcher = PacketBatcher::new(&every_column, 64);
    batcher.push(frame);
    let damage = batcher.damage().iter().next().map(|(damage, _)| damage);
    (row(&batcher.finish().unwrap()), damage)
}

/// `name=value …` of the columns from `from` to `to`, in the order of the stream.
pub(crate) fn words(row: &Row, from: &str, to: &str) -> String {
    let position = |name| PACKETS.position(name).unwrap();
    let mut text = String::new();
    for column in &PACKETS.columns[position(from)..=position(to)] {
        if let Some(value) = row.get(column.name) {
            let _ = write!(text, "{}={value} ", column.name);
        }
    }
    text.trim_end().to_owned()
}

fn row(batch: &RecordBatch) -> Row {
    let columns = PACKETS.columns.iter().zip(batch.columns());
    // No frame says of which source it is.
    let present = columns.filter(|(column, array)| array.is_valid(0) && column.name != "source");
    present.map(|(column, array)| (column.name, text(column.kind, array))).collect()
}

fn text(kind: ColumnType, array: &dyn Array) -> String {
    match kind {
        ColumnType::Timestamp => "0".to_owned(),
        ColumnType::UInt8 => array.as_primitive::<UInt8Type>().value(0).to_string(),
        ColumnType::UInt16 => array.as_primitive::<UInt16Type>().value(0).to_string(),
        ColumnType::UInt32 => array.as_primitive::<UInt32Type>().value(0).to_string(),
        ColumnType::UInt64 => array.as_primitive::<UInt64Type>().value(0).to_string(),
        ColumnType::Counter | ColumnType::Change => array.as_primitive::<Int64Type>().value(0).to_string(),
        ColumnType::Address => to_ip(array.as_fixed_size_binary().value(0).try_into().unwrap()).to_string(),
        ColumnType::Mac => format_mac(array.as_fixed_size_binary().value(0).try_into().unwrap()),
        ColumnType::Text => array.as_string::<i32>().value(0).to_owned(),
        ColumnType::Bytes => array.as_binary::<i32>().value(0).escape_ascii().to_string(),
        other => unreachable!("packets has no {other:?}"),
    }
}
