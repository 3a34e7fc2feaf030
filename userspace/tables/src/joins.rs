//! Joins that can be ended, and that hold no more than there is room for.
//!
//! DataFusion looks at the clock where tables are read. A join of a few rows with a few others, and those with more,
//! gives batches for years before it reads on: here each join lets others work, too. And it weighs what a join collects by
//! the octets of its columns: of rows without columns, such as those that are only counted, it would collect any number.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt as _;
use std::fmt;
use std::sync::Arc;

/// What a batch takes that has no columns.
const BATCH_OCTETS: usize = 512;

/// The last rule of a plan.
#[derive(Debug)]
pub(crate) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(yielding)?.data)
    }

    fn name(&self) -> &str {
        "yielding_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if !plan.name().ends_with("JoinExec") {
        return Ok(Transformed::no(plan));
    }
    let mut children: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().cloned().collect();
    // The first one is collected.
    if let Some(first) = children.first_mut().filter(|first| first.schema().fields().is_empty()) {
        *first = Arc::new(Weighed { child: Arc::clone(first) });
    }
    let join =
        plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?;
    Ok(Transformed::yes(Arc::new(CooperativeExec::new(join))))
}

/// Rows without columns, for which room is asked as long as they are read.
#[derive(Debug)]
struct Weighed {
    child: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Weighed {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weighed")
    }
}

impl ExecutionPlan for Weighed {
    fn name(&self) -> &'static str {
        "Weighed"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.child.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.child]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(child) => Arc::new(Self { child }),
            None => self,
        })
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let room = MemoryConsumer::new("rows without columns").register(context.memory_pool());
        let rows = self.child.execute(partition, context)?;
        let schema = rows.schema();
        let weighed = rows.map(move |batch: Result<RecordBatch>| {
            room.try_grow(BATCH_OCTETS)?;
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, weighed)))
    }
}
