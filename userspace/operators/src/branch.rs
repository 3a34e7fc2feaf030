//! A branch in batches of one layout: which of their rows it keeps, and what these become.
//!
//! Conditions are asked of a piece of a batch as it came, one after the other; those that were computed for the whole
//! batch are looked up. Only then are rows copied, those that are kept, and of these the columns that go on.

use crate::commons::{BatchCommons, CommonCondition, Use};
use crate::placed::{Placed, places_of};
use crate::steps::{Rows, Selection, run_steps};
use datafusion::arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use tapline_query::{Branch, LeadingSteps, Step};
use tapline_record::{Layout, PacketFlowColumn, Stream};

/// Adjacent rows of a batch, or of one that was put into another order.
pub(crate) struct Piece<'a> {
    pub(crate) rows: &'a RecordBatch,
    /// Where they begin in the batch.
    pub(crate) first: usize,
    /// What was computed of the whole batch, in its order, if anything was.
    pub(crate) common: Option<&'a BatchCommons>,
}

/// A branch whose columns are positions in the batches at hand.
pub(crate) struct BoundBranch {
    pub(crate) stream: &'static Stream,
    pub(crate) times: Option<usize>,
    /// Where the batches, and where the rows behind the steps, say how many records a row is.
    pub(crate) packets: (Option<usize>, Option<usize>),
    conditions: Vec<BoundCondition>,
    columns: Vec<usize>,
    /// What the columns are called, where that is not what the batches call them.
    schema: Option<SchemaRef>,
    steps: Vec<Step>,
}

struct BoundCondition {
    placed: Placed,
    is_total: bool,
    /// Where it is found among what was computed for a whole batch.
    slot: Option<usize>,
}

impl BoundBranch {
    /// A branch with these leading steps, whose conditions are used in common with others, in batches of this layout.
    ///
    /// # Errors
    /// When these lack a column.
    pub(crate) fn bind(
        branch: &Branch,
        (leading, uses): (&LeadingSteps, &[Use<CommonCondition>]),
        is_windowed: bool,
        layout: &Layout,
    ) -> Result<Self> {
        let (stream, built) = (branch.stream, layout.columns(branch.stream.id));
        let places =
            |columns: &[usize]| places_of(columns, built).ok_or_else(|| lacks(stream, columns, built));
        let place = |column: usize| Ok::<_, DataFusionError>(places(&[column])?.first().copied());
        let conditions = leading.conditions.iter().enumerate().map(|(number, condition)| {
            let missing = || lacks(stream, &condition.expression.columns, built);
            let placed = Placed::new(&condition.expression, built).ok_or_else(missing)?;
            let slot = uses.get(number).map(|used| used.slot);
            Ok(BoundCondition { placed, is_total: condition.is_total, slot })
        });
        let counted = branch.packets.map(|_| PacketFlowColumn::Packets as usize);
        Ok(Self {
            stream,
            times: if is_windowed { place(Stream::TS)? } else { None },
            packets: (counted.map_or(Ok(None), place)?, branch.packets),
            conditions: conditions.collect::<Result<_>>()?,
            columns: places(&leading.columns)?,
            schema: leading.schema.clone(),
            steps: leading.steps.clone(),
        })
    }

    /// The rows of a piece for which all conditions are true.
    ///
    /// # Errors
    /// When a condition cannot be computed for some row for which those before it are true.
    pub(crate) fn select(&self, piece: &Piece<'_>) -> Result<Selection> {
        let rows = piece.rows.num_rows();
        let mut selection = Selection::all(rows);
        for condition in &self.conditions {
            if selection.kept() == 0 {
                break;
            }
            let known = piece.common.zip(condition.slot).and_then(|(common, slot)| common.mask(slot));
            let mask = match known {
                Some(whole) => whole.slice(piece.first, rows),
                None => condition.evaluate(piece.rows, &selection)?,
            };
            selection = selection.and(&mask)?;
        }
        Ok(selection)
    }

    /// What the rows that are kept become, with their times and numbers, where these are given.
    ///
    /// # Errors
    /// When something cannot be computed for some of them.
    pub(crate) fn rows(
        &self,
        batch: &RecordBatch,
        selection: &Selection,
        times: Option<ArrayRef>,
        numbers: Option<ArrayRef>,
    ) -> Result<Rows> {
        let mut picked = batch.project(&self.columns)?;
        if let Some(schema) = &self.schema {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = picked.columns().to_vec();
            picked = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        }
        run_steps(&self.steps, selection.filter(Rows { batch: picked, times, numbers })?)
    }
}

impl BoundCondition {
    /// For which rows it is true, of those that are selected at least: where it may fail, it is asked of no others.
    fn evaluate(&self, rows: &RecordBatch, selection: &Selection) -> Result<BooleanArray> {
        let value = match selection.mask().filter(|_| !self.is_total || selection.are_few()) {
            Some(selected) => self.placed.evaluate_where(rows, selected)?,
            None => self.placed.evaluate(rows)?,
        };
        Ok(value.as_boolean().clone())
    }
}

fn lacks(stream: &Stream, columns: &[usize], built: &[usize]) -> DataFusionError {
    let missing = columns.iter().find(|column| !built.contains(column));
    let name = missing.map(|column| stream.field(*column).name().clone()).unwrap_or_default();
    internal_datafusion_err!("the batches lack the column {name}")
}
