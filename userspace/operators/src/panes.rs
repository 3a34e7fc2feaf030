//! Cuts batches at the borders of panes.
//!
//! Takes the times of a batch, gives the pieces of it that lie in one pane each: slices where its rows are more or
//! less in the order of time, else the rows of each pane put together, in their order.

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::common::Result;
use tapline_record::EventTime;

/// Runs of rows in one pane beyond which a batch is sorted by pane first.
const RUNS_MAX: usize = 32;
/// Panes from the first to the last one of a batch beyond which its rows are sorted by comparing.
const PANES_NEAR: u64 = 256;

/// Adjacent rows of one pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaneRun {
    pub(crate) pane: EventTime,
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

/// Puts the runs of rows of one pane into `runs`, which is cleared first; gives the batch anew where its rows had
/// to be sorted for them.
///
/// # Errors
/// Only when Arrow refuses to sort.
pub(crate) fn cut(
    batch: &RecordBatch,
    times: &[i64],
    width: i64,
    runs: &mut Vec<PaneRun>,
) -> Result<Option<RecordBatch>> {
    if find_runs(times, width, runs) {
        return Ok(None);
    }
    let rows = UInt32Array::from(sorted_rows(times, width, runs));
    take_record_batch(batch, &rows).map(Some).map_err(Into::into)
}

/// The runs of adjacent rows; says whether there are few.
fn find_runs(times: &[i64], width: i64, runs: &mut Vec<PaneRun>) -> bool {
    runs.clear();
    let mut first = 0;
    while let Some(&time) = times.get(first) {
        if runs.len() == RUNS_MAX {
            return false;
        }
        let pane = EventTime(time).align_down(width);
        let end = pane.plus(width);
        let inside = |&&time: &&i64| pane.0 <= time && time < end.0;
        let rows = times[first..].iter().take_while(inside).count().max(1);
        runs.push(PaneRun { pane, first, rows });
        first += rows;
    }
    true
}

/// The rows of one pane after those of another, and the runs that they make.
fn sorted_rows(times: &[i64], width: i64, runs: &mut Vec<PaneRun>) -> Vec<u32> {
    let (earliest, latest) =
        times.iter().fold((i64::MAX, i64::MIN), |(low, high), &time| (low.min(time), high.max(time)));
    let base = EventTime(earliest).align_down(width);
    let pane_of = |time: i64| time.abs_diff(base.0) / width.unsigned_abs();
    let panes = pane_of(latest) + 1;
    runs.clear();
    // At the beginning of time the first pane has no beginning.
    if panes > PANES_NEAR || base.0 % width != 0 {
        return sorted_by_comparing(times, width, runs);
    }
    let mut ends = [0_u32; PANES_NEAR as usize];
    let ids: Vec<u8> = times.iter().map(|&time| pane_of(time) as u8).collect();
    ids.iter().for_each(|&pane| ends[usize::from(pane)] += 1);
    let mut first = 0;
    let starts = std::iter::successors(Some(base), |pane| Some(pane.plus(width)));
    for (pane, end) in starts.zip(&mut ends[..panes as usize]) {
        let rows = std::mem::replace(end, first);
        if rows > 0 {
            runs.push(PaneRun { pane, first: first as usize, rows: rows as usize });
        }
        first += rows;
    }
    let mut sorted = vec![0; times.len()];
    for (row, &pane) in (0..).zip(&ids) {
        let end = &mut ends[usize::from(pane)];
        sorted[*end as usize] = row;
        *end += 1;
    }
    sorted
}

/// Puts rows apart by pane where panes are far from each other.
fn sorted_by_comparing(times: &[i64], width: i64, runs: &mut Vec<PaneRun>) -> Vec<u32> {
    let panes = times.iter().map(|&time| EventTime(time).align_down(width));
    let mut rows: Vec<(EventTime, u32)> = panes.zip(0..).collect();
    rows.sort_unstable();
    let mut first = 0;
    for same in rows.chunk_by(|(one, _), (other, _)| one == other) {
        runs.push(PaneRun { pane: same[0].0, first, rows: same.len() });
        first += same.len();
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Array, ArrayRef, Int64Array};
    use std::sync::Arc;

    fn triples(runs: &[PaneRun]) -> Vec<(i64, usize, usize)> {
        runs.iter().map(|run| (run.pane.0, run.first, run.rows)).collect()
    }

    fn runs_of(times: &[i64]) -> Vec<(i64, usize, usize)> {
        let mut runs = vec![];
        assert!(find_runs(times, 10, &mut runs));
        triples(&runs)
    }

    #[test]
    fn batches_are_cut_where_panes_change() {
        assert_eq!(runs_of(&[]), []);
        assert_eq!(runs_of(&[1, 9, 3]), [(0, 0, 3)]);
        assert_eq!(runs_of(&[9, 10, 9, 25]), [(0, 0, 1), (10, 1, 1), (0, 2, 1), (20, 3, 1)]);
        assert_eq!(runs_of(&[-1, -10, -11]), [(-10, 0, 2), (-20, 2, 1)]);
        assert_eq!(runs_of(&[i64::MIN, i64::MAX]).len(), 2);
    }

    /// The times of a scattered batch as they are sorted.
    fn sorted(times: &[i64], width: i64) -> (Vec<i64>, Vec<(i64, usize, usize)>) {
        let column: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
        let batch = RecordBatch::try_from_iter([("ts", column)]).unwrap();
        let mut runs = vec![];
        let sorted = cut(&batch, times, width, &mut runs).unwrap().expect("there are many runs");
        let column = sorted.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        (column.values().to_vec(), triples(&runs))
    }

    #[test]
    fn a_scattered_batch_is_sorted_by_pane() {
        let times: Vec<i64> = (0..90).map(|row| (row % 3) * 20 - 25 + row / 30).collect();
        let (sorted, runs) = sorted(&times, 10);
        assert_eq!(runs, [(-30, 0, 30), (-10, 30, 30), (10, 60, 30)]);
        let mut expected = times;
        expected.sort_by_key(|time| time.div_euclid(10));
        assert_eq!(sorted, expected, "rows of a pane stay in their order");
    }

    #[test]
    fn so_is_one_over_all_of_time() {
        let times: Vec<i64> =
            (0..90).map(|row| [i64::MIN + row, 5, i64::MAX - row][row as usize % 3]).collect();
        let (sorted, runs) = sorted(&times, 10);
        let mut expected = times;
        expected.sort_by_key(|time| EventTime(*time).align_down(10));
        assert_eq!(sorted, expected);
        assert_eq!(runs.iter().map(|(_, _, rows)| rows).sum::<usize>(), 90);
    }
}
