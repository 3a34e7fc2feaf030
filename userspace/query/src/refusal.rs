//! Why a query cannot be planned, while it is: a reason of ours, or one of DataFusion's.
//!
//! The planner turns both into a [`SqlError`] with its place in the text.

use crate::error::SqlError;
use datafusion::common::DataFusionError;

/// Why there is no continuous query of a plan.
pub(crate) enum Refusal {
    /// A sentence, with what to write instead.
    Because(SqlError),
    /// DataFusion's own error.
    DataFusion(DataFusionError),
}

impl From<DataFusionError> for Refusal {
    fn from(error: DataFusionError) -> Self {
        Self::DataFusion(error)
    }
}

/// Refuses with a sentence, and what to write instead.
pub(crate) fn refuse<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Because(SqlError::new(message, help)))
}
