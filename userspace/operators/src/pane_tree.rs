//! The panes of windows that slide, or are given early, of which neighbours are merged once for all windows that hold both.
//!
//! Takes what came of one lower half for each pane, gives what came for a window in few parts. Blocks of 2, 4, 8 …
//! panes are merged when a window holds them that is not the last one to do so; a window of n panes is then put
//! together from some 2 log₂ n parts, and each pane is merged log₂ n times, however many windows it is in.

use crate::parts::Parts;
use crate::room::OperatorLimits;
use datafusion::common::Result;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tapline_query::AggregateFold;

/// Panes and blocks of them.
#[derive(Debug, Default)]
pub(crate) struct PaneTree {
    /// At level k, blocks of 2^k panes, by number: that of their first pane by 2^k.
    levels: Vec<BTreeMap<i64, Parts>>,
}

impl PaneTree {
    /// Adds what came for the pane of this number; blocks that were merged without it are no more.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub(crate) fn insert(
        &mut self,
        pane: i64,
        parts: Parts,
        fold: &Arc<AggregateFold>,
        limits: OperatorLimits,
    ) -> Result<()> {
        let known = self.level(0).entry(pane).or_default();
        known.append(parts);
        if known.are_many() {
            known.merge(fold, limits)?;
        }
        for (level, blocks) in self.levels.iter_mut().enumerate().skip(1) {
            blocks.remove(&(pane >> level));
        }
        Ok(())
    }

    /// What came for a window of these panes; no window that is asked for later begins before pane `next`.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub(crate) fn window(
        &mut self,
        panes: Range<i64>,
        next: i64,
        fold: &Arc<AggregateFold>,
        limits: OperatorLimits,
    ) -> Result<Parts> {
        let mut whole = Parts::default();
        let mut first = panes.start;
        while first < panes.end {
            let level = first.trailing_zeros().min((panes.end - first).ilog2());
            whole.append(self.block(level, first >> level, next, (fold, limits))?);
            first += 1 << level;
        }
        self.forget_before(next);
        Ok(whole)
    }

    /// Octets of all of them; what a pane shares with a block counts for both.
    pub(crate) fn octets(&self) -> usize {
        self.levels.iter().flat_map(BTreeMap::values).map(Parts::octets).sum()
    }

    /// Each pane by its number.
    pub(crate) fn into_panes(self) -> impl Iterator<Item = (i64, Parts)> {
        self.levels.into_iter().next().into_iter().flatten()
    }

    /// What came for a block: merged, if it was before, or if the next window, which begins at pane `next`, holds it.
    fn block(
        &mut self,
        level: u32,
        number: i64,
        next: i64,
        how: (&Arc<AggregateFold>, OperatorLimits),
    ) -> Result<Parts> {
        if let Some(parts) = self.level(level).get(&number) {
            return Ok(parts.clone());
        }
        let mut parts = Parts::default();
        if level > 0 {
            for half in [2 * number, 2 * number + 1] {
                parts.append(self.block(level - 1, half, next, how)?);
            }
        }
        if number << level >= next {
            if parts.len() > 1 {
                parts.merge(how.0, how.1)?;
            }
            self.level(level).insert(number, parts.clone());
        }
        Ok(parts)
    }

    /// Forgets what begins before this pane.
    fn forget_before(&mut self, pane: i64) {
        for (level, blocks) in self.levels.iter_mut().enumerate() {
            let first = pane.saturating_add((1 << level) - 1) >> level;
            *blocks = blocks.split_off(&first);
        }
    }

    fn level(&mut self, level: u32) -> &mut BTreeMap<i64, Parts> {
        let level = level as usize;
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, BTreeMap::new);
        }
        &mut self.levels[level]
    }

    #[cfg(test)]
    fn blocks(&self) -> usize {
        self.levels.iter().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::GroupState;
    use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
    use datafusion::arrow::datatypes::{Int64Type, Schema};
    use tapline_query::{Fold, Planner};

    const LIMITS: OperatorLimits = OperatorLimits { groups_max: 100, is_only_worker: false };

    fn counting() -> Arc<AggregateFold> {
        let query = Planner::new().plan("SELECT count(*) FROM packets").unwrap();
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it counts") };
        Arc::new(fold.clone())
    }

    /// What a worker gives that saw so many rows.
    fn parts(rows: usize, fold: &Arc<AggregateFold>) -> Parts {
        let mut state = GroupState::new(Arc::clone(fold), 100).unwrap();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        state.update(&batch, None, usize::MAX).unwrap();
        let mut parts = Parts::default();
        parts.push(Arc::new(state.take_states().unwrap()), false);
        parts
    }

    fn count(parts: &Parts, fold: &Arc<AggregateFold>) -> i64 {
        let results = parts.results(fold, LIMITS).unwrap();
        results.map_or(0, |results| results.groups.column(0).as_primitive::<Int64Type>().value(0))
    }

    #[test]
    fn every_window_is_the_sum_of_its_panes_in_few_parts() {
        let fold = counting();
        for (size, slide) in [(1, 1), (2, 1), (5, 3), (60, 1), (64, 7), (100, 50), (100, 99)] {
            let mut tree = PaneTree::default();
            // Some panes have no rows.
            let rows = |pane: i64| if pane % 5 == 0 { 0 } else { (pane.unsigned_abs() % 7 + 1) as usize };
            let mut given = i64::MIN;
            for start in (-200..200_i64).filter(|start| start.rem_euclid(slide) == 0) {
                for pane in (start.max(given)..start + size).filter(|pane| rows(*pane) > 0) {
                    tree.insert(pane, parts(rows(pane), &fold), &fold, LIMITS).unwrap();
                }
                given = start + size;
                let window = tree.window(start..start + size, start + slide, &fold, LIMITS).unwrap();
                let expected: usize = (start..start + size).map(rows).sum();
                assert_eq!(count(&window, &fold), expected as i64, "{size} by {slide} from {start}");
                let parts_max = slide + 2 * i64::from(size.ilog2()) + 1;
                assert!(window.len() as i64 <= parts_max, "{} parts of {size} by {slide}", window.len());
                assert!(tree.blocks() as i64 <= 2 * size, "{} blocks of {size} panes", tree.blocks());
            }
        }
    }

    #[test]
    fn a_window_that_grows_holds_what_came_late_for_its_panes() {
        let (fold, mut tree) = (counting(), PaneTree::default());
        let mut expected = 0;
        for end in 1..=64_i64 {
            // Some for the new pane, some for one that was given long ago.
            for (pane, rows) in [(end - 1, 3), ((end * 7) % end, 2)] {
                tree.insert(pane, parts(rows, &fold), &fold, LIMITS).unwrap();
                expected += rows as i64;
            }
            let window = tree.window(0..end, 0, &fold, LIMITS).unwrap();
            assert_eq!(count(&window, &fold), expected, "up to {end}");
        }
        assert!(tree.blocks() <= 128, "{} blocks", tree.blocks());
    }

    #[test]
    fn panes_far_apart_are_taken() {
        let (fold, mut tree) = (counting(), PaneTree::default());
        for start in [i64::MIN / 8, -8, 0, i64::MAX / 8] {
            tree.insert(start + 3, parts(2, &fold), &fold, LIMITS).unwrap();
            let window = tree.window(start..start + 8, start + 1, &fold, LIMITS).unwrap();
            assert_eq!(count(&window, &fold), 2);
        }
    }
}
