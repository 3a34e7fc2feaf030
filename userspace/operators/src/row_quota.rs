//! How many rows of a pane a query may send that is forwarded without an aggregate.
//!
//! Takes rows of panes as they come, gives those that may be sent, in memory of their own: what is held until a cut is no
//! more than is counted. A pane that is full stays so, however many cuts have some of it.

use crate::result::{compact, with_columns};
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::error::ArrowError;
use datafusion::common::Result;
use std::collections::BTreeMap;
use tapline_record::EventTime;

/// Panes of which it is remembered how much was sent; beyond, the latest ones are forgotten.
const PANES_MAX: usize = 1 << 16;

/// What one query may send of one pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLimits {
    /// Rows.
    pub rows_max: u64,
    /// Octets that they take in memory, about.
    pub octets_max: usize,
}

impl Default for RowLimits {
    fn default() -> Self {
        Self { rows_max: 10_000, octets_max: 8 << 20 }
    }
}

/// What one query may still send.
#[derive(Debug)]
pub struct RowQuota {
    limits: RowLimits,
    /// What was sent of each pane, by its start and the lower half.
    sent: BTreeMap<(EventTime, usize), Sent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    rows: u64,
    octets: usize,
}

impl RowQuota {
    /// That of a query of which nothing was sent.
    #[must_use]
    pub const fn new(limits: RowLimits) -> Self {
        Self { limits, sent: BTreeMap::new() }
    }

    /// Of rows of a pane of a lower half the first ones, as many as may be sent besides those before.
    ///
    /// # Errors
    /// Only when Arrow refuses to copy them.
    pub(crate) fn take(&mut self, pane: (EventTime, usize), rows: &RecordBatch) -> Result<RecordBatch> {
        let sent = self.sent.entry(pane).or_default();
        let left = usize::try_from(self.limits.rows_max.saturating_sub(sent.rows)).unwrap_or(usize::MAX);
        let room = self.limits.octets_max.saturating_sub(sent.octets);
        // What is full stays so, and copies nothing.
        let mut kept = copied(rows, if room == 0 { 0 } else { left })?;
        let octets = kept.get_array_memory_size();
        sent.octets = sent.octets.saturating_add(octets);
        if octets > room {
            // As many as there is room for if all are equally long; nothing fits behind them.
            let fit = kept.num_rows() as u128 * room as u128 / octets as u128;
            kept = copied(&kept, fit as usize)?;
        }
        sent.rows += kept.num_rows() as u64;
        while self.sent.len() > PANES_MAX {
            self.sent.pop_last();
        }
        Ok(kept)
    }

    /// Nothing comes any more of panes that begin before this.
    pub fn pass(&mut self, start: EventTime) {
        self.sent = self.sent.split_off(&(start, 0));
    }
}

/// The first so many rows, without anything of the batch that they came in.
fn copied(rows: &RecordBatch, count: usize) -> Result<RecordBatch, ArrowError> {
    let count = count.min(rows.num_rows());
    let first = UInt32Array::from_iter_values(0..u32::try_from(count).unwrap_or(u32::MAX));
    let columns = rows.columns().iter().map(|column| take(column, &first, None));
    let columns = compact(&columns.collect::<Result<Vec<_>, _>>()?);
    with_columns(&rows.schema(), columns, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, UInt64Array};
    use std::sync::Arc;

    fn rows(count: u64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..count));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    /// How many rows of so many may be sent, of the pane that begins there.
    fn kept(quota: &mut RowQuota, start: i64, count: u64) -> usize {
        quota.take((EventTime(start), 0), &rows(count)).unwrap().num_rows()
    }

    #[test]
    fn each_pane_has_its_rows_over_all_cuts() {
        let mut quota = RowQuota::new(RowLimits { rows_max: 10, ..RowLimits::default() });
        assert_eq!([4, 4, 4, 4].map(|count| kept(&mut quota, 0, count)), [4, 4, 2, 0]);
        assert_eq!(kept(&mut quota, 100, 11), 10);
        quota.pass(EventTime(100));
        assert_eq!((kept(&mut quota, 100, 1), kept(&mut quota, 200, 1)), (0, 1));
        assert_eq!(quota.sent.len(), 2, "what has passed is forgotten");
    }

    #[test]
    fn octets_are_counted_without_the_batch_that_rows_came_in() {
        let whole = rows(100_000);
        let mut quota = RowQuota::new(RowLimits { rows_max: u64::MAX, octets_max: 20_000 });
        let mut sum = 0;
        for first in (0..100_000).step_by(100) {
            let some = quota.take((EventTime(0), 0), &whole.slice(first, 100)).unwrap();
            assert!(some.get_array_memory_size() < 4_000);
            sum += some.num_rows();
        }
        assert!((1_000..=2_500).contains(&sum), "{sum} rows of eight octets");
        assert_eq!(kept(&mut quota, 0, 1), 0, "what is full stays so");
    }

    #[test]
    fn times_of_strangers_take_no_more_than_they_may() {
        let mut quota = RowQuota::new(RowLimits::default());
        (0..PANES_MAX as i64 + 100).for_each(|start| assert_eq!(kept(&mut quota, start, 1), 1));
        assert_eq!(quota.sent.len(), PANES_MAX);
    }
}
