//! Results of a query, made from a seed.
//!
//! Some are made before anything is measured; later ones have the same rows in other windows, so that making them costs
//! nothing.

use std::sync::Arc;

use anyhow::{Result, bail};
use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt8Array, UInt16Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Schema};
use tapline_operators::{QueryId, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_record::EventTime;
use tapline_record::address::mapped_v4;
use tapline_sinks::{Origin, Parcel, ResultId};

/// The query whose results they are.
pub(super) const QUERY: &str = "conversations";
const SQL: &str = "SELECT src_ip, dst_ip, src_port, dst_port, protocol, count(*) AS packets, sum(octets) AS octets \
    FROM packets GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tumble('1 second')";
/// Results with rows of their own.
const DIFFERENT: u64 = 16;
/// The start of the first window, and the length of one, in nanoseconds.
const BEGIN_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const UDP: u8 = 17;

/// So many results of so many rows each.
#[derive(Clone)]
pub(super) struct Results {
    origin: Arc<Origin>,
    batches: Vec<RecordBatch>,
    count: u64,
    pub(super) rows_each: u64,
}

impl Results {
    /// Results of `rows_each` rows that have `rows` together, or a few more.
    pub(super) fn new(rows: u64, rows_each: u64, seed: u64) -> Result<Self> {
        let query = Planner::new().plan(SQL).expect("the benchmark's SQL");
        let origin = Arc::new(Origin::of(QUERY, &query));
        let schema = Arc::new(Schema::new(origin.columns.rows().to_vec()));
        let batch = |number| batch(&schema, mixed(seed ^ number), rows_each);
        let batches = (0..DIFFERENT).map(batch).collect::<Result<_>>()?;
        Ok(Self { origin, batches, count: rows.div_ceil(rows_each), rows_each })
    }

    /// Those of them that have so many rows at the most, and one.
    #[cfg(any(test, feature = "kafka"))]
    pub(super) fn at_most(&self, rows: u64) -> Self {
        Self { count: self.count.min(rows / self.rows_each).max(1), ..self.clone() }
    }

    /// Rows of all.
    pub(super) const fn rows(&self) -> u64 {
        self.count * self.rows_each
    }

    /// All of them, in their order.
    pub(super) fn parcels(&self) -> impl Iterator<Item = Parcel> {
        (1..).zip(self.batches.iter().cycle()).take(self.count as usize).map(move |(number, batch)| {
            let start = EventTime(BEGIN_NS + number * SECOND_NS);
            let result = WindowResult {
                query: QueryId(0),
                window: Some(Span { start, end: EventTime(start.0 + SECOND_NS) }),
                status: Status::Final,
                revision: 0,
                completeness: Some(1.0),
                rows: vec![batch.clone()],
            };
            let (origin, id) = (Arc::clone(&self.origin), ResultId { sender: 1, number });
            Parcel { id, origin, result: Arc::new(result), given: start }
        })
    }
}

fn batch(schema: &Arc<Schema>, seed: u64, rows: u64) -> Result<RecordBatch> {
    let fields = (0..).zip(schema.fields());
    let columns = fields.map(|(place, field)| column(field.data_type(), mixed(seed ^ place), rows));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?)?)
}

/// Values of a type, as they are in traffic.
fn column(data_type: &DataType, seed: u64, rows: u64) -> Result<ArrayRef> {
    let values = (0..rows).map(|row| mixed(seed ^ row));
    Ok(match data_type {
        DataType::FixedSizeBinary(16) => {
            let addresses = values.map(|value| {
                let [.., b, c, d] = value.to_be_bytes();
                mapped_v4([10, b, c, d])
            });
            Arc::new(FixedSizeBinaryArray::try_from_iter(addresses)?)
        }
        DataType::UInt8 => Arc::new(UInt8Array::from_iter_values(values.map(|_| UDP))),
        DataType::UInt16 => Arc::new(UInt16Array::from_iter_values(values.map(|value| value as u16))),
        DataType::Int64 => {
            Arc::new(Int64Array::from_iter_values(values.map(|value| (value % 1_500_000) as i64)))
        }
        DataType::UInt64 => Arc::new(UInt64Array::from_iter_values(values.map(|value| value % 1_500_000))),
        other => bail!("no values of {other} are made"),
    })
}

/// A number that looks drawn, and is always the same (SplitMix64).
const fn mixed(seed: u64) -> u64 {
    let first = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let second = (first ^ (first >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let third = (second ^ (second >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    third ^ (third >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_results() {
        let [first, again, other] = [7, 7, 8].map(|seed| Results::new(100, 30, seed).unwrap());
        assert_eq!((first.rows(), first.parcels().count(), first.at_most(59).rows()), (120, 4, 30));
        let rows = |results: &Results| {
            results.parcels().map(|parcel| parcel.result.rows.clone()).collect::<Vec<_>>()
        };
        assert!(rows(&first) == rows(&again) && rows(&first) != rows(&other));
        let batches: Vec<_> =
            first.parcels().map(|parcel| parcel.origin.columns.batches(&parcel.result).unwrap()).collect();
        assert!(batches.iter().all(|batches| batches[0].num_rows() == 30));
        assert_ne!(batches[0][0].column(0), batches[1][0].column(0), "each has its window");
    }
}
