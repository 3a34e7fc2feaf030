//! One group for everything: aggregates without keys.

use super::GroupTable;
use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

/// The table of an aggregate without keys; its one group exists from the start.
pub(crate) struct SingleGroup;

impl GroupTable for SingleGroup {
    fn intern(&mut self, _: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        groups.clear();
        groups.resize(rows, 1);
        Ok(())
    }

    fn len(&self) -> usize {
        1
    }

    fn limit(&mut self, _: usize) {}

    fn octets_with(&self, _: usize) -> usize {
        0
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![])
    }
}
