//! A query that is ready to run, in two halves with the window between them.
//!
//! Planning makes it; who runs it asks which columns it reads, runs its lower halves per batch, and its upper half
//! once per window.

use crate::flow_table::FlowTable;
use crate::lower::{Aggregate, Fold, LowerHalf};
use crate::partial::PartialSlot;
use crate::sensors::SensorPattern;
use crate::window::{Window, common_pane};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;
use tapline_record::{IdentityColumn, Stream};

/// Width of the panes in which sensors send rows without an aggregate, in nanoseconds.
const ROW_PANE_NS: i64 = 1_000_000_000;

/// A query that is ready to run.
#[derive(Clone, Debug)]
pub struct ContinuousQuery {
    /// Its text.
    pub sql: String,
    /// Whether it was written as EXPLAIN.
    pub explain: bool,
    /// On which sensors of an aggregator it runs; on all, where that is not said.
    pub sensors: Option<Vec<SensorPattern>>,
    /// Its window; `None` when the whole input is one, and of rows without an aggregate, unless sensors send them.
    pub window: Option<Window>,
    /// Each time that so many nanoseconds of a window have passed, what came for it so far is given.
    pub early: Option<i64>,
    /// Who counts the packets that its lower halves read, where they do not read them one by one.
    pub flow_table: Option<FlowTable>,
    /// Whether the kernel is told which packets it needs.
    pub is_told_to_kernel: bool,
    /// What runs per batch.
    pub lowers: Vec<LowerHalf>,
    /// What becomes of it.
    pub upper: Upper,
    /// The SELECT list.
    pub schema: SchemaRef,
    /// Of each of its columns, whether a star stands for it, and nobody named it.
    pub starred: Vec<bool>,
}

/// What is done with what the lower halves give.
#[derive(Clone, Debug)]
pub enum Upper {
    /// The only lower half's rows are the result, in input order.
    Stream {
        /// OFFSET.
        skip: usize,
        /// LIMIT.
        fetch: Option<usize>,
    },
    /// Runs over the groups of each window.
    Windows(UpperHalf),
    /// The best rows of an ORDER BY … LIMIT.
    Best {
        /// Runs over the rows that were kept.
        half: UpperHalf,
        /// Sorts rows and keeps the best ones, as they are.
        prune: Arc<dyn ExecutionPlan>,
    },
}

/// The plan above the split.
#[derive(Clone, Debug)]
pub struct UpperHalf {
    /// Where the rows of each lower half are put before a run.
    pub slots: Vec<PartialSlot>,
    /// The logical plan, for EXPLAIN.
    pub plan: LogicalPlan,
    /// What is executed.
    pub physical: Arc<dyn ExecutionPlan>,
    /// What is executed over the folded rows: the SELECT list alone. `None` when the folded row has no
    /// place in the result, after joins and second aggregates.
    pub folded: Option<Arc<dyn ExecutionPlan>>,
    /// What the execution needs.
    pub context: Arc<TaskContext>,
}

impl ContinuousQuery {
    /// The same query, of which each window is given so far each time that so many nanoseconds of it have passed.
    ///
    /// # Errors
    /// A sentence that says why its windows cannot be given early, and what would be right.
    pub fn with_early(self, every: i64) -> Result<Self, String> {
        let window = self.window.ok_or("early results are of windows of time, and the query has none: group by tumble('60 seconds') or the like, too")?;
        window.check_early(every)?;
        Ok(Self { early: Some(every), ..self })
    }

    /// The query as sensors answer it together: what they send is of panes, so that rows without an aggregate come in windows
    /// of a second. So do those of which it is known that there are none, as of `WHERE false` and `LIMIT 0`. Any other query
    /// stays as it is.
    ///
    /// # Errors
    /// A sentence, when it asks for the best of all rows: nobody knows these before the input ends.
    pub fn of_sensors(self) -> Result<Self, String> {
        match &self.upper {
            Upper::Best { .. } => {
                let why =
                    "the best of all rows are known when the input ends, and that of sensors never does";
                Err(format!("{why}: leave ORDER BY out, or group by tumble('60 seconds')"))
            }
            Upper::Stream { .. } if self.gives_rows() => {
                Ok(Self { window: Some(Window::Tumble { size: ROW_PANE_NS }), ..self })
            }
            Upper::Windows(half) if self.window.is_none() && gives_nothing(&half.plan) => {
                let upper = Upper::Stream { skip: 0, fetch: Some(0) };
                Ok(Self { window: Some(Window::Tumble { size: ROW_PANE_NS }), upper, ..self })
            }
            Upper::Stream { .. } | Upper::Windows(_) => Ok(self),
        }
    }

    /// Whether what runs per batch gives rows as they are.
    #[must_use]
    pub fn gives_rows(&self) -> bool {
        self.lowers.iter().any(|lower| matches!(lower.fold, Fold::Rows(_)))
    }

    /// Refuses an aggregate that would never be given, where the input never ends.
    ///
    /// # Errors
    /// A sentence that says so, and the clause to add.
    pub fn check_live(&self) -> Result<(), String> {
        let has_aggregate = self.lowers.iter().any(|lower| matches!(lower.fold, Fold::Aggregate(_)));
        if self.window.is_none() && has_aggregate {
            let message = "a live source never ends, so an aggregate over it needs a window; add to GROUP BY: tumble('60 seconds')";
            return Err(message.to_owned());
        }
        Ok(())
    }

    /// Whether some aggregate has keys.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        let has_keys =
            |lower: &LowerHalf| matches!(&lower.fold, Fold::Aggregate(fold) if !fold.keys.is_empty());
        self.lowers.iter().any(has_keys)
    }

    /// Whether some aggregate has a state that grows with what it is given, such as a sketch.
    #[must_use]
    pub fn has_growing_states(&self) -> bool {
        let grows = |lower: &LowerHalf| {
            let Fold::Aggregate(fold) = &lower.fold else { return false };
            fold.aggregates.iter().any(Aggregate::grows)
        };
        self.lowers.iter().any(grows)
    }

    /// Width of the panes that its lower halves give, in nanoseconds; `None` where it has no windows of time.
    #[must_use]
    pub fn pane_width(&self) -> Option<i64> {
        let whole = self.closing_width()?;
        Some(self.early.map_or(whole, |every| common_pane(whole, every)))
    }

    /// Whether a pane is in several results: windows slide, or are given early.
    #[must_use]
    pub const fn reuses_panes(&self) -> bool {
        self.early.is_some() || matches!(self.window, Some(Window::Hop { .. }))
    }

    /// Width of the intervals after each of which nothing is taken for it any more, in nanoseconds: results that are
    /// given before that do not change what is late.
    #[must_use]
    pub fn closing_width(&self) -> Option<i64> {
        self.window.and_then(Window::pane_width)
    }

    /// The columns of `stream` that some lower half reads and sources build, ascending; the event time is among them
    /// when the query has a window.
    #[must_use]
    pub fn columns_of(&self, stream: &Stream) -> Option<Vec<usize>> {
        let branches = self.lowers.iter().flat_map(|lower| &lower.branches);
        let mut read: Option<Vec<usize>> = None;
        for branch in branches.filter(|branch| branch.stream.id == stream.id) {
            read.get_or_insert_default().extend(&branch.columns);
        }
        let mut columns = read?;
        columns.retain(|&column| IdentityColumn::at(column).is_none());
        columns.extend(self.window.map(|_| Stream::TS));
        columns.sort_unstable();
        columns.dedup();
        Some(columns)
    }
}

/// Whether a plan gives no rows, whatever comes.
const fn gives_nothing(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row)
}

#[cfg(test)]
mod tests {
    use crate::{Planner, Window};
    use tapline_record::{PACKETS, Stream};

    #[test]
    fn rows_of_sensors_come_in_windows_of_a_second() {
        let plan = |sql: &str| Planner::new().plan(sql).unwrap();
        let rows = plan("SELECT sensor, src_ip FROM packets WHERE dst_port = 53 LIMIT 10");
        assert!(rows.gives_rows() && rows.window.is_none());
        assert_eq!(rows.columns_of(&PACKETS).map(|columns| columns.contains(&Stream::TS)), Some(false));
        let rows = rows.of_sensors().unwrap();
        let second = Some(Window::Tumble { size: 1_000_000_000 });
        assert_eq!((rows.window, rows.pane_width()), (second, Some(1_000_000_000)));
        assert_eq!(rows.columns_of(&PACKETS).map(|columns| columns.contains(&Stream::TS)), Some(true));
        assert!(rows.describe().contains("by sensor, in input order"), "{}", rows.describe());
        let counts = plan("SELECT count(*) FROM packets GROUP BY hop('1 second', '5 seconds')");
        let window = counts.window;
        assert_eq!(counts.of_sensors().map(|query| (query.gives_rows(), query.window)), Ok((false, window)));
        let best = plan("SELECT src_ip, octets FROM packets ORDER BY octets DESC LIMIT 3").of_sensors();
        assert!(best.unwrap_err().contains("the best of all rows are known when the input ends"));
    }

    #[test]
    fn rows_that_there_are_none_of_come_in_windows_of_a_second_too() {
        let plan = |sql: &str| Planner::new().plan(sql).unwrap().of_sensors().unwrap();
        for sql in [
            "SELECT src_ip, octets FROM packets WHERE false",
            "SELECT octets FROM packets WHERE octets > 5 AND 1 = 2",
            "SELECT octets FROM packets LIMIT 0",
        ] {
            let nothing = plan(sql);
            let shape = (nothing.lowers.len(), nothing.pane_width(), nothing.gives_rows());
            assert_eq!(shape, (0, Some(1_000_000_000), false), "{sql}");
        }
        let whole = plan("SELECT count(*) FROM packets WHERE false");
        assert_eq!(
            whole.pane_width(),
            None,
            "it has a row when the input ends, and that of sensors never does"
        );
    }
}
