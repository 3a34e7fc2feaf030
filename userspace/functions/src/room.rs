//! What rows come to in the plan that takes them.
//!
//! DataFusion weighs what it collects, but for what windows hold, and rows without columns. And where a row is written
//! beside many others, by a join, UNNEST, a window, or as the value of a subquery, nobody asks what it is: a text of a
//! megabyte that is written four thousand times is more than there is room for, at once. So batches are looked at on
//! their way there.

use crate::held::held_octets;
use datafusion::arrow::array::{Array as _, ArrayData, ArrayRef, AsArray as _, RecordBatch, make_array};
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt as _;
use std::fmt;
use std::sync::Arc;

/// Octets that may be made at once.
const OCTETS_MAX: usize = 256 << 20;

/// Rows of a batch, at most.
const BATCH_ROWS: usize = 8192;

/// What a batch takes beside its values.
const BATCH_OCTETS: usize = 512;

/// Octets of a row that is written beside others.
const ROW_OCTETS_MAX: usize = 128 << 10;

/// Octets of a value of a number, or of an address.
const VALUE_OCTETS: usize = 16;

/// What is asked of batches.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Room for them, as long as they are read.
    Room,
    /// That each row may be written beside others.
    Rows,
    /// That rows may be written beside each item of lists in these columns, of lists within lists as deep as is said.
    Items(Vec<(usize, usize)>),
    /// That what windows give of them is not too much.
    Windows(Windows),
}

/// Functions with OVER that are computed together.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Those that give texts and lists.
    pub windows: Vec<(Arc<dyn WindowExpr>, Gives)>,
    /// Whether they give all rows at once, and have them until then.
    pub is_at_once: bool,
    /// Whether they may have many rows at once.
    pub holds_many: bool,
}

/// What a function with OVER gives for a row.
#[derive(Clone, Copy, Debug)]
pub enum Gives {
    /// One of the values that it is given.
    One,
    /// All of them together, maybe.
    All,
}

/// Batches that are looked at on their way.
#[derive(Debug)]
pub struct Looked {
    child: Arc<dyn ExecutionPlan>,
    asked: Asked,
}

impl Looked {
    /// A plan that gives what `child` gives, as long as what is asked of it holds.
    pub fn at(child: &Arc<dyn ExecutionPlan>, asked: Asked) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { child: Arc::clone(child), asked })
    }
}

/// What has come.
struct Seen {
    asked: Asked,
    room: MemoryReservation,
    rows: usize,
    /// Octets that each function with OVER may give for a row.
    given: Vec<usize>,
}

impl Seen {
    fn new(asked: Asked, room: MemoryReservation) -> Self {
        let given = match &asked {
            Asked::Windows(windows) => vec![0; windows.windows.len()],
            Asked::Room | Asked::Rows | Asked::Items(_) => vec![],
        };
        Self { asked, room, rows: 0, given }
    }

    fn look(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { asked, room, rows, given } = self;
        match asked {
            Asked::Room => room.try_grow(BATCH_OCTETS),
            Asked::Rows => check_rows(batch),
            Asked::Items(lists) => check_items(batch, lists),
            Asked::Windows(windows) => {
                if windows.is_at_once || windows.holds_many {
                    room.try_grow(octets(batch)?)?;
                }
                *rows += batch.num_rows();
                for ((window, gives), given) in windows.windows.iter().zip(&mut *given) {
                    add_given(given, &window.evaluate_args(batch)?, *gives)?;
                }
                let rows = if windows.is_at_once { *rows } else { (*rows).min(BATCH_ROWS) };
                let row = given.iter().copied().fold(0, usize::saturating_add);
                check(rows.saturating_mul(row), "functions with OVER")
            }
        }
    }
}

/// Adds what a function is given to what it may give.
fn add_given(given: &mut usize, arguments: &[ArrayRef], gives: Gives) -> Result<()> {
    for argument in arguments {
        *given = match gives {
            Gives::One => (*given).max(widest(argument)?),
            Gives::All => given.saturating_add(held_octets(argument)?),
        };
    }
    Ok(())
}

/// What a batch takes.
fn octets(batch: &RecordBatch) -> Result<usize> {
    let mut octets = BATCH_OCTETS;
    for column in batch.columns() {
        octets = octets.saturating_add(held_octets(column)?);
    }
    Ok(octets)
}

fn check_rows(batch: &RecordBatch) -> Result<()> {
    let mut row = 0_usize;
    for column in batch.columns() {
        row = row.saturating_add(widest(column)?);
    }
    if row <= ROW_OCTETS_MAX {
        return Ok(());
    }
    let kibibytes = ROW_OCTETS_MAX >> 10;
    exec_err!(
        "a row that is written beside others may have {kibibytes} KiB, and one has more; ask for shorter texts and lists"
    )
}

fn check_items(batch: &RecordBatch, lists: &[(usize, usize)]) -> Result<()> {
    // Of long lists one row is taken at a time, of others as many as give a batch.
    let (mut items, mut row) = (BATCH_ROWS, 0_usize);
    for (place, column) in batch.columns().iter().enumerate() {
        let depth = lists.iter().filter(|(list, _)| *list == place).map(|(_, depth)| *depth).max();
        row = row.saturating_add(match depth {
            Some(depth) => {
                items = items.max(items_of(column, depth)?);
                deepest(column, depth)?
            }
            None => widest(column)?,
        });
    }
    check(items.saturating_mul(row), "unnest")
}

fn check(octets: usize, what: &str) -> Result<()> {
    if octets <= OCTETS_MAX {
        return Ok(());
    }
    let mebibytes = OCTETS_MAX >> 20;
    exec_err!(
        "{what} might give more than {mebibytes} MiB at once; ask for fewer rows, shorter texts and lists"
    )
}

/// Items that the longest list gives; of lists within lists all of a batch.
fn items_of(list: &ArrayRef, depth: usize) -> Result<usize> {
    match depth {
        1 if list.data_type().is_nested() => longest(list),
        _ => Ok(within(&list.to_data(), depth).len()),
    }
}

/// Octets of the largest item of lists.
fn deepest(list: &ArrayRef, depth: usize) -> Result<usize> {
    widest(&make_array(within(&list.to_data(), depth)))
}

/// The items of lists within lists.
fn within(list: &ArrayData, depth: usize) -> ArrayData {
    match list.child_data().first() {
        Some(items) if depth > 0 => within(items, depth - 1),
        _ => list.clone(),
    }
}

/// The length of the longest text or list of a column.
fn longest(column: &ArrayRef) -> Result<usize> {
    let lengths = cast(&length(column)?, &DataType::Int64)?;
    let longest = max(lengths.as_primitive::<Int64Type>()).unwrap_or(0);
    Ok(usize::try_from(longest).unwrap_or(0))
}

/// Octets of the largest value of a column, at most.
fn widest(column: &ArrayRef) -> Result<usize> {
    Ok(match column.data_type() {
        DataType::Null => 0,
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => longest(column)?.max(VALUE_OCTETS),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..)
        | DataType::Map(..) => {
            let item = widest(&make_array(within(&column.to_data(), 1)))?;
            longest(column)?.saturating_mul(item).saturating_add(VALUE_OCTETS)
        }
        DataType::Struct(_) => {
            let mut all = 0_usize;
            for part in column.as_struct().columns() {
                all = all.saturating_add(widest(part)?);
            }
            all
        }
        _ => VALUE_OCTETS,
    })
}

impl DisplayAs for Looked {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomExec")
    }
}

impl ExecutionPlan for Looked {
    fn name(&self) -> &'static str {
        "RoomExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.child.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.child]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(child) => Arc::new(Self { child, asked: self.asked.clone() }),
            None => self,
        })
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let room = MemoryConsumer::new("rows that are held").register(context.memory_pool());
        let mut seen = Seen::new(self.asked.clone(), room);
        let rows = self.child.execute(partition, context)?;
        let schema = rows.schema();
        let looked = rows.map(move |batch: Result<RecordBatch>| {
            let batch = batch?;
            seen.look(&batch)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, looked)))
    }
}
