//! Results of one query as a table of DataFusion.
//!
//! What there is is looked up when a plan is made, as a whole; hours and groups of rows that a condition leaves out are
//! not read, nor are columns that nobody asks for.

use crate::bounds::Bounds;
use crate::newest::Newest;
use crate::pruning::Conditions;
use crate::reading::{ROWS_PER_BATCH, Slice, Stored};
use crate::shared::{Shared, Snapshot};
use crate::store::Part;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use std::sync::Arc;

/// Stored results of one query.
#[derive(Clone, Debug)]
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

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) const fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// The files of hours that may matter.
    pub(crate) fn parts(&self, bounds: Bounds) -> Result<Vec<Part>> {
        Ok(self.shared.snapshot(&self.query, |hour| bounds.has_hour(hour))?.0)
    }

    /// All files that may matter, and the rows that are in none.
    pub(crate) fn look(&self, bounds: Bounds, wanted: &Schema) -> Result<(Vec<Part>, Vec<RecordBatch>)> {
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
        // What is read is less, and may be more than what is asked for.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
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
        let (parts, mut waiting) = self.look(Bounds::of(filters), &schema)?;
        let conditions = Conditions::of(filters, &self.schema, state);
        let partition = |slices: Vec<Slice>| {
            let stored = Stored {
                shared: Arc::clone(&self.shared),
                schema: Arc::clone(&schema),
                slices,
                batches: std::mem::take(&mut waiting),
                conditions: conditions.clone(),
                recipe: None,
                rows_per_batch: ROWS_PER_BATCH,
            };
            stored.partition()
        };
        let shares = Slice::shares(parts, state.config().target_partitions());
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
