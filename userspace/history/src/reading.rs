//! Reads files of results, a batch ahead of whoever takes them, on threads that may wait; no thread is held for one who
//! takes none.

use crate::columns::adapt;
use crate::content::Content;
use crate::layout::ordering;
use crate::pruning::Conditions;
use crate::recipe::Recipe;
use crate::shared::Shared;
use crate::store::Part;
use crate::sums;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt as _, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};

/// Rows of a batch that is read.
pub(crate) const ROWS_PER_BATCH: usize = 8192;
/// The same where many files are read side by side.
const ROWS_OF_MANY: usize = 2048;

/// A share of a file: its groups of rows are dealt out among the shares, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) part: Part,
    number: usize,
    of: usize,
}

impl Slice {
    /// All of a file.
    pub(crate) const fn whole(part: Part) -> Self {
        Self { part, number: 0, of: 1 }
    }

    /// Files for so many readers, for each about as much; fewer files are cut.
    pub(crate) fn shares(parts: Vec<Part>, readers: usize) -> Vec<Vec<Self>> {
        let of = if parts.len() < readers { readers } else { 1 };
        let mut shares = vec![vec![]; readers.clamp(1, (parts.len() * of).max(1))];
        let slices = parts
            .into_iter()
            .flat_map(|part| (0..of).map(move |number| Self { part: part.clone(), number, of }));
        let count = shares.len();
        for (place, slice) in slices.enumerate() {
            if let Some(share) = shares.get_mut(place % count) {
                share.push(slice);
            }
        }
        shares
    }

    fn has(&self, place: usize) -> bool {
        place % self.of == self.number
    }
}

/// What is read, as one partition.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) shared: Arc<Shared>,
    /// The columns that it gives, by name.
    pub(crate) schema: SchemaRef,
    pub(crate) slices: Vec<Slice>,
    /// Rows that come first, in whichever columns.
    pub(crate) batches: Vec<RecordBatch>,
    /// What leaves out groups of rows.
    pub(crate) conditions: Option<Conditions>,
    /// Where sums are wanted, which files have sums of, and rows are made to.
    pub(crate) recipe: Option<Recipe>,
    pub(crate) rows_per_batch: usize,
}

/// A partition of a plan.
#[derive(Debug)]
pub(crate) struct StoredPartition(Arc<Stored>);

impl Stored {
    /// As a partition of a plan.
    pub(crate) fn partition(self) -> Arc<dyn PartitionStream> {
        Arc::new(StoredPartition(Arc::new(self)))
    }

    /// Opens a file; nothing where it is left out.
    fn open(&self, slice: Slice) -> Result<Option<Open>> {
        let Slice { part, .. } = &slice;
        if let Some(recipe) = self.recipe.as_ref().filter(|recipe| recipe.bounds.cover(part.hour))
            && let Some(reader) = sums::open(&self.shared.store, part, &recipe.sums)
        {
            let reader = self.columns(reader, &recipe.sums, part)?;
            return Ok(Some(Open { slice, reader, are_sums: true }));
        }
        let Some((content, reader)) = self.shared.opened(part)? else { return Ok(None) };
        let groups = match &self.conditions {
            Some(conditions) => conditions.groups(&reader),
            None => (0..reader.metadata().num_row_groups()).collect(),
        };
        let groups = groups.into_iter().enumerate().filter(|(place, _)| slice.has(*place));
        let groups: Vec<usize> = groups.map(|(_, group)| group).collect();
        let wanted = self.recipe.as_ref().map_or(&self.schema, |recipe| &recipe.rows);
        let projection = projection(&reader, wanted);
        content.expect(reader.metadata(), &groups, |column| projection.leaf_included(column));
        let reader = self.columns(reader.with_row_groups(groups), wanted, part)?;
        Ok(Some(Open { slice, reader, are_sums: false }))
    }

    /// Reads those of a file's columns that are wanted.
    fn columns(
        &self,
        reader: ParquetRecordBatchReaderBuilder<Content>,
        wanted: &Schema,
        part: &Part,
    ) -> Result<ParquetRecordBatchReader> {
        let projection = projection(&reader, wanted);
        let reader = reader.with_projection(projection).with_batch_size(self.rows_per_batch);
        reader.build().map_err(|error| unreadable(&part.path, &error))
    }

    /// A batch in the columns that are wanted.
    fn shaped(&self, batch: &RecordBatch, are_sums: bool) -> Result<RecordBatch> {
        match &self.recipe {
            Some(recipe) if !are_sums => recipe.of_rows(batch),
            Some(_) | None => Ok(adapt(batch, &self.schema)?),
        }
    }
}

/// Those of a file's columns that are wanted.
fn projection(reader: &ParquetRecordBatchReaderBuilder<Content>, wanted: &Schema) -> ProjectionMask {
    let fields = reader.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| wanted.column_with_name(field.name()).is_some());
    let wanted: Vec<usize> = wanted.map(|(column, _)| column).collect();
    ProjectionMask::roots(reader.parquet_schema(), wanted)
}

impl PartitionStream for StoredPartition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(Some(ahead(Reading::new(&self.0))), |read| async move {
            match read?.await {
                Ok((batch, reading)) => Some((batch?, Some(ahead(reading)))),
                // Whoever reads must not take what came for all that there is.
                Err(error) => {
                    let said = format!("stored results cannot be read to their end: {error}");
                    Some((Err(DataFusionError::Execution(said)), None))
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), batches))
    }
}

/// The next batch, and what is read behind it.
type Read = (Option<Result<RecordBatch>>, Reading);

/// Reads a batch, and waits for nobody.
fn ahead(mut reading: Reading) -> JoinHandle<Read> {
    spawn_blocking(move || (reading.next(), reading))
}

/// How far a share is read.
struct Reading {
    stored: Arc<Stored>,
    batches: IntoIter<RecordBatch>,
    slices: IntoIter<Slice>,
    /// The file that is being read.
    open: Option<Open>,
}

struct Open {
    slice: Slice,
    reader: ParquetRecordBatchReader,
    are_sums: bool,
}

impl Reading {
    fn new(stored: &Arc<Stored>) -> Self {
        let (batches, slices) = (stored.batches.clone().into_iter(), stored.slices.clone().into_iter());
        Self { stored: Arc::clone(stored), batches, slices, open: None }
    }

    /// Opens the next file, if there is one, and it is not left out.
    fn open_next(&mut self) -> Result<bool> {
        let Some(slice) = self.slices.next() else { return Ok(false) };
        self.open = self.stored.open(slice)?;
        Ok(true)
    }

    /// The next batch of the file that is open, and whether it has sums; `None` at its end.
    fn read(&mut self) -> Option<Result<(RecordBatch, bool)>> {
        let Open { slice, reader, are_sums } = self.open.as_mut()?;
        let batch = reader.next().map(|batch| {
            batch.map(|batch| (batch, *are_sums)).map_err(|error| unreadable(&slice.part.path, &error))
        });
        if batch.is_none() {
            self.open = None;
        }
        batch
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = self.batches.next().map(|batch| Ok((batch, false))).or_else(|| self.read());
            if let Some(batch) = batch {
                return Some(batch.and_then(|(batch, are_sums)| self.stored.shaped(&batch, are_sums)));
            }
            match self.open_next() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn unreadable(path: &Path, error: &dyn Display) -> DataFusionError {
    DataFusionError::Execution(format!("{} cannot be read: {error}", path.display()))
}

/// The rows of partitions that are in this order, as one partition in it.
pub(crate) fn in_order(
    partitions: Vec<Arc<dyn PartitionStream>>,
    schema: &SchemaRef,
    order: &[usize],
) -> Result<Arc<dyn ExecutionPlan>> {
    let ordering = ordering(schema, order);
    let is_one = partitions.len() == 1;
    let rows =
        StreamingTableExec::try_new(Arc::clone(schema), partitions, None, ordering.clone(), false, None)?;
    let rows: Arc<dyn ExecutionPlan> = Arc::new(rows);
    let plan: Arc<dyn ExecutionPlan> = match ordering {
        _ if is_one => rows,
        Some(ordering) => Arc::new(SortPreservingMergeExec::new(ordering, rows)),
        None => Arc::new(CoalescePartitionsExec::new(rows)),
    };
    Ok(plan)
}

/// Each of these files as a partition, in these columns.
pub(crate) fn whole(shared: &Arc<Shared>, parts: &[Part], schema: &SchemaRef) -> Vec<Stored> {
    let rows_per_batch = if parts.len() > 1 { ROWS_OF_MANY } else { ROWS_PER_BATCH };
    let stored = |part: &Part| Stored {
        shared: Arc::clone(shared),
        schema: Arc::clone(schema),
        slices: vec![Slice::whole(part.clone())],
        batches: vec![],
        conditions: None,
        recipe: None,
        rows_per_batch,
    };
    parts.iter().map(stored).collect()
}

/// What a plan of one partition gives, on the calling thread.
pub(crate) struct Running {
    /// Goes first: the runtime waits for threads that read for it.
    stream: SendableRecordBatchStream,
    runtime: Runtime,
}

impl Running {
    /// Starts a plan.
    pub(crate) fn start(plan: &Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let stream = runtime.block_on(async { plan.execute(0, context) })?;
        Ok(Self { stream, runtime })
    }
}

impl Iterator for Running {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.stream.next())
    }
}
