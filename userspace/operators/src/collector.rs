//! Collects what came of the panes of one query, until somebody takes it out as partial aggregates.
//!
//! Takes outputs of its lower halves from every worker, in any order; gives for each lower half and pane the parts that
//! came since it was taken out last. Many parts of one pane are merged into one.

use crate::lower::{LowerOutput, OperatorLimits};
use crate::parts::Parts;
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
    panes: BTreeMap<(EventTime, usize), Parts>,
    octets: usize,
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

    /// Takes one output of a worker.
    ///
    /// # Errors
    /// When it is no partial states, or an aggregate fails.
    pub fn accept(&mut self, output: LowerOutput) -> Result<()> {
        let LowerOutput::Pane { lower, pane, groups, finished: false } = output else {
            return Err(internal_datafusion_err!("only partial states of panes can be collected"));
        };
        let parts = self.panes.entry((pane.start, lower)).or_default();
        let before = parts.octets();
        parts.push(Arc::new(groups), false);
        if let Some(Some(fold)) = self.folds.get(lower)
            && parts.are_many()
        {
            parts.merge(fold, self.limits)?;
        }
        self.octets = (self.octets + parts.octets()).saturating_sub(before);
        Ok(())
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
        let ((start, lower), parts) = self.panes.pop_first()?;
        self.octets = self.octets.saturating_sub(parts.octets());
        Some((start, lower, parts))
    }

    /// Takes all out, in the order of time.
    pub fn take(&mut self) -> impl Iterator<Item = (EventTime, usize, Parts)> + use<> {
        self.octets = 0;
        let panes = std::mem::take(&mut self.panes);
        panes.into_iter().map(|((start, lower), parts)| (start, lower, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{GroupBatch, state_schema};
    use crate::lower::Pane;
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
            collector.accept(output(&schema, 20, &[1, 2 + part % 2], false)).unwrap();
        }
        collector.accept(output(&schema, 0, &[7], false)).unwrap();
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
            collector.accept(output(&schema, start, &[1], false)).unwrap();
        }
        let held = collector.octets_held();
        let (start, lower, parts) = collector.take_earliest().unwrap();
        assert_eq!((start, lower, parts.rows()), (EventTime(10), 0, 1));
        assert_eq!(collector.octets_held(), held - held / 3);
        collector.accept(output(&schema, 30, &[1], true)).unwrap_err();
    }
}
