//! What writes results and what reads them share.

use crate::bucket::{Bucket, Refused};
use crate::columns::union;
use crate::content::Content;
use crate::elsewhere::Elsewhere;
use crate::index::Has;
use crate::left_out::{LeftOut, Unopened};
use crate::moved::Moved;
use crate::options::HistoryOptions;
use crate::place::{Hour, HourFile, columns_number};
use crate::store::{Part, Store};
use crate::waiting::{Piece, Waiting};
use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapline_operators::WindowResult;

/// How many files are opened to find out which columns one has that cannot be.
const ALIKE_MAX: usize = 16;

/// What was opened of a file.
type Opened<T> = std::result::Result<T, Unopened>;

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
    pub(crate) bucket: Option<Arc<Bucket>>,
    /// Where all of it lies in a bucket, and none here.
    elsewhere: Option<Elsewhere>,
    /// What is left out of answers, where somebody only reads; else a question for what cannot be opened is refused.
    pub(crate) left_out: Option<LeftOut>,
    /// Held while files of the folder are merged or rolled up, and while it is decided which of them do not change any
    /// more; taken before the others.
    order: Mutex<()>,
    /// What is in no file yet; held while files come and go, so that each result is seen once.
    waiting: Mutex<Waiting>,
    moved: Mutex<Moved>,
    /// Columns of files that were read, by query and number.
    schemas: Mutex<BTreeMap<(String, u32), SchemaRef>>,
}

impl Shared {
    pub(crate) fn new(options: HistoryOptions) -> Self {
        let bucket = options.bucket.clone().map(Bucket::new);
        Self::with_bucket(options, bucket)
    }

    /// The same, beside this bucket.
    pub(crate) fn with_bucket(options: HistoryOptions, bucket: Option<Bucket>) -> Self {
        let store = Store::new(&options.folder);
        Self {
            options,
            store,
            bucket: bucket.map(Arc::new),
            elsewhere: None,
            left_out: None,
            order: Mutex::default(),
            waiting: Mutex::default(),
            moved: Mutex::default(),
            schemas: Mutex::default(),
        }
    }

    /// What is only read.
    pub(crate) fn read_only(options: HistoryOptions) -> Self {
        Self { left_out: Some(LeftOut::default()), ..Self::new(options) }
    }

    /// What is read in a bucket only.
    pub(crate) fn elsewhere(bucket: Bucket) -> std::result::Result<Self, String> {
        let url = bucket.options.url();
        let queries = bucket.queries(&AtomicBool::new(false))?;
        if queries.is_empty() {
            return Err(format!("{url} has no stored results, which lie there as query=NAME/hour=…"));
        }
        // Whatever is wrong with a file names where it lies.
        let shared = Self::with_bucket(HistoryOptions::new(Path::new(&url)), Some(bucket));
        shared.store.know_queries(queries);
        let elsewhere = shared.bucket.clone().map(Elsewhere::new);
        Ok(Self { elsewhere, left_out: Some(LeftOut::default()), ..shared })
    }

    pub(crate) fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn moved(&self) -> MutexGuard<'_, Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.learn(query, &has)?;
        self.look(&self.waiting(), query, &has)
    }

    /// The same, and those of other results that are not among all that are stored or wait.
    pub(crate) fn snapshot_beside(
        &self,
        query: &str,
        has: impl Fn(Hour) -> bool,
        others: Vec<Arc<WindowResult>>,
    ) -> io::Result<Snapshot> {
        self.learn(query, &has)?;
        let waiting = self.waiting();
        let (parts, pieces) = self.look(&waiting, query, &has)?;
        Ok(Snapshot { parts, pieces, others: waiting.others(query, others) })
    }

    /// Lists what is not known of these hours before anybody has to wait for it.
    fn learn(&self, query: &str, has: Has<'_>) -> io::Result<()> {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.learn(&self.store, query),
            None => self.store.learn(query, has, &AtomicBool::new(false)),
        }
    }

    fn look(&self, waiting: &Waiting, query: &str, has: Has<'_>) -> io::Result<(Vec<Part>, Vec<Piece>)> {
        let parts = self.store.known_parts(query, has)?;
        let pieces = waiting.pieces().iter().filter(|(key, _)| key.query == query && has(key.hour));
        Ok((parts, pieces.map(|(_, piece)| piece.clone()).collect()))
    }

    /// The columns of a query's results, of whichever file; `None` where there are none.
    pub(crate) fn schema(&self, query: &str) -> Result<Option<SchemaRef>> {
        self.learn(query, &|_| true)?;
        let waiting = self.waiting();
        let newest = self.store.newest_by_columns(query)?;
        let pieces = waiting.pieces().iter().filter(|(key, _)| key.query == query);
        let waits: Vec<SchemaRef> = pieces.map(|(_, piece)| Arc::clone(&piece.schema)).collect();
        drop(waiting);
        let (mut schemas, mut wrong) = (BTreeMap::new(), None);
        for part in &newest {
            match self.schema_alike(query, part) {
                Ok(schema) => {
                    schemas.insert(part.columns, schema);
                }
                // What can be opened is asked for all the same.
                Err(unopened) if unopened.is_own => {
                    wrong.get_or_insert(unopened.error);
                }
                Err(unopened) => return Err(unopened.error),
            }
        }
        for schema in waits {
            schemas.entry(columns_number(&schema)).or_insert(schema);
        }
        if let Some(error) = wrong.filter(|_| schemas.is_empty()) {
            return Err(error);
        }
        // The order of columns is that of the newest.
        let newest = newest.iter().find_map(|part| schemas.remove(&part.columns));
        Ok(union(newest.into_iter().chain(schemas.into_values())))
    }

    /// The columns of a file, or where it cannot be opened, of another one that has the same.
    fn schema_alike(&self, query: &str, part: &Part) -> Opened<SchemaRef> {
        let wrong = match self.open_schema(query, part) {
            Err(unopened) if unopened.is_own => unopened,
            other => return other,
        };
        let parts = self.store.known_parts(query, &|_| true).unwrap_or_default();
        let is_alike = |other: &&Part| other.columns == part.columns && other.path != part.path;
        for other in parts.iter().rev().filter(is_alike).take(ALIKE_MAX) {
            match self.open_schema(query, other) {
                Err(unopened) if unopened.is_own => {}
                other => return other,
            }
        }
        Err(wrong)
    }

    /// The columns of a file.
    pub(crate) fn schema_of(&self, query: &str, part: &Part) -> Result<SchemaRef> {
        self.open_schema(query, part).map_err(|unopened| unopened.error)
    }

    fn open_schema(&self, query: &str, part: &Part) -> Opened<SchemaRef> {
        let key = (query.to_owned(), part.columns);
        let known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let opened = reader(self.open(part)?, part).map_err(Unopened::own)?;
        let schema = Arc::clone(opened.schema());
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&schema));
        Ok(schema)
    }

    /// A file whose rows are to be read, and what it says of itself; nothing where it is left out.
    pub(crate) fn opened(
        &self,
        part: &Part,
    ) -> Result<Option<(Content, ParquetRecordBatchReaderBuilder<Content>)>> {
        let opened = self.open(part).and_then(|content| {
            let reader = reader(content.clone(), part).map_err(Unopened::own)?;
            Ok((content, reader))
        });
        match &self.left_out {
            Some(left_out) => left_out.decide(part, opened),
            None => opened.map(Some).map_err(|unopened| unopened.error),
        }
    }

    /// Reads a file; one that lies in a bucket is known, and its rows are read once it is said which.
    pub(crate) fn reader(&self, part: &Part) -> Result<ParquetRecordBatchReaderBuilder<Content>> {
        reader(self.content(part)?, part)
    }

    /// What is in a file, wherever it lies.
    pub(crate) fn content(&self, part: &Part) -> Result<Content> {
        self.open(part).map_err(|unopened| unopened.error)
    }

    fn open(&self, part: &Part) -> Opened<Content> {
        let is_none = || Unopened::other(unreadable(part, &"it is no file of results"));
        let file = HourFile::of(&part.path).ok_or_else(is_none)?;
        if let Some(tail) = self.tail(&file, part)? {
            let said = "it lies in a bucket, which is asked by the node that stores there, or by its own URL";
            let bucket = self.bucket.as_ref().ok_or_else(|| Unopened::other(unreadable(part, &said)))?;
            return Ok(Content::away(Arc::clone(bucket), file, part.octets, tail));
        }
        let file = self.store.open(part).map_err(|error| Unopened::own(unreadable(part, &error)))?;
        Ok(Content::Here(Arc::new(file)))
    }

    /// What a file ends with that lies in a bucket only; nothing of one that lies here.
    fn tail(&self, file: &HourFile, part: &Part) -> Opened<Option<Bytes>> {
        if let Some(elsewhere) = &self.elsewhere {
            let tail = elsewhere.tail(file, part).map(Some);
            return tail.map_err(|Refused { why, is_of_one }| Unopened {
                error: unreadable(part, &why),
                is_own: is_of_one,
            });
        }
        let is_away = !part.path.exists();
        Ok(is_away.then(|| self.store.tail(part).ok()).flatten().map(Bytes::from))
    }
}

/// Reads what is in a file.
pub(crate) fn reader(content: Content, part: &Part) -> Result<ParquetRecordBatchReaderBuilder<Content>> {
    ParquetRecordBatchReaderBuilder::try_new(content).map_err(|error| unreadable(part, &error))
}

fn unreadable(part: &Part, error: &dyn Display) -> DataFusionError {
    DataFusionError::Execution(format!("{} cannot be read: {error}", part.path.display()))
}
