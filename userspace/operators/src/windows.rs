//! Collects what the workers give for one query, until a window closes.
//!
//! Takes panes of every lower half from every worker, in any order, and how far each worker has come; gives each
//! window once, with all that came for it, when the watermarks of all workers have passed its end. Rows of a query
//! without an aggregate are put into the order of their input. Nothing is computed here but where parts are many:
//! a [`Finisher`](crate::Finisher) makes results of what closed.

mod suspend;

use crate::groups::GroupBatch;
use crate::ids::{SourceId, WorkerId};
use crate::input_order::{InputOrder, WaitingLimits};
use crate::output::{LowerOutput, Pane};
use crate::parts::Parts;
use crate::result::Span;
use crate::room::OperatorLimits;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Result, internal_datafusion_err};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold, LowerHalf, Upper, Window};
use tapline_record::{EventTime, Reach, StreamId};

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
    /// Which part of its records arrived; to be set by whoever knows.
    pub completeness: Option<f64>,
    /// Whether it is one of several: else the whole input is one.
    is_windowed: bool,
    /// It is given before it closes, with what came for its records up to here.
    pub(crate) until: Option<EventTime>,
    /// No window that is given later begins before this.
    pub(crate) next: EventTime,
    /// Whether it ended because it was full or the watermark passed, and began when the query was there.
    pub(crate) is_whole: bool,
    /// Greater than 0 where it was given before, with less.
    pub(crate) revision: u64,
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
    /// Where windows share panes, or are given early, what came for their panes since the last one was given.
    New(Vec<PaneParts>),
}

impl ClosedWindow {
    /// One of all that came for each lower half, which others collected.
    #[must_use]
    pub fn of_parts(span: Span, parts: Vec<Parts>, is_whole: bool, revision: u64) -> Self {
        let Span { start, end } = span;
        Self {
            completeness: None,
            is_windowed: true,
            until: None,
            next: start,
            is_whole,
            revision,
            pane: Pane { start, end, index: 0, is_complete: is_whole },
            came: Came::All(parts),
        }
    }

    /// Takes over what only `lost`, the one given before it, was given, where windows share panes: nobody will have
    /// seen that.
    pub fn take_over(&mut self, lost: Self) {
        if let (Came::New(own), Came::New(others)) = (&mut self.came, lost.came) {
            own.extend(others.into_iter().filter(|(pane, _)| *pane >= lost.next));
        }
    }

    /// What came for the panes that it shares with others, since the one before it was given.
    pub(crate) fn into_shared_panes(self) -> impl Iterator<Item = PaneParts> {
        let panes = if let Came::New(panes) = self.came { panes } else { vec![] };
        panes.into_iter()
    }

    /// Octets of what came for it.
    #[must_use]
    pub fn octets(&self) -> usize {
        match &self.came {
            Came::All(parts) => parts.iter().map(Parts::octets).sum(),
            Came::New(panes) => panes.iter().flat_map(|(_, parts)| parts).map(Parts::octets).sum(),
        }
    }

    /// When it is; `None` where the whole input is one.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.is_windowed.then_some(Span { start: self.pane.start, end: self.pane.end })
    }

    /// The part of it that its rows are of; `None` where the whole input is one.
    #[must_use]
    pub fn covered(&self) -> Option<Span> {
        self.span().map(|span| Span { end: self.until.unwrap_or(span.end), ..span })
    }
}

/// What may be held of one query for windows that are open; beyond it the earliest one is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLimits {
    /// Windows, and panes of windows that share some.
    pub windows_max: usize,
    /// Octets of what came for them.
    pub octets_max: usize,
}

impl Default for HeldLimits {
    fn default() -> Self {
        Self { windows_max: 1 << 16, octets_max: 2 << 30 }
    }
}

/// The open windows of one query.
pub struct Windows {
    window: Option<Window>,
    /// Width of its panes.
    pane_width: Option<i64>,
    /// Each time that so many nanoseconds of a window have arrived, it is given.
    early: Option<i64>,
    /// Whether what comes is kept by pane, and not by window.
    keeps_panes: bool,
    upper: Upper,
    folds: Vec<Option<Arc<AggregateFold>>>,
    limits: OperatorLimits,
    /// The streams that the query reads.
    streams: Vec<StreamId>,
    /// How far each worker has come with them: what it has closed, and what has arrived.
    reached: Vec<(EventTime, EventTime)>,
    /// Windows that begin here or earlier may lack rows from before the query was there.
    whole_after: EventTime,
    /// Windows that have rows, by their start, or by their number.
    open: BTreeMap<i64, OpenWindow>,
    /// Where windows share panes, or are given early, what came for panes since something was given, by their start.
    panes: BTreeMap<i64, Vec<Parts>>,
    /// Where windows are given early, when something came last for each pane, by its start: its place among all that
    /// came.
    changed: BTreeMap<i64, u64>,
    /// How much has come.
    came: u64,
    held: HeldLimits,
    /// Octets of what came for windows that are open.
    octets: usize,
    /// Windows that begin before this are closed: there was no room for more.
    cut: i64,
    /// Rows that came for those afterwards.
    rows_cut: u64,
    rows: InputOrder,
}

struct OpenWindow {
    pane: Pane,
    /// What came for each lower half; nothing where panes are kept.
    parts: Vec<Parts>,
    /// Where it is given early next, and how much had come when it was last.
    next_early: EventTime,
    seen: u64,
}

impl OpenWindow {
    fn new(pane: Pane, parts: Vec<Parts>, early: Option<i64>) -> Self {
        let next_early = early.map_or(EventTime::MAX, |every| pane.start.plus(every));
        Self { pane, parts, next_early, seen: 0 }
    }
}

impl Windows {
    /// Those of `query`, for so many workers.
    #[must_use]
    pub fn new(query: &ContinuousQuery, workers: usize, limits: OperatorLimits) -> Self {
        let folds = query.lowers.iter().map(|lower| match &lower.fold {
            Fold::Rows(_) => None,
            Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
        });
        let reads =
            |stream: &StreamId| query.lowers.iter().flat_map(LowerHalf::streams).any(|of| of == *stream);
        Self {
            window: query.window,
            pane_width: query.pane_width(),
            early: query.early,
            keeps_panes: query.reuses_panes(),
            upper: query.upper.clone(),
            folds: folds.collect(),
            limits,
            streams: StreamId::ALL.into_iter().filter(reads).collect(),
            reached: vec![(EventTime::MIN, EventTime::MIN); workers],
            whole_after: EventTime::MIN,
            open: BTreeMap::new(),
            panes: BTreeMap::new(),
            changed: BTreeMap::new(),
            came: 0,
            held: HeldLimits::default(),
            octets: 0,
            cut: i64::MIN,
            rows_cut: 0,
            rows: InputOrder::new(&query.upper),
        }
    }

    /// The streams that the query reads.
    #[must_use]
    pub fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    /// Whether it gives the best of all rows, when these have ended.
    #[must_use]
    pub const fn chooses_rows(&self) -> bool {
        matches!(self.upper, Upper::Best { .. })
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

    /// The same windows where so much may be held for those that are open.
    #[must_use]
    pub const fn holding(mut self, limits: HeldLimits) -> Self {
        self.held = limits;
        self
    }

    /// Octets of what is held for windows that are open.
    #[must_use]
    pub const fn octets_held(&self) -> usize {
        self.octets
    }

    /// Says that a source does not wait for anything.
    pub fn set_live(&mut self, source: SourceId) {
        self.rows.set_live(source);
    }

    /// Of the rows that workers used, those that were in no result since their turn was over, or since their window
    /// had been closed to make room.
    #[must_use]
    pub const fn rows_dropped(&self) -> u64 {
        self.rows.dropped() + self.rows_cut
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
                while self.is_too_much() && self.close_earliest(out) {}
                if self.counts_rows() {
                    self.close_counted(out);
                }
            }
            // The best of all rows are chosen in any order.
            LowerOutput::Rows { batches, .. } if matches!(self.upper, Upper::Best { .. }) => {
                give_rows(batches, out);
            }
            LowerOutput::PaneRows { .. } => {
                return Err(internal_datafusion_err!("rows that are to be sent are of no window here"));
            }
            LowerOutput::Rows { source, sequence, batches } => {
                give_rows(self.rows.accept(source, sequence, batches), out);
            }
        }
        Ok(())
    }

    /// Says that `worker` will give no pane that closes where its streams have come to, or earlier.
    pub fn advance(&mut self, worker: WorkerId, reach: &Reach, out: &mut Vec<Closed>) {
        let (watermark, front) = reach.least_of(self.streams.iter().copied());
        let known = &mut self.reached[worker.0 as usize];
        let has_moved = watermark > known.0 || self.early.is_some() && front > known.1;
        if !has_moved || self.window.and_then(Window::pane_width).is_none() {
            return;
        }
        *known = (known.0.max(watermark), known.1.max(front));
        let watermark = self.watermark();
        while let Some(start) = self.first_closed(watermark) {
            self.give_early(start, EventTime::MAX, out);
            if let Some(window) = self.open.remove(&start) {
                self.close(window, out);
            }
        }
        if self.early.is_some() {
            let front = self.reached.iter().map(|(_, front)| *front).min().unwrap_or(EventTime::MIN);
            let starts: Vec<i64> = self.open.keys().copied().collect();
            starts.into_iter().for_each(|start| self.give_early(start, front, out));
        }
    }

    /// How far all workers have come with its streams: no window of time that ends here or earlier is open.
    #[must_use]
    pub fn watermark(&self) -> EventTime {
        self.reached.iter().map(|(watermark, _)| *watermark).min().unwrap_or(EventTime::MIN)
    }

    /// The start of the first open window, where it has been passed.
    fn first_closed(&self, watermark: EventTime) -> Option<i64> {
        let (start, window) = self.open.first_key_value()?;
        (window.pane.end <= watermark).then_some(*start)
    }

    /// Gives an open window so far, for each time that is due, where there is news.
    fn give_early(&mut self, start: i64, front: EventTime, out: &mut Vec<Closed>) {
        let Some(every) = self.early else { return };
        let next = self.open.first_key_value().map_or(start, |(first, _)| *first);
        while let Some(window) = self.open.get_mut(&start)
            && window.next_early <= front
            && window.next_early < window.pane.end
        {
            let until = window.next_early;
            window.next_early = until.plus(every);
            // What lies behind the last time, and what came since for panes before it.
            let is_new = |(pane, came): (&i64, &u64)| *pane >= until.plus(-every).0 || *came > window.seen;
            let news = self.changed.range(start..until.0).any(is_new);
            if !news {
                continue;
            }
            window.seen = self.came;
            let pane = window.pane;
            let came = Came::New(self.take_panes(until));
            out.push(Closed::Window(ClosedWindow {
                completeness: None,
                is_windowed: true,
                until: Some(until),
                next: EventTime(next),
                is_whole: false,
                revision: 0,
                pane,
                came,
            }));
        }
    }

    /// Gives all that is left: the input has ended, before its time if it `is_cut`.
    pub fn finish(&mut self, is_cut: bool, out: &mut Vec<Closed>) {
        if !matches!(self.upper, Upper::Windows(_)) {
            return out.push(Closed::RowsEnd);
        }
        if self.window.is_none() && self.open.is_empty() {
            let parts = vec![Parts::default(); self.folds.len()];
            self.open.insert(0, OpenWindow::new(Pane::ALL, parts, None));
        }
        while let Some((_, mut window)) = self.open.pop_first() {
            window.pane.is_complete &= !is_cut || self.window.is_none();
            self.close(window, out);
        }
    }

    fn accept_pane(&mut self, lower: usize, pane: Pane, groups: GroupBatch, finished: bool) -> Result<()> {
        if self.is_cut(pane) {
            self.rows_cut += groups.rows;
            return Ok(());
        }
        let mut parts = Parts::default();
        parts.push(Arc::new(groups), finished);
        self.keep(lower, pane, parts)
    }

    /// Keeps what came of a lower half for a pane.
    fn keep(&mut self, lower: usize, pane: Pane, news: Parts) -> Result<()> {
        let lowers = self.folds.len();
        let nothing = || vec![Parts::default(); lowers];
        self.came += 1;
        let parts = if let Some(window) = self.window.filter(|_| self.keeps_panes) {
            if !self.panes.contains_key(&pane.start.0) {
                for window in windows_of(window, pane).filter(|window| window.start.0 >= self.cut) {
                    let open = OpenWindow::new(window, vec![], self.early);
                    self.open.entry(window.start.0).or_insert(open);
                }
            }
            if self.early.is_some() {
                self.changed.insert(pane.start.0, self.came);
            }
            self.panes.entry(pane.start.0).or_insert_with(nothing)
        } else {
            let key = match self.window {
                Some(Window::Rows { .. }) => i64::try_from(pane.index).unwrap_or(i64::MAX),
                _ => pane.start.0,
            };
            let open = self.open.entry(key).or_insert_with(|| OpenWindow::new(pane, nothing(), None));
            open.pane.is_complete &= pane.is_complete;
            &mut open.parts
        };
        let parts = &mut parts[lower];
        let before = parts.octets();
        parts.append(news);
        if let Some(fold) = self.folds[lower].as_ref().filter(|_| parts.are_many()) {
            parts.merge(fold, self.limits)?;
        }
        self.octets = self.octets + parts.octets() - before;
        Ok(())
    }

    /// Whether every window of a pane was closed to make room.
    fn is_cut(&self, pane: Pane) -> bool {
        match self.window.filter(|_| self.keeps_panes) {
            Some(window) => windows_of(window, pane).all(|window| window.start.0 < self.cut),
            None => self.window.is_some() && !self.counts_rows() && pane.start.0 < self.cut,
        }
    }

    /// Whether more is held than may be.
    fn is_too_much(&self) -> bool {
        self.open.len() + self.panes.len() > self.held.windows_max || self.octets > self.held.octets_max
    }

    /// Closes the earliest open window, though more may come for it; says whether there was another one.
    pub fn close_earliest(&mut self, out: &mut Vec<Closed>) -> bool {
        if self.open.len() < 2 || self.window.and_then(Window::pane_width).is_none() {
            return false;
        }
        let Some((start, mut window)) = self.open.pop_first() else { return false };
        window.pane.is_complete = false;
        self.cut = start.saturating_add(1);
        self.close(window, out);
        true
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

    /// Takes out what came for panes that begin before this.
    fn take_panes(&mut self, until: EventTime) -> Vec<PaneParts> {
        let later = self.panes.split_off(&until.0);
        let panes = std::mem::replace(&mut self.panes, later);
        self.octets -= panes.values().flatten().map(Parts::octets).sum::<usize>();
        panes.into_iter().map(|(start, parts)| (EventTime(start), parts)).collect()
    }

    fn close(&mut self, OpenWindow { pane, parts, .. }: OpenWindow, out: &mut Vec<Closed>) {
        let is_of_time = self.window.and_then(Window::pane_width).is_some();
        let (_, slide) = self.window.and_then(Window::size_and_slide).unwrap_or_default();
        let next = pane.start.plus(slide);
        let came = if self.keeps_panes {
            self.changed = self.changed.split_off(&next.0);
            Came::New(self.take_panes(pane.end))
        } else {
            self.octets -= parts.iter().map(Parts::octets).sum::<usize>();
            Came::All(parts)
        };
        out.push(Closed::Window(ClosedWindow {
            completeness: None,
            is_windowed: self.window.is_some(),
            until: None,
            next,
            is_whole: pane.is_complete && (!is_of_time || pane.start > self.whole_after),
            revision: 0,
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
