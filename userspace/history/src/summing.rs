//! Makes the sums of a file, once it is that of an hour that is over.
//!
//! By no key, by each of them and by all of them: those are kept of which a group is many rows, and by window, too, where
//! it still is.

use crate::grouped::{Computed, grouped};
use crate::layout::{Layout, Use};
use crate::reading::{Running, Stored, in_order, whole};
use crate::shared::Shared;
use crate::store::Part;
use crate::sums::{ROWS, Sum, added, names_are_free};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::ExecutionPlan;
use std::fmt::Display;
use std::fs;
use std::iter::once;
use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_sinks::HiddenFile;

/// Octets of a file that is read as soon as sums of it.
pub(crate) const SMALL_OCTETS: u64 = 1 << 20;
/// How many rows a group is at least, on the average, for sums to be worth their room.
const ROWS_PER_GROUP: usize = 24;
/// Octets of groups while they are made.
const OCTETS_MAX: usize = 128 << 20;

/// A file of which sums are made.
struct Summed<'a> {
    shared: &'a Arc<Shared>,
    part: &'a Part,
    /// Where they are written.
    folder: &'a Path,
    schema: SchemaRef,
    layout: Layout,
    groups_max: usize,
}

/// Makes the sums of a file and puts them beside it, unless it ends.
pub(crate) fn sum_up(shared: &Arc<Shared>, part: &Part, ends: &AtomicBool) -> Result<(), String> {
    let said = |error: &dyn Display| format!("{} cannot be summed up: {error}", part.path.display());
    let store = &shared.store;
    let folder = store.folder_to_write().map_err(|error| said(&error))?;
    let outcome = match write(shared, part, &folder, ends) {
        Ok(true) => {
            // No file comes or goes meanwhile.
            let _turn = shared.waiting();
            store.put_sums(part, &folder).map_err(|error| said(&error))
        }
        Ok(false) => Ok(()),
        Err(error) => Err(said(&error)),
    };
    // Where it was put beside the file, it is not here any more.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

/// Writes all sums of a file that are worth their room, one after the other; whether it came to their end.
fn write(shared: &Arc<Shared>, part: &Part, folder: &Path, ends: &AtomicBool) -> Result<bool> {
    let reader = shared.reader(part)?;
    let schema = Arc::clone(reader.schema());
    let Some(layout) = Layout::read(&schema).filter(|_| names_are_free(&schema)) else { return Ok(true) };
    let rows = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
    Summed { shared, part, folder, schema, layout, groups_max: rows / ROWS_PER_GROUP }.write_all(ends)
}

impl Summed<'_> {
    fn write_all(&self, ends: &AtomicBool) -> Result<bool> {
        let is_flat = |place: &usize| !self.schema.field(*place).data_type().is_nested();
        let keys: Vec<usize> = self.layout.keys().filter(is_flat).collect();
        // Without windows there are no hours that a question could be for.
        let has_windows = self.layout.places(Use::WindowStart).next().is_some();
        let windows = if has_windows { self.groups(&[], true)? } else { None };
        let Some(windows) = windows else { return Ok(true) };
        let count = rows_of(&windows);
        self.write(0, windows)?;
        for (number, key) in (1..).zip(&keys) {
            if ends.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let Some(narrow) = self.groups(&[*key], false)? else { continue };
            let is_few = rows_of(&narrow).saturating_mul(count) <= self.groups_max;
            let wide = if is_few { self.groups(&[*key], true)? } else { None };
            self.write(number, wide.unwrap_or(narrow))?;
        }
        if keys.len() > 1
            && let Some(all) = self.groups(&keys, false)?
        {
            self.write(keys.len() + 1, all)?;
        }
        Ok(true)
    }

    /// Writes sums as the file of this number.
    fn write(&self, number: usize, sums: Vec<RecordBatch>) -> Result<()> {
        let Some(schema) = sums.first().map(RecordBatch::schema) else { return Ok(()) };
        let path = self.shared.store.path_to_write()?;
        let file = HiddenFile::write(path, &schema, sums.into_iter().map(Ok));
        let published = file.and_then(|file| file.publish(&self.folder.join(format!("{number}.parquet"))));
        published.map_err(|failure| DataFusionError::Execution(failure.to_string()))
    }

    /// The groups by these keys, by status, and where it is said by window; `None` where they are too many.
    fn groups(&self, keys: &[usize], by_window: bool) -> Result<Option<Vec<RecordBatch>>> {
        let windows = [Use::WindowStart, Use::WindowEnd].into_iter().filter(|_| by_window);
        let windows = windows.flat_map(|one| self.layout.places(one));
        let groups: Vec<usize> =
            keys.iter().copied().chain(windows).chain(self.layout.places(Use::Status)).collect();
        let numbers: Vec<usize> = added(&self.layout, &self.schema).collect();
        let columns: Vec<usize> = groups.iter().chain(&numbers).copied().collect();
        let field = |place: &usize| {
            let field = self.schema.field(*place);
            let is_number = numbers.contains(place);
            let data_type = if is_number { DataType::Int64 } else { field.data_type().clone() };
            Field::new(field.name(), data_type, true)
        };
        let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let order = self.layout.order(&self.schema);
        let order = order.iter().map_while(|place| columns.iter().position(|column| column == place));
        let order: Vec<usize> = order.collect();
        let partitions = whole(self.shared, from_ref(self.part), &schema);
        let partitions = partitions.into_iter().map(Stored::partition).collect();
        let rows = in_order(partitions, &schema, &order)?;
        let name = |place: &usize| self.schema.field(*place).name().as_str();
        let rows_of_group = once((Computed::Rows, ROWS.to_owned()));
        let computed: Vec<_> =
            rows_of_group.chain(numbers.iter().flat_map(|place| sums(name(place)))).collect();
        let groups: Vec<&str> = groups.iter().map(name).collect();
        self.run(&grouped(rows, &groups, &computed)?)
    }

    /// What a plan gives; `None` where that is too much.
    fn run(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Vec<RecordBatch>>> {
        let (mut batches, mut rows) = (vec![], 0);
        for batch in Running::start(plan, context()?)? {
            match batch {
                Ok(batch) => {
                    rows += batch.num_rows();
                    batches.push(batch);
                }
                Err(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            if rows > self.groups_max {
                return Ok(None);
            }
        }
        Ok(Some(batches))
    }
}

fn sums(column: &str) -> [(Computed<'_>, String); 4] {
    Sum::ALL.map(|sum| {
        let computed = match sum {
            Sum::Total => Computed::Sum(column),
            Sum::Least => Computed::Least(column),
            Sum::Greatest => Computed::Greatest(column),
            Sum::Count => Computed::Count(column),
        };
        (computed, sum.name(column))
    })
}

fn rows_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// What the making of groups may take.
fn context() -> Result<Arc<TaskContext>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let memory = Arc::new(GreedyMemoryPool::new(OCTETS_MAX));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).with_disk_manager_builder(disk);
    Ok(Arc::new(TaskContext::default().with_runtime(runtime.build_arc()?)))
}
