//! The streams as tables that SQL can name, as DataFusion sees them.
//!
//! A stream has a schema and no rows that could be scanned: plans over it are split before they run.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider as _, Session, TableProvider,
};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;
use tapline_record::{
    ElementColumn, FLOWS, INTERFACE_COUNTERS, IdentityColumn, LEDGER, PACKETS, Stream, StreamId,
};

/// The streams that SQL can name.
pub const STREAMS: [&Stream; 4] = [&PACKETS, &FLOWS, &INTERFACE_COUNTERS, &LEDGER];

/// A stream as a table.
#[derive(Debug)]
pub(crate) struct StreamTable {
    pub(crate) stream: &'static Stream,
    /// Positions of its columns in lists of the stream's columns.
    pub(crate) columns: Vec<usize>,
    schema: SchemaRef,
}

impl StreamTable {
    /// The stream's own columns, those of the node that saw its rows, then these elements.
    fn new(stream: &'static Stream, elements: &[ElementColumn]) -> Self {
        let identity = IdentityColumn::ALL.map(IdentityColumn::position);
        let elements = elements.iter().map(|element| element.position());
        let columns: Vec<usize> = (0..stream.columns.len()).chain(identity).chain(elements).collect();
        Self { stream, schema: stream.schema_of(&columns), columns }
    }
}

/// The default catalog and the default schema in it.
pub(crate) const CATALOG: &str = "tapline";
pub(crate) const SCHEMA: &str = "public";

/// The streams as tables, of which `flows` has columns for these elements, too.
///
/// # Errors
/// Never: the names of streams are distinct.
pub(crate) fn catalogs(elements: &[ElementColumn]) -> Result<Arc<dyn CatalogProviderList>> {
    let schema = MemorySchemaProvider::new();
    for stream in STREAMS {
        let elements = if stream.id == StreamId::Flows { elements } else { &[] };
        schema.register_table(stream.name.to_owned(), Arc::new(StreamTable::new(stream, elements)))?;
    }
    let (catalog, catalogs) = (MemoryCatalogProvider::new(), MemoryCatalogProviderList::new());
    catalog.register_schema(SCHEMA, Arc::new(schema))?;
    let _ = catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(catalogs))
}

/// Whether `plan` reads a stream anywhere.
pub(crate) fn reads_stream(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && source_as_provider(&scan.source)?.downcast_ref::<StreamTable>().is_some()
        {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

#[async_trait::async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("the stream {} cannot be scanned: its plan was not split", self.stream.name)
    }
}
