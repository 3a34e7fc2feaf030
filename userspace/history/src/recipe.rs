//! How a row is written as a sum of one row, and which rows are wanted: so that rows and sums add up together.

use crate::bounds::Bounds;
use crate::columns::adapt;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{cast, filter_record_batch, is_not_null};
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::common::Result;
use std::sync::Arc;

/// What of a row stands in a column of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// That it is one.
    Row,
    /// The value of this column: as a key, and as what the least, the greatest and the sum of one row is.
    Value(usize),
    /// Whether there is a value in this column.
    Count(usize),
}

/// How rows become sums.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The columns of rows that it takes.
    pub(crate) rows: SchemaRef,
    /// The columns of sums, and what they are made of.
    pub(crate) sums: SchemaRef,
    pub(crate) made: Vec<Made>,
    /// The windows that are wanted.
    pub(crate) bounds: Bounds,
}

impl Recipe {
    /// The same with some of the columns of sums.
    pub(crate) fn projected(&self, columns: &[usize]) -> Result<Self> {
        let made = columns.iter().filter_map(|column| self.made.get(*column).copied()).collect();
        Ok(Self { sums: Arc::new(self.sums.project(columns)?), made, ..self.clone() })
    }

    /// Rows as sums of one row each, those among them that are wanted.
    pub(crate) fn of_rows(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = adapt(batch, &self.rows)?;
        let rows = if self.bounds.are_open() {
            rows
        } else {
            filter_record_batch(&rows, &self.bounds.mask(&rows)?)?
        };
        let count = rows.num_rows();
        let column = |(made, field): (&Made, &Arc<Field>)| -> Result<ArrayRef> {
            let values: ArrayRef = match made {
                Made::Row => Arc::new(Int64Array::from_value(1, count)),
                Made::Value(column) => Arc::clone(rows.column(*column)),
                Made::Count(column) => Arc::new(is_not_null(rows.column(*column))?),
            };
            Ok(cast(&values, field.data_type())?)
        };
        let columns = self.made.iter().zip(self.sums.fields()).map(column).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.sums), columns, &options)?)
    }
}
