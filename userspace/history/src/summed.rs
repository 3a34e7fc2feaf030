//! Stored results as sums: of whole hours those that lie beside files, of all others each row as one.
//!
//! Whoever adds these up comes to what the rows come to.

use crate::pruning::Conditions;
use crate::reading::{ROWS_PER_BATCH, Slice, Stored};
use crate::recipe::Recipe;
use crate::sums;
use crate::table::StoredTable;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use std::sync::Arc;

/// The sums of a query's stored results.
#[derive(Debug)]
pub(crate) struct SummedTable {
    stored: StoredTable,
    recipe: Recipe,
}

impl SummedTable {
    /// These sums; `None` where files do not have them.
    pub(crate) fn of(stored: &StoredTable, recipe: Recipe) -> Result<Option<Self>> {
        let parts = stored.parts(recipe.bounds)?;
        let store = &stored.shared().store;
        // What the newest one has, the others have, more often than not.
        let newest = parts.iter().rfind(|part| recipe.bounds.cover(part.hour) && store.has_sums(part));
        let has_some = newest.is_some_and(|part| sums::open(store, part, &recipe.sums).is_some());
        Ok(has_some.then(|| Self { stored: stored.clone(), recipe }))
    }
}

#[async_trait]
impl TableProvider for SummedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.recipe.sums)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Of rows, less is read.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let recipe = match projection {
            Some(columns) => self.recipe.projected(columns)?,
            None => self.recipe.clone(),
        };
        let (parts, mut waiting) = self.stored.look(recipe.bounds, &recipe.rows)?;
        // They are of what groups are told apart by, which is called in rows as it is in sums.
        let conditions = Conditions::of(filters, &self.recipe.sums, state);
        let readers = state.config().target_partitions().clamp(1, parts.len().max(1));
        let partition = |slices: Vec<Slice>| {
            let stored = Stored {
                shared: Arc::clone(self.stored.shared()),
                schema: Arc::clone(&recipe.sums),
                slices,
                batches: std::mem::take(&mut waiting),
                conditions: conditions.clone(),
                recipe: Some(recipe.clone()),
                rows_per_batch: ROWS_PER_BATCH,
            };
            stored.partition()
        };
        // Files are not cut: of each, either its sums are read or all of its rows.
        let partitions = Slice::shares(parts, readers).into_iter().map(partition).collect();
        let schema = Arc::clone(&recipe.sums);
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, vec![], false, None)?))
    }
}
