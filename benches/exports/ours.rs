//! The decoder of tapline.

use crate::BATCH_ROWS;
use crate::sums::{Sums, low};
use crate::workload::Workload;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
};
use tapline_decode::{ExportDecoder, ExportOptions};

/// Decodes all datagrams; gives the number of rows.
pub(crate) fn rows(workload: &Workload) -> usize {
    let mut rows = 0;
    decode(workload, |batch| rows += batch.num_rows());
    rows
}

/// Decodes all datagrams and adds up every column.
pub(crate) fn sums(workload: &Workload) -> Sums {
    let mut sums = Sums::default();
    decode(workload, |batch| {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            assert_eq!(column.null_count(), 0, "{} is never absent", field.name());
            add(&mut sums, field.name(), column);
        }
    });
    sums
}

fn decode(workload: &Workload, mut visit: impl FnMut(&RecordBatch)) {
    let mut decoder = ExportDecoder::new(&workload.columns(), BATCH_ROWS, ExportOptions::default());
    for datagram in workload.datagrams() {
        decoder.push(&datagram);
        if decoder.is_full() {
            hand_over(&mut decoder, &mut visit);
        }
    }
    hand_over(&mut decoder, &mut visit);
}

fn hand_over(decoder: &mut ExportDecoder, visit: &mut impl FnMut(&RecordBatch)) {
    if let Some(batch) = decoder.finish() {
        visit(&batch);
        decoder.recycle(batch);
    }
}

fn add(sums: &mut Sums, name: &str, column: &dyn Array) {
    macro_rules! add_as {
        ($kind:ty) => {
            sums.add(name, column.as_primitive::<$kind>().values().iter().map(|&value| value as u64))
        };
    }
    match column.data_type() {
        DataType::Timestamp(..) => add_as!(TimestampNanosecondType),
        DataType::Int64 => add_as!(Int64Type),
        DataType::UInt8 => add_as!(UInt8Type),
        DataType::UInt16 => add_as!(UInt16Type),
        DataType::UInt32 => add_as!(UInt32Type),
        DataType::FixedSizeBinary(_) => {
            sums.add(name, column.as_fixed_size_binary().iter().flatten().map(low));
        }
        other => unreachable!("no column is of {other}"),
    }
}
