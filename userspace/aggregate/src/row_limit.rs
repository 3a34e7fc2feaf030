//! LIMIT and OFFSET of rows without an aggregate, over windows in the order of time.

use tapline_operators::WindowResult;
use tapline_query::{ContinuousQuery, Upper};

/// What is still to be left out, and to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowLimit {
    skip: usize,
    left: Option<usize>,
    /// Whether the query says any of it.
    pub(crate) is_said: bool,
}

impl RowLimit {
    /// That of a query of which nothing was given.
    pub(crate) const fn of(query: &ContinuousQuery) -> Self {
        let (skip, left) = match query.upper {
            Upper::Stream { skip, fetch } => (skip, fetch),
            Upper::Windows(_) | Upper::Best { .. } => (0, None),
        };
        Self { skip, left, is_said: skip > 0 || left.is_some() }
    }

    /// Whether nothing more is to be given.
    pub(crate) const fn is_reached(self) -> bool {
        matches!(self.left, Some(0))
    }

    /// Leaves the rows that are to be given.
    pub(crate) fn cut(&mut self, result: &mut WindowResult) {
        for rows in &mut result.rows {
            let skipped = self.skip.min(rows.num_rows());
            let kept = (rows.num_rows() - skipped).min(self.left.unwrap_or(usize::MAX));
            self.skip -= skipped;
            self.left = self.left.map(|left| left - kept);
            *rows = rows.slice(skipped, kept);
        }
        result.rows.retain(|rows| rows.num_rows() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, RecordBatch, UInt8Array};
    use std::sync::Arc;
    use tapline_engine::{QueryId, Status};
    use tapline_query::Planner;

    /// How many rows are left of so many.
    fn cut(limit: &mut RowLimit, counts: &[usize]) -> Vec<usize> {
        let rows = |count: &usize| {
            let numbers: ArrayRef = Arc::new(UInt8Array::from(vec![0; *count]));
            RecordBatch::try_from_iter([("number", numbers)]).unwrap()
        };
        let (query, status, rows) = (QueryId(0), Status::Final, counts.iter().map(rows).collect());
        let mut result = WindowResult { query, window: None, status, revision: 0, completeness: None, rows };
        limit.cut(&mut result);
        result.rows.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn rows_are_left_out_at_the_beginning_and_at_the_end() {
        let limit = |sql: &str| RowLimit::of(&Planner::new().plan(sql).unwrap());
        let mut none = limit("SELECT octets FROM packets");
        assert_eq!((cut(&mut none, &[9]), none.is_said, none.is_reached()), (vec![9], false, false));
        assert!(!limit("SELECT count(*) FROM packets GROUP BY tumble('1 second') LIMIT 2").is_said);
        let mut limit = limit("SELECT octets FROM packets LIMIT 5 OFFSET 3");
        assert!(limit.is_said);
        assert_eq!(cut(&mut limit, &[2, 2]), [1]);
        let mut again = limit;
        assert_eq!((cut(&mut limit, &[3, 9]), limit.is_reached()), (vec![3, 1], true));
        assert_eq!(cut(&mut limit, &[4]), [0; 0]);
        assert_eq!(cut(&mut again, &[3, 9]), [3, 1], "what is given again is the same");
    }
}
