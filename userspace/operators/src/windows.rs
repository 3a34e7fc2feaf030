//! Collects what the workers give for one query, until a window closes.
//!
//! Takes panes of every lower half from every worker, in any order, and how far each worker has come; gives each
//! window once, with all that came for it, when the watermarks of all workers have passed its end. Rows of a query
//! without an aggregate are put into the order of their input. Nothing is computed here but where parts are many:
//! a [`Finisher`](crate::Finisher) makes results of what closed.

use crate::groups::GroupBatch;
use crate::ids::{SourceId, WorkerId};
use crate::input_order::{InputOrder, WaitingLimits};
use crate::lower::{LowerOutput, OperatorLimits, Pane};
use crate::parts::Parts;
use crate::result::Span;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold, LowerHalf, Upper, Window};
use tapline_record::{EventTime, StreamId, Watermarks};

/// What results can be made of.
#[derive(Debug)]
pub enum Closed {
    /// A window, and all that came for it.
    Window(ClosedWindow),
    /// Rows of a query without an aggregate.
    Rows(Vec<RecordBatch>),
    /// No more rows will come.
    RowsEnd,
}

/// A pane, and what came for each lower half.
pub(crate) type PaneParts = (EventTime, Vec<Parts>);

/// A window to which nothing is added any more.
#[derive(Debug)]
pub struct ClosedWindow {
    /// When it was; `None` where the whole input is one.
    pub span: Option<Span>,
    /// Which part of its records arrived; to be set by whoever knows.
    pub completeness: Option<f64>,
    /// Whether it ended because it was full or the watermark passed, and began when the query was there.
    pub(crate) is_whole: bool,
    /// From when to when it is.
    pub(crate) pane: Pane,
    /// What came for it.
    pub(crate) came: Came,
}

/// What came for a window.
#[derive(Debug)]
pub(crate) enum Came {
    /// All, for each lower half.
    All(Vec<Parts>),
    /// Of a window that slides, what came for those of its panes that are in no window given before.
    New(Vec<PaneParts>),
}

impl ClosedWindow {
    /// Takes over what only `lost`, the window before it, was given, where windows slide: nobody will have seen that.
    pub fn take_over(&mut self, lost: Self) {
        if let (Came::New(own), Came::New(others)) = (&mut self.came, lost.came) {
            let start = self.pane.start;
            own.extend(others.into_iter().filter(|(pane, _)| *pane >= start));
        }
    }
}

/// The open windows of one query.
pub struct Windows {
    window: Option<Window>,
    upper: Upper,
    folds: Vec<Option<Arc<AggregateFold>>>,
    limits: OperatorLimits,
    /// The streams that the query reads.
    streams: Vec<StreamId>,
    /// How far each worker has come with them.
    watermarks: Vec<EventTime>,
    /// Windows that begin here or earlier may lack rows from before the query was there.
    whole_after: EventTime,
    /// Windows that have rows, by their start, or by their number.
    open: BTreeMap<i64, OpenWindow>,
    /// Where windows slide, the panes that are in no window given so far, by their start.
    panes: BTreeMap<i64, Vec<Parts>>,
    rows: InputOrder,
}

struct OpenWindow {
    pane: Pane,
    /// What came for each lower half; nothing where windows slide.
    parts: Vec<Parts>,
}

impl Windows {
    /// Those of `query`, for so many workers.
    #[must_use]
    pub fn new(query: &ContinuousQuery, workers: usize, limits: OperatorLimits) -> Self {
        let folds = query.lowers.iter().map(|lower| match &lower.fold {
            Fold::Rows(_) => None,
            Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
        });
        Self {
            window: query.window,
            upper: query.upper.clone(),
            folds: folds.collect(),
            limits,
            streams: query.lowers.iter().flat_map(LowerHalf::streams).collect(),
            watermarks: vec![EventTime::MIN; workers],
            whole_after: EventTime::MIN,
            open: BTreeMap::new(),
            panes: BTreeMap::new(),
            rows: InputOrder::new(&query.upper),
        }
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

    /// Says that the query sees all rows that are later than this; windows that begin earlier are partial.
    pub const fn set_whole_after(&mut self, time: EventTime) {
        self.whole_after = time;
    }

    /// The same windows where so much may wait for rows of live sources that come before it.
    #[must_use]
    pub const fn with_waiting(mut self, limits: WaitingLimits) -> Self {
        self.rows.set_limits(limits);
        self
    }

    /// Says that a source does not wait for anything.
    pub fn set_live(&mut self, source: SourceId) {
        self.rows.set_live(source);
    }

    /// Of the rows that workers used, those that were in no result since their turn was over.
    #[must_use]
    pub const fn rows_dropped(&self) -> u64 {
        self.rows.dropped()
    }

    /// Says with which batch of a source the query begins.
    pub fn begin(&mut self, source: SourceId, sequence: u64, out: &mut Vec<Closed>) {
        let rows = self.rows.begin(source, sequence);
        give_rows(rows, out);
    }

    /// Takes one output of a worker; what closes by it is pushed to `out`.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub fn accept(&mut self, output: LowerOutput, out: &mut Vec<Closed>) -> Result<()> {
        match output {
            LowerOutput::Pane { lower, pane, groups, finished } => {
                self.accept_pane(lower, pane, groups, finished)?;
                if self.counts_rows() {
                    self.close_counted(out);
                }
            }
            // The best of all rows are chosen in any order.
            LowerOutput::Rows { batches, .. } if matches!(self.upper, Upper::Best { .. }) => {
                give_rows(batches, out);
            }
            LowerOutput::Rows { source, sequence, batches } => {
                give_rows(self.rows.accept(source, sequence, batches), out);
            }
        }
        Ok(())
    }

    /// Says that `worker` will give no pane that ends where its streams have come to, or earlier.
    pub fn advance(&mut self, worker: WorkerId, watermarks: &Watermarks, out: &mut Vec<Closed>) {
        let watermark = watermarks.least_of(self.streams.iter().copied());
        let known = &mut self.watermarks[worker.0 as usize];
        if watermark <= *known || self.window.and_then(Window::pane_width).is_none() {
            return;
        }
        *known = watermark;
        let watermark = self.watermarks.iter().min().copied().unwrap_or(EventTime::MIN);
        while let Some(window) = self.open.first_entry().filter(|window| window.get().pane.end <= watermark) {
            let window = window.remove();
            self.close(window, out);
        }
    }

    /// Gives all that is left: the input has ended, before its time if it `is_cut`.
    pub fn finish(&mut self, is_cut: bool, out: &mut Vec<Closed>) {
        if !matches!(self.upper, Upper::Windows(_)) {
            return out.push(Closed::RowsEnd);
        }
        if self.window.is_none() && self.open.is_empty() {
            let parts = vec![Parts::default(); self.folds.len()];
            self.open.insert(0, OpenWindow { pane: Pane::ALL, parts });
        }
        while let Some((_, mut window)) = self.open.pop_first() {
            window.pane.is_complete &= !is_cut || self.window.is_none();
            self.close(window, out);
        }
    }

    fn accept_pane(&mut self, lower: usize, pane: Pane, groups: GroupBatch, finished: bool) -> Result<()> {
        let lowers = self.folds.len();
        let nothing = || vec![Parts::default(); lowers];
        let parts = if let Some(window @ Window::Hop { .. }) = self.window {
            if !self.panes.contains_key(&pane.start.0) {
                for window in windows_of(window, pane) {
                    let open = OpenWindow { pane: window, parts: vec![] };
                    self.open.entry(window.start.0).or_insert(open);
                }
            }
            self.panes.entry(pane.start.0).or_insert_with(nothing)
        } else {
            let key = match self.window {
                Some(Window::Rows { .. }) => i64::try_from(pane.index).unwrap_or(i64::MAX),
                _ => pane.start.0,
            };
            let open = self.open.entry(key).or_insert_with(|| OpenWindow { pane, parts: nothing() });
            open.pane.is_complete &= pane.is_complete;
            &mut open.parts
        };
        let parts = &mut parts[lower];
        parts.push(Arc::new(groups), finished);
        if let Some(fold) = self.folds[lower].as_ref().filter(|_| parts.are_many()) {
            parts.merge(fold, self.limits)?;
        }
        Ok(())
    }

    const fn counts_rows(&self) -> bool {
        matches!(self.window, Some(Window::Rows { .. }))
    }

    /// Closes the windows that count rows for which every lower half has given its part.
    fn close_counted(&mut self, out: &mut Vec<Closed>) {
        let is_whole = |window: &OpenWindow| !window.parts.iter().any(Parts::is_empty);
        while let Some(window) = self.open.first_entry().filter(|window| is_whole(window.get())) {
            let window = window.remove();
            self.close(window, out);
        }
    }

    fn close(&mut self, OpenWindow { pane, parts }: OpenWindow, out: &mut Vec<Closed>) {
        let is_of_time = self.window.and_then(Window::pane_width).is_some();
        let came = if matches!(self.window, Some(Window::Hop { .. })) {
            let later = self.panes.split_off(&pane.end.0);
            let panes = std::mem::replace(&mut self.panes, later);
            Came::New(panes.into_iter().map(|(start, parts)| (EventTime(start), parts)).collect())
        } else {
            Came::All(parts)
        };
        out.push(Closed::Window(ClosedWindow {
            span: self.window.map(|_| Span { start: pane.start, end: pane.end }),
            completeness: None,
            is_whole: pane.is_complete && (!is_of_time || pane.start > self.whole_after),
            pane,
            came,
        }));
    }
}

fn give_rows(rows: Vec<RecordBatch>, out: &mut Vec<Closed>) {
    if rows.iter().any(|batch| batch.num_rows() > 0) {
        out.push(Closed::Rows(rows));
    }
}

/// The windows that hold `pane`.
fn windows_of(window: Window, pane: Pane) -> impl Iterator<Item = Pane> {
    let (size, _) = window.size_and_slide().unwrap_or_default();
    window.starts_of(pane.start).map(move |start| Pane { start, end: start.plus(size), ..pane })
}
