//! The rows of `ledger` that are about queries.
//!
//! Takes the accounts of all queries as they are published, once a second; gives a row of what changed of each, so
//! that sums over the rows are the accounts again. Of files, whose records have times of their own, the accounts are
//! told once, when all that they held is worked off, as of the latest record: so they are the same in each run.
//!
//! A query that reads these rows counts them, too, and the row about that comes a second later. What it counts last
//! is told by nobody: the rows that end its input.

use crate::accounts::Accounts;
use crate::query_state::QueryState;
use crate::ring::Flags;
use arrow_array::RecordBatch;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use tapline_operators::QueryId;
use tapline_record::column::BURST_ROWS;
use tapline_record::ledger::QueryLedger;
use tapline_record::{
    BatchBuilder, EventTime, LEDGER, LedgerColumn, LedgerRow, Stream, StreamId, Watermarks,
};
use tapline_sources::{Clock, Demand, Progress, Source, Step};

/// Between two looks at the accounts while a source is live.
const LOOK_EVERY_NS: i64 = 1_000_000_000;

/// What the fates of a query are counted in; `rows` are those of sources.
const UNIT: &str = "query rows";

/// The columns that a row about a query has, besides its changes.
const KEYS: [LedgerColumn; 3] = [LedgerColumn::Ts, LedgerColumn::Unit, LedgerColumn::QueryName];
/// The fates of sources, which are 0 in it.
const FATES: std::ops::RangeInclusive<usize> = LedgerColumn::Offered as usize..=LedgerColumn::Lost as usize;
/// Those of queries.
const CHANGES: std::ops::RangeInclusive<usize> =
    LedgerColumn::QueryDelivered as usize..=LedgerColumn::QueryResultsLost as usize;

/// The values of the columns [`CHANGES`].
type Amounts = [i64; 7];

/// Makes rows of the accounts of queries.
pub(crate) struct AccountSource {
    accounts: Arc<Accounts>,
    flags: Arc<Flags>,
    clock: Arc<dyn Clock>,
    builder: BatchBuilder,
    is_read: bool,
    /// What was told of each query so far.
    told: HashMap<QueryId, Amounts>,
    next_look: EventTime,
    /// The time of the rows that were made last.
    looked: EventTime,
    watermarks: Watermarks,
}

impl AccountSource {
    pub(crate) fn new(accounts: Arc<Accounts>, flags: Arc<Flags>, clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts,
            flags,
            clock,
            builder: BatchBuilder::new(&LEDGER, &[], BURST_ROWS),
            is_read: false,
            told: HashMap::new(),
            next_look: EventTime::MIN,
            looked: EventTime::MIN,
            watermarks: Watermarks::BEGINNING,
        }
    }

    fn build(&mut self, demand: &Demand) {
        let columns = demand.columns(StreamId::Ledger);
        self.is_read = columns.is_some();
        self.accounts.set_read(self.is_read);
        if !self.is_read {
            // Who asks next is told all, as by every source.
            self.told.clear();
            self.next_look = EventTime::MIN;
        }
        self.builder.relayout(columns.unwrap_or_default());
        self.watermarks = self.watermarks.carrying(&self.streams());
    }

    /// Makes a row of each query in whose account something changed.
    fn look(&mut self, now: EventTime) {
        self.looked = now;
        let mut rows = vec![];
        for query in self.accounts.queries() {
            let is_closed = query.state.is_closed();
            let (amounts, told) = (amounts_of(&query.state), self.told.entry(query.id).or_default());
            let changes: Amounts = std::array::from_fn(|place| amounts[place] - told[place]);
            *told = amounts;
            if is_closed {
                self.told.remove(&query.id);
            }
            if changes != Amounts::default() {
                rows.push(self.row(&query.name, now, changes));
            }
        }
        for burst in rows.chunks(BURST_ROWS) {
            self.builder.append(burst.len(), |position, column| LedgerRow::append(burst, position, column));
        }
    }

    fn row(&mut self, name: &str, now: EventTime, changes: Amounts) -> LedgerRow {
        let columns = KEYS.iter().map(|column| *column as usize).chain(FATES).chain(CHANGES);
        let mut row = LedgerRow {
            present: columns.map(|position| 1 << position).sum(),
            ts: now.0,
            unit: self.builder.intern(UNIT),
            query_name: self.builder.intern(name),
            ..LedgerRow::default()
        };
        [
            row.query_delivered,
            row.query_used,
            row.query_filtered,
            row.query_late,
            row.query_dropped,
            row.query_folded,
            row.query_results_lost,
        ] = changes;
        row
    }
}

fn amounts_of(state: &QueryState) -> Amounts {
    let QueryLedger { delivered, used, filtered, late, dropped, folded } = state.ledger();
    [delivered, used, filtered, late, dropped, folded, state.results_lost()]
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

impl Source for AccountSource {
    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        Ok(())
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        Ok(())
    }

    /// Its rows wait for room, as those of a file.
    fn is_live(&self) -> bool {
        false
    }

    fn step(&mut self) -> Step {
        if self.flags.drains() && self.accounts.are_settled() {
            return Step::End;
        }
        if !self.is_read || !self.accounts.are_live() {
            return Step::Idle;
        }
        let now = self.clock.now();
        if now >= self.next_look {
            self.next_look = now.plus(LOOK_EVERY_NS);
            self.look(now);
        }
        self.looked = now;
        Step::Idle
    }

    fn streams(&self) -> Vec<&'static Stream> {
        if self.is_read { vec![&LEDGER] } else { vec![] }
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        let batch = (self.builder.rows() > 0).then(|| self.builder.finish());
        if self.is_read && self.accounts.are_live() {
            self.watermarks.set(StreamId::Ledger, self.looked);
        }
        batch
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn latest(&self) -> EventTime {
        self.looked
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: StreamId, _: u64) {}

    fn end(&mut self) {
        let now = if self.accounts.are_live() { self.clock.now() } else { self.accounts.latest() };
        self.look(now.max(EventTime(0)));
    }

    fn recycle(&mut self, _: StreamId, batch: RecordBatch) {
        self.builder.recycle(batch);
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn report(&mut self) {}
}
