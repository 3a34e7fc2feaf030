//! Rows of wider windows: which one each row belongs to, and what is known of it.

use crate::layout::{Layout, Use};
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::Arc;
use tapline_operators::Status;
use tapline_query::{COMPLETENESS, RolledColumn, STATUS, WINDOW_END, WINDOW_START};
use tapline_record::stream::TIME_ZONE;

/// How rows of stored results become rows of wider windows: the start is that of the wider window, and the status says
/// only whether it is the folded row.
#[derive(Clone, Debug)]
pub(crate) struct Wider {
    schema: SchemaRef,
    /// In microseconds, as in files.
    width: i64,
}

/// The rows of a partition as rows of wider windows.
#[derive(Debug)]
struct WiderPartition {
    wider: Wider,
    rows: Arc<dyn PartitionStream>,
}

impl Wider {
    /// Rows of these columns in windows of so many nanoseconds.
    pub(crate) fn of(schema: &Schema, width: i64) -> Self {
        let field = |field: &Arc<Field>| match field.name().as_str() {
            STATUS => Arc::new(Field::new(STATUS, DataType::Boolean, true)),
            _ => Arc::clone(field),
        };
        let schema = Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()));
        Self { schema, width: width / 1_000 }
    }

    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn partition(&self, rows: Arc<dyn PartitionStream>) -> Arc<dyn PartitionStream> {
        Arc::new(WiderPartition { wider: self.clone(), rows })
    }

    fn rows(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let column = |(field, column): (&Arc<Field>, &ArrayRef)| -> Result<ArrayRef> {
            Ok(match field.name().as_str() {
                WINDOW_START => {
                    let starts: TimestampMicrosecondArray =
                        times(column)?.unary(|start| start - start.rem_euclid(self.width));
                    Arc::new(starts.with_data_type(column.data_type().clone()))
                }
                STATUS => {
                    let are_folded = texts(column)?.iter().map(|text| text == Some(Status::Folded.name()));
                    Arc::new(BooleanArray::from(are_folded.collect::<Vec<bool>>()))
                }
                _ => Arc::clone(column),
            })
        };
        let columns = zip(self.schema.fields(), batch.columns()).map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl PartitionStream for WiderPartition {
    fn schema(&self) -> &SchemaRef {
        &self.wider.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let wider = self.wider.clone();
        let rows = self.rows.execute(context).map(move |batch| wider.rows(&batch?));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.wider.schema), rows))
    }
}

/// What is known of a window.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The least that some result of it says; `None` is unknown.
    completeness: Option<f64>,
    is_partial: bool,
}

/// What is known of windows, by start and end in microseconds.
#[derive(Debug)]
pub(crate) struct Windows {
    width: i64,
    seen: BTreeMap<(i64, i64), Seen>,
    /// Whether some rows take the place of others.
    any_is_revised: bool,
}

impl Windows {
    /// Those that wider ones of so many nanoseconds consist of.
    pub(crate) const fn new(width: i64) -> Self {
        Self { width: width / 1_000, seen: BTreeMap::new(), any_is_revised: false }
    }

    /// Notes the windows of rows.
    pub(crate) fn note(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| exec_datafusion_err!("there is no column {name}"))
        };
        let (starts, ends) = (times(column(WINDOW_START)?)?, times(column(WINDOW_END)?)?);
        let statuses = texts(column(STATUS)?)?;
        let completeness = batch.column_by_name(COMPLETENESS);
        let completeness = completeness.and_then(|column| column.as_primitive_opt::<Float64Type>());
        for row in 0..batch.num_rows() {
            let known = completeness.filter(|known| known.is_valid(row)).map(|known| known.value(row));
            let seen =
                Seen { completeness: known, is_partial: statuses.value(row) == Status::Partial.name() };
            let window = (starts.value(row), ends.value(row));
            self.any_is_revised |= statuses.value(row) == Status::Revised.name();
            let all = self.seen.entry(window).or_insert(seen);
            all.completeness = all.completeness.zip(known).map(|(one, other)| one.min(other));
            all.is_partial |= seen.is_partial;
        }
        Ok(())
    }

    /// What is known of the wider ones; `None` where rows take the place of others: which ones, no column says, and
    /// added up they would count twice.
    pub(crate) fn wider(&self) -> Option<WiderWindows> {
        if self.any_is_revised {
            return None;
        }
        let mut wider: BTreeMap<i64, Known> = BTreeMap::new();
        for ((start, end), seen) in &self.seen {
            let known = wider.entry(start - start.rem_euclid(self.width)).or_insert(Known::NOTHING);
            let width = end.saturating_sub(*start) as f64;
            known.arrived = known.arrived.zip(seen.completeness).map(|(sum, part)| sum + width * part);
            known.width += width;
            known.is_partial |= seen.is_partial;
        }
        Some(WiderWindows { width: self.width, known: wider })
    }
}

/// What is known of a wider window.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Of its windows' widths, the part that their completeness is; `None` is unknown.
    arrived: Option<f64>,
    width: f64,
    is_partial: bool,
}

impl Known {
    const NOTHING: Self = Self { arrived: Some(0.0), width: 0.0, is_partial: false };

    fn completeness(self) -> Option<f64> {
        self.arrived.filter(|_| self.width > 0.0).map(|arrived| arrived / self.width)
    }

    const fn status(self) -> Status {
        if self.is_partial { Status::Partial } else { Status::Final }
    }
}

/// What is known of wider windows, by their starts.
#[derive(Debug)]
pub(crate) struct WiderWindows {
    width: i64,
    known: BTreeMap<i64, Known>,
}

impl WiderWindows {
    /// The same where something is missing in them, and nobody knows how much.
    pub(crate) fn lacking(mut self) -> Self {
        for known in self.known.values_mut() {
            (known.arrived, known.is_partial) = (None, true);
        }
        self
    }

    /// Groups of wider windows in the columns of a file.
    pub(crate) fn finish(
        &self,
        groups: &RecordBatch,
        layout: &Layout,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let named = |name: &str| {
            groups.column_by_name(name).ok_or_else(|| exec_datafusion_err!("there is no column {name}"))
        };
        let starts = times(named(WINDOW_START)?)?;
        let are_folded = named(STATUS)?.as_boolean();
        let known = |start: Option<i64>| start.and_then(|start| self.known.get(&start)).copied();
        let column = |(one, field): (&Use, &Arc<Field>)| -> Result<ArrayRef> {
            let values: ArrayRef = match one {
                Use::WindowStart | Use::Rolled(RolledColumn::Window) => Arc::clone(named(WINDOW_START)?),
                Use::WindowEnd => {
                    let ends = starts.unary::<_, TimestampMicrosecondType>(|start| start + self.width);
                    Arc::new(ends.with_timezone(TIME_ZONE))
                }
                Use::Completeness => {
                    let values = starts.iter().map(|start| known(start)?.completeness());
                    Arc::new(values.collect::<Float64Array>())
                }
                Use::Status => {
                    let status = |(start, is_folded): (Option<i64>, Option<bool>)| match is_folded {
                        Some(true) => Status::Folded,
                        Some(false) | None => known(start).unwrap_or(Known::NOTHING).status(),
                    };
                    let texts = zip(starts, are_folded).map(|row| status(row).name());
                    Arc::new(StringArray::from_iter_values(texts))
                }
                Use::Rolled(
                    RolledColumn::Key | RolledColumn::Sum | RolledColumn::Least | RolledColumn::Greatest,
                )
                | Use::Other => Arc::clone(named(field.name())?),
            };
            Ok(cast(&values, field.data_type())?)
        };
        let columns = zip(&layout.uses, schema.fields()).map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// Times as files have them.
fn times(column: &ArrayRef) -> Result<&TimestampMicrosecondArray> {
    column
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| exec_datafusion_err!("{} is no time in microseconds", column.data_type()))
}

fn texts(column: &ArrayRef) -> Result<&StringArray> {
    column.as_string_opt::<i32>().ok_or_else(|| exec_datafusion_err!("{} is no text", column.data_type()))
}
