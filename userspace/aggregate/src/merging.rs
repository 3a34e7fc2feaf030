//! How an aggregator merges what sensors send of queries.
//!
//! Takes payloads of a half and pane in any order, gives all of them as one payload. A state is octets where nothing came
//! since it was asked for: what may still be revised, and what a checkpoint has, takes no more than that. What states
//! take is charged to their query; where that is all that it may take, new groups are folded, and rows are refused. Rows have
//! the place of the record that they came in, so that they are in one order, however they come.

use crate::guard::guarded;
use crate::halves::{place_of, states_of};
use crate::payload::{OWN_UNPACKED_MAX, Payload, RECEIVED_UNPACKED_MAX, apart, is_sendable, unpacked};
use crate::settled::settled;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tapline_delivery::{HalfId, Merge, Origin, Position};
use tapline_engine::QueryLimits;
use tapline_operators::HalfStates;
use tapline_query::ContinuousQuery;

/// How much shorter packing makes states, by and large: what becomes longer than that counts as more than it is.
const PACKED_TIMES: usize = 4;

/// Groups that a pane may always have.
const GROUPS_MIN: usize = 255;

/// Octets of rows of one query that are kept to be revised: they are in each checkpoint.
const ROWS_KEPT_OCTETS_MAX: usize = 8 << 20;

/// Pieces of rows of one pane: of each sensor as many as it has records of it.
const PIECES_MAX: usize = 1 << 15;

/// The queries whose states are merged; a clone knows the same ones.
#[derive(Clone, Debug, Default)]
pub struct Merging(Arc<RwLock<BTreeMap<u64, Merged>>>);

/// A query whose states are merged.
#[derive(Debug)]
struct Merged {
    halves: Vec<Arc<HalfStates>>,
    limits: QueryLimits,
    octets: Arc<AtomicUsize>,
}

/// One half of it.
#[derive(Debug)]
struct Half {
    states: Arc<HalfStates>,
    limits: QueryLimits,
    octets: Arc<AtomicUsize>,
}

/// What came of one half for one pane.
#[derive(Debug)]
pub struct PaneState {
    held: Mutex<Held>,
    /// What all states of its query take.
    of_query: Arc<AtomicUsize>,
}

/// What a state holds, and what its query is charged for it.
#[derive(Debug)]
struct Held {
    form: Form,
    octets: usize,
}

#[derive(Debug)]
enum Form {
    /// As it comes, and with what it is merged.
    Open(Box<Open>),
    /// As it goes.
    Packed(Vec<u8>),
}

#[derive(Debug)]
struct Open {
    payload: Payload,
    states: Arc<HalfStates>,
    groups_max: usize,
}

impl Merging {
    /// Merges states of a query from now on, which is called so on the wire.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it.
    pub fn add_query(&self, id: u64, query: &ContinuousQuery, limits: &QueryLimits) -> Result<(), String> {
        let halves = states_of(query)?.into_iter().map(Arc::new).collect();
        let merged = Merged { halves, limits: *limits, octets: Arc::default() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, merged);
        Ok(())
    }

    /// Merges states of a query no more.
    pub fn drop_query(&self, id: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Octets of all states of a query.
    #[must_use]
    pub fn octets_held(&self, id: u64) -> usize {
        let queries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        queries.get(&id).map_or(0, |merged| merged.octets.load(Ordering::Relaxed))
    }

    fn half(&self, half: HalfId) -> Option<Half> {
        let (query, place) = place_of(half);
        let queries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Merged { halves, limits, octets } = queries.get(&query)?;
        let (states, octets) = (Arc::clone(halves.get(place)?), Arc::clone(octets));
        Some(Half { states, limits: *limits, octets })
    }
}

impl Half {
    /// What somebody sent.
    fn received(&self, octets: &[u8]) -> Result<Payload, String> {
        let payload = Payload::decode(octets, &self.states, RECEIVED_UNPACKED_MAX)?;
        self.states.check_possible(&payload.parts).map(|()| payload)
    }
}

impl Merge for Merging {
    type State = PaneState;

    fn empty(&self, half: HalfId) -> PaneState {
        let of_query = self.half(half).map(|half| half.octets).unwrap_or_default();
        PaneState::new(Form::Packed(Payload::encode_nothing()), of_query)
    }

    fn merge(&self, half: HalfId, state: &mut PaneState, payload: &[u8]) -> Result<(), String> {
        let half = self.half(half).ok_or("no query here has their half")?;
        guarded(|| state.add(half.received(payload)?, &half))
    }

    fn merge_from(
        &self,
        half: HalfId,
        state: &mut PaneState,
        (from, payload): (Origin<'_>, &[u8]),
    ) -> Result<(), String> {
        let half = self.half(half).ok_or("no query here has their half")?;
        guarded(|| {
            let mut news = half.received(payload)?;
            if half.states.are_rows() {
                // Those of a tier have the places of its sensors.
                news.parts.put_at(&place_among(from));
            }
            state.add(news, &half)
        })
    }

    fn encode(&self, _: HalfId, state: &PaneState) -> Vec<u8> {
        state.packed()
    }

    /// What takes long to unpack is not taken for short.
    fn weight(&self, payload: &[u8]) -> u64 {
        payload.len().max(unpacked(payload) / PACKED_TIMES) as u64
    }

    fn octets(&self, state: &PaneState) -> u64 {
        state.held().octets as u64
    }

    /// Half of what they may take is for panes that are still to be given, and more where these need it: else new groups of
    /// them would be folded, and rows refused.
    fn is_full(&self, half: HalfId, kept: u64) -> bool {
        self.half(half).is_some_and(|half| {
            let most = half.limits.held.octets_max;
            let kept_max = if half.states.are_rows() { ROWS_KEPT_OCTETS_MAX } else { usize::MAX };
            kept > kept_max.min(most / 2) as u64 || half.octets.load(Ordering::Relaxed) > most - most / 4
        })
    }

    fn encode_apart(&self, half: HalfId, state: &PaneState) -> Vec<(Vec<u8>, f64)> {
        let whole = state.packed();
        let half = self.half(half).filter(|_| !is_sendable(&whole));
        let parts = half.and_then(|half| {
            let payload = || Payload::decode(&whole, &half.states, OWN_UNPACKED_MAX);
            guarded(|| apart(payload()?, &half.states)).ok()
        });
        parts.unwrap_or_else(|| vec![(whole, 1.0)])
    }

    fn decode(&self, half: HalfId, payload: &[u8]) -> Result<PaneState, String> {
        // What a checkpoint has of a query that is no more is dropped with its half.
        let half = self.half(half);
        if let Some(half) = &half {
            guarded(|| Payload::decode(payload, &half.states, OWN_UNPACKED_MAX).map(drop))?;
        }
        let of_query = half.map(|half| half.octets).unwrap_or_default();
        Ok(PaneState::new(Form::Packed(payload.to_vec()), of_query))
    }
}

impl PaneState {
    fn new(form: Form, of_query: Arc<AtomicUsize>) -> Self {
        let octets = form.octets();
        of_query.fetch_add(octets, Ordering::Relaxed);
        Self { held: Mutex::new(Held { form, octets }), of_query }
    }

    /// Adds what came, as a whole or not at all.
    fn add(&mut self, news: Payload, half: &Half) -> Result<(), String> {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut payload = match &held.form {
            Form::Open(open) => open.payload.clone(),
            Form::Packed(octets) => Payload::decode(octets, &half.states, OWN_UNPACKED_MAX)?,
        };
        let is_full = half.octets.load(Ordering::Relaxed) > half.limits.held.octets_max;
        if half.states.are_rows() {
            check_room(&payload, &news, is_full)?;
        }
        let groups = payload.parts.groups_in_all();
        payload.append(news);
        let room = if is_full { groups.max(GROUPS_MIN) } else { usize::MAX };
        let mut open =
            Open { payload, states: Arc::clone(&half.states), groups_max: half.limits.groups_max.min(room) };
        if !half.states.are_rows() && (open.payload.parts.are_many() || is_full) {
            open.settle();
        }
        held.set(Form::Open(Box::new(open)), &self.of_query);
        Ok(())
    }

    /// All of it as a payload.
    fn packed(&self) -> Vec<u8> {
        let mut held = self.held();
        let octets = match &mut held.form {
            Form::Packed(octets) => return octets.clone(),
            Form::Open(open) => open.pack(),
        };
        held.set(Form::Packed(octets.clone()), &self.of_query);
        octets
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses rows that there is no room for: nothing can be made of them that is shorter.
fn check_room(known: &Payload, news: &Payload, is_full: bool) -> Result<(), String> {
    if news.parts.is_empty() {
        return Ok(());
    }
    if is_full {
        return Err(
            "the query holds as many octets of rows as it may; ask for fewer, or raise octets_max".to_owned()
        );
    }
    match known.parts.len() + news.parts.len() {
        0..=PIECES_MAX => Ok(()),
        pieces => Err(format!("their pane would be of {pieces} pieces, more than {PIECES_MAX}")),
    }
}

/// Where the rows of a record stand among those of others: by sensor, then by its lives and numbers. No name has a zero.
fn place_among(from: Origin<'_>) -> Arc<[u8]> {
    let Position { incarnation, number } = from.position;
    let (life, number) = (incarnation.0.to_be_bytes(), number.to_be_bytes());
    [from.sensor.as_str().as_bytes(), &[0], &life, &number].concat().into()
}

impl Drop for PaneState {
    fn drop(&mut self) {
        let octets = self.held().octets;
        self.of_query.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl Held {
    fn set(&mut self, form: Form, of_query: &AtomicUsize) {
        let octets = form.octets();
        of_query.fetch_add(octets, Ordering::Relaxed);
        of_query.fetch_sub(self.octets, Ordering::Relaxed);
        *self = Self { form, octets };
    }
}

impl Form {
    fn octets(&self) -> usize {
        size_of::<PaneState>()
            + match self {
                Self::Open(open) => size_of::<Open>() + open.payload.parts.octets(),
                Self::Packed(octets) => octets.capacity(),
            }
    }
}

impl Open {
    /// Puts its parts together, but for those that cannot be merged: how much is missing with them is not known.
    fn settle(&mut self) {
        let settled = settled(&self.states, &self.payload.parts, self.groups_max);
        self.payload.parts = settled.parts;
        self.payload.is_doubted |= settled.any_is_left_out;
    }

    fn pack(&mut self) -> Vec<u8> {
        self.settle();
        let packed = guarded(|| self.payload.encode(&self.states));
        // What would be too long to be read again is as little kept as what cannot be written.
        let packed = packed.ok().filter(|packed| packed.unpacked <= OWN_UNPACKED_MAX);
        packed.map_or_else(|| self.payload.clone().encode_doubt(), |packed| packed.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crafted::{payload, rows};
    use crate::halves::half_id;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use tapline_engine::HeldLimits;
    use tapline_query::Planner;

    const SQL: &str = "SELECT src_port, count(*) FROM packets GROUP BY src_port, tumble('1 second')";

    fn merging() -> Merging {
        let merging = Merging::default();
        let query = Planner::new().plan(SQL).unwrap();
        merging.clone().add_query(7, &query, &QueryLimits::default()).unwrap();
        merging
    }

    #[test]
    fn a_state_that_nothing_came_for_is_a_payload() {
        let (merging, half) = (merging(), half_id(7, 0));
        let mut state = merging.empty(half);
        let nothing = merging.encode(half, &state);
        let bomb = [&[0_u8][..], &u32::MAX.to_le_bytes(), &nothing].concat();
        assert_eq!((merging.weight(&nothing), merging.weight(&bomb)), (nothing.len() as u64, (1 << 30) - 1));
        assert_eq!(merging.merge(half, &mut state, &nothing), Ok(()));
        assert_eq!(merging.encode(half, &state), nothing);
        assert!(merging.decode(half, &nothing).is_ok() && merging.decode(half, b"garbage").is_err());
        assert!(merging.octets_held(7) > 0);
        drop(state);
        assert_eq!(merging.octets_held(7), 0, "what is dropped is charged no more");
    }

    #[test]
    fn a_query_that_is_no_more_takes_nothing_and_its_states_are_let_go() {
        let (merging, half) = (merging(), half_id(7, 0));
        let mut state = merging.empty(half);
        let nothing = merging.encode(half, &state);
        assert!(merging.merge(half_id(7, 1), &mut state, &nothing).is_err());
        merging.drop_query(7);
        let refusal = merging.merge(half, &mut state, &nothing).unwrap_err();
        assert!(refusal.contains("no query here"), "{refusal}");
        assert!(merging.decode(half, &nothing).is_ok(), "a checkpoint may have it still");
        assert_eq!(merging.encode(half, &state), nothing);
    }

    #[test]
    fn states_that_no_rows_give_are_refused() {
        let (merging, half) = (merging(), half_id(7, 0));
        let of_half = merging.half(half).unwrap().states;
        let mut state = merging.empty(half);
        let sent = |count: i64| payload(&of_half, &[(80, count, 0)]).encode(&of_half).unwrap().octets;
        assert_eq!(merging.merge(half, &mut state, &sent(3)), Ok(()));
        let before = merging.encode(half, &state);
        for count in [0, -3, i64::MAX] {
            let why = merging.merge(half, &mut state, &sent(count)).unwrap_err();
            assert!(why.contains("no rows give"), "{why}");
        }
        assert_eq!(merging.encode(half, &state), before);
    }

    #[test]
    fn sums_that_do_not_fit_are_left_out_and_nobody_else_is_refused_for_them() {
        let sql = "SELECT src_port, sum(octets) FROM packets GROUP BY src_port, tumble('1 second')";
        let (merging, half) = (Merging::default(), half_id(9, 0));
        let query = Planner::new().plan(sql).unwrap();
        merging.add_query(9, &query, &QueryLimits::default()).unwrap();
        let of_half = merging.half(half).unwrap().states;
        let mut state = merging.empty(half);
        let mut add = |sum: i64| {
            let sent = payload(&of_half, &[(80, 1, sum)]).encode(&of_half).unwrap().octets;
            merging.merge(half, &mut state, &sent)
        };
        for number in 0..100 {
            assert_eq!(add(if number == 10 { i64::MAX } else { 1 }), Ok(()), "{number}");
        }
        let whole = Payload::decode(&merging.encode(half, &state), &of_half, OWN_UNPACKED_MAX).unwrap();
        assert!(whole.is_doubted && whole.parts.len() == 1, "{} parts", whole.parts.len());
        let sum = whole.parts.groups().next().unwrap().groups.column(1).as_primitive::<Int64Type>().value(0);
        assert_eq!(sum, 99);
    }

    /// Merges rows of one query, which may take so much.
    fn merging_rows(octets_max: usize) -> (Merging, Arc<HalfStates>) {
        let (merging, held) = (Merging::default(), HeldLimits { octets_max, ..HeldLimits::default() });
        let query = Planner::new().plan("SELECT src_port FROM packets").unwrap().of_sensors().unwrap();
        merging.add_query(7, &query, &QueryLimits { held, ..QueryLimits::default() }).unwrap();
        let states = merging.half(half_id(7, 0)).unwrap().states;
        (merging, states)
    }

    #[test]
    fn rows_that_are_still_to_be_given_take_no_room_of_those_that_may_be_revised() {
        let ((merging, states), half) = (merging_rows(200_000), half_id(7, 0));
        let mut state = merging.empty(half);
        merging.merge(half, &mut state, &rows(0..60_000).encode(&states).unwrap().octets).unwrap();
        let octets = merging.octets(&state);
        assert!((120_000..140_000).contains(&octets) && octets == merging.octets_held(7) as u64, "{octets}");
        assert!(!merging.is_full(half, 100_000) && merging.is_full(half, 100_001));
        merging.merge(half, &mut state, &rows(0..60_000).encode(&states).unwrap().octets).unwrap();
        assert!(merging.is_full(half, 0), "what is kept goes where there is no room for others");
    }

    #[test]
    fn what_is_no_payload_changes_nothing() {
        let (merging, half) = (merging(), half_id(7, 0));
        let mut state = merging.empty(half);
        let before = merging.encode(half, &state);
        for octets in [&b""[..], b"garbage", &before[..before.len() - 1]] {
            assert!(merging.merge(half, &mut state, octets).is_err());
            assert_eq!(merging.encode(half, &state), before);
        }
        let limits =
            QueryLimits { held: HeldLimits { windows_max: 1, octets_max: 0 }, ..QueryLimits::default() };
        let query = Planner::new().plan(SQL).unwrap();
        merging.add_query(8, &query, &limits).unwrap();
        let mut state = merging.empty(half_id(8, 0));
        assert_eq!(merging.merge(half_id(8, 0), &mut state, &before), Ok(()), "it is merged at once");
        let is_full = |query: u64| merging.is_full(half_id(query, 0), 0);
        assert!(is_full(8) && !is_full(7) && !is_full(9));
    }
}
