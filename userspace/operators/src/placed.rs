//! Expressions over the columns of a stream, in batches of one layout.

use crate::steps::evaluate;
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;
use tapline_query::StreamExpression;

/// An expression, and where the columns that it reads stand in batches.
pub(crate) struct Placed {
    places: Vec<usize>,
    expression: Arc<dyn PhysicalExpr>,
}

impl Placed {
    /// In batches that have these columns of the stream; `None` where one that it reads is missing.
    pub(crate) fn new(of_stream: &StreamExpression, built: &[usize]) -> Option<Self> {
        let places = places_of(&of_stream.columns, built)?;
        Some(Self { places, expression: Arc::clone(&of_stream.expression) })
    }

    /// Its value for each row.
    ///
    /// # Errors
    /// When it cannot be computed for some row.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        evaluate(self.expression.as_ref(), &batch.project(&self.places)?)
    }

    /// Its value for each row that is selected; of the others it is not computed, and not true.
    ///
    /// # Errors
    /// When it cannot be computed for some selected row.
    pub(crate) fn evaluate_where(&self, batch: &RecordBatch, selected: &BooleanArray) -> Result<ArrayRef> {
        let batch = batch.project(&self.places)?;
        self.expression.evaluate_selection(&batch, selected)?.into_array(batch.num_rows())
    }
}

/// Where columns of a stream stand in batches that have these; `None` where one is missing.
pub(crate) fn places_of(columns: &[usize], built: &[usize]) -> Option<Vec<usize>> {
    columns.iter().map(|column| built.iter().position(|built| built == column)).collect()
}
