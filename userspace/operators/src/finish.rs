//! Makes the results of one query: merges what came for a closed window, and runs the upper half over it.

use crate::groups::{GroupBatch, results_of_nothing};
use crate::ids::QueryId;
use crate::pane_tree::PaneTree;
use crate::parts::Parts;
use crate::result::{Status, WindowResult, compact, instants, rows_schema, with_columns};
use crate::room::OperatorLimits;
use crate::suspended::SuspendedWindows;
use crate::upper::UpperRunner;
use crate::windows::{Came, Closed, ClosedWindow, PaneParts};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold, Upper, UpperHalf};
use tapline_record::EventTime;

/// Rows kept by a query for the best rows before it sorts out the others.
const BEST_ROWS_KEPT: usize = 64 * 1024;

/// Finishes what closes of one query, one thing after the other.
pub struct Finisher {
    id: QueryId,
    upper: Upper,
    /// Of the SELECT list.
    schema: SchemaRef,
    folds: Vec<Option<Arc<AggregateFold>>>,
    limits: OperatorLimits,
    /// Where windows slide, or are given early, the panes of each lower half.
    trees: Option<KeptPanes>,
    /// Rows of which some may be the best.
    best: Vec<RecordBatch>,
    runner: UpperRunner,
}

impl Finisher {
    /// The finisher of `query`, which has this number.
    ///
    /// # Errors
    /// When the system has no room for a runtime.
    pub fn new(id: QueryId, query: &ContinuousQuery, limits: OperatorLimits) -> Result<Self> {
        let folds = query.lowers.iter().map(|lower| match &lower.fold {
            Fold::Rows(_) => None,
            Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
        });
        Ok(Self {
            id,
            upper: query.upper.clone(),
            schema: rows_schema(query),
            folds: folds.collect(),
            limits,
            trees: KeptPanes::of(query),
            best: vec![],
            runner: UpperRunner::new()?,
        })
    }

    /// Pushes the results of what closed to `out`, if it has any.
    ///
    /// # Errors
    /// When the upper half fails.
    pub fn finish(&mut self, closed: Closed, out: &mut Vec<WindowResult>) -> Result<()> {
        match (closed, self.upper.clone()) {
            (Closed::Window(window), Upper::Windows(half)) => self.finish_window(window, &half, out),
            (Closed::Window(window), Upper::Stream { .. }) => self.finish_rows(window, out),
            (Closed::Rows(rows), Upper::Best { half, prune }) => self.keep_best(rows, &half, &prune),
            (Closed::Rows(rows), _) => self.give(&rows, None, Status::Final, out),
            (Closed::RowsEnd, Upper::Best { half, .. }) => {
                let rows = std::mem::take(&mut self.best);
                let rows = self.runner.run(&half, &half.physical, vec![rows])?;
                self.give(&rows, None, Status::Final, out)
            }
            (Closed::Window(_), Upper::Best { .. }) | (Closed::RowsEnd, _) => Ok(()),
        }
    }

    /// Octets of the panes that it keeps for windows to come.
    #[must_use]
    pub fn octets_held(&self) -> usize {
        self.trees.iter().flat_map(|kept| &kept.trees).map(PaneTree::octets).sum()
    }

    /// Adds the panes that it keeps for windows to come to what was held of the others.
    pub fn suspend(&mut self, suspended: &mut SuspendedWindows) {
        if let Some(trees) = self.trees.take() {
            trees.suspend(suspended);
        }
    }

    fn keep_best(
        &mut self,
        rows: Vec<RecordBatch>,
        half: &UpperHalf,
        prune: &Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    ) -> Result<()> {
        self.best.extend(rows);
        let kept: usize = self.best.iter().map(RecordBatch::num_rows).sum();
        if kept > BEST_ROWS_KEPT {
            let rows = std::mem::take(&mut self.best);
            self.best = self.runner.run(half, prune, vec![rows])?;
        }
        Ok(())
    }

    /// Runs the upper half over one window, and over its folded row, if it has one.
    fn finish_window(
        &mut self,
        mut window: ClosedWindow,
        half: &UpperHalf,
        out: &mut Vec<WindowResult>,
    ) -> Result<()> {
        let came = std::mem::replace(&mut window.came, Came::All(vec![]));
        let parts = match (came, &mut self.trees) {
            (Came::New(panes), Some(trees)) => trees.window(&window, panes, &self.folds, self.limits)?,
            (Came::New(_), None) => vec![],
            (Came::All(parts), _) => parts,
        };
        let (mut groups, mut folded) = (vec![], vec![]);
        for (fold, parts) in self.folds.iter().zip(&parts) {
            let (rows, beyond) = self.merge(fold.as_ref(), parts, window.pane.start)?;
            groups.push(rows);
            folded.push(beyond);
        }
        let any_is_folded = folded.iter().any(|rows| !rows.is_empty());
        let status = match window.is_whole {
            _ if window.until.is_some() => Status::Early,
            _ if window.revision > 0 => Status::Revised,
            false => Status::Partial,
            true if half.folded.is_none() && any_is_folded => Status::Folded,
            true if parts.iter().any(Parts::may_lack_rows) => Status::Partial,
            true => Status::Final,
        };
        let mut rows = self.runner.run(half, &half.physical, groups)?;
        let beyond = match half.folded.as_ref().filter(|_| any_is_folded) {
            Some(plan) => self.runner.run(half, plan, folded)?,
            None => vec![],
        };
        if status == Status::Early {
            // It takes the place of the one before it as a whole: together these rows are all that it has.
            rows.extend(beyond);
            return self.give(&rows, Some(&window), status, out);
        }
        self.give(&rows, Some(&window), status, out)?;
        self.give(&beyond, Some(&window), Status::Folded, out)
    }

    /// Gives the rows of a window that sensors sent, in the order of their places.
    fn finish_rows(&self, mut window: ClosedWindow, out: &mut Vec<WindowResult>) -> Result<()> {
        let came = std::mem::replace(&mut window.came, Came::All(vec![]));
        let Came::All(parts) = came else { return Ok(()) };
        let mut rows = vec![];
        for mut parts in parts {
            parts.join_rows(&self.schema)?;
            rows.extend(parts.into_groups().map(|groups| groups.groups));
        }
        let rows = concat_batches(&self.schema, &rows)?;
        let status = match window.is_whole {
            _ if window.revision > 0 => Status::Revised,
            false => Status::Partial,
            true => Status::Final,
        };
        self.give(&[rows], Some(&window), status, out)
    }

    /// The groups of one lower half in one window, and the folded row.
    fn merge(
        &self,
        fold: Option<&Arc<AggregateFold>>,
        parts: &Parts,
        start: EventTime,
    ) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>)> {
        let Some(fold) = fold else { return Ok((vec![], vec![])) };
        let is_one_row = fold.keys.is_empty() && fold.window_position.is_none();
        let whole: GroupBatch = match parts.results(fold, self.limits)? {
            Some(groups) => groups,
            None if is_one_row => results_of_nothing(fold)?,
            None => return Ok((vec![], vec![])),
        };
        let with_window = |batch: &RecordBatch| insert_window(fold, batch, start);
        let groups = with_window(&whole.groups)?;
        Ok((vec![groups], whole.folded.iter().map(with_window).collect::<Result<_>>()?))
    }

    /// Gives rows under the names of the SELECT list, if there are any, or if by that there are none any more.
    fn give(
        &self,
        rows: &[RecordBatch],
        window: Option<&ClosedWindow>,
        status: Status,
        out: &mut Vec<WindowResult>,
    ) -> Result<()> {
        let some = rows.iter().filter(|batch| batch.num_rows() > 0);
        let named = some.map(|batch| with_columns(&self.schema, compact(batch.columns()), batch.num_rows()));
        let rows: Vec<_> = named.collect::<Result<_, _>>()?;
        if !rows.is_empty() || status == Status::Revised {
            let (query, revision) = (self.id, window.map_or(0, |window| window.revision));
            let completeness = window.and_then(|window| window.completeness);
            let window = window.and_then(ClosedWindow::span);
            out.push(WindowResult { query, window, status, revision, completeness, rows });
        }
        Ok(())
    }
}

/// The panes of windows that slide, or are given early.
struct KeptPanes {
    width: i64,
    /// Those of each lower half.
    trees: Vec<PaneTree>,
}

impl KeptPanes {
    /// `None` where each pane of `query` is in one result only.
    fn of(query: &ContinuousQuery) -> Option<Self> {
        let trees = query.lowers.iter().map(|_| PaneTree::default()).collect();
        query.pane_width().filter(|_| query.reuses_panes()).map(|width| Self { width, trees })
    }

    /// Adds those of windows that have not closed.
    fn suspend(self, suspended: &mut SuspendedWindows) {
        let (width, cut) = (self.width, suspended.cut);
        for (lower, tree) in self.trees.into_iter().enumerate() {
            for (number, parts) in tree.into_panes() {
                let start = EventTime(number.saturating_mul(width));
                if start >= cut {
                    suspended.add(lower, start, parts);
                }
            }
        }
    }

    /// What came for each lower half in a window, of which this is new.
    fn window(
        &mut self,
        window: &ClosedWindow,
        new: Vec<PaneParts>,
        folds: &[Option<Arc<AggregateFold>>],
        limits: OperatorLimits,
    ) -> Result<Vec<Parts>> {
        let number = |time: EventTime| time.0.div_euclid(self.width);
        for (pane, parts) in new {
            for ((tree, parts), fold) in self.trees.iter_mut().zip(parts).zip(folds) {
                if let Some(fold) = fold {
                    tree.insert(number(pane), parts, fold, limits)?;
                }
            }
        }
        let end = window.until.unwrap_or(window.pane.end);
        let panes = number(window.pane.start)..number(end.plus(-1)) + 1;
        let next = number(window.next);
        let window = |(tree, fold): (&mut PaneTree, &Option<Arc<AggregateFold>>)| match fold {
            Some(fold) => tree.window(panes.clone(), next, fold, limits),
            None => Ok(Parts::default()),
        };
        self.trees.iter_mut().zip(folds).map(window).collect()
    }
}

/// Puts the window's start among the group columns, where the SELECT list may name it.
fn insert_window(fold: &AggregateFold, batch: &RecordBatch, start: EventTime) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    if let Some(position) = fold.window_position {
        columns.insert(position, instants(start, batch.num_rows())?);
    }
    Ok(with_columns(&fold.output_schema, columns, batch.num_rows())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::GroupState;
    use crate::ids::WorkerId;
    use crate::output::{LowerOutput, Pane};
    use crate::windows::Windows;
    use datafusion::arrow::array::{AsArray, RecordBatchOptions};
    use datafusion::arrow::datatypes::{Int64Type, Schema};
    use tapline_query::Planner;
    use tapline_record::{StreamId, Watermarks};

    const LIMITS: OperatorLimits = OperatorLimits { groups_max: 100, is_only_worker: false };
    const SECOND_NS: i64 = 1_000_000_000;

    /// The windows of `query` over one second after the other, each with one row more than the one before.
    fn windows(query: &ContinuousQuery, seconds: i64) -> Vec<ClosedWindow> {
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it counts") };
        let (mut windows, mut closed) = (Windows::new(query, 1, LIMITS), vec![]);
        for second in 0..seconds {
            let mut state = GroupState::new(Arc::new(fold.clone()), 100).unwrap();
            let options = RecordBatchOptions::new().with_row_count(Some(1 + second as usize));
            let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
            state.update(&rows.unwrap(), None, usize::MAX).unwrap();
            let start = EventTime(second * SECOND_NS);
            let pane = Pane { start, end: start.plus(SECOND_NS), index: 0, is_complete: true };
            let groups = state.take_states().unwrap();
            let output = LowerOutput::Pane { lower: 0, pane, groups, finished: false };
            windows.accept(output, &mut closed).unwrap();
            let mut watermarks = Watermarks::BEGINNING;
            watermarks.set(StreamId::Packets, pane.end);
            windows.advance(WorkerId(0), &watermarks.into(), &mut closed);
        }
        let window = |closed| if let Closed::Window(window) = closed { Some(window) } else { None };
        closed.into_iter().filter_map(window).collect()
    }

    /// What they count, by their start in seconds.
    fn counts(query: &ContinuousQuery, windows: Vec<ClosedWindow>) -> Vec<(i64, i64)> {
        let mut finisher = Finisher::new(QueryId(0), query, LIMITS).unwrap();
        let mut results = vec![];
        for window in windows {
            finisher.finish(Closed::Window(window), &mut results).unwrap();
        }
        let count = |result: &WindowResult| {
            let count = result.rows[0].column(0).as_primitive::<Int64Type>().value(0);
            (result.window.unwrap().start.0 / SECOND_NS, count)
        };
        results.iter().map(count).collect()
    }

    #[test]
    fn what_a_lost_window_held_is_in_those_behind_it() {
        let sql = "SELECT count(*) FROM packets GROUP BY hop('1 second', '3 seconds')";
        let query = Planner::new().plan(sql).unwrap();
        let all = counts(&query, windows(&query, 12));
        assert_eq!(all[..4], [(-2, 1), (-1, 3), (0, 6), (1, 9)]);
        let mut kept: Vec<ClosedWindow> = vec![];
        let mut lost: Option<ClosedWindow> = None;
        for (number, mut window) in windows(&query, 12).into_iter().enumerate() {
            if let Some(lost) = lost.take() {
                window.take_over(lost);
            }
            if [3, 4, 7].contains(&number) { lost = Some(window) } else { kept.push(window) }
        }
        let expected = all.iter().enumerate().filter(|(number, _)| ![3, 4, 7].contains(number));
        assert_eq!(counts(&query, kept), expected.map(|(_, count)| *count).collect::<Vec<_>>());
    }
}
