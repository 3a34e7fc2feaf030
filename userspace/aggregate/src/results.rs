//! Results of what an aggregator gives.

use crate::flaw::Flaw;
use crate::halves::place_of;
use crate::running::Running;
use std::collections::{BTreeMap, BTreeSet};
use tapline_delivery::{Given, KeptHalf};
use tapline_engine::{QueryId, QueryLimits, WindowResult};
use tapline_query::ContinuousQuery;

/// Makes results of panes that are given, query by query.
pub struct Results {
    queries: BTreeMap<u64, Running>,
    /// How far behind the latest pane that was given one may be given again, in event time.
    revisable_ns: i64,
}

impl Results {
    /// Those of no query, of panes that may be given again for so long.
    #[must_use]
    pub const fn new(revisable_ns: i64) -> Self {
        Self { queries: BTreeMap::new(), revisable_ns }
    }

    /// Makes results of a query from now on, which is called `id` on the wire and `query` in its results. Its plan was
    /// made for this: whoever else makes results of it would put windows in the same places.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it, or the system has no room.
    pub fn add_query(
        &mut self,
        id: u64,
        query: QueryId,
        plan: &ContinuousQuery,
        limits: &QueryLimits,
    ) -> Result<(), String> {
        self.queries.insert(id, Running::new(query, plan, limits, self.revisable_ns)?);
        Ok(())
    }

    /// Makes results of a query no more.
    pub fn drop_query(&mut self, id: u64) {
        self.queries.remove(&id);
    }

    /// Goes on with what an aggregator keeps of a half, before anything that it gives is taken: what whoever took its
    /// results had when it ended.
    ///
    /// # Errors
    /// A sentence, when it is not of the query that is here.
    pub fn resume(&mut self, kept: &KeptHalf) -> Result<(), String> {
        let (query, half) = place_of(kept.half);
        self.queries.get_mut(&query).map_or(Ok(()), |running| running.resume(half, kept))
    }

    /// Takes panes, in the order in which they are given; gives the results of windows that are whole by them, or are
    /// revised, by the query that they are of on the wire. A query that cannot go on says why at last, and gives nothing
    /// more. A window of which several panes are given at once is revised once.
    pub fn take(&mut self, given: &[Given]) -> Vec<(u64, Result<WindowResult, String>)> {
        let (mut out, mut touched) = (vec![], BTreeSet::new());
        for pane in given {
            let (query, half) = place_of(pane.half);
            let Some(running) = self.queries.get_mut(&query) else { continue };
            touched.insert(query);
            out.extend(running.note(half, pane).err().map(|why| (query, Err(why))));
        }
        for query in touched {
            let Some(running) = self.queries.get_mut(&query) else { continue };
            let mut results = vec![];
            running.give(&mut results);
            out.extend(results.into_iter().map(|result| (query, Ok(result))));
        }
        out
    }

    /// Windows that could not be made as they should be, since this was asked before, by the query that they are of on the
    /// wire. The query goes on: what one sensor says is no reason to have nothing of the others.
    pub fn take_flaws(&mut self) -> Vec<(u64, Flaw)> {
        let mut flaws = vec![];
        for (query, running) in &mut self.queries {
            flaws.extend(running.take_flaws().into_iter().map(|flaw| (*query, flaw)));
        }
        flaws
    }

    /// The queries, as they are called on the wire, of which nothing that may still come changes what was answered: LIMIT is
    /// reached.
    pub fn satisfied(&self) -> impl Iterator<Item = u64> + '_ {
        self.queries.iter().filter(|(_, running)| running.is_satisfied()).map(|(query, _)| *query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crafted::{Group, payload};
    use crate::halves::half_id;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use tapline_delivery::{SensorName, Span, Told};
    use tapline_engine::Status;
    use tapline_operators::HalfStates;
    use tapline_query::Planner;

    const QUERY: u64 = 3;
    const SECOND_NS: i64 = 1_000_000_000;

    /// Makes results of a query over second after second, each of these groups, which two sensors sent.
    fn results(sql: &str, seconds: &[&[Group]]) -> (Vec<WindowResult>, Vec<Flaw>) {
        let query = Planner::new().plan(sql).unwrap();
        let half = HalfStates::new(&query, 0).unwrap();
        let mut results = Results::new(0);
        results.add_query(QUERY, QueryId(0), &query, &QueryLimits::default()).unwrap();
        let given = seconds.iter().zip(0..).map(|(groups, second)| Given {
            half: half_id(QUERY, 0),
            pane: Span { start: second * SECOND_NS, end: (second + 1) * SECOND_NS },
            revision: 0,
            state: payload(&half, groups).encode(&half).unwrap().octets.into(),
            records: 1,
            told: Told::default(),
            absent: vec![],
            from: vec![SensorName::new("pop-1"), SensorName::new("pop-2")],
        });
        let made =
            given.flat_map(|given| results.take(&[given])).map(|(_, result)| result.unwrap()).collect();
        (made, results.take_flaws().into_iter().map(|(_, flaw)| flaw).collect())
    }

    fn numbers(result: &WindowResult) -> Vec<i64> {
        let last = result.rows.iter().filter_map(|rows| rows.columns().last());
        let mut numbers: Vec<i64> =
            last.flat_map(|column| column.as_primitive::<Int64Type>().values().to_vec()).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_group_that_cannot_be_computed_is_left_out_of_its_window_and_the_query_goes_on() {
        let sql =
            "SELECT src_port, sum(octets) * 8 AS bits FROM packets GROUP BY src_port, tumble('1 second')";
        let many: Vec<Group> =
            (0..1000).map(|port| (port, 1, if port == 7 { i64::MAX } else { 1 })).collect();
        let (made, flaws) = results(sql, &[&[(80, 1, 2)], &many, &[(80, 1, 3), (81, 1, 4)]]);
        let statuses: Vec<_> = made.iter().map(|result| result.status).collect();
        assert_eq!(statuses, [Status::Final, Status::Partial, Status::Final]);
        assert_eq!((numbers(&made[0]), numbers(&made[2])), (vec![16], vec![24, 32]));
        assert_eq!((numbers(&made[1]), made[1].completeness), (vec![8; 999], None));
        let [flaw] = &flaws[..] else { panic!("{flaws:?}") };
        assert!(!flaw.is_lost && flaw.window.start.0 == SECOND_NS, "{flaw:?}");
        assert!(flaw.what.contains("one group") && flaw.what.contains("pop-1, pop-2"), "{flaw:?}");
    }

    #[test]
    fn a_window_that_cannot_be_computed_is_lost_and_the_query_goes_on() {
        let sql = "SELECT sum(octets) * 8 AS bits FROM packets GROUP BY tumble('1 second')";
        let (made, flaws) = results(sql, &[&[(0, 1, i64::MAX)], &[(0, 1, 3)]]);
        assert_eq!((made.len(), numbers(&made[0])), (1, vec![24]));
        assert!(flaws.len() == 1 && flaws[0].is_lost, "{flaws:?}");
    }
}
