//! Runs the filters and projections of a branch over a batch.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{FilterBuilder, FilterPredicate, and, prep_null_mask_filter};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use tapline_query::Step;

/// Rows on their way through a branch, with the event times and the numbers that belong to them when those are needed.
pub(crate) struct Rows {
    pub(crate) batch: RecordBatch,
    pub(crate) times: Option<ArrayRef>,
    pub(crate) numbers: Option<ArrayRef>,
}

/// Runs `steps` in order; no rows may be left.
///
/// # Errors
/// When an expression cannot be computed for some row, such as a division by zero.
pub(crate) fn run_steps(steps: &[Step], rows: Rows) -> Result<Rows> {
    steps.iter().try_fold(rows, |rows, step| match step {
        _ if rows.batch.num_rows() == 0 && matches!(step, Step::Filter(_)) => Ok(rows),
        Step::Filter(predicate) => {
            let mask = evaluate(predicate.as_ref(), &rows.batch)?;
            Selection::all(rows.batch.num_rows()).and(mask.as_boolean())?.filter(rows)
        }
        Step::Project(expressions, schema) => {
            let count = rows.batch.num_rows();
            let columns: Result<Vec<ArrayRef>> =
                expressions.iter().map(|expression| evaluate(expression.as_ref(), &rows.batch)).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns?, &options)?;
            Ok(Rows { batch, ..rows })
        }
    })
}

/// The value of an expression for each row.
///
/// # Errors
/// When it cannot be computed for some row.
pub(crate) fn evaluate(expression: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<ArrayRef> {
    expression.evaluate(batch)?.into_array(batch.num_rows())
}

/// Which rows of a batch are kept.
pub(crate) struct Selection {
    /// Without NULL; `None` where all are.
    mask: Option<BooleanArray>,
    rows: usize,
    kept: usize,
}

impl Selection {
    /// At most one row in so many are few: that much it costs to put them together.
    const FEW_ONE_IN: usize = 5;

    /// All of so many.
    pub(crate) const fn all(rows: usize) -> Self {
        Self { mask: None, rows, kept: rows }
    }

    /// Of these, those for which a condition is true.
    ///
    /// # Errors
    /// Only when the condition is of other rows.
    pub(crate) fn and(self, condition: &BooleanArray) -> Result<Self> {
        let condition = without_nulls(condition);
        let mask = match &self.mask {
            None => condition,
            Some(before) => and(before, &condition)?,
        };
        let kept = mask.true_count();
        Ok(Self { mask: (kept < self.rows).then_some(mask), rows: self.rows, kept })
    }

    /// How many are kept.
    pub(crate) const fn kept(&self) -> usize {
        self.kept
    }

    /// Whether these are so few that what is computed next had better be computed of them alone.
    pub(crate) const fn are_few(&self) -> bool {
        self.kept * Self::FEW_ONE_IN <= self.rows
    }

    /// Which ones, without NULL; `None` where all are.
    pub(crate) const fn mask(&self) -> Option<&BooleanArray> {
        self.mask.as_ref()
    }

    /// The rows that are kept.
    ///
    /// # Errors
    /// Only when Arrow refuses to filter a column.
    pub(crate) fn filter(&self, rows: Rows) -> Result<Rows> {
        let Some(mask) = &self.mask else { return Ok(rows) };
        let keep = FilterBuilder::new(mask).optimize().build();
        let times = rows.times.map(|times| keep.filter(&times)).transpose()?;
        let numbers = rows.numbers.map(|numbers| keep.filter(&numbers)).transpose()?;
        Ok(Rows { batch: filter_batch(&rows.batch, &keep, self.kept)?, times, numbers })
    }
}

fn filter_batch(batch: &RecordBatch, keep: &FilterPredicate, kept: usize) -> Result<RecordBatch> {
    let columns: std::result::Result<Vec<_>, _> =
        batch.columns().iter().map(|column| keep.filter(column)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(kept));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns?, &options)?)
}

/// SQL keeps a row when its predicate is true, not when it is NULL.
pub(crate) fn without_nulls(mask: &BooleanArray) -> BooleanArray {
    if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() }
}
