//! What a statement answers: batch by batch, or as rows of a bounded number, size and time.

use crate::said::AskError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use std::time::{Duration, Instant};
use tapline_functions::held_octets;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Between two looks whether somebody still waits.
const LOOK: Duration = Duration::from_millis(100);

/// What a statement answers, batch by batch.
pub struct Answer {
    /// Goes first: the runtime waits for threads that read for it.
    stream: SendableRecordBatchStream,
    runtime: Runtime,
}

/// How many rows are wanted, and what they may cost.
#[derive(Clone, Copy, Debug)]
pub struct RowsLimits {
    /// Rows; beyond, they are counted only.
    pub rows_max: usize,
    /// Octets of these rows.
    pub octets_max: usize,
    /// How long all of it may take.
    pub within: Duration,
    /// How long of it rows are counted that are beyond.
    pub counts_for: Duration,
}

/// Rows of a statement.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Their columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// How many more there are; at least so many, where counting them took too long.
    pub left_out: u64,
}

/// What comes next.
enum Next {
    Batch(RecordBatch),
    NotYet,
    End,
}

impl Answer {
    pub(crate) const fn new(stream: SendableRecordBatchStream, runtime: Runtime) -> Self {
        Self { stream, runtime }
    }

    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// As many rows as are wanted, from `begun` on.
    pub(crate) fn rows(
        mut self,
        limits: &RowsLimits,
        begun: Instant,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Rows, AskError> {
        let (mut rows, mut left, mut octets) = (Rows::new(self.schema()), limits.rows_max, 0);
        let mut full: Option<Instant> = None;
        while is_wanted() && full.is_none_or(|since| since.elapsed() < limits.counts_for) {
            if begun.elapsed() >= limits.within {
                let seconds = limits.within.as_secs();
                let said = format!("the statement worked for more than {seconds} s; ask for less");
                return Err(AskError::Failed(said));
            }
            let batch = match self.wait()? {
                Next::End => break,
                Next::NotYet => continue,
                Next::Batch(batch) => batch,
            };
            let taken = batch.num_rows().min(left);
            left -= taken;
            rows.left_out += (batch.num_rows() - taken) as u64;
            if rows.left_out > 0 {
                full.get_or_insert_with(Instant::now);
            }
            octets +=
                rows.push(batch.slice(0, taken)).map_err(|error| AskError::Failed(error.to_string()))?;
            if octets > limits.octets_max {
                let megabytes = limits.octets_max >> 20;
                let said = format!("the rows have more than {megabytes} MiB; ask for fewer rows or columns");
                return Err(AskError::Failed(said));
            }
        }
        Ok(rows)
    }

    /// The next batch, if it comes soon.
    fn wait(&mut self) -> Result<Next, AskError> {
        let stream = &mut self.stream;
        let next = self.runtime.block_on(async { timeout(LOOK, stream.next()).await });
        match next {
            Err(_) => Ok(Next::NotYet),
            Ok(None) => Ok(Next::End),
            Ok(Some(batch)) => batch.map(Next::Batch).map_err(|error| AskError::failed(&error)),
        }
    }
}

impl Rows {
    const fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: vec![], left_out: 0 }
    }

    /// Adds rows; gives how many octets they have.
    fn push(&mut self, batch: RecordBatch) -> Result<usize, ArrowError> {
        let octets = batch.columns().iter().map(held_octets);
        let octets = octets.sum::<Result<usize, _>>()?;
        if batch.num_rows() > 0 {
            self.batches.push(batch);
        }
        Ok(octets)
    }
}

impl Iterator for Answer {
    type Item = Result<RecordBatch, AskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.runtime.block_on(self.stream.next())?;
        Some(batch.map_err(|error| AskError::failed(&error)))
    }
}
