//! Results that are in memory, stored or not.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use std::fmt::Debug;
use std::sync::Arc;
use tapline_operators::WindowResult;

/// What somebody besides history has of a query's results.
pub trait Newest: Debug + Send + Sync {
    /// The results, oldest first: the very values that are given to outlets, by which those are told that are stored.
    ///
    /// # Errors
    /// When the query is another one by now.
    fn results(&self) -> Result<Vec<Arc<WindowResult>>>;

    /// The rows of one of them: of the columns that are wanted those that it has, by name.
    ///
    /// # Errors
    /// When a value cannot be converted.
    fn rows(&self, result: &WindowResult, wanted: &Schema) -> Result<Vec<RecordBatch>>;
}
