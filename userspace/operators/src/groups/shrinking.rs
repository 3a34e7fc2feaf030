//! A state whose groups take more than there is room for.
//!
//! A sketch grows after its group was let in. Where there is no room for that, nobody else is let in, and then the groups
//! that came last are given up: what came for them goes into the folded row, as what comes later does. So totals stay
//! exact, and so do the groups that are kept. Half of them go at once, so that this is seldom.

use super::GroupState;
use datafusion::common::Result;

/// Groups that are kept, however much they take.
const KEPT_MIN: usize = 16;

impl GroupState {
    /// Gives up groups until it takes no more than so many octets, or few are left.
    pub(super) fn shrink_to(&mut self, octets_max: usize) -> Result<()> {
        if self.octets() > octets_max {
            self.admitted = self.admitted.min(self.table.len().max(KEPT_MIN));
        }
        while self.octets() > octets_max && self.table.len() > KEPT_MIN {
            self.keep((self.table.len() / 2).max(KEPT_MIN))?;
        }
        Ok(())
    }

    /// Keeps so many groups, those that came first.
    fn keep(&mut self, groups: usize) -> Result<()> {
        let states = self.take_states()?;
        self.admitted = groups;
        self.table.limit(groups);
        self.merge(&states)?;
        self.placed = self.table.len() + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::GroupBatch;
    use crate::steps::{Rows, run_steps};
    use datafusion::arrow::array::{ArrayRef, AsArray as _, FixedSizeBinaryArray, Int64Array, RecordBatch};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{Int64Type, Schema};
    use std::sync::Arc;
    use tapline_query::{ContinuousQuery, Fold, Planner};

    const GROUPS: i64 = 600;
    const ROWS: i64 = 5_000;

    fn state_of(query: &ContinuousQuery) -> GroupState {
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it aggregates") };
        GroupState::new(Arc::new(fold.clone()), 1 << 20).unwrap()
    }

    /// Rows of all groups in turn, each with an address and a number of its own.
    fn rows(query: &ContinuousQuery, first: i64) -> RecordBatch {
        let branch = &query.lowers[0].branches[0];
        let fields: Vec<_> = branch.columns.iter().map(|column| branch.stream.field(*column)).collect();
        let numbers = first..first + ROWS;
        let columns = fields.iter().map(|field| {
            let column: ArrayRef = match field.name().as_str() {
                "src_ip" => {
                    let octets = |number: i64| [[0; 8], number.to_be_bytes()].concat();
                    Arc::new(FixedSizeBinaryArray::try_from_iter(numbers.clone().map(octets)).unwrap())
                }
                "src_port" => Arc::new(Int64Array::from_iter_values(numbers.clone().map(|row| row % GROUPS))),
                _ => Arc::new(Int64Array::from_iter_values(numbers.clone().map(|row| 40 + row % 60_000))),
            };
            cast(&column, field.data_type()).unwrap()
        });
        let columns = columns.collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        run_steps(&branch.steps, Rows { batch, times: None, numbers: None }).unwrap().batch
    }

    /// The first aggregate of each group, which counts, and that of the folded row.
    fn counts(states: &GroupBatch) -> (Vec<i64>, i64) {
        let of = |batch: &RecordBatch| batch.column(1).as_primitive::<Int64Type>().values().to_vec();
        (of(&states.groups), states.folded.as_ref().map_or(0, |folded| of(folded)[0]))
    }

    #[test]
    fn sketches_that_grow_take_no_more_than_they_have_room_for_and_totals_stay_exact() {
        for aggregates in [
            "approx_distinct(src_ip)",
            "quantile(octets, 0.9)",
            "top_k(src_ip, 10)",
            "approx_distinct(src_ip), quantile(octets, 0.5), top_k(src_ip, 5)",
        ] {
            let sql = format!(
                "SELECT src_port, count(*), {aggregates} FROM packets GROUP BY src_port, tumble('1 second')"
            );
            let query = Planner::new().plan(&sql).unwrap();
            assert!(query.has_growing_states(), "{sql}");
            for room in [0, 100_000, 400_000, 1_500_000, usize::MAX] {
                let mut state = state_of(&query);
                let charged = state.octets();
                let most = charged.saturating_add(room);
                for batch in 0..40 {
                    let left = most.saturating_sub(state.octets());
                    state.update(&rows(&query, batch * ROWS), None, left).unwrap();
                    let octets = state.octets();
                    assert!(octets <= most || state.len() <= KEPT_MIN, "{sql}: {octets} octets of {most}");
                }
                let states = state.take_states().unwrap();
                let (kept, folded) = counts(&states);
                let rows = 40 * ROWS;
                assert_eq!(kept.iter().sum::<i64>() + folded, rows, "{sql} with {room}");
                assert_eq!(states.rows, rows as u64);
                assert!(states.folded_rows <= states.rows && (folded > 0) == (states.folded_rows > 0));
                // Who is kept has all of its rows: groups come in turn.
                let own = |count: &i64| (rows / GROUPS..=rows / GROUPS + 1).contains(count);
                assert!(kept.iter().all(own), "{sql} with {room}: {kept:?}");
                match room {
                    usize::MAX => assert_eq!(kept.len(), GROUPS as usize, "{sql}"),
                    _ => assert!(kept.len() < GROUPS as usize || room > 400_000, "{sql} with {room}"),
                }
            }
        }
    }

    #[test]
    fn what_does_not_grow_gives_nothing_up() {
        let sql = "SELECT src_port, count(*), sum(octets) FROM packets GROUP BY src_port, tumble('1 second')";
        let query = Planner::new().plan(sql).unwrap();
        assert!(!query.has_growing_states());
        let mut state = state_of(&query);
        (0..4).for_each(|batch| state.update(&rows(&query, batch * ROWS), None, 0).unwrap());
        assert_eq!(state.len(), 255, "those that always have a place");
    }
}
