//! A query as a table: the results that are in memory now.

use crate::client_types::{client_rows, client_schema};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use tapline_catalog::Catalog;
use tapline_history::Newest;
use tapline_operators::{ResultColumns, WindowResult};

/// What of a query is in memory.
pub(crate) struct Kept {
    catalog: Arc<Catalog>,
    name: String,
    columns: ResultColumns,
    schema: SchemaRef,
}

impl Kept {
    /// That of the query of this name; `None` where there is none.
    pub(crate) fn find(catalog: &Arc<Catalog>, name: &str) -> Result<Option<Self>> {
        let Ok(results) = catalog.results(name) else { return Ok(None) };
        let columns = results.columns().clone();
        let schema = client_schema(columns.schema())?;
        Ok(Some(Self { catalog: Arc::clone(catalog), name: name.to_owned(), columns, schema }))
    }

    /// Its columns, as the query gives them.
    pub(crate) const fn columns(&self) -> &ResultColumns {
        &self.columns
    }

    /// Its columns, as clients have them.
    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// These columns of a result.
    fn columns_of(&self, result: &WindowResult, wanted: &Schema) -> Result<Vec<RecordBatch>> {
        let place = |name: &str| Some(self.schema.column_with_name(name)?.0);
        let places = wanted.fields().iter().filter_map(|field| place(field.name()));
        let places: Vec<usize> = places.collect();
        let schema = Arc::new(self.schema.project(&places)?);
        let batches = self.columns.batches(result)?;
        let rows = batches.iter().map(|batch| client_rows(batch, &places, &schema));
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Newest for Kept {
    fn results(&self) -> Result<Vec<Arc<WindowResult>>> {
        let results = self.catalog.results(&self.name);
        let results = results.map_err(|error| DataFusionError::Plan(error.to_string()))?;
        // A statement may be older than the query that has its name now.
        if results.columns().schema() != self.columns.schema() {
            return plan_err!("the query {} has other columns by now; ask or prepare it again", self.name);
        }
        Ok(results.newest(usize::MAX))
    }

    fn rows(&self, result: &WindowResult, wanted: &Schema) -> Result<Vec<RecordBatch>> {
        self.columns_of(result, wanted)
    }
}

/// A query of a node that stores nothing.
#[derive(Debug)]
pub(crate) struct ResultTable(Kept);

impl ResultTable {
    pub(crate) const fn new(kept: Kept) -> Self {
        Self(kept)
    }
}

#[async_trait::async_trait]
impl TableProvider for ResultTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.0.schema())
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
        let schema = match projection {
            Some(columns) => Arc::new(self.0.schema().project(columns)?),
            None => self.schema(),
        };
        let mut batches = vec![];
        for result in self.0.results()? {
            batches.extend(self.0.columns_of(&result, &schema)?);
        }
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}
