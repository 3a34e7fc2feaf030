//! The accumulator of an aggregate without keys.
//!
//! All rows of a batch go into one group, so DataFusion's accumulator of one group takes the columns whole,
//! which costs a fraction of looking every row's group up.

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::filter;
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::sync::Arc;

/// Rows of a state: the folded group, which stays empty, and the one.
const GROUPS: usize = 2;

/// Folds every row into group 1.
#[derive(Debug)]
pub(crate) struct OneGroup {
    function: Arc<AggregateFunctionExpr>,
    accumulator: Box<dyn Accumulator>,
}

impl OneGroup {
    /// # Errors
    /// When the function has no accumulator for its types.
    pub(crate) fn new(function: Arc<AggregateFunctionExpr>) -> Result<Self> {
        Ok(Self { accumulator: function.create_accumulator()?, function })
    }

    /// The accumulator, in whose place an empty one comes.
    fn take(&mut self) -> Result<Box<dyn Accumulator>> {
        Ok(std::mem::replace(&mut self.accumulator, self.function.create_accumulator()?))
    }
}

impl GroupsAccumulator for OneGroup {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        _groups: &[usize],
        kept: Option<&BooleanArray>,
        _total: usize,
    ) -> Result<()> {
        let Some(kept) = kept else { return self.accumulator.update_batch(values) };
        let values = values.iter().map(|column| filter(column, kept)).collect::<Result<Vec<_>, _>>()?;
        self.accumulator.update_batch(&values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], _groups: &[usize], _total: usize) -> Result<()> {
        self.accumulator.merge_batch(states)
    }

    fn evaluate(&mut self, _emit: EmitTo) -> Result<ArrayRef> {
        self.take()?.evaluate()?.to_array_of_size(GROUPS)
    }

    fn state(&mut self, _emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.take()?.state()?;
        states.iter().map(|state: &ScalarValue| state.to_array_of_size(GROUPS)).collect()
    }

    fn convert_to_state(&self, _values: &[ArrayRef], _kept: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        not_impl_err!("one group has one state, not one a row")
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.accumulator.size()
    }
}
