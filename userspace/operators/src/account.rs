//! The fates of a query's rows on one worker, each row once.
//!
//! Where one branch alone reads a stream, rows are counted as they go. Where several do, of one lower half or of many,
//! the rows of a batch are numbered, and each branch says what became of them; once the last lower half has seen the
//! batch, each row counts by the best of its fates: used before late before filtered.

use crate::groups::{records_in, records_of};
use crate::ids::SourceId;
use crate::stream_batch::StreamBatch;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{filter, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use datafusion::common::Result;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tapline_query::LowerHalf;
use tapline_record::Stream;
use tapline_record::ledger::QueryLedger;

/// What became of a row; the greatest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Filtered,
    Late,
    Used,
    /// It is not in the sample: that is so for all branches.
    Dropped,
}

/// Batches that some lower halves have seen and others have not, by their source and position; shared by the lower
/// halves of a query on one worker.
pub(crate) type Pending = Arc<Mutex<HashMap<(SourceId, u64), Seen>>>;

/// What became of a batch so far.
#[derive(Debug)]
pub(crate) struct Seen {
    fates: Vec<Fate>,
    /// Lower halves that have seen it.
    halves: usize,
}

/// One lower half's side of the account.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: QueryLedger,
    pending: Pending,
    /// Streams that several branches read, and how many lower halves they are in.
    shared: Vec<(&'static Stream, usize)>,
    /// The fates of the rows at hand, where several branches read them.
    fates: Option<Vec<Fate>>,
}

impl Account {
    /// The account of one of `halves`, which share `pending`.
    pub(crate) fn new(halves: &[LowerHalf], pending: Pending) -> Self {
        let reads = |half: &LowerHalf, stream: &Stream| {
            half.branches.iter().filter(|branch| branch.stream.id == stream.id).count()
        };
        let mut shared: Vec<(&'static Stream, usize)> = vec![];
        for stream in halves.iter().flat_map(|half| &half.branches).map(|branch| branch.stream) {
            let readers = halves.iter().map(|half| reads(half, stream));
            let is_known = shared.iter().any(|(known, _)| known.id == stream.id);
            if !is_known && readers.clone().sum::<usize>() > 1 {
                shared.push((stream, readers.filter(|branches| *branches > 0).count()));
            }
        }
        Self { ledger: QueryLedger::default(), pending, shared, fates: None }
    }

    pub(crate) const fn ledger(&self) -> &QueryLedger {
        &self.ledger
    }

    /// The batch with its rows numbered in a last column, where several branches read them.
    ///
    /// # Errors
    /// Only when Arrow refuses the column.
    pub(crate) fn begin(&mut self, input: &StreamBatch) -> Result<Option<RecordBatch>> {
        let is_shared = self.halves_of(input.stream).is_some();
        self.fates = is_shared.then(|| vec![Fate::Filtered; input.batch.num_rows()]);
        is_shared.then(|| numbered(&input.batch)).transpose()
    }

    /// Says that this lower half has seen the batch; `packets` names the column that says how many records a row is.
    pub(crate) fn end(&mut self, input: &StreamBatch, packets: Option<usize>) {
        let (Some(mut fates), Some(halves)) = (self.fates.take(), self.halves_of(input.stream)) else {
            return;
        };
        if halves > 1 {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let seen =
                pending.entry((input.source, input.sequence)).or_insert(Seen { fates: vec![], halves: 0 });
            fates.iter_mut().zip(&seen.fates).for_each(|(fate, other)| *fate = (*fate).max(*other));
            seen.halves += 1;
            if seen.halves < halves {
                seen.fates = fates;
                return;
            }
            pending.remove(&(input.source, input.sequence));
        }
        for (fate, records) in fates.into_iter().zip(records_of(&input.batch, packets)) {
            self.ledger.delivered += records;
            match fate {
                Fate::Used => self.ledger.used += records,
                Fate::Late => self.ledger.late += records,
                Fate::Filtered => self.ledger.filtered += records,
                Fate::Dropped => self.ledger.dropped += records,
            }
        }
    }

    fn halves_of(&self, stream: &Stream) -> Option<usize> {
        self.shared.iter().find(|(shared, _)| shared.id == stream.id).map(|(_, halves)| *halves)
    }

    /// The numbers of the rows of a piece of the batch at hand, where they have some.
    pub(crate) fn numbers(&self, piece: &RecordBatch) -> Option<ArrayRef> {
        self.fates.as_ref().and_then(|_| piece.columns().last().cloned())
    }

    /// Notes rows that came to a branch which alone reads their stream.
    pub(crate) fn deliver(&mut self, batch: &RecordBatch, packets: Option<usize>) {
        if self.fates.is_none() {
            self.ledger.delivered += records_in(batch, packets);
        }
    }

    /// Notes rows that came too late.
    pub(crate) fn leave_late(&mut self, piece: &RecordBatch, packets: Option<usize>) {
        match self.numbers(piece) {
            Some(numbers) => self.mark(&numbers, Fate::Late),
            None => self.ledger.late += records_in(piece, packets),
        }
    }

    /// Notes the rows of a batch that are not in the sample, before the others are delivered.
    ///
    /// # Errors
    /// Only when Arrow refuses to filter a column.
    pub(crate) fn leave_out(
        &mut self,
        batch: &RecordBatch,
        are_out: &BooleanArray,
        packets: Option<usize>,
    ) -> Result<()> {
        if let Some(numbers) = self.numbers(batch) {
            self.mark(&filter(&numbers, are_out)?, Fate::Dropped);
            return Ok(());
        }
        let records = match packets {
            None => are_out.true_count() as u64,
            Some(packets) => records_in(&filter_record_batch(&batch.project(&[packets])?, are_out)?, Some(0)),
        };
        self.ledger.delivered += records;
        self.ledger.dropped += records;
        Ok(())
    }

    /// Notes that so many records were left out.
    pub(crate) const fn filter(&mut self, records: u64) {
        if self.fates.is_none() {
            self.ledger.filtered += records;
        }
    }

    /// Notes that these rows, with the numbers that they have, count in a result.
    pub(crate) fn use_rows(
        &mut self,
        rows: &RecordBatch,
        numbers: Option<&ArrayRef>,
        packets: Option<usize>,
    ) {
        match numbers {
            Some(numbers) => self.mark(numbers, Fate::Used),
            None => self.ledger.used += records_in(rows, packets),
        }
    }

    /// Notes that so many of the rows used are of groups beyond the cap.
    pub(crate) const fn fold(&mut self, records: u64) {
        self.ledger.folded += records;
    }

    fn mark(&mut self, numbers: &ArrayRef, fate: Fate) {
        let Some(fates) = &mut self.fates else { return };
        for &number in numbers.as_primitive::<UInt32Type>().values() {
            let known = &mut fates[number as usize];
            *known = fate.max(*known);
        }
    }
}

fn numbered(batch: &RecordBatch) -> Result<RecordBatch> {
    let numbers = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
    let field = Arc::new(Field::new("number", DataType::UInt32, false));
    let fields = batch.schema().fields().iter().cloned().chain([field]).collect::<Vec<_>>();
    let columns = batch.columns().iter().cloned().chain([Arc::new(numbers) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
