//! The tables of the upper half: what a lower half gives in one window.
//!
//! Whoever runs the query puts the rows of a window into the slot; each execution of the upper half reads it anew.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::sync::{Arc, Mutex, PoisonError};

/// What a lower half gave in the window that the upper half is about to read.
#[derive(Clone, Debug, Default)]
pub struct PartialSlot(Arc<Mutex<Vec<RecordBatch>>>);

impl PartialSlot {
    /// Puts the rows of one window in place of those of the last one.
    pub fn put(&self, batches: Vec<RecordBatch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = batches;
    }

    fn get(&self) -> Vec<RecordBatch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A lower half's output as a table of the upper half.
#[derive(Debug)]
pub(crate) struct PartialTable {
    schema: SchemaRef,
    slot: PartialSlot,
}

impl PartialTable {
    pub(crate) fn new(schema: SchemaRef, slot: PartialSlot) -> Self {
        Self { schema, slot }
    }

    /// Whether it has the rows of this slot.
    pub(crate) fn reads(&self, slot: &PartialSlot) -> bool {
        Arc::ptr_eq(&self.slot.0, &slot.0)
    }
}

#[async_trait::async_trait]
impl TableProvider for PartialTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        Ok(Arc::new(PartialScan::new(self.slot.clone(), schema, projection.cloned())))
    }
}

/// Reads the slot anew at each execution, so that one physical plan serves every window.
#[derive(Debug)]
struct PartialScan {
    slot: PartialSlot,
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl PartialScan {
    fn new(slot: PartialSlot, schema: SchemaRef, projection: Option<Vec<usize>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { slot, projection, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for PartialScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartialScan")
    }
}

impl ExecutionPlan for PartialScan {
    fn name(&self) -> &'static str {
        "PartialScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.slot.get();
        let stream = MemoryStream::try_new(batches, self.schema.clone(), self.projection.clone())?;
        Ok(Box::pin(stream))
    }
}
