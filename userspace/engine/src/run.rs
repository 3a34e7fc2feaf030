//! Lower halves on one worker, for the queries that share them.
//!
//! Takes turns of batches, gives what each of its queries gets of them. When queries come and go, another run takes
//! its place at a layout: batches by layouts before go to this one, those behind to the other one, and what both have
//! of a pane adds up.

use crate::coverage::Unread;
use crate::held::{self, Charge, Gauge, PARTS_OF_RESERVE};
use crate::query_state::{EndReason, QueryState};
use crate::worker::Task;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_operators::{
    BatchCommons, Commons, LowerOperator, LowerOutput, Portion, QueryFailure, QueryId, Room,
};
use tapline_record::ledger::QueryLedger;
use tapline_record::{Epoch, EventTime};

/// Number of lower halves that queries share; whoever is added to them, it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u32);

/// A query of a run.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) id: QueryId,
    pub(crate) state: Arc<QueryState>,
    /// What of the outputs is its.
    pub(crate) portion: Portion,
}

/// Octets that are held of all queries together, how many may be, and on how many workers.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    held: Arc<Gauge>,
    queries: Arc<Gauge>,
    pub(crate) octets_max: usize,
    workers: usize,
}

impl Memory {
    pub(crate) fn new(octets_max: usize, workers: usize) -> Self {
        Self { held: Arc::default(), queries: Arc::default(), octets_max, workers }
    }

    /// A charge for what is held of no query alone.
    pub(crate) fn charge(&self) -> Charge {
        Charge::new(Arc::new(vec![Arc::clone(&self.held)]))
    }

    /// What queries count in: octets, and how many they are.
    pub(crate) const fn gauges(&self) -> [&Arc<Gauge>; 2] {
        [&self.held, &self.queries]
    }

    /// The even part of a query in what may be held.
    fn part(&self) -> usize {
        self.octets_max / usize::try_from(self.queries.get()).unwrap_or(usize::MAX).max(1)
    }
}

/// Panes that have room at once: one that is being given, one that may still get rows, and the next one.
const PANES_AT_ONCE: usize = 3;

/// Panes that are open at once: those that have octets of their own.
const PANES_OPEN: usize = 2;

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
    members: Vec<Member>,
    memory: Memory,
    /// What is held for panes that are open: octets and groups.
    octets: Charge,
    groups: Charge,
    /// Panes that begin before this come in parts.
    parts_before: EventTime,
    outputs: Vec<LowerOutput>,
    /// The rows that it did not read which its queries were told of.
    told: Unread,
}

impl Run {
    pub(crate) fn new(
        id: RunId,
        since: Epoch,
        operators: Vec<LowerOperator>,
        members: Vec<Member>,
        memory: Memory,
    ) -> Self {
        let octets = members.iter().map(|member| member.state.octets_held()).chain([&memory.held]);
        let octets = Charge::new(Arc::new(octets.cloned().collect()));
        let groups = members.iter().map(|member| member.state.groups_held());
        let groups = Charge::new(Arc::new(groups.cloned().collect()));
        Self {
            id,
            since,
            until: Epoch(u64::MAX),
            carried_since: since,
            operators,
            members,
            memory,
            octets,
            groups,
            parts_before: EventTime::MIN,
            outputs: vec![],
            told: Unread::default(),
        }
    }

    /// Leaves the batches from the first layout of `other` on to that one, if it is to take this one's place; says
    /// whether it is.
    pub(crate) fn make_room_for(&mut self, other: &mut Self) -> bool {
        let makes_room = self.id == other.id && self.until > other.since;
        if makes_room {
            self.until = other.since;
            other.carried_since = self.carried_since;
            other.give_parts_before(self.parts_before);
            let operators = other.operators.iter_mut().zip(&self.operators);
            operators.for_each(|(operator, before)| operator.go_on_behind(before));
        }
        makes_room
    }

    /// Has computed once what other runs of this worker compute, too. A query that works alone shares nothing: what is
    /// done about its work is done to it alone.
    pub(crate) fn join(&mut self, commons: &mut Commons) {
        if self.members.iter().all(|member| !member.state.limits().is_alone) {
            self.operators.iter_mut().for_each(|operator| operator.join(commons));
        }
    }

    /// Computes everything by itself from now on: few batches are for it any more.
    pub(crate) fn go_alone(&mut self) {
        self.operators.iter_mut().for_each(LowerOperator::go_alone);
    }

    /// The layout of the first batches that are for it: all that it gives and says is of these or of later ones.
    pub(crate) const fn since(&self) -> Epoch {
        self.since
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
        self.members.iter().map(|member| member.id)
    }

    /// Lets a query go.
    pub(crate) fn leave(&mut self, query: QueryId) {
        self.members.retain(|member| member.id != query);
    }

    /// Whether all its queries have gone.
    pub(crate) const fn is_abandoned(&self) -> bool {
        self.members.is_empty()
    }

    /// The fates of its rows.
    pub(crate) fn ledger(&self) -> QueryLedger {
        let mut sum = QueryLedger::default();
        self.operators.iter().for_each(|operator| sum += *operator.ledger());
        sum
    }

    /// Rows that it did not read since this was asked last.
    pub(crate) fn newly_unread(&mut self) -> Unread {
        let ledger = self.ledger();
        let all = Unread { late: ledger.late, left_out: ledger.dropped };
        let told = std::mem::replace(&mut self.told, all);
        Unread { late: all.late - told.late, left_out: all.left_out - told.left_out }
    }

    /// Lets each operator process the turn, of which this was computed for all, which took so long a use; queries that
    /// fail by it are over.
    pub(crate) fn process(&mut self, turn: &[Task], (commons, each): (&Commons, Duration)) {
        let uses = self.operators.iter().map(|operator| operator.uses(commons)).sum::<usize>();
        let common = each.saturating_mul(u32::try_from(uses).unwrap_or(u32::MAX));
        let begun = Instant::now();
        let one_in = self.members.first().map_or(1, |member| member.state.one_in());
        let outcome = (0..self.operators.len()).try_for_each(|half| {
            self.operators[half].sample(one_in);
            let mut tasks = turn.iter().enumerate();
            tasks.try_for_each(|(number, task)| self.process_one(half, task, commons.of(number)))
        });
        self.end_failed(outcome);
        let own = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        if let Some(each) = (begun.elapsed() + common).checked_div(own) {
            self.members.iter().for_each(|member| member.state.note_work(each));
        }
    }

    fn process_one(
        &mut self,
        half: usize,
        task: &Task,
        common: Option<&BatchCommons>,
    ) -> Result<(), QueryFailure> {
        let is_own = |epoch: Epoch| self.since <= epoch && epoch < self.until;
        if let Some((_, batch)) = task.batch.as_ref().filter(|(_, batch)| is_own(batch.layout.epoch())) {
            let room = self.room();
            let operator = &mut self.operators[half];
            operator.set_room(room);
            operator.process_with(batch, common, &mut self.outputs)?;
        }
        if task.epoch >= self.carried_since {
            self.operators[half].advance(&task.reach, &mut self.outputs)?;
        }
        self.tell_held();
        Ok(())
    }

    /// What its panes may take: as those of that one of its queries that holds least. Each worker has its part of that,
    /// since all of them may grow at once.
    fn room(&self) -> Room {
        let Memory { held, octets_max, workers, .. } = &self.memory;
        let most = |of: fn(&QueryState) -> usize| {
            self.members.iter().map(|member| of(&member.state)).max().unwrap_or(0)
        };
        let allowed = most(QueryState::octets_max);
        let panes = PARTS_OF_RESERVE * PANES_OPEN * self.operators.len().max(1);
        Room {
            octets: most(QueryState::room).min(held::room(*octets_max, held)) / workers,
            // The next ones find room while it is held.
            of_a_pane: allowed.min(*octets_max) / PANES_AT_ONCE / workers,
            own: allowed.min(self.memory.part()) / panes / workers,
        }
    }

    fn tell_held(&mut self) {
        let waiting = self.outputs.iter().map(LowerOutput::octets);
        self.octets.set(self.operators.iter().map(LowerOperator::octets_held).chain(waiting).sum());
        self.groups.set(self.operators.iter().map(LowerOperator::groups_held).sum());
    }

    /// Gives all that is left; queries that fail by it are over.
    pub(crate) fn finish(&mut self) {
        let Self { operators, outputs, .. } = self;
        let outcome = operators.iter_mut().try_for_each(|operator| operator.finish(outputs));
        self.end_failed(outcome);
        self.tell_held();
    }

    /// Ends all queries, or those that have an aggregate which could not be computed.
    fn end_failed(&mut self, outcome: Result<(), QueryFailure>) {
        if let Err(error) = outcome {
            let reason = EndReason::failed(&error);
            self.members.iter().for_each(|member| member.state.end(reason.clone()));
        }
        for (half, operator) in self.operators.iter_mut().enumerate() {
            for (aggregate, error) in operator.take_failures() {
                let reason = EndReason::failed(&error);
                let theirs = self.members.iter().filter(|member| member.portion.has(half, aggregate));
                theirs.for_each(|member| member.state.end(reason.clone()));
            }
        }
    }

    /// Gives to each query its part of what has come.
    pub(crate) fn take_outputs(&mut self, mut give: impl FnMut(QueryId, LowerOutput)) {
        let mut outputs = std::mem::take(&mut self.outputs);
        // From here on, whoever takes them is charged for them.
        self.tell_held();
        let members = &self.members;
        // Each portion was made for these halves.
        let mut give =
            |member: &Member, output| member.portion.of(output).map(|output| give(member.id, output));
        for output in outputs.drain(..) {
            let Some((last, others)) = members.split_last() else { continue };
            let _ = others.iter().try_for_each(|one| give(one, output.clone()));
            let _ = give(last, output);
        }
        self.outputs = outputs;
    }
}
