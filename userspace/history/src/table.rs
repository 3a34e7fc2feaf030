//! Results of one query as a table of DataFusion.
//!
//! What there is is looked up when a plan is made, as a whole; hours and groups of rows that a condition leaves out are
//! not read, nor are columns that nobody asks for. Files are read on threads that may wait, a batch ahead of whoever
//! takes them; no thread is held for one who takes none.

use crate::bounds::Bounds;
use crate::columns::adapt;
use crate::newest::Newest;
use crate::shared::{Shared, Snapshot};
use crate::store::Part;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;
use tokio::task::{JoinHandle, spawn_blocking};

/// Rows of a batch that is read.
const ROWS_PER_BATCH: usize = 8192;

/// Stored results of one query.
#[derive(Debug)]
pub(crate) struct StoredTable {
    shared: Arc<Shared>,
    query: String,
    schema: SchemaRef,
    newest: Option<Arc<dyn Newest>>,
}

impl StoredTable {
    pub(crate) fn new(
        shared: Arc<Shared>,
        query: &str,
        schema: SchemaRef,
        newest: Option<Arc<dyn Newest>>,
    ) -> Self {
        Self { shared, query: query.to_owned(), schema, newest }
    }

    /// All files that may matter, and the rows that are in none.
    fn look(&self, bounds: Bounds, wanted: &Schema) -> Result<(Vec<Part>, Vec<RecordBatch>)> {
        // First, so that what leaves the memory meanwhile is among what is stored.
        let newest = self.newest.as_ref().map_or(Ok(vec![]), |newest| newest.results())?;
        let has_hour = |hour| bounds.has_hour(hour);
        let Snapshot { parts, pieces, others } =
            self.shared.snapshot_beside(&self.query, has_hour, newest)?;
        let mut batches: Vec<RecordBatch> = pieces.into_iter().flat_map(|piece| piece.batches).collect();
        for (newest, result) in others.iter().filter_map(|result| Some((self.newest.as_ref()?, result))) {
            batches.extend(newest.rows(result, wanted)?);
        }
        Ok((parts, batches))
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if Bounds::of([*filter]).are_open() {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let bounds = Bounds::of(filters);
        let (parts, mut waiting) = self.look(bounds, &schema)?;
        let readers = state.config().target_partitions().clamp(1, parts.len().max(1));
        let mut shares = vec![vec![]; readers];
        for (number, part) in parts.into_iter().enumerate() {
            shares[number % readers].push(part);
        }
        let partition = |parts: Vec<Part>| {
            let (shared, schema) = (Arc::clone(&self.shared), Arc::clone(&schema));
            let batches = std::mem::take(&mut waiting);
            let stored = Arc::new(Stored { shared, schema, parts, batches, bounds });
            Arc::new(StoredPartition(stored)) as Arc<dyn PartitionStream>
        };
        let partitions = shares.into_iter().map(partition).collect();
        Ok(Arc::new(StreamingTableExec::try_new(
            Arc::clone(&schema),
            partitions,
            None,
            vec![],
            false,
            limit,
        )?))
    }
}

/// A share of a table.
#[derive(Debug)]
struct StoredPartition(Arc<Stored>);

/// What is read of it.
#[derive(Debug)]
struct Stored {
    shared: Arc<Shared>,
    schema: SchemaRef,
    parts: Vec<Part>,
    batches: Vec<RecordBatch>,
    bounds: Bounds,
}

impl PartitionStream for StoredPartition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(Some(ahead(Reading::new(&self.0))), |read| async move {
            match read?.await {
                Ok((batch, reading)) => Some((batch?, Some(ahead(reading)))),
                // Whoever reads must not take what came for all that there is.
                Err(error) => {
                    let said = format!("stored results cannot be read to their end: {error}");
                    Some((Err(DataFusionError::Execution(said)), None))
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), batches))
    }
}

/// The next batch, and what is read behind it.
type Read = (Option<Result<RecordBatch>>, Reading);

/// Reads a batch, and waits for nobody.
fn ahead(mut reading: Reading) -> JoinHandle<Read> {
    spawn_blocking(move || (reading.next(), reading))
}

/// How far a share is read.
struct Reading {
    stored: Arc<Stored>,
    batches: IntoIter<RecordBatch>,
    parts: IntoIter<Part>,
    /// The file that is being read.
    open: Option<(Part, ParquetRecordBatchReader)>,
}

impl Reading {
    fn new(stored: &Arc<Stored>) -> Self {
        let (batches, parts) = (stored.batches.clone().into_iter(), stored.parts.clone().into_iter());
        Self { stored: Arc::clone(stored), batches, parts, open: None }
    }

    /// Opens the next file, if there is one.
    fn open_next(&mut self) -> Result<bool> {
        let Some(part) = self.parts.next() else { return Ok(false) };
        let reader = self.stored.reader(&part)?;
        self.open = Some((part, reader));
        Ok(true)
    }

    /// The next batch of the file that is open; `None` at its end.
    fn read(&mut self) -> Option<Result<RecordBatch>> {
        let (part, reader) = self.open.as_mut()?;
        let batch = reader.next().map(|batch| batch.map_err(|error| unreadable(&part.path, &error)));
        if batch.is_none() {
            self.open = None;
        }
        batch
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = self.batches.next().map(Ok).or_else(|| self.read());
            if let Some(batch) = batch {
                return Some(batch.and_then(|batch| Ok(adapt(&batch, &self.stored.schema)?)));
            }
            match self.open_next() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Stored {
    /// Reads of a file what may matter.
    fn reader(&self, part: &Part) -> Result<ParquetRecordBatchReader> {
        let reader = self.shared.reader(part)?;
        let groups = reader.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| self.bounds.has_group(group)).map(|(number, _)| number);
        let groups: Vec<usize> = groups.collect();
        let fields = reader.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| self.schema.column_with_name(field.name()).is_some());
        let wanted: Vec<usize> = wanted.map(|(column, _)| column).collect();
        let projection = ProjectionMask::roots(reader.parquet_schema(), wanted);
        let reader = reader.with_row_groups(groups).with_projection(projection);
        reader.with_batch_size(ROWS_PER_BATCH).build().map_err(|error| unreadable(&part.path, &error))
    }
}

fn unreadable(path: &Path, error: &dyn Display) -> DataFusionError {
    DataFusionError::Execution(format!("{} cannot be read: {error}", path.display()))
}
