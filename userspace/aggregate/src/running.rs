//! The windows of one query, of panes that an aggregator gives.
//!
//! Takes panes of each half: those that were not given before in the order of time, others again, with more. Gives a
//! window when each half was given up to its end, and again, as revised, when one of its panes is. Panes are kept for as
//! long as they may be revised or are of a window that is to come; where windows are one pane of one half, none is.

use crate::coverage::{Seen, completeness};
use crate::finishing::{About, Finished, States, finish};
use crate::flaw::Flaw;
use crate::guard::{guarded, said};
use crate::halves::states_of;
use crate::payload::{OWN, Payload};
use crate::row_limit::RowLimit;
use crate::shape::Shape;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::zip;
use std::mem::take;
use tapline_delivery::{Given, KeptHalf, SensorName};
use tapline_engine::{HeldLimits, QueryId, QueryLimits};
use tapline_operators::{Finisher, HalfStates, OperatorLimits, Parts, Span, WindowResult};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// The windows of one query.
pub(crate) struct Running {
    shape: Shape,
    /// Of each half.
    states: Vec<HalfStates>,
    groups_max: usize,
    /// The latest pane of each half that was given ends here.
    given_until: Vec<i64>,
    finisher: Finisher,
    /// Of rows without an aggregate, which ones are to be given of windows that were not given before.
    limit: RowLimit,
    /// What was given last of each half, by the start of its pane.
    panes: BTreeMap<i64, Vec<Option<Pane>>>,
    octets: usize,
    /// Whether a window needs panes that were given before.
    keeps_panes: bool,
    /// Panes that end here or earlier are not all kept.
    lacks_before: i64,
    /// Windows that end here or earlier were given, if anything came for them.
    closed: i64,
    /// That of them which one before this process gave.
    resumed: i64,
    /// Windows that are to be given again.
    again: BTreeSet<i64>,
    /// What was said of windows, by their starts.
    said: BTreeMap<i64, Said>,
    /// Of windows that end here or earlier it may be forgotten.
    said_behind: i64,
    revisable_ns: i64,
    held: HeldLimits,
    has_failed: bool,
    /// Windows that could not be made as they should be, since this was asked before.
    flaws: Vec<Flaw>,
}

/// A pane of one half.
struct Pane {
    /// How often it was given.
    givings: u64,
    payload: Payload,
    /// Records that are missing besides.
    missing: u64,
    /// Whether nobody knows how many are.
    is_unknown: bool,
    /// Who added something, as far as it was given here.
    from: BTreeSet<SensorName>,
}

/// What was said of a window.
#[derive(Clone, Copy)]
struct Said {
    revision: u64,
    has_rows: bool,
    /// Which rows were to be given.
    limit: RowLimit,
}

/// What came for a window.
struct Came {
    parts: Vec<Parts>,
    seen: Vec<Seen>,
    /// Whether all of its panes saw all rows.
    is_whole: bool,
    /// How often its panes were given, all together.
    givings: u64,
}

impl Running {
    /// Those of a query, of which nothing was given.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it, or the system has no room.
    pub(crate) fn new(
        id: QueryId,
        query: &ContinuousQuery,
        limits: &QueryLimits,
        revisable_ns: i64,
    ) -> Result<Self, String> {
        let operator_limits = OperatorLimits { groups_max: limits.groups_max, is_only_worker: false };
        let (shape, states) = (Shape::of(query)?, states_of(query)?);
        Ok(Self {
            shape,
            keeps_panes: states.len() > 1 || !shape.is_of_one_pane(),
            given_until: vec![i64::MIN; states.len()],
            states,
            groups_max: limits.groups_max,
            finisher: Finisher::new(id, query, operator_limits).map_err(|error| said(&error))?,
            limit: RowLimit::of(query),
            panes: BTreeMap::new(),
            octets: 0,
            lacks_before: i64::MIN,
            closed: i64::MIN,
            resumed: i64::MIN,
            again: BTreeSet::new(),
            said: BTreeMap::new(),
            said_behind: i64::MIN,
            revisable_ns,
            held: limits.held,
            has_failed: false,
            flaws: vec![],
        })
    }

    /// Goes on with what another process was given of a half.
    ///
    /// # Errors
    /// A sentence, when it is not of this query.
    pub(crate) fn resume(&mut self, half: usize, kept: &KeptHalf) -> Result<(), String> {
        let Some(given_until) = self.given_until.get_mut(half) else { return Ok(()) };
        *given_until = kept.taken_until;
        if self.keeps_panes {
            self.lacks_before = self.lacks_before.max(kept.closed_until);
            kept.panes.iter().try_for_each(|given| self.keep(half, given))?;
        }
        self.closed = self.given_until();
        (self.resumed, self.said_behind) = (self.closed, self.closed);
        Ok(())
    }

    /// Takes a pane of a half; what comes of it gives [`give`](Self::give).
    ///
    /// # Errors
    /// A sentence, when its states cannot be read: the query cannot go on.
    pub(crate) fn note(&mut self, half: usize, given: &Given) -> Result<(), String> {
        if self.has_failed {
            return Ok(());
        }
        let noted = self.keep(half, given);
        self.has_failed = noted.is_err();
        noted?;
        if let Some(given_until) = self.given_until.get_mut(half) {
            *given_until = given.pane.end.max(*given_until);
        }
        let lacks_before = if self.keeps_panes { self.lacks_before } else { i64::MIN };
        let again = self.shape.starts(given.pane.start, i64::MIN, self.closed);
        self.again.extend(again.filter(|start| *start >= lacks_before));
        Ok(())
    }

    /// Gives the windows that close by what was noted, and those of which some pane was noted again.
    pub(crate) fn give(&mut self, out: &mut Vec<WindowResult>) {
        if self.has_failed {
            return;
        }
        let until = self.given_until();
        let mut windows = take(&mut self.again);
        for (pane, _) in self.panes.range(self.closed.saturating_sub(self.shape.size)..) {
            windows.extend(self.shape.starts(*pane, self.closed, until));
        }
        windows.into_iter().for_each(|start| self.give_window(start, out));
        self.closed = self.closed.max(until);
        self.forget();
    }

    /// Windows that could not be made as they should be, since this was asked before.
    pub(crate) fn take_flaws(&mut self) -> Vec<Flaw> {
        take(&mut self.flaws)
    }

    /// Up to where each half was given.
    fn given_until(&self) -> i64 {
        self.given_until.iter().copied().min().unwrap_or(i64::MIN)
    }

    /// Keeps a pane in the place of what was given of it before.
    fn keep(&mut self, half: usize, given: &Given) -> Result<(), String> {
        let Some(states) = self.states.get(half) else { return Ok(()) };
        let payload = guarded(|| Payload::decode(&given.state, states, OWN));
        let payload = payload.map_err(|why| format!("states that were merged cannot be read: {why}"))?;
        let is_unknown = given.told.is_doubted || payload.is_doubted || !given.absent.is_empty();
        let (givings, missing) = (given.revision.saturating_add(1), given.told.records());
        let (octets, halves) = (payload.parts.octets(), self.states.len());
        let panes = self.panes.entry(given.pane.start);
        let panes = panes.or_insert_with(|| (0..halves).map(|_| None).collect());
        let Some(known) = panes.get_mut(half) else { return Ok(()) };
        let from = given.from.iter().cloned().collect();
        let before = known.replace(Pane { givings, payload, missing, is_unknown, from });
        if let (Some(known), Some(before)) = (known, &before) {
            known.from.extend(before.from.iter().cloned());
        }
        self.octets += octets;
        self.octets -= before.map_or(0, |pane| pane.payload.parts.octets());
        Ok(())
    }

    fn give_window(&mut self, start: i64, out: &mut Vec<WindowResult>) {
        let end = start.saturating_add(self.shape.size);
        let Came { parts, seen, is_whole, givings } = self.came(start, end);
        if parts.iter().all(Parts::is_empty) {
            return;
        }
        let before = self.said.get(&start).copied();
        let Some(limit) = self.limit_of(end, before) else { return };
        let revision = match before {
            _ if end > self.closed => 0,
            Some(before) => before.revision + 1,
            None => givings,
        };
        let is_whole = is_whole && (!self.keeps_panes || start >= self.lacks_before);
        let span = Span { start: EventTime(start), end: EventTime(end) };
        let about = About { span, is_whole, revision, completeness: completeness(&seen) };
        let Some(mut results) = self.finished(&parts, about) else { return };
        let mut left = limit;
        results.iter_mut().for_each(|result| left.cut(result));
        if before.is_none() {
            self.limit = left;
        }
        let has_rows = results.iter().any(|result| !result.rows.is_empty());
        let had_rows = before.map_or(end <= self.resumed, |before| before.has_rows);
        // That there are none is news where there were some.
        results.retain(|result| had_rows || !result.rows.is_empty());
        self.said.insert(start, Said { revision, has_rows, limit });
        out.extend(results);
    }

    /// The results of a window; `None` where there are none to be made, and what was said of it before stays.
    fn finished(&mut self, parts: &[Parts], about: About) -> Option<Vec<WindowResult>> {
        let states = States { halves: &self.states, groups_max: self.groups_max };
        let (results, left_out, why) = match finish(&mut self.finisher, states, parts, about) {
            Finished::Whole(results) => return Some(results),
            Finished::Without(groups, results, why) => (Some(results), Some(groups), why),
            Finished::Failed(why) => (None, None, why),
        };
        let panes = self.panes.range(about.span.start.0..about.span.end.0);
        let from = panes.flat_map(|(_, panes)| panes.iter().flatten()).flat_map(|pane| &pane.from);
        let from: BTreeSet<&SensorName> = from.collect();
        self.flaws.push(Flaw::new(about.span, left_out, &why, &from));
        results
    }

    /// Which rows are to be given of a window that ends there; `None` where none are: those before were enough, or nobody
    /// knows which ones it gave.
    fn limit_of(&self, end: i64, before: Option<Said>) -> Option<RowLimit> {
        let limit = match before {
            Some(before) => before.limit,
            None if end <= self.said_behind && self.limit.is_said => return None,
            None => self.limit,
        };
        (!limit.is_reached()).then_some(limit)
    }

    /// Whether nothing that may still come changes what was answered, but for windows that are revised.
    pub(crate) const fn is_satisfied(&self) -> bool {
        self.limit.is_reached()
    }

    /// What came for a window.
    fn came(&self, start: i64, end: i64) -> Came {
        let halves = self.states.len();
        let (parts, seen) = (vec![Parts::default(); halves], vec![Seen::default(); halves]);
        let mut came = Came { parts, seen, is_whole: true, givings: 0 };
        for (begin, panes) in self.panes.range(start..end) {
            let given = zip(zip(&mut came.parts, &mut came.seen), panes);
            for ((parts, seen), pane) in given.filter_map(|(of_half, pane)| Some((of_half, pane.as_ref()?))) {
                let Pane { givings, payload, missing, is_unknown, .. } = pane;
                parts.append(payload.parts.clone());
                seen.add((&payload.covered, payload.unread), (*missing, *is_unknown));
                came.is_whole &= payload.whole_after.0 <= *begin;
                came.givings = came.givings.saturating_add(*givings);
            }
        }
        came
    }

    /// Forgets panes that no window needs any more, and the earliest ones where they take more than they may: windows
    /// that hold them and are to come are partial, those that were given stay as they are.
    fn forget(&mut self) {
        if !self.keeps_panes {
            self.panes.clear();
            self.octets = 0;
        }
        let revisable = self.closed.saturating_sub(self.revisable_ns);
        let needed = revisable.saturating_sub(self.shape.size);
        while let Some((start, _)) = self.panes.first_key_value() {
            let end = start.saturating_add(self.shape.width);
            if end > needed && !self.are_too_many() {
                break;
            }
            let gone = self.panes.pop_first().into_iter().flat_map(|(_, halves)| halves).flatten();
            self.octets -= gone.map(|pane| pane.payload.parts.octets()).sum::<usize>();
            self.lacks_before = self.lacks_before.max(end);
        }
        while let Some((start, _)) = self.said.first_key_value() {
            let is_over = start.saturating_add(self.shape.size) <= revisable;
            if !is_over && self.said.len() <= self.held.windows_max {
                break;
            }
            self.said_behind = self.said_behind.max(start.saturating_add(self.shape.size));
            self.said.pop_first();
        }
    }

    fn are_too_many(&self) -> bool {
        let (panes, octets) = (self.panes.len(), self.octets);
        panes > 1 && (panes > self.held.windows_max || octets > self.held.octets_max)
    }
}
