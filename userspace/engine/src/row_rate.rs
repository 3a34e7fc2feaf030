//! How many rows a query without an aggregate may give in a second.

use arrow_array::RecordBatch;
use tapline_record::EventTime;

const SECOND_NS: i64 = 1_000_000_000;

/// What was given in the second that runs, by the clock.
#[derive(Debug)]
pub(crate) struct RowRate {
    rows_max: u64,
    second: i64,
    rows: u64,
}

impl RowRate {
    /// At most so many rows a second.
    pub(crate) const fn new(rows_max: u64) -> Self {
        Self { rows_max, second: i64::MIN, rows: 0 }
    }

    /// Leaves the rows that may be given at this moment; says how many it took away.
    pub(crate) fn cut(&mut self, batches: &mut Vec<RecordBatch>, now: EventTime) -> u64 {
        let second = now.0.div_euclid(SECOND_NS);
        if second != self.second {
            (self.second, self.rows) = (second, 0);
        }
        let mut cut = 0;
        for batch in &mut *batches {
            let rows = batch.num_rows();
            let kept = usize::try_from(self.rows_max - self.rows).unwrap_or(usize::MAX).min(rows);
            self.rows += kept as u64;
            cut += (rows - kept) as u64;
            *batch = batch.slice(0, kept);
        }
        batches.retain(|batch| batch.num_rows() > 0);
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, UInt8Array};
    use std::sync::Arc;

    fn rows(count: usize) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(UInt8Array::from(vec![0; count]));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    #[test]
    fn each_second_has_its_rows() {
        let mut rate = RowRate::new(10);
        let mut cut = |batches: &[usize], millis: i64| {
            let mut batches: Vec<_> = batches.iter().map(|&count| rows(count)).collect();
            let cut = rate.cut(&mut batches, EventTime(millis * 1_000_000));
            (batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), cut)
        };
        assert_eq!(cut(&[4, 4], 5_000), (vec![4, 4], 0));
        assert_eq!(cut(&[4, 4], 5_900), (vec![2], 6));
        assert_eq!(cut(&[1], 5_999), (vec![], 1));
        assert_eq!(cut(&[11], 6_000), (vec![10], 1));
    }
}
