//! A query as a table: the results that are in memory now.

use crate::client_types::{client_array, client_schema};
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use tapline_catalog::{Catalog, Results};

/// The newest results of a query.
pub(crate) struct ResultTable {
    catalog: Arc<Catalog>,
    name: String,
    schema: SchemaRef,
}

impl ResultTable {
    /// The query of this name; `None` where there is none.
    pub(crate) fn find(catalog: &Arc<Catalog>, name: &str) -> Option<Self> {
        let results = catalog.results(name).ok()?;
        let schema = client_schema(results.columns().schema());
        Some(Self { catalog: Arc::clone(catalog), name: name.to_owned(), schema })
    }

    /// What it answered lately. A statement may be older than the query that has its name now.
    fn results(&self) -> Result<Arc<Results>> {
        let results = self.catalog.results(&self.name);
        let results = results.map_err(|error| DataFusionError::Plan(error.to_string()))?;
        if client_schema(results.columns().schema()) != self.schema {
            return plan_err!("the query {} has other columns by now; ask or prepare it again", self.name);
        }
        Ok(results)
    }
}

impl fmt::Debug for ResultTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResultTable").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for ResultTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// One that clients list; views they may pass over.
    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(columns)?);
        let results = self.results()?;
        let batches = batches(&results, &schema, columns)?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}

/// These columns of all results that are kept, oldest first.
fn batches(results: &Results, schema: &SchemaRef, columns: &[usize]) -> Result<Vec<RecordBatch>> {
    let mut made = vec![];
    for result in results.newest(usize::MAX) {
        for batch in results.columns().batches(&result)? {
            let arrays = columns.iter().filter_map(|&column| batch.columns().get(column));
            let arrays = arrays.map(client_array).collect::<Result<Vec<_>, _>>()?;
            // Whoever counts rows asks for no column.
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            made.push(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?);
        }
    }
    Ok(made)
}
