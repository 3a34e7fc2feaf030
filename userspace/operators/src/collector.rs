//! Collects what came of the panes of one query, until somebody takes it out as partial aggregates, or rows.
//!
//! Takes outputs of its lower halves from every worker, in any order; gives for each lower half and pane the parts that
//! came since it was taken out last. Many parts of one pane are merged into one; rows are put into the order of their
//! input.

use crate::ids::SourceId;
use crate::output::LowerOutput;
use crate::parts::Parts;
use crate::room::OperatorLimits;
use crate::row_quota::RowQuota;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Result, internal_datafusion_err};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_query::{AggregateFold, ContinuousQuery, Fold};
use tapline_record::EventTime;

/// What came of the panes of one query.
pub struct PaneCollector {
    folds: Vec<Option<Arc<AggregateFold>>>,
    limits: OperatorLimits,
    /// By the start of the pane, and the lower half.
    panes: BTreeMap<(EventTime, usize), Collected>,
    octets: usize,
}

/// Rows that came beyond what may be sent of their pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// When the pane begins.
    pub pane: EventTime,
    /// Of which lower half they are.
    pub half: usize,
    /// How many they are.
    pub rows: u64,
}

/// What came for a pane.
#[derive(Default)]
struct Collected {
    states: Parts,
    /// Each with the batch that they came in.
    rows: Vec<((SourceId, u64), RecordBatch)>,
    octets_of_rows: usize,
}

impl Collected {
    const fn octets(&self) -> usize {
        self.states.octets() + self.octets_of_rows
    }

    fn push_rows(&mut self, batch: (SourceId, u64), rows: RecordBatch) {
        self.octets_of_rows += rows.get_array_memory_size();
        self.rows.push((batch, rows));
    }

    /// Rows in the order of their input: those of one batch come in theirs.
    fn into_parts(self) -> Parts {
        let Self { states: mut parts, mut rows, .. } = self;
        rows.sort_by_key(|(batch, _)| *batch);
        rows.into_iter().for_each(|(_, rows)| parts.push_rows(None, rows));
        parts
    }
}

impl PaneCollector {
    /// That of `query`.
    #[must_use]
    pub fn new(query: &ContinuousQuery, limits: OperatorLimits) -> Self {
        let folds = query.lowers.iter().map(|lower| match &lower.fold {
            Fold::Rows(_) => None,
            Fold::Aggregate(fold) => Some(Arc::new(fold.clone())),
        });
        Self { folds: folds.collect(), limits, panes: BTreeMap::new(), octets: 0 }
    }

    /// Takes one output of a worker; of rows as many as may still be sent, and says how many are more.
    ///
    /// # Errors
    /// When it is neither partial states nor rows of panes, or an aggregate fails.
    pub fn accept(&mut self, output: LowerOutput, quota: &mut RowQuota) -> Result<Option<Beyond>> {
        match output {
            LowerOutput::Pane { lower, pane, groups, finished: false } => {
                let came = self.panes.entry((pane.start, lower)).or_default();
                let before = came.octets();
                came.states.push(Arc::new(groups), false);
                if let Some(Some(fold)) = self.folds.get(lower)
                    && came.states.are_many()
                {
                    came.states.merge(fold, self.limits)?;
                }
                self.octets = (self.octets + came.octets()).saturating_sub(before);
                Ok(None)
            }
            LowerOutput::PaneRows { lower, pane, batch, rows } => {
                let kept = quota.take((pane, lower), &rows)?;
                let beyond = (rows.num_rows() - kept.num_rows()) as u64;
                if kept.num_rows() > 0 {
                    let came = self.panes.entry((pane, lower)).or_default();
                    let before = came.octets();
                    came.push_rows(batch, kept);
                    self.octets = (self.octets + came.octets()).saturating_sub(before);
                }
                Ok((beyond > 0).then_some(Beyond { pane, half: lower, rows: beyond }))
            }
            LowerOutput::Pane { .. } | LowerOutput::Rows { .. } => {
                Err(internal_datafusion_err!("only partial states of panes, or their rows, can be collected"))
            }
        }
    }

    /// Octets of all that came.
    #[must_use]
    pub const fn octets_held(&self) -> usize {
        self.octets
    }

    /// Panes of which something came, of each lower half.
    #[must_use]
    pub fn panes(&self) -> usize {
        self.panes.len()
    }

    /// When the earliest of them begins.
    #[must_use]
    pub fn earliest(&self) -> Option<EventTime> {
        self.panes.first_key_value().map(|((start, _), _)| *start)
    }

    /// Takes out what came of the earliest of them: when it begins, the lower half, and the parts.
    pub fn take_earliest(&mut self) -> Option<(EventTime, usize, Parts)> {
        let ((start, lower), came) = self.panes.pop_first()?;
        self.octets = self.octets.saturating_sub(came.octets());
        Some((start, lower, came.into_parts()))
    }

    /// Takes all out, in the order of time.
    pub fn take(&mut self) -> impl Iterator<Item = (EventTime, usize, Parts)> + use<> {
        self.octets = 0;
        let panes = std::mem::take(&mut self.panes);
        panes.into_iter().map(|((start, lower), came)| (start, lower, came.into_parts()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{GroupBatch, state_schema};
    use crate::output::Pane;
    use crate::row_quota::RowLimits;
    use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, UInt16Array};
    use datafusion::arrow::datatypes::{Int64Type, SchemaRef, UInt16Type};
    use tapline_query::Planner;

    const SQL: &str = "SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('10 seconds')";
    const LIMITS: OperatorLimits = OperatorLimits { groups_max: 100, is_only_worker: false };

    fn collector() -> (PaneCollector, SchemaRef) {
        let query = Planner::new().plan(SQL).unwrap();
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it aggregates") };
        (PaneCollector::new(&query, LIMITS), state_schema(fold).unwrap())
    }

    fn output(schema: &SchemaRef, start: i64, ports: &[u16], finished: bool) -> LowerOutput {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt16Array::from(ports.to_vec())),
            Arc::new(Int64Array::from(vec![1; ports.len()])),
        ];
        let groups = RecordBatch::try_new(Arc::clone(schema), columns).unwrap();
        let groups = GroupBatch { groups, folded: None, rows: ports.len() as u64, folded_rows: 0 };
        let pane = Pane { start: EventTime(start), end: EventTime(start + 10), index: 0, is_complete: true };
        LowerOutput::Pane { lower: 0, pane, groups, finished }
    }

    fn accept(collector: &mut PaneCollector, output: LowerOutput) -> Result<Option<Beyond>> {
        collector.accept(output, &mut RowQuota::new(RowLimits::default()))
    }

    fn counts(parts: &Parts) -> BTreeMap<u16, i64> {
        let mut counts = BTreeMap::new();
        for groups in parts.groups() {
            let ports = groups.groups.column(0).as_primitive::<UInt16Type>().values();
            let values = groups.groups.column(1).as_primitive::<Int64Type>().values();
            ports.iter().zip(values).for_each(|(port, count)| *counts.entry(*port).or_default() += count);
        }
        counts
    }

    #[test]
    fn parts_of_a_pane_add_up_and_many_are_merged() {
        let (mut collector, schema) = collector();
        for part in 0..100 {
            accept(&mut collector, output(&schema, 20, &[1, 2 + part % 2], false)).unwrap();
        }
        accept(&mut collector, output(&schema, 0, &[7], false)).unwrap();
        assert_eq!((collector.panes(), collector.earliest()), (2, Some(EventTime(0))));
        assert!(collector.octets_held() > 0);
        let taken: Vec<_> = collector.take().collect();
        let [(EventTime(0), 0, first), (EventTime(20), 0, second)] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((first.rows(), counts(first)), (1, BTreeMap::from([(7, 1)])));
        assert_eq!((second.rows(), counts(second)), (200, BTreeMap::from([(1, 100), (2, 50), (3, 50)])));
        assert!(second.groups().count() < 40, "they were merged on the way");
        assert_eq!((collector.panes(), collector.octets_held()), (0, 0));
    }

    #[test]
    fn the_earliest_goes_first_and_what_is_finished_is_refused() {
        let (mut collector, schema) = collector();
        for start in [30, 10, 20] {
            accept(&mut collector, output(&schema, start, &[1], false)).unwrap();
        }
        let held = collector.octets_held();
        let (start, lower, parts) = collector.take_earliest().unwrap();
        assert_eq!((start, lower, parts.rows()), (EventTime(10), 0, 1));
        assert_eq!(collector.octets_held(), held - held / 3);
        accept(&mut collector, output(&schema, 30, &[1], true)).unwrap_err();
    }

    #[test]
    fn rows_are_in_the_order_of_their_input_and_no_more_than_may_be_sent() {
        let query = Planner::new().plan("SELECT src_port FROM packets").unwrap().of_sensors().unwrap();
        let mut collector = PaneCollector::new(&query, LIMITS);
        let mut quota = RowQuota::new(RowLimits { rows_max: 7, ..RowLimits::default() });
        let rows = |source: u32, sequence: u64, ports: &[u16]| {
            let ports: ArrayRef = Arc::new(UInt16Array::from(ports.to_vec()));
            let rows = RecordBatch::try_from_iter([("src_port", ports)]).unwrap();
            let batch = (SourceId(source), sequence);
            LowerOutput::PaneRows { lower: 0, pane: EventTime(20), batch, rows }
        };
        for output in [rows(1, 0, &[6]), rows(0, 4, &[4, 5]), rows(0, 0, &[1, 2]), rows(0, 0, &[3])] {
            assert_eq!(collector.accept(output, &mut quota).unwrap(), None);
        }
        let beyond = Beyond { pane: EventTime(20), half: 0, rows: 2 };
        assert_eq!(collector.accept(rows(1, 9, &[7, 8, 9]), &mut quota).unwrap(), Some(beyond));
        let taken: Vec<_> = collector.take().collect();
        let [(EventTime(20), 0, parts)] = &taken[..] else { panic!("{taken:?}") };
        let ports = |part: &GroupBatch| part.groups.column(0).as_primitive::<UInt16Type>().values().to_vec();
        let all: Vec<u16> = parts.groups().flat_map(ports).collect();
        assert_eq!((parts.rows(), all), (7, vec![1, 2, 3, 4, 5, 6, 7]));
        assert_eq!((collector.panes(), collector.octets_held()), (0, 0));
    }
}
