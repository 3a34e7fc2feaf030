//! Runs the upper half: ordinary DataFusion SQL over what one window gave.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::sync::Arc;
use tapline_query::UpperHalf;
use tokio::runtime::Runtime;

/// Executes upper halves on the thread that calls it.
pub(crate) struct UpperRunner {
    runtime: Runtime,
}

impl UpperRunner {
    /// A runner without threads of its own.
    ///
    /// # Errors
    /// When the system has no room for a runtime.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { runtime: tokio::runtime::Builder::new_current_thread().build()? })
    }

    /// The rows that `plan`, one of `half`'s, makes of the rows of each lower half.
    ///
    /// # Errors
    /// When an expression cannot be computed for some row.
    pub(crate) fn run(
        &self,
        half: &UpperHalf,
        plan: &Arc<dyn ExecutionPlan>,
        lowers: Vec<Vec<RecordBatch>>,
    ) -> Result<Vec<RecordBatch>> {
        for (slot, batches) in half.slots.iter().zip(lowers) {
            slot.put(batches);
        }
        let fresh = reset_plan_states(plan.clone())?;
        let rows = self.runtime.block_on(collect(fresh, half.context.clone()));
        half.slots.iter().for_each(|slot| slot.put(vec![]));
        rows
    }
}
