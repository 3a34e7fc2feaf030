//! Results that are not in a file yet, by query, hour and columns.

use crate::place::Hour;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use tapline_operators::WindowResult;
use tapline_record::EventTime;

/// Of which file rows will be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) query: String,
    pub(crate) hour: Hour,
    pub(crate) columns: u32,
}

/// Rows of one file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: usize,
    pub(crate) octets: usize,
    /// How many results they are of; one whose batches differ in their columns counts once.
    pub(crate) results: u64,
    /// When the first of them came.
    pub(crate) since: EventTime,
}

/// All that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pieces: BTreeMap<Key, Piece>,
    octets: usize,
    /// What came so far, as long as somebody else has it too: results of a query are told apart by nothing else, since
    /// those of one window may come in parts.
    came: BTreeMap<String, VecDeque<Weak<WindowResult>>>,
}

impl Waiting {
    /// Adds rows of `results` results.
    pub(crate) fn add(&mut self, key: Key, batch: RecordBatch, results: u64, now: EventTime) {
        let (octets, rows) = (batch.get_array_memory_size(), batch.num_rows());
        let new =
            || Piece { schema: batch.schema(), batches: vec![], rows: 0, octets: 0, results: 0, since: now };
        let piece = self.pieces.entry(key).or_insert_with(new);
        piece.batches.push(batch);
        piece.rows += rows;
        piece.octets += octets;
        piece.results += results;
        self.octets += octets;
    }

    /// Notes that a result came.
    pub(crate) fn note(&mut self, query: &str, result: &Arc<WindowResult>) {
        let came = self.came.entry(query.to_owned()).or_default();
        came.retain(|known| known.strong_count() > 0);
        came.push_back(Arc::downgrade(result));
    }

    /// Those of a query's results that did not come, in their order.
    pub(crate) fn others(&self, query: &str, results: Vec<Arc<WindowResult>>) -> Vec<Arc<WindowResult>> {
        let Some(came) = self.came.get(query) else { return results };
        let came: HashSet<*const WindowResult> = came.iter().map(Weak::as_ptr).collect();
        results.into_iter().filter(|result| !came.contains(&Arc::as_ptr(result))).collect()
    }

    /// Takes out what is in a file now, or lost.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Piece> {
        let piece = self.pieces.remove(key)?;
        self.octets -= piece.octets;
        Some(piece)
    }

    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    pub(crate) fn results(&self) -> u64 {
        self.pieces.values().map(|piece| piece.results).sum()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Piece> {
        self.pieces.get(key)
    }

    pub(crate) const fn pieces(&self) -> &BTreeMap<Key, Piece> {
        &self.pieces
    }
}
