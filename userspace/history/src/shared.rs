//! What writes results and what reads them share.

use crate::columns::union;
use crate::options::HistoryOptions;
use crate::place::{Hour, columns_number};
use crate::store::{Part, Store};
use crate::waiting::{Piece, Waiting};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapline_operators::WindowResult;

/// What is there of a query, each result once.
pub(crate) struct Snapshot {
    /// In files.
    pub(crate) parts: Vec<Part>,
    /// On the way to files.
    pub(crate) pieces: Vec<Piece>,
    /// In neither.
    pub(crate) others: Vec<Arc<WindowResult>>,
}

/// What writes and what reads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: HistoryOptions,
    pub(crate) store: Store,
    /// What is in no file yet; held while files come and go, so that each result is seen once.
    waiting: Mutex<Waiting>,
    /// Columns of files that were read, by query and number.
    schemas: Mutex<BTreeMap<(String, u32), SchemaRef>>,
}

impl Shared {
    pub(crate) fn new(options: HistoryOptions) -> Self {
        let store = Store::new(&options.folder);
        Self { options, store, waiting: Mutex::default(), schemas: Mutex::default() }
    }

    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files and the waiting rows of a query in these hours; each result is among them once.
    pub(crate) fn snapshot(
        &self,
        query: &str,
        has: impl Fn(Hour) -> bool,
    ) -> io::Result<(Vec<Part>, Vec<Piece>)> {
        self.look(&self.waiting(), query, has)
    }

    /// The same, and those of other results that are not among all that are stored or wait.
    pub(crate) fn snapshot_beside(
        &self,
        query: &str,
        has: impl Fn(Hour) -> bool,
        others: Vec<Arc<WindowResult>>,
    ) -> io::Result<Snapshot> {
        let waiting = self.waiting();
        let (parts, pieces) = self.look(&waiting, query, has)?;
        Ok(Snapshot { parts, pieces, others: waiting.others(query, others) })
    }

    fn look(
        &self,
        waiting: &Waiting,
        query: &str,
        has: impl Fn(Hour) -> bool,
    ) -> io::Result<(Vec<Part>, Vec<Piece>)> {
        let mut parts = vec![];
        for hour in self.store.hours(query)?.into_iter().filter(|hour| has(*hour)) {
            parts.extend(self.store.parts(query, hour)?);
        }
        let pieces = waiting.pieces().iter().filter(|(key, _)| key.query == query && has(key.hour));
        Ok((parts, pieces.map(|(_, piece)| piece.clone()).collect()))
    }

    /// The columns of a query's results, of whichever file; `None` where there are none.
    pub(crate) fn schema(&self, query: &str) -> Result<Option<SchemaRef>> {
        let (parts, pieces) = self.snapshot(query, |_| true)?;
        let mut schemas: BTreeMap<u32, SchemaRef> = BTreeMap::new();
        // The order of columns is that of the newest.
        for part in parts.iter().rev() {
            if let Entry::Vacant(free) = schemas.entry(part.columns) {
                free.insert(self.schema_of(query, part)?);
            }
        }
        for piece in pieces {
            schemas.entry(columns_number(&piece.schema)).or_insert(piece.schema);
        }
        let newest = parts.last().and_then(|part| schemas.remove(&part.columns));
        Ok(union(newest.into_iter().chain(schemas.into_values())))
    }

    /// The columns of a file.
    pub(crate) fn schema_of(&self, query: &str, part: &Part) -> Result<SchemaRef> {
        let key = (query.to_owned(), part.columns);
        let known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = Arc::clone(self.reader(part)?.schema());
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&schema));
        Ok(schema)
    }

    /// Reads a file.
    pub(crate) fn reader(&self, part: &Part) -> Result<ParquetRecordBatchReaderBuilder<File>> {
        let said = |error: &dyn std::fmt::Display| {
            DataFusionError::Execution(format!("{} cannot be read: {error}", part.path.display()))
        };
        let file = self.store.open(part).map_err(|error| said(&error))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| said(&error))
    }
}
