//! Hands rows on in the order of the input, within OFFSET and LIMIT.
//!
//! Workers give the rows of each batch when they are done with it; those of one source are put into its order again.
//! Between sources there is no order.

use crate::ids::SourceId;
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, HashMap};
use tapline_query::Upper;

/// Rows that wait for those before them.
#[derive(Debug)]
pub(crate) struct InputOrder {
    skip: usize,
    left: Option<usize>,
    sources: HashMap<SourceId, Turn>,
}

/// Whose turn it is in one source.
#[derive(Debug, Default)]
struct Turn {
    /// The next batch; not known before the source has said where the query joined.
    next: Option<u64>,
    waiting: BTreeMap<u64, Vec<RecordBatch>>,
}

impl InputOrder {
    pub(crate) fn new(upper: &Upper) -> Self {
        let (skip, left) = match upper {
            Upper::Stream { skip, fetch } => (*skip, *fetch),
            _ => (0, None),
        };
        Self { skip, left, sources: HashMap::new() }
    }

    /// Whether LIMIT is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Says with which batch of a source the query begins; only the first word counts.
    pub(crate) fn begin(&mut self, source: SourceId, sequence: u64) -> Vec<RecordBatch> {
        self.sources.entry(source).or_default().next.get_or_insert(sequence);
        self.due(source)
    }

    /// Takes the rows of one batch, gives those whose turn it is.
    pub(crate) fn accept(
        &mut self,
        source: SourceId,
        sequence: u64,
        batches: Vec<RecordBatch>,
    ) -> Vec<RecordBatch> {
        self.sources.entry(source).or_default().waiting.insert(sequence, batches);
        self.due(source)
    }

    fn due(&mut self, source: SourceId) -> Vec<RecordBatch> {
        let mut rows = vec![];
        let Some(Turn { next: Some(next), waiting }) = self.sources.get_mut(&source) else { return rows };
        while let Some(batches) = waiting.remove(next) {
            *next += 1;
            rows.extend(batches);
        }
        rows.iter_mut().for_each(|batch| *batch = within_limits(batch, &mut self.skip, &mut self.left));
        rows
    }
}

fn within_limits(batch: &RecordBatch, skip: &mut usize, left: &mut Option<usize>) -> RecordBatch {
    let skipped = (*skip).min(batch.num_rows());
    *skip -= skipped;
    let rows = left.unwrap_or(usize::MAX).min(batch.num_rows() - skipped);
    *left = left.map(|left| left - rows);
    batch.slice(skipped, rows)
}
