//! Puts the results of one query together.
//!
//! Takes what every worker's lower operators give; merges panes into windows; gives one result per
//! closed window, in the order of the windows. A window closes when the watermarks of all workers
//! have passed its end.

use crate::groups::{GroupBatch, GroupState, results_of_nothing};
use crate::lower::{LowerOutput, OperatorLimits, Pane};
use crate::result::{QueryId, Span, Status, WindowResult, instants, rows_schema, with_columns};
use crate::upper::UpperRunner;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold, LowerHalf, Upper, Window};
use tapline_record::{EventTime, StreamId, Watermarks};

/// Rows kept by a query for the best rows before it sorts out the others.
const BEST_ROWS_KEPT: usize = 64 * 1024;

/// Parts that one lower half has given for a window beyond which they are merged.
const PARTS_MAX: usize = 32;

/// Merges what the workers give for one query.
pub struct QueryMerger {
    id: QueryId,
    query: ContinuousQuery,
    /// Of the SELECT list.
    schema: SchemaRef,
    folds: Vec<Option<Arc<AggregateFold>>>,
    limits: OperatorLimits,
    /// The streams that the query reads.
    streams: Vec<StreamId>,
    /// How far each worker has come with them.
    watermarks: Vec<EventTime>,
    /// Windows that have rows, by their start, or by their number.
    open: BTreeMap<i64, OpenWindow>,
    rows: RowsInOrder,
    best: Vec<RecordBatch>,
    runner: UpperRunner,
}

struct OpenWindow {
    pane: Pane,
    /// What came for each lower half.
    parts: Vec<Parts>,
}

/// What came of one lower half.
#[derive(Clone, Default)]
struct Parts {
    /// Each with whether it is finished.
    given: Vec<(Arc<GroupBatch>, bool)>,
    /// Whether groups of those that were merged may lack rows.
    lack_rows: bool,
}

impl Parts {
    /// Whether groups may lack rows: what one part has in a group, another one may have folded.
    fn may_lack_rows(&self) -> bool {
        let any_is_folded = self.given.iter().any(|(groups, _)| groups.folded.is_some());
        self.lack_rows || (self.given.len() > 1 && any_is_folded)
    }

    /// Merges them into one.
    fn merge(&mut self, fold: &Arc<AggregateFold>, groups_max: usize) -> Result<()> {
        self.lack_rows = self.may_lack_rows();
        let mut state = GroupState::new(Arc::clone(fold), groups_max)?;
        self.given.drain(..).try_for_each(|(groups, _)| state.merge(&groups))?;
        self.given.push((Arc::new(state.take_states()?), false));
        Ok(())
    }
}

impl QueryMerger {
    /// The merger of `query`, which has this number, for so many workers.
    ///
    /// # Errors
    /// When the system has no room for a runtime.
    pub fn new(id: QueryId, query: ContinuousQuery, workers: usize, limits: OperatorLimits) -> Result<Self> {
        let folds = query.lowers.iter().map(|lower| match &lower.fold {
            Fold::Rows(_) => None,
            Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
        });
        Ok(Self {
            id,
            schema: rows_schema(&query),
            folds: folds.collect(),
            limits,
            streams: query.lowers.iter().flat_map(LowerHalf::streams).collect(),
            watermarks: vec![EventTime::MIN; workers],
            open: BTreeMap::new(),
            rows: RowsInOrder::new(&query.upper),
            best: vec![],
            runner: UpperRunner::new()?,
            query,
        })
    }

    /// The streams that the query reads.
    #[must_use]
    pub fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    /// Whether nothing that may still come can change the result: LIMIT is reached.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        self.rows.is_full()
    }

    /// Takes one output of a worker; results that it completes are pushed to `out`.
    ///
    /// # Errors
    /// When the upper half fails.
    pub fn accept(&mut self, output: LowerOutput, out: &mut Vec<WindowResult>) -> Result<()> {
        match output {
            LowerOutput::Pane { lower, pane, groups, finished } => {
                self.accept_pane(lower, pane, groups, finished)?;
                if matches!(self.query.window, Some(Window::Rows { .. })) {
                    self.close_counted(false, out)?;
                }
                Ok(())
            }
            LowerOutput::Rows { sequence, batches } => self.accept_rows(sequence, batches, out),
        }
    }

    /// Says that `worker` will give no pane that ends where its streams have come to, or earlier.
    ///
    /// # Errors
    /// When the upper half fails.
    pub fn advance(
        &mut self,
        worker: usize,
        watermarks: &Watermarks,
        out: &mut Vec<WindowResult>,
    ) -> Result<()> {
        let watermark = watermarks.least_of(self.streams.iter().copied());
        let known = &mut self.watermarks[worker];
        if watermark <= *known || self.query.window.and_then(Window::pane_width).is_none() {
            return Ok(());
        }
        *known = watermark;
        let watermark = self.watermarks.iter().min().copied().unwrap_or(EventTime::MIN);
        while let Some(window) = self.open.first_entry().filter(|window| window.get().pane.end <= watermark) {
            let window = window.remove();
            self.close(&window, out)?;
        }
        Ok(())
    }

    /// Gives all that is left: the input has ended, before its time if it `is_cut`.
    ///
    /// # Errors
    /// When the upper half fails.
    pub fn finish(&mut self, is_cut: bool, out: &mut Vec<WindowResult>) -> Result<()> {
        match self.query.upper.clone() {
            Upper::Stream { .. } => Ok(()),
            Upper::Best { half, .. } => {
                let rows = std::mem::take(&mut self.best);
                let rows = self.runner.run(&half, &half.physical, vec![rows])?;
                self.give(&rows, None, Status::Final, out)
            }
            Upper::Windows(_) if self.query.window.is_none() => {
                let empty = OpenWindow { pane: Pane::ALL, parts: vec![Parts::default(); self.folds.len()] };
                let window = self.open.pop_first().map_or(empty, |(_, window)| window);
                self.close(&window, out)
            }
            Upper::Windows(_) => {
                while let Some((_, mut window)) = self.open.pop_first() {
                    window.pane.is_complete &= !is_cut;
                    self.close(&window, out)?;
                }
                Ok(())
            }
        }
    }

    fn accept_pane(&mut self, lower: usize, pane: Pane, groups: GroupBatch, finished: bool) -> Result<()> {
        let groups = Arc::new(groups);
        for window in windows_of(self.query.window, pane) {
            let key = if pane.index > 0 || self.counts_rows() {
                i64::try_from(pane.index).unwrap_or(i64::MAX)
            } else {
                window.start.0
            };
            let lowers = self.folds.len();
            let open = self.open.entry(key);
            let open =
                open.or_insert_with(|| OpenWindow { pane: window, parts: vec![Parts::default(); lowers] });
            open.pane.is_complete &= pane.is_complete;
            let parts = &mut open.parts[lower];
            parts.given.push((Arc::clone(&groups), finished));
            // The panes of a hop are in many windows: merged, they would be in each of them for itself.
            let is_hop = matches!(self.query.window, Some(Window::Hop { .. }));
            if let Some(fold) =
                self.folds[lower].as_ref().filter(|_| !is_hop && parts.given.len() > PARTS_MAX)
            {
                parts.merge(fold, self.limits.groups_max)?;
            }
        }
        Ok(())
    }

    fn counts_rows(&self) -> bool {
        matches!(self.query.window, Some(Window::Rows { .. }))
    }

    /// Closes the windows that count rows for which every lower half has given its part.
    fn close_counted(&mut self, all: bool, out: &mut Vec<WindowResult>) -> Result<()> {
        let is_whole = |window: &OpenWindow| window.parts.iter().all(|parts| !parts.given.is_empty());
        while let Some(window) = self.open.first_entry().filter(|window| all || is_whole(window.get())) {
            let window = window.remove();
            self.close(&window, out)?;
        }
        Ok(())
    }

    fn accept_rows(
        &mut self,
        sequence: u64,
        batches: Vec<RecordBatch>,
        out: &mut Vec<WindowResult>,
    ) -> Result<()> {
        let Upper::Best { half, prune } = &self.query.upper else {
            let rows = self.rows.accept(sequence, batches);
            return self.give(&rows, None, Status::Final, out);
        };
        self.best.extend(batches);
        let kept: usize = self.best.iter().map(RecordBatch::num_rows).sum();
        if kept > BEST_ROWS_KEPT {
            let rows = std::mem::take(&mut self.best);
            self.best = self.runner.run(half, prune, vec![rows])?;
        }
        Ok(())
    }

    /// Runs the upper half over one window.
    fn close(&self, window: &OpenWindow, out: &mut Vec<WindowResult>) -> Result<()> {
        let Upper::Windows(half) = self.query.upper.clone() else { return Ok(()) };
        let (mut groups, mut folded) = (vec![], vec![]);
        for (lower, parts) in window.parts.iter().enumerate() {
            let (rows, beyond) = self.merge_parts(lower, &parts.given, window.pane)?;
            groups.push(rows);
            folded.push(beyond);
        }
        let status = match window.pane.is_complete {
            false => Status::Partial,
            true if half.folded.is_none() && folded.iter().any(|rows| !rows.is_empty()) => Status::Folded,
            true if window.parts.iter().any(Parts::may_lack_rows) => Status::Partial,
            true => Status::Final,
        };
        let span = self.query.window.map(|_| Span { start: window.pane.start, end: window.pane.end });
        let rows = self.runner.run(&half, &half.physical, groups)?;
        self.give(&rows, span, status, out)?;
        if let Some(plan) = &half.folded
            && folded.iter().any(|batches| !batches.is_empty())
        {
            let rows = self.runner.run(&half, plan, folded)?;
            self.give(&rows, span, Status::Folded, out)?;
        }
        Ok(())
    }

    /// The groups of one lower half in one window, and the folded row.
    fn merge_parts(
        &self,
        lower: usize,
        parts: &[(Arc<GroupBatch>, bool)],
        pane: Pane,
    ) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>)> {
        let Some(fold) = &self.folds[lower] else { return Ok((vec![], vec![])) };
        let is_one_row = fold.keys.is_empty() && fold.window_position.is_none();
        let whole = match parts {
            [(groups, true)] => groups.as_ref().clone(),
            [] if is_one_row => results_of_nothing(fold)?,
            [] => return Ok((vec![], vec![])),
            parts => {
                let mut state = GroupState::new(fold.clone(), self.limits.groups_max)?;
                parts.iter().try_for_each(|(groups, _)| state.merge(groups))?;
                state.take_results()?
            }
        };
        let with_window = |batch: &RecordBatch| insert_window(fold, batch, pane.start);
        let groups = with_window(&whole.groups)?;
        Ok((vec![groups], whole.folded.iter().map(with_window).collect::<Result<_>>()?))
    }

    /// Gives rows under the names of the SELECT list, if there are any.
    fn give(
        &self,
        rows: &[RecordBatch],
        window: Option<Span>,
        status: Status,
        out: &mut Vec<WindowResult>,
    ) -> Result<()> {
        let some = rows.iter().filter(|batch| batch.num_rows() > 0);
        let named = some.map(|batch| with_columns(&self.schema, batch.columns().to_vec(), batch.num_rows()));
        let rows: Vec<_> = named.collect::<Result<_, _>>()?;
        if !rows.is_empty() {
            out.push(WindowResult { query: self.id, window, status, completeness: None, rows });
        }
        Ok(())
    }
}

/// Hands rows on in input order, within OFFSET and LIMIT.
struct RowsInOrder {
    skip: usize,
    left: Option<usize>,
    next: u64,
    waiting: BTreeMap<u64, Vec<RecordBatch>>,
}

impl RowsInOrder {
    fn new(upper: &Upper) -> Self {
        let (skip, left) = match upper {
            Upper::Stream { skip, fetch } => (*skip, *fetch),
            _ => (0, None),
        };
        Self { skip, left, next: 0, waiting: BTreeMap::new() }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes the rows of one batch, gives those whose turn it is.
    fn accept(&mut self, sequence: u64, batches: Vec<RecordBatch>) -> Vec<RecordBatch> {
        self.waiting.insert(sequence, batches);
        let mut rows = vec![];
        while let Some(batches) = self.waiting.remove(&self.next) {
            self.next += 1;
            rows.extend(batches.iter().map(|batch| self.within_limits(batch)));
        }
        rows
    }

    fn within_limits(&mut self, batch: &RecordBatch) -> RecordBatch {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let rows = self.left.unwrap_or(usize::MAX).min(batch.num_rows() - skipped);
        self.left = self.left.map(|left| left - rows);
        batch.slice(skipped, rows)
    }
}

/// The windows that hold `pane`.
fn windows_of(window: Option<Window>, pane: Pane) -> Vec<Pane> {
    match window.and_then(|window| Some((window, window.size_and_slide()?))) {
        None => vec![pane],
        Some((window, (size, _))) => {
            let starts = window.starts_of(pane.start);
            starts.map(|start| Pane { start, end: start.plus(size), ..pane }).collect()
        }
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
