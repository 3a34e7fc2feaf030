//! Runs one lower half on one worker.
//!
//! Takes batches of its streams in any order of time, and how far these have come; gives partial aggregates per group
//! and pane, or rows. A pane is given when the watermark passes its end; later records are counted as late. Of windows
//! that are given early, it is given as soon as what has arrived reaches its end, and what comes for it afterwards in
//! further parts. When more are open than there is room for, the earliest one is given in parts, too. What the open
//! ones may take in octets is said from outside, batch by batch: groups that would take more are folded.

use crate::account::{Account, Pending};
use crate::branch::{BoundBranch, Piece};
use crate::commons::{BatchCommons, CommonCondition, Commons, JoinedKeys, Use};
use crate::groups::{GroupState, NumberedInput, records_in};
use crate::numbered::NumberedRows;
use crate::output::{LowerOutput, Pane};
use crate::panes::{PaneRun, cut};
use crate::parts::octets_of;
use crate::room::{OperatorLimits, Room};
use crate::steps::{Rows, Selection};
use crate::stream_batch::StreamBatch;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, max, min, not};
use datafusion::arrow::datatypes::TimestampNanosecondType;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use std::sync::Arc;
use tapline_query::{AggregateFold, Branch, ContinuousQuery, Fold, LeadingSteps, Window};
use tapline_record::ledger::QueryLedger;
use tapline_record::{Epoch, EventTime, Layout, Reach};

/// Panes of one lower half that are open at once.
const OPEN_PANES_MAX: usize = 256;

/// Groups of all open panes of one lower half, in multiples of those that one pane may have.
const OPEN_GROUPS_PANES: usize = 4;

/// One lower half of a query.
pub struct LowerOperator {
    lower: usize,
    query: Arc<ContinuousQuery>,
    /// By which layout the branches are bound.
    epoch: Option<Epoch>,
    branches: Vec<BoundBranch>,
    /// Of each branch, its conditions, and what follows.
    leading: Vec<LeadingSteps>,
    /// Of each branch, its use of conditions in common with others; none where it works alone.
    uses: Vec<Vec<Use<CommonCondition>>>,
    keys: Option<JoinedKeys>,
    fold: Option<Arc<AggregateFold>>,
    window: Option<Window>,
    limits: OperatorLimits,
    /// Open panes, earliest first.
    open: Vec<OpenPane>,
    /// Groups in all of them.
    open_groups: usize,
    /// Of panes that begin before this, states are given, to be merged with others: panes are in several results, or
    /// come in several parts.
    parts_before: EventTime,
    /// The state of a pane that was given, emptied.
    spare: Option<GroupState>,
    room: Room,
    /// It reads one row of so many.
    one_in: u32,
    /// Panes that close here or earlier are closed.
    closed_until: EventTime,
    /// What has arrived reaches so far.
    front: EventTime,
    /// Next number of a window that counts rows.
    next_index: u64,
    account: Account,
    /// Aggregates that could not be computed, by their position.
    failures: Vec<(usize, DataFusionError)>,
    runs: Vec<PaneRun>,
}

/// Rows of a batch that stay rows, each with their pane.
type RowsByPane = Vec<(Pane, RecordBatch)>;

/// A pane, and what came for it since it was given last.
struct OpenPane {
    pane: Pane,
    /// It is given when what has arrived reaches so far.
    due: EventTime,
    state: GroupState,
}

/// Rows that are folded, and where they say how many records each of them is.
struct Folded<'a> {
    rows: &'a Rows,
    packets: Option<usize>,
    /// Where their keys have numbers.
    numbered: Option<NumberedInput<'a>>,
}

impl LowerOperator {
    /// The operators of all lower halves of `query`. Each must see every batch of its streams: their ledgers together
    /// count each row once.
    #[must_use]
    pub fn all(query: &Arc<ContinuousQuery>, limits: OperatorLimits) -> Vec<Self> {
        let pending = Pending::default();
        let account = || Account::new(&query.lowers, Arc::clone(&pending));
        (0..query.lowers.len()).map(|lower| Self::new(query, lower, limits, account())).collect()
    }

    fn new(query: &Arc<ContinuousQuery>, lower: usize, limits: OperatorLimits, account: Account) -> Self {
        Self {
            lower,
            query: Arc::clone(query),
            epoch: None,
            branches: vec![],
            leading: query.lowers[lower].branches.iter().map(Branch::leading_steps).collect(),
            uses: vec![],
            keys: None,
            fold: match &query.lowers[lower].fold {
                Fold::Rows(_) => None,
                Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
            },
            window: query.window,
            limits,
            open: vec![],
            open_groups: 0,
            parts_before: if query.reuses_panes() { EventTime::MAX } else { EventTime::MIN },
            spare: None,
            room: Room::default(),
            one_in: 1,
            closed_until: EventTime::MIN,
            front: EventTime::MIN,
            next_index: 0,
            account,
            failures: vec![],
            runs: vec![],
        }
    }

    /// Finds its columns in batches of this layout.
    fn bind(&mut self, layout: &Layout) -> Result<()> {
        if self.epoch == Some(layout.epoch()) {
            return Ok(());
        }
        let branches = &self.query.lowers[self.lower].branches;
        let is_windowed = self.window.is_some();
        let bind = |(number, branch): (usize, &Branch)| {
            let uses = self.uses.get(number).map_or(&[][..], Vec::as_slice);
            BoundBranch::bind(branch, (&self.leading[number], uses), is_windowed, layout)
        };
        self.branches = branches.iter().enumerate().map(bind).collect::<Result<_>>()?;
        let built = branches.first().map_or(&[][..], |branch| layout.columns(branch.stream.id));
        self.keys.take_if(|keys| !keys.bind(built));
        self.epoch = Some(layout.epoch());
        Ok(())
    }

    /// Has what others compute as well computed once for all of them, where it is in what [`Self::process_with`] is
    /// given. It gives the same as alone.
    pub fn join(&mut self, commons: &mut Commons) {
        let half = &self.query.lowers[self.lower];
        let uses = half.branches.iter().zip(&self.leading).map(|(branch, leading)| {
            let conditions = leading.conditions.iter();
            conditions.map(|one| commons.join_condition(branch.stream.id, &one.expression)).collect()
        });
        self.uses = uses.collect();
        // What is left of its steps is looked at by nobody who has the numbers of keys.
        let is_plain = self.leading.iter().all(|leading| leading.steps.is_empty())
            && !matches!(self.window, Some(Window::Rows { .. }));
        let grouping = half.grouping().filter(|_| is_plain).zip(self.fold.as_ref());
        self.keys = grouping.and_then(|(grouping, fold)| commons.join_keys(grouping, fold));
        self.epoch = None;
    }

    /// Computes everything by itself from now on.
    pub fn go_alone(&mut self) {
        self.uses.clear();
        self.keys = None;
        self.epoch = None;
    }

    /// How often it uses something that others use, too.
    #[must_use]
    pub fn uses(&self, commons: &Commons) -> usize {
        let conditions = self.uses.iter().flatten().filter(|used| commons.shares_condition(used)).count();
        conditions + usize::from(self.keys.as_ref().is_some_and(|keys| commons.shares_keys(keys)))
    }

    /// Fates of the rows so far.
    #[must_use]
    pub const fn ledger(&self) -> &QueryLedger {
        self.account.ledger()
    }

    /// Gives no pane as a whole that begins before this: others have, or had, rows of the same panes.
    pub fn give_parts_before(&mut self, time: EventTime) {
        self.parts_before = self.parts_before.max(time);
    }

    /// Goes on behind `before`, which ran the same half: what is late for that one is late for this one.
    pub fn go_on_behind(&mut self, before: &Self) {
        self.closed_until = self.closed_until.max(before.closed_until);
        self.front = self.front.max(before.front);
    }

    /// Groups of all open panes.
    #[must_use]
    pub const fn groups_held(&self) -> usize {
        self.open_groups
    }

    /// Octets that the states of all open panes take.
    #[must_use]
    pub fn octets_held(&self) -> usize {
        self.open.iter().map(|open| &open.state).chain(&self.spare).map(GroupState::octets).sum()
    }

    /// Says what states may take until this is said again; groups that would take more are folded.
    pub const fn set_room(&mut self, room: Room) {
        let of_a_pane = if self.window.is_some() { room.of_a_pane } else { usize::MAX };
        self.room = Room { of_a_pane, ..room };
    }

    /// Reads one row of so many from now on.
    pub fn sample(&mut self, one_in: u32) {
        self.one_in = one_in.max(1);
    }

    /// Aggregates that could not be computed for some row since the last call, by their position. They are NULL from
    /// then on; the others go on without them.
    pub fn take_failures(&mut self) -> Vec<(usize, DataFusionError)> {
        std::mem::take(&mut self.failures)
    }

    /// Folds a batch in.
    ///
    /// # Errors
    /// When a condition or a key cannot be computed for some row, or the batch lacks a column that the query reads.
    pub fn process(&mut self, input: &StreamBatch, out: &mut Vec<LowerOutput>) -> Result<()> {
        self.process_with(input, None, out)
    }

    /// The same, with what others compute of the batch as well, if it was computed.
    ///
    /// # Errors
    /// As for [`Self::process`].
    pub fn process_with(
        &mut self,
        input: &StreamBatch,
        common: Option<&BatchCommons>,
        out: &mut Vec<LowerOutput>,
    ) -> Result<()> {
        self.bind(&input.layout)?;
        let (mut rows, mut packets) = (vec![], None);
        let numbered = self.account.begin(input)?;
        let batch = numbered.as_ref().unwrap_or(&input.batch);
        let sample = self.sample_of(input, batch)?;
        // What was computed is of all rows.
        let common = common.filter(|_| sample.is_none());
        let piece = Piece { rows: sample.as_ref().unwrap_or(batch), first: 0, common };
        for branch in 0..self.branches.len() {
            if self.branches[branch].stream.id == input.stream.id {
                packets = self.branches[branch].packets.0;
                self.process_branch(branch, &piece, out, &mut rows)?;
            }
        }
        self.account.end(input, packets);
        if self.fold.is_none() {
            self.give_rows(input, rows, out);
        }
        Ok(())
    }

    fn give_rows(&self, input: &StreamBatch, rows: RowsByPane, out: &mut Vec<LowerOutput>) {
        let (lower, source, sequence) = (self.lower, input.source, input.sequence);
        if self.window.is_none() {
            let batches = rows.into_iter().map(|(_, rows)| rows).collect();
            return out.push(LowerOutput::Rows { source, sequence, batches });
        }
        for (pane, rows) in rows.into_iter().filter(|(_, rows)| rows.num_rows() > 0) {
            out.push(LowerOutput::PaneRows { lower, pane: pane.start, batch: (source, sequence), rows });
        }
    }

    /// The rows of a batch that it reads, where that is not all of them; each lower half of a query reads the same.
    fn sample_of(&mut self, input: &StreamBatch, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let branch = self.branches.iter().find(|branch| branch.stream.id == input.stream.id);
        let Some(branch) = branch.filter(|_| self.one_in > 1) else { return Ok(None) };
        let (first, one_in) = (input.sequence, u64::from(self.one_in));
        let is_read = (0..batch.num_rows() as u64).map(|row| (first + row).is_multiple_of(one_in));
        let is_read: BooleanArray = is_read.map(Some).collect();
        self.account.leave_out(batch, &not(&is_read)?, branch.packets.0)?;
        Ok(Some(filter_record_batch(batch, &is_read)?))
    }

    /// Gives the panes that close where its streams have come to, or earlier, and what is due early.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub fn advance(&mut self, reach: &Reach, out: &mut Vec<LowerOutput>) -> Result<()> {
        let Some(closing) = self.query.closing_width() else { return Ok(()) };
        let streams = self.query.lowers[self.lower].branches.iter().map(|branch| branch.stream.id);
        let (watermark, heads) = reach.least_of(streams);
        let front = if self.query.early.is_some() { heads } else { watermark };
        self.closed_until = self.closed_until.max(watermark);
        self.front = self.front.max(front);
        let (closed_until, front) = (self.closed_until, self.front);
        let is_due =
            |open: &OpenPane| open.due <= front || interval_end(open.pane.start, closing) <= closed_until;
        while let Some(position) = self.open.iter().position(is_due) {
            let OpenPane { pane, state, .. } = self.open.remove(position);
            self.give(pane, state, out)?;
        }
        Ok(())
    }

    /// Gives every open pane: the input has ended.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub fn finish(&mut self, out: &mut Vec<LowerOutput>) -> Result<()> {
        let counts_rows = matches!(self.window, Some(Window::Rows { .. }));
        for OpenPane { mut pane, state, .. } in std::mem::take(&mut self.open) {
            pane.is_complete = !counts_rows;
            self.give(pane, state, out)?;
        }
        Ok(())
    }

    fn process_branch(
        &mut self,
        branch: usize,
        piece: &Piece<'_>,
        out: &mut Vec<LowerOutput>,
        rows: &mut RowsByPane,
    ) -> Result<()> {
        self.account.deliver(piece.rows, self.branches[branch].packets.0);
        match self.window.map(|window| (window, self.query.pane_width())) {
            Some((_, Some(width))) => self.process_panes(branch, piece, width, (out, rows)),
            Some((Window::Rows { count }, None)) => {
                let kept = self.run_branch(branch, piece)?;
                self.fold_counted(&kept, count, out)
            }
            _ if self.fold.is_some() => self.fold_piece(branch, Pane::ALL, piece, out),
            _ => {
                let kept = self.run_branch(branch, piece)?;
                self.keep_rows(Pane::ALL, kept, rows);
                Ok(())
            }
        }
    }

    fn keep_rows(&mut self, pane: Pane, kept: Rows, rows: &mut RowsByPane) {
        self.account.use_rows(&kept.batch, kept.numbers.as_ref(), None);
        rows.push((pane, kept.batch));
    }

    /// Cuts a batch at the borders of panes.
    fn process_panes(
        &mut self,
        branch: usize,
        piece: &Piece<'_>,
        width: i64,
        (out, rows): (&mut Vec<LowerOutput>, &mut RowsByPane),
    ) -> Result<()> {
        let times = self.branches[branch].times.map(|times| piece.rows.column(times).clone());
        let times = times.ok_or_else(|| internal_datafusion_err!("a window needs the event time"))?;
        let times = times.as_primitive::<TimestampNanosecondType>().values();
        let closing = self.query.closing_width().unwrap_or(width);
        let mut runs = std::mem::take(&mut self.runs);
        let sorted = cut(piece.rows, times, width, &mut runs)?;
        // What was computed of the batch is in its order.
        let common = piece.common.filter(|_| sorted.is_none());
        let batch = sorted.as_ref().unwrap_or(piece.rows);
        for run in &runs {
            let pane = Pane { start: run.pane, end: run.pane.plus(width), index: 0, is_complete: true };
            let whole = run.rows == batch.num_rows();
            let part = if whole { batch.clone() } else { batch.slice(run.first, run.rows) };
            if interval_end(pane.start, closing) <= self.closed_until {
                self.account.leave_late(&part, self.branches[branch].packets.0);
                continue;
            }
            let part = Piece { rows: &part, first: run.first, common };
            if self.fold.is_some() {
                self.fold_piece(branch, pane, &part, out)?;
            } else {
                let kept = self.run_branch(branch, &part)?;
                self.keep_rows(pane, kept, rows);
            }
        }
        self.runs = runs;
        Ok(())
    }

    fn run_branch(&mut self, branch: usize, piece: &Piece<'_>) -> Result<Rows> {
        let selection = self.branches[branch].select(piece)?;
        self.take_selected(branch, piece, &selection)
    }

    fn take_selected(&mut self, branch: usize, piece: &Piece<'_>, selection: &Selection) -> Result<Rows> {
        let branch = &self.branches[branch];
        let counts_rows = matches!(self.window, Some(Window::Rows { .. }));
        let times = branch.times.filter(|_| counts_rows).map(|times| piece.rows.column(times).clone());
        let rows = branch.rows(piece.rows, selection, times, self.account.numbers(piece.rows))?;
        let (before, behind) = branch.packets;
        self.account.filter(records_in(piece.rows, before) - records_in(&rows.batch, behind));
        Ok(rows)
    }

    /// Folds the rows of a piece that are kept into the state of a pane.
    fn fold_piece(
        &mut self,
        branch: usize,
        pane: Pane,
        piece: &Piece<'_>,
        out: &mut Vec<LowerOutput>,
    ) -> Result<()> {
        let selection = self.branches[branch].select(piece)?;
        if self.fold_numbered(pane, (piece, self.branches[branch].packets.0), &selection, out)? {
            return Ok(());
        }
        let rows = self.take_selected(branch, piece, &selection)?;
        if rows.batch.num_rows() == 0 {
            return Ok(());
        }
        let position = self.state_of(pane, out)?;
        let packets = self.branches[branch].packets.1;
        self.fold_into(position, &Folded { rows: &rows, packets, numbered: None }, out)
    }

    /// Folds rows by the numbers that their keys have, if these were looked up for all rows, and it keeps enough of them;
    /// says whether it has.
    fn fold_numbered(
        &mut self,
        pane: Pane,
        (piece, packets): (&Piece<'_>, Option<usize>),
        selection: &Selection,
        out: &mut Vec<LowerOutput>,
    ) -> Result<bool> {
        let Some(joined) = self.keys.as_ref().filter(|_| selection.kept() > 0) else { return Ok(false) };
        let are_many = joined.note(selection.kept(), piece.rows.num_rows());
        let Some(keys) = piece.common.and_then(|common| joined.numbered(common)) else { return Ok(false) };
        let (common, grouping) = (Arc::clone(joined.common()), Arc::clone(&joined.grouping));
        let batch = piece.rows.project(&joined.places)?;
        let position = self.state_of(pane, out)?;
        let state = &mut self.open[position].state;
        if are_many {
            state.number(&common)?;
        }
        if !state.is_numbered_by(&common) {
            return Ok(false);
        }
        let numbers = self.account.numbers(piece.rows);
        let rows = selection.filter(Rows { batch, times: None, numbers })?;
        self.account.filter(records_in(piece.rows, packets) - records_in(&rows.batch, grouping.packets));
        let (first, count, mask) = (piece.first, piece.rows.num_rows(), selection.mask());
        let numbered = NumberedInput {
            rows: NumberedRows { keys, first, rows: count, mask },
            aggregates: &grouping.aggregates,
        };
        let folded = Folded { rows: &rows, packets: grouping.packets, numbered: Some(numbered) };
        self.fold_into(position, &folded, out).map(|()| true)
    }

    /// Where the state of a pane is among the open ones.
    fn state_of(&mut self, pane: Pane, out: &mut Vec<LowerOutput>) -> Result<usize> {
        let mut found = self.open.binary_search_by_key(&pane.start, |open| open.pane.start);
        if found.is_err() && self.open.len() >= OPEN_PANES_MAX {
            self.give_earliest(out)?;
            found = self.open.binary_search_by_key(&pane.start, |open| open.pane.start);
        }
        let Err(position) = found else { return Ok(found.unwrap_or_default()) };
        let open = OpenPane { pane, due: self.due_of(pane), state: self.new_state()? };
        self.open.insert(position, open);
        Ok(position)
    }

    /// Folds rows, of which there are some, into the state of the pane at this position.
    fn fold_into(&mut self, position: usize, folded: &Folded<'_>, out: &mut Vec<LowerOutput>) -> Result<()> {
        let Folded { rows, packets, numbered } = folded;
        let state = &mut self.open[position].state;
        let (groups, octets) = (state.len(), state.octets());
        let room = self.room.of_one_with(octets);
        match numbered {
            None => state.update(&rows.batch, *packets, room)?,
            Some(numbered) => state.update_numbered(&rows.batch, *packets, numbered, room)?,
        }
        self.failures.append(&mut state.take_failures());
        // Some may have been given up.
        self.open_groups = (self.open_groups + state.len()).saturating_sub(groups);
        self.room.take(state.octets().saturating_sub(octets));
        self.account.use_rows(&rows.batch, rows.numbers.as_ref(), *packets);
        while self.open_groups > OPEN_GROUPS_PANES * self.limits.groups_max && self.open.len() > 1 {
            self.give_earliest(out)?;
        }
        Ok(())
    }

    /// Gives the earliest open pane away, though more of its records may come.
    fn give_earliest(&mut self, out: &mut Vec<LowerOutput>) -> Result<()> {
        self.parts_before = EventTime::MAX;
        let OpenPane { pane, state, .. } = self.open.remove(0);
        self.give(pane, state, out)
    }

    /// When a pane is given that opens now: at its end, or, if that has been passed, with the next one.
    fn due_of(&self, pane: Pane) -> EventTime {
        match self.query.pane_width() {
            Some(width) if self.query.early.is_some() => pane.end.max(interval_end(self.front, width)),
            _ => pane.end,
        }
    }

    /// Folds rows into windows of `count` rows each.
    fn fold_counted(&mut self, kept: &Rows, count: u64, out: &mut Vec<LowerOutput>) -> Result<()> {
        let mut first = 0;
        self.account.use_rows(&kept.batch, kept.numbers.as_ref(), None);
        while first < kept.batch.num_rows() {
            let (mut pane, mut state) = match self.open.pop() {
                Some(open) => (open.pane, open.state),
                None => (self.next_counted(), self.new_state()?),
            };
            let room = usize::try_from(count - state.rows()).unwrap_or(usize::MAX);
            let rows = room.min(kept.batch.num_rows() - first);
            let octets = state.octets();
            state.update(&kept.batch.slice(first, rows), None, self.room.of_one_with(octets))?;
            self.failures.append(&mut state.take_failures());
            stretch(&mut pane, kept.times.as_ref().map(|times| times.slice(first, rows)).as_ref());
            first += rows;
            if state.rows() == count {
                self.give(pane, state, out)?;
            } else {
                self.open.push(OpenPane { pane, due: EventTime::MAX, state });
            }
        }
        Ok(())
    }

    fn next_counted(&mut self) -> Pane {
        let index = self.next_index;
        self.next_index += 1;
        Pane { start: EventTime::MAX, end: EventTime::MIN, index, is_complete: true }
    }

    fn new_state(&mut self) -> Result<GroupState> {
        if let Some(state) = self.spare.take() {
            return Ok(state);
        }
        let fold = self.fold.clone().ok_or_else(|| internal_datafusion_err!("rows have no groups"))?;
        GroupState::new(fold, self.limits.groups_max)
    }

    /// Keeps a state that was taken out for a pane to come, unless it takes more than there is room for, one is there, or
    /// it asks for numbers that nobody gives any more.
    fn keep_spare(&mut self, state: GroupState, room: usize) {
        let asks = |keys: &JoinedKeys| keys.are_numbered() && state.is_numbered_by(keys.common());
        let is_of_use = !state.is_numbered() || self.keys.as_ref().is_some_and(asks);
        if self.spare.is_none() && is_of_use && state.octets() <= room {
            self.spare = Some(state);
        }
    }

    fn give(&mut self, pane: Pane, mut state: GroupState, out: &mut Vec<LowerOutput>) -> Result<()> {
        let finished = self.limits.is_only_worker && pane.start >= self.parts_before;
        self.open_groups = self.open_groups.saturating_sub(state.len());
        let octets = state.octets();
        let groups = if finished { state.take_results()? } else { state.take_states()? };
        self.failures.append(&mut state.take_failures());
        self.account.fold(groups.folded_rows);
        self.keep_spare(state, self.room.octets.saturating_add(octets).saturating_sub(octets_of(&groups)));
        out.push(LowerOutput::Pane { lower: self.lower, pane, groups, finished });
        Ok(())
    }
}

/// The end of the interval of `width` that holds `time`.
fn interval_end(time: EventTime, width: i64) -> EventTime {
    time.align_down(width).plus(width)
}

/// Widens the pane of a window that counts rows to the times of these rows.
fn stretch(pane: &mut Pane, times: Option<&ArrayRef>) {
    let Some(times) = times.map(AsArray::as_primitive::<TimestampNanosecondType>) else { return };
    pane.start = pane.start.min(min(times).map_or(EventTime::MAX, EventTime));
    pane.end = pane.end.max(max(times).map_or(EventTime::MIN, |last| EventTime(last).plus(1)));
}
