//! Results of one query as a table of DataFusion.
//!
//! What there is is looked up when a plan is made, as a whole; hours and groups of rows that a condition leaves out are
//! not read, nor are columns that nobody asks for. Files are read on threads that may wait.

use crate::bounds::Bounds;
use crate::columns::adapt;
use crate::shared::Shared;
use crate::store::Part;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use parquet::arrow::ProjectionMask;
use std::sync::Arc;

/// Batches that are read ahead of whoever takes them, by each thread.
const BATCHES_AHEAD: usize = 2;

/// Rows of such a batch.
const ROWS_PER_BATCH: usize = 8192;

/// Stored results of one query.
#[derive(Debug)]
pub(crate) struct StoredTable {
    shared: Arc<Shared>,
    query: String,
    schema: SchemaRef,
}

impl StoredTable {
    pub(crate) fn new(shared: Arc<Shared>, query: &str, schema: SchemaRef) -> Self {
        Self { shared, query: query.to_owned(), schema }
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
        let (parts, pieces) = self.shared.snapshot(&self.query, |hour| bounds.has_hour(hour))?;
        let mut waiting: Vec<RecordBatch> = pieces.into_iter().flat_map(|piece| piece.batches).collect();
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
        let stored = Arc::clone(&self.0);
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&stored.schema), BATCHES_AHEAD);
        let sender = stream.tx();
        stream.spawn_blocking(move || {
            stored.read(&mut |batch| sender.blocking_send(Ok(batch)).is_ok()).map(|_| ())
        });
        stream.build()
    }
}

impl Stored {
    /// Gives all batches, as long as somebody takes them; says whether somebody did.
    fn read(&self, give: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        for batch in &self.batches {
            if !give(adapt(batch, &self.schema)?) {
                return Ok(false);
            }
        }
        for part in &self.parts {
            if !self.read_part(part, give)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_part(&self, part: &Part, give: &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool> {
        let reader = self.shared.reader(part)?;
        let groups = reader.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| self.bounds.has_group(group)).map(|(number, _)| number);
        let groups: Vec<usize> = groups.collect();
        let fields = reader.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| self.schema.column_with_name(field.name()).is_some());
        let wanted: Vec<usize> = wanted.map(|(column, _)| column).collect();
        let projection = ProjectionMask::roots(reader.parquet_schema(), wanted);
        let said = |error: &dyn std::fmt::Display| {
            DataFusionError::Execution(format!("{} cannot be read: {error}", part.path.display()))
        };
        let reader = reader
            .with_row_groups(groups)
            .with_projection(projection)
            .with_batch_size(ROWS_PER_BATCH)
            .build();
        for batch in reader.map_err(|error| said(&error))? {
            let batch = batch.map_err(|error| said(&error))?;
            if !give(adapt(&batch, &self.schema)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
