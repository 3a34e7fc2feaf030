//! States as somebody may make them, for tests.

use crate::payload::Payload;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array, new_null_array};
use std::ops::Range;
use std::sync::Arc;
use tapline_operators::{GroupBatch, HalfStates, Parts};

/// A group of packets: a port, how many rows it is of, and what they add up to.
pub(crate) type Group = (u16, i64, i64);

/// States of these groups, in columns as the half has them.
pub(crate) fn payload(half: &HalfStates, groups: &[Group]) -> Payload {
    let column = |name: &str| -> ArrayRef {
        if name.contains("[count]") {
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|(_, count, _)| *count)))
        } else if name.contains("[sum]") {
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|(.., sum)| *sum)))
        } else {
            Arc::new(UInt16Array::from_iter_values(groups.iter().map(|(port, ..)| *port)))
        }
    };
    let columns = half.columns().fields().iter().map(|field| column(field.name())).collect();
    let batch = RecordBatch::try_new(Arc::clone(half.columns()), columns).unwrap();
    let rows = groups.iter().map(|(_, count, _)| count.unsigned_abs()).sum();
    let groups = GroupBatch { groups: batch, folded: None, rows, folded_rows: 0 };
    Payload { parts: Parts::from(groups), ..Payload::default() }
}

/// Rows of a query for ports alone.
pub(crate) fn rows(ports: Range<u16>) -> Payload {
    let ports: ArrayRef = Arc::new(UInt16Array::from_iter_values(ports));
    of_rows(RecordBatch::try_from_iter([("src_port", ports)]).unwrap())
}

/// So many rows of a query, of which nothing is known.
pub(crate) fn nulls(half: &HalfStates, rows: usize) -> Payload {
    let columns = half.columns().fields().iter().map(|field| new_null_array(field.data_type(), rows));
    of_rows(RecordBatch::try_new(Arc::clone(half.columns()), columns.collect()).unwrap())
}

fn of_rows(groups: RecordBatch) -> Payload {
    let rows = groups.num_rows() as u64;
    let groups = GroupBatch { groups, folded: None, rows, folded_rows: 0 };
    Payload { parts: Parts::from(groups), ..Payload::default() }
}
