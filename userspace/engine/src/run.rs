//! Lower halves on one worker, for the queries that share them.
//!
//! Takes turns of batches, gives what each of its queries gets of them. When queries come and go, another run takes
//! its place at a layout: batches by layouts before go to this one, those behind to the other one, and what both have
//! of a pane adds up.

use crate::query_state::EndReason;
use crate::worker::Task;
use tapline_operators::{LowerOperator, LowerOutput, Portion, QueryFailure, QueryId};
use tapline_record::ledger::QueryLedger;
use tapline_record::{Epoch, EventTime};

/// Number of lower halves that queries share; whoever is added to them, it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u32);

/// Queries that could not be computed for some row, and why.
type Failed = Vec<(QueryId, EndReason)>;

/// Lower halves, and whose they are.
pub(crate) struct Run {
    id: RunId,
    /// The layout of the first batches that are for it.
    since: Epoch,
    /// The layout of the first batches that are not any more.
    until: Epoch,
    /// Its streams are carried since this layout: before, nobody knows how far they have come.
    carried_since: Epoch,
    operators: Vec<LowerOperator>,
    /// The queries, each with its part.
    portions: Vec<(QueryId, Portion)>,
    /// Panes that begin before this come in parts.
    parts_before: EventTime,
    outputs: Vec<LowerOutput>,
}

impl Run {
    pub(crate) fn new(
        id: RunId,
        since: Epoch,
        operators: Vec<LowerOperator>,
        portions: Vec<(QueryId, Portion)>,
    ) -> Self {
        let (until, parts_before) = (Epoch(u64::MAX), EventTime::MIN);
        Self { id, since, until, carried_since: since, operators, portions, parts_before, outputs: vec![] }
    }

    /// Leaves the batches from the first layout of `other` on to that one, if it is to take this one's place; says
    /// whether it is.
    pub(crate) fn make_room_for(&mut self, other: &mut Self) -> bool {
        let makes_room = self.id == other.id && self.until > other.since;
        if makes_room {
            self.until = other.since;
            other.carried_since = self.carried_since;
            other.give_parts_before(self.parts_before);
        }
        makes_room
    }

    /// Whether no batch is for it any more, when all inputs have come to this layout.
    pub(crate) fn has_passed(&self, epoch: Epoch) -> bool {
        self.until <= epoch && self.until < Epoch(u64::MAX)
    }

    /// Gives no pane as a whole that begins before this.
    pub(crate) fn give_parts_before(&mut self, time: EventTime) {
        self.parts_before = self.parts_before.max(time);
        self.operators.iter_mut().for_each(|operator| operator.give_parts_before(time));
    }

    /// Gives no pane as a whole any more.
    pub(crate) fn give_parts(&mut self) {
        self.give_parts_before(EventTime::MAX);
    }

    /// Its queries.
    pub(crate) fn queries(&self) -> impl Iterator<Item = QueryId> {
        self.portions.iter().map(|(query, _)| *query)
    }

    /// Lets a query go.
    pub(crate) fn leave(&mut self, query: QueryId) {
        self.portions.retain(|(known, _)| *known != query);
    }

    /// Whether all its queries have gone.
    pub(crate) const fn is_abandoned(&self) -> bool {
        self.portions.is_empty()
    }

    /// The fates of its rows.
    pub(crate) fn ledger(&self) -> QueryLedger {
        let mut sum = QueryLedger::default();
        self.operators.iter().for_each(|operator| sum += *operator.ledger());
        sum
    }

    /// Lets each operator process the turn; gives the queries that fail by it.
    pub(crate) fn process(&mut self, turn: &[Task]) -> Failed {
        let Self { operators, outputs, since, until, carried_since, .. } = self;
        let outcome = operators.iter_mut().try_for_each(|operator| {
            turn.iter().try_for_each(|task| {
                let is_own = |epoch: Epoch| *since <= epoch && epoch < *until;
                let batch = task.batch.as_ref().filter(|(_, batch)| is_own(batch.layout.epoch()));
                batch.map_or(Ok(()), |(_, batch)| operator.process(batch, outputs))?;
                if task.epoch >= *carried_since { operator.advance(&task.reach, outputs) } else { Ok(()) }
            })
        });
        self.failed(outcome)
    }

    /// Gives all that is left; gives the queries that fail by it.
    pub(crate) fn finish(&mut self) -> Failed {
        let Self { operators, outputs, .. } = self;
        let outcome = operators.iter_mut().try_for_each(|operator| operator.finish(outputs));
        self.failed(outcome)
    }

    /// Whose queries fail: all, or those that have an aggregate which could not be computed.
    fn failed(&mut self, outcome: Result<(), QueryFailure>) -> Failed {
        let mut failed = vec![];
        if let Err(error) = outcome {
            let reason = EndReason::failed(&error);
            failed.extend(self.portions.iter().map(|(query, _)| (*query, reason.clone())));
        }
        for (half, operator) in self.operators.iter_mut().enumerate() {
            for (aggregate, error) in operator.take_failures() {
                let reason = EndReason::failed(&error);
                let theirs = self.portions.iter().filter(|(_, portion)| portion.has(half, aggregate));
                failed.extend(theirs.map(|(query, _)| (*query, reason.clone())));
            }
        }
        failed
    }

    /// Gives to each query its part of what has come.
    pub(crate) fn take_outputs(&mut self, mut give: impl FnMut(QueryId, LowerOutput)) {
        let Self { outputs, portions, .. } = self;
        // Each portion was made for these halves.
        let mut give = |(query, portion): &(QueryId, Portion), output| {
            portion.of(output).map(|output| give(*query, output))
        };
        for output in outputs.drain(..) {
            let Some((last, others)) = portions.split_last() else { continue };
            let _ = others.iter().try_for_each(|one| give(one, output.clone()));
            let _ = give(last, output);
        }
    }
}
