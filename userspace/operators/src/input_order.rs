//! Hands rows on in the order of the input, within OFFSET and LIMIT.
//!
//! Workers give the rows of each batch when they are done with it; those of one source are put into its order again.
//! Between sources there is no order. Rows of a file wait for their turn as long as it takes: the file waits, too, so
//! that they are never more than its rings hold. A live source does not wait. Where more rows than there is room for
//! wait for one batch of it, nothing waits for that batch any more: when its rows come, they are dropped, and counted.

use crate::ids::SourceId;
use datafusion::arrow::array::RecordBatch;
use std::collections::{BTreeMap, HashMap};
use tapline_query::Upper;

/// Octets that a batch takes which waits, besides its rows.
const BATCH_OCTETS: usize = 128;

/// What may wait of one query without an aggregate for rows of live sources that come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingLimits {
    /// Rows.
    pub rows_max: usize,
    /// Their octets.
    pub octets_max: usize,
}

impl Default for WaitingLimits {
    fn default() -> Self {
        Self { rows_max: 1 << 20, octets_max: 1 << 28 }
    }
}

/// Rows that wait for those before them.
#[derive(Debug)]
pub(crate) struct InputOrder {
    skip: usize,
    left: Option<usize>,
    limits: WaitingLimits,
    sources: HashMap<SourceId, Turn>,
    /// What waits of all sources.
    waiting: Size,
    dropped: u64,
}

/// Whose turn it is in one source.
#[derive(Debug, Default)]
struct Turn {
    /// The next batch; not known before the source has said where the query joined.
    next: Option<u64>,
    waiting: BTreeMap<u64, Vec<RecordBatch>>,
    /// Whether the source does not wait.
    is_live: bool,
}

/// How much rows are.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    rows: usize,
    octets: usize,
}

impl Size {
    fn of(batches: &[RecordBatch]) -> Self {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let octets = batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        Self { rows, octets: BATCH_OCTETS + octets }
    }
}

impl InputOrder {
    pub(crate) fn new(upper: &Upper) -> Self {
        let (skip, left) = match upper {
            Upper::Stream { skip, fetch } => (*skip, *fetch),
            _ => (0, None),
        };
        let (limits, waiting) = (WaitingLimits::default(), Size::default());
        Self { skip, left, limits, sources: HashMap::new(), waiting, dropped: 0 }
    }

    /// Sets what may wait.
    pub(crate) const fn set_limits(&mut self, limits: WaitingLimits) {
        self.limits = limits;
    }

    /// Whether LIMIT is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Rows that came when their turn was over.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Says that a source does not wait.
    pub(crate) fn set_live(&mut self, source: SourceId) {
        self.sources.entry(source).or_default().is_live = true;
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
        let turn = self.sources.entry(source).or_default();
        let size = Size::of(&batches);
        if turn.is_live && turn.next.is_some_and(|next| sequence < next) {
            self.dropped += size.rows as u64;
            return vec![];
        }
        turn.waiting.insert(sequence, batches);
        self.waiting.rows += size.rows;
        self.waiting.octets += size.octets;
        let mut rows = self.due(source);
        while self.is_over() && self.give_up(source) {
            rows.extend(self.due(source));
        }
        rows
    }

    const fn is_over(&self) -> bool {
        self.waiting.rows > self.limits.rows_max || self.waiting.octets > self.limits.octets_max
    }

    /// Waits no longer for what comes before the first batch that is there; says whether there is one.
    fn give_up(&mut self, source: SourceId) -> bool {
        let turn = self.sources.get_mut(&source).filter(|turn| turn.is_live);
        let first =
            turn.and_then(|turn| Some((turn.waiting.first_key_value().map(|(first, _)| *first)?, turn)));
        first.map(|(first, turn)| turn.next = Some(first)).is_some()
    }

    fn due(&mut self, source: SourceId) -> Vec<RecordBatch> {
        let mut rows = vec![];
        let Some(Turn { next: Some(next), waiting, .. }) = self.sources.get_mut(&source) else { return rows };
        while let Some(batches) = waiting.remove(next) {
            *next += 1;
            let size = Size::of(&batches);
            self.waiting.rows -= size.rows;
            self.waiting.octets -= size.octets;
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

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{AsArray as _, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;
    use std::sync::Arc;

    const SOURCE: SourceId = SourceId(0);
    /// Rows of a batch.
    const ROWS: usize = 10;

    fn order(is_live: bool, limits: WaitingLimits) -> InputOrder {
        let mut order = InputOrder::new(&Upper::Stream { skip: 0, fetch: None });
        order.set_limits(limits);
        if is_live {
            order.set_live(SOURCE);
        }
        assert!(order.begin(SOURCE, 0).is_empty());
        order
    }

    /// Gives a batch whose rows hold its number; gives the numbers of the batches that are due then.
    fn push(order: &mut InputOrder, number: u64) -> Vec<u64> {
        let values = Arc::new(Int64Array::from_value(number as i64, ROWS));
        let batch = RecordBatch::try_from_iter([("number", values as _)]).unwrap();
        let due = order.accept(SOURCE, number, vec![batch]);
        due.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0) as u64).collect()
    }

    const NONE: [u64; 0] = [];

    #[test]
    fn rows_of_a_batch_that_all_have_waited_for_are_dropped_and_counted() {
        let limits = WaitingLimits { rows_max: 3 * ROWS, ..WaitingLimits::default() };
        let mut order = order(true, limits);
        assert_eq!(push(&mut order, 0), [0]);
        assert_eq!([2, 3, 5].map(|number| push(&mut order, number)), [NONE; 3]);
        assert_eq!(push(&mut order, 6), [2, 3], "batch 1 is not waited for, batch 4 is");
        assert_eq!((push(&mut order, 1), order.dropped()), (vec![], ROWS as u64));
        assert_eq!((push(&mut order, 4), order.dropped()), (vec![4, 5, 6], ROWS as u64));
        assert_eq!((order.waiting.rows, order.waiting.octets), (0, 0));
    }

    #[test]
    fn octets_have_a_limit_of_their_own() {
        let mut order = order(true, WaitingLimits { octets_max: 1000, ..WaitingLimits::default() });
        let due: Vec<_> = (1..20).flat_map(|number| push(&mut order, number)).collect();
        assert_eq!(due, (1..20).collect::<Vec<_>>());
        assert_eq!((push(&mut order, 0), order.dropped()), (vec![], ROWS as u64));
    }

    #[test]
    fn rows_of_a_file_wait_as_long_as_it_takes() {
        let mut order = order(false, WaitingLimits { rows_max: 1, octets_max: 1 });
        assert!((1..100).all(|number| push(&mut order, number).is_empty()));
        assert_eq!((push(&mut order, 0), order.dropped()), ((0..100).collect(), 0));
    }
}
