//! The machine of a source: whatever it reads in, feeds to the workers out.

use crate::dispatcher::{Dispatcher, Due};
use crate::machine::{Machine, Turn};
use crate::outlet::OpenOutlets;
use crate::positions::Positions;
use crate::query_state::{EndReason, QueryState};
use crate::ring::{Flags, Unparker};
use crate::source_state::SourceState;
use crate::subscription::{Event, Subscriber};
use rtrb::Consumer;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tapline_operators::SourceId;
use tapline_record::{Epoch, EventTime, Layout};
use tapline_sources::{Clock, Demand, FlowsAsk, Notice, Source, Step};

/// While an input is silent, what came so far waits no longer than this for a full batch, in nanoseconds.
const HOLD_NS: i64 = 20_000_000;
/// While it is not silent, it waits no longer than this.
const HOLD_MAX_NS: i64 = 200_000_000;
/// How long a live source is read on, when its input is to end, for what it has received already.
const REST_NS: i64 = 300_000_000;

/// Batches of a source that stays which are on their way to one worker before it reads on: what they become may have to
/// wait for whoever takes results.
const AHEAD_MAX: u64 = 4;

/// Orders that wait behind one that cannot be carried out yet; more stay in their ring.
const WAITING_MAX: usize = 64;
/// So long, in nanoseconds, another layout waits at most for whoever is told of active flows.
const TOLD_WITHIN_NS: i64 = 2_000_000_000;

/// How soon a source that waits here is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a source is asked for while it runs.
pub(crate) enum SourceOrder {
    /// To build batches by another layout; the query that needs it fails when that cannot be.
    Layout { layout: Arc<Layout>, demand: Arc<Demand>, query: Option<Arc<QueryState>> },
    /// To part what came so far from what comes: that has the same layout under this number.
    Mark(Epoch),
    /// To bring its account up to date.
    Report,
    /// To tell of the flows that are active.
    TellFlows(FlowsAsk),
    /// To keep nothing for whoever asked for flows.
    ForgetFlows,
}

/// What a reader does.
enum Phase {
    /// It reads; since when its input is to end, if it is.
    Reading {
        asked_to_end: Option<EventTime>,
    },
    /// What was read is dispatched.
    Ending,
    Ended,
}

/// Reads a source.
pub(crate) struct Reader {
    id: SourceId,
    source: Box<dyn Source>,
    dispatcher: Dispatcher,
    orders: Consumer<SourceOrder>,
    /// The order to part what came so far from what comes that it cannot carry out yet, and those that wait behind it.
    parting: Option<SourceOrder>,
    waiting: VecDeque<SourceOrder>,
    state: Arc<SourceState>,
    /// Where it tells how far it is at a mark.
    positions: Arc<Positions>,
    flags: Arc<Flags>,
    /// Where results wait.
    outlets: Arc<OpenOutlets>,
    clock: Arc<dyn Clock>,
    /// Who hears its notices.
    observer: Subscriber,
    notice: Option<Notice>,
    /// Who asks for the flows that are active, and was not told all of them, and since when he is told.
    ask: Option<(FlowsAsk, EventTime)>,
    phase: Phase,
    /// Which batches are to be dispatched, if any.
    due: Option<Due>,
    dispatched_all: EventTime,
    /// Where it waits for a source that does not wait by itself, and is asked for nothing: it ends when it has ended.
    parker: Option<Unparker>,
}

/// What a reader knows of the engine that it is part of.
pub(crate) struct Surroundings {
    pub(crate) orders: Consumer<SourceOrder>,
    pub(crate) state: Arc<SourceState>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) flags: Arc<Flags>,
    pub(crate) outlets: Arc<OpenOutlets>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Subscriber,
    pub(crate) parker: Option<Unparker>,
}

impl Reader {
    pub(crate) fn new(
        id: SourceId,
        source: Box<dyn Source>,
        dispatcher: Dispatcher,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings { orders, state, positions, flags, outlets, clock, observer, parker } = surroundings;
        Self {
            id,
            source,
            dispatcher,
            orders,
            parting: None,
            waiting: VecDeque::new(),
            state,
            positions,
            flags,
            outlets,
            observer,
            notice: None,
            ask: None,
            phase: Phase::Reading { asked_to_end: None },
            // Workers hear how far a live source has come before its first rows, which may be late as well.
            due: Some(Due::All),
            dispatched_all: clock.now(),
            clock,
            parker,
        }
    }

    /// Dispatches what is due; says whether that was possible.
    fn dispatch(&mut self) -> bool {
        let Some(due) = self.due else { return true };
        if !self.dispatcher.dispatch(self.source.as_mut(), due) {
            return false;
        }
        self.due = None;
        if due != Due::Full {
            self.dispatched_all = self.clock.now();
        }
        true
    }

    /// Takes the orders that came, in their order; says whether there was room for what had to go before.
    fn take_orders(&mut self) -> bool {
        loop {
            if !self.part() {
                return false;
            }
            if self.parting.is_some() {
                self.let_wait();
                return true;
            }
            let Some(next) = self.waiting.pop_front().or_else(|| self.orders.pop().ok()) else { return true };
            match next {
                order @ (SourceOrder::Layout { .. } | SourceOrder::Mark(_)) => self.parting = Some(order),
                SourceOrder::Report => self.source.report(),
                // Whoever asked before does not wait any more.
                SourceOrder::TellFlows(ask) => self.ask = Some((ask, self.clock.now())),
                SourceOrder::ForgetFlows => self.source.forget_flows(),
            }
        }
    }

    /// Lets what came wait behind an order that cannot be carried out yet: who meters flows, and which, may be others by the
    /// next layout. An account is the same by any, and is told at once.
    fn let_wait(&mut self) {
        while self.waiting.len() < WAITING_MAX
            && let Ok(order) = self.orders.pop()
        {
            match order {
                SourceOrder::Report => self.source.report(),
                order => self.waiting.push_back(order),
            }
        }
    }

    /// Parts what came so far from what comes, if that is ordered and the source is prepared for it: until then it reads on
    /// as before. Says whether there was room for what came so far.
    fn part(&mut self) -> bool {
        let is_prepared = match &self.parting {
            Some(SourceOrder::Layout { demand, .. }) => self.source.prepare(demand) && !self.is_telling(),
            parting => parting.is_some(),
        };
        if !is_prepared {
            return true;
        }
        let settled = self.source.settle();
        self.due = Some(Due::Everything);
        if !self.dispatch() {
            return false;
        }
        match self.parting.take() {
            Some(SourceOrder::Layout { layout, demand, query }) => {
                let outcome = settled.and_then(|()| self.source.relayout(&demand));
                self.turn_to(layout, outcome, query.as_deref());
            }
            // A source that cannot be settled any more ends soon, and what it keeps is of the next cut.
            Some(SourceOrder::Mark(epoch)) => {
                self.tell_position();
                self.dispatcher.stay(epoch, self.source.as_ref());
            }
            Some(SourceOrder::Report | SourceOrder::TellFlows(_) | SourceOrder::ForgetFlows) | None => {}
        }
        true
    }

    /// Whether somebody is told of active flows still: by another layout he could be told of some again. Whoever takes nothing
    /// out is not waited for, and hears no more.
    fn is_telling(&mut self) -> bool {
        let is_over = |(ask, since): &(FlowsAsk, EventTime)| {
            ask.is_abandoned() || self.has_passed(*since, TOLD_WITHIN_NS)
        };
        if self.ask.as_ref().is_some_and(is_over) {
            self.ask = None;
        }
        self.ask.is_some()
    }

    /// Tells what another run wants to know that goes on behind what was taken so far.
    fn tell_position(&self) {
        if let Some(position) = self.source.position() {
            self.positions.tell(self.id, self.state.name(), self.dispatcher.epoch(), position);
        }
    }

    fn turn_to(&mut self, layout: Arc<Layout>, outcome: io::Result<()>, query: Option<&QueryState>) {
        match outcome {
            Ok(()) => self.dispatcher.turn_to(layout, self.source.as_ref()),
            Err(error) => {
                query.inspect(|query| query.end(EndReason::Failed(error.to_string())));
                self.dispatcher.stay(layout.epoch(), self.source.as_ref());
            }
        }
    }

    /// Reads on; an input that is to end has ended when nothing more has come.
    fn read(&mut self, is_to_end: bool) -> Turn {
        if self.is_held_up() {
            // What it tells of itself goes on.
            self.due = self.has_passed(self.dispatched_all, HOLD_MAX_NS).then_some(Due::All);
            self.dispatcher.collect_used(self.source.as_mut());
            return Turn::Blocked;
        }
        let step = self.source.step();
        if step == Step::End || step == Step::Idle && is_to_end {
            return self.end();
        }
        self.dispatcher.collect_used(self.source.as_mut());
        let hold = if step == Step::Idle { HOLD_NS } else { HOLD_MAX_NS };
        let is_held = !self.has_passed(self.dispatched_all, hold);
        self.due = Some(if is_held { Due::Full } else { Due::All });
        if step == Step::Idle && self.parker.is_some() { Turn::Idle } else { Turn::Worked }
    }

    fn has_orders(&self) -> bool {
        self.parting.is_some() || !self.orders.is_empty()
    }

    /// Whether it reads on when more results were taken.
    fn is_held_up(&self) -> bool {
        let is_ahead = || self.dispatcher.dispatched().batches_waiting >= AHEAD_MAX;
        self.source.stays() && (self.outlets.are_crowded() || is_ahead())
    }

    /// Whether so much time has passed; so it has when the clock was set back.
    fn has_passed(&self, since: EventTime, nanoseconds: i64) -> bool {
        let elapsed = self.clock.now().0.saturating_sub(since.0);
        elapsed >= nanoseconds || elapsed < 0
    }

    /// Tells of active flows as many as may be told in one turn.
    fn tell_flows(&mut self) {
        if let Some((ask, _)) = &mut self.ask
            && (ask.is_abandoned() || self.source.tell_flows(ask))
        {
            self.ask = None;
        }
    }

    fn end(&mut self) -> Turn {
        self.ask = None;
        self.source.end();
        self.dispatcher.wait();
        self.due = Some(Due::All);
        self.phase = Phase::Ending;
        Turn::Worked
    }

    /// Since when the input is to end, if it is.
    fn asked_to_end(&self, before: Option<EventTime>) -> Option<EventTime> {
        let is_asked = (self.flags.input_ends() || self.state.leaves()) && self.parker.is_none();
        before.or_else(|| is_asked.then(|| self.clock.now()))
    }

    /// Whether an input that is to end is read no longer: what a live one has received already is part of it, unless it
    /// stays where it is until somebody reads it.
    fn has_rested(&self, asked_to_end: EventTime) -> bool {
        let has_received = self.source.is_live() && !self.source.waits();
        self.has_passed(asked_to_end, if has_received { REST_NS } else { 0 })
    }

    /// What there is no room for waits here.
    fn pass_on_notices(&mut self) {
        while let Some(notice) = self.notice.take().or_else(|| self.source.notice()) {
            if !self.observer.offer(Event::Notice(self.id, notice.clone())) {
                self.notice = Some(notice);
                return;
            }
        }
    }

    /// Tells that nothing more comes of it; says whether there was room for that.
    fn tell_end(&self) -> bool {
        let failure = self.state.failure().map(str::to_owned);
        self.parker.is_some() || self.observer.settle(Event::SourceEnded { source: self.id, failure })
    }

    fn take_turn(&mut self) -> Turn {
        if !self.dispatch() {
            return Turn::Blocked;
        }
        if matches!(self.phase, Phase::Reading { .. }) {
            if self.has_orders() && !self.take_orders() {
                return Turn::Blocked;
            }
            self.pass_on_notices();
            self.tell_flows();
        }
        let turn = self.take_phase();
        let has_more = matches!(turn, Turn::Worked | Turn::Idle);
        if has_more && !self.dispatch() { Turn::Blocked } else { turn }
    }

    fn take_phase(&mut self) -> Turn {
        match self.phase {
            Phase::Reading { asked_to_end } => {
                let asked_to_end = self.asked_to_end(asked_to_end);
                self.phase = Phase::Reading { asked_to_end };
                match asked_to_end {
                    Some(since) if self.has_rested(since) => self.end(),
                    _ => self.read(asked_to_end.is_some()),
                }
            }
            Phase::Ending => {
                if !self.dispatcher.has_ended() {
                    self.tell_position();
                }
                if !self.dispatcher.end(self.source.as_ref()) {
                    return Turn::Blocked;
                }
                self.source.report();
                self.source.failure().into_iter().for_each(|failure| self.state.fail(failure));
                self.phase = Phase::Ended;
                Turn::Worked
            }
            Phase::Ended if self.tell_end() => Turn::Ended,
            Phase::Ended => Turn::Blocked,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.state.end();
    }
}

impl Machine for Reader {
    fn step(&mut self) -> Turn {
        if self.flags.is_stopped() {
            self.source.report();
            self.state.tell(self.source.as_ref(), self.dispatcher.dispatched());
            return Turn::Ended;
        }
        let turn = self.take_turn();
        if turn == Turn::Blocked && self.dispatcher.is_abandoned() {
            return Turn::Ended;
        }
        self.state.tell(self.source.as_ref(), self.dispatcher.dispatched());
        turn
    }

    fn has_work(&self) -> bool {
        self.parker.is_none() || self.has_orders() || self.flags.is_stopped()
    }

    /// Most sources wait by themselves.
    fn waits_at(&self) -> Option<(&Unparker, Duration)> {
        self.parker.as_ref().map(|parker| (parker, LOOK_AGAIN))
    }
}
