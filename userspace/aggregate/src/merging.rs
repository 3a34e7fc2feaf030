//! How an aggregator merges what sensors send of queries.
//!
//! Takes payloads of a half and pane in any order, gives all of them as one payload. A state is octets where nothing came
//! since it was asked for: what may still be revised, and what a checkpoint has, takes no more than that. What states
//! take is charged to their query; where that is all that it may take, new groups are folded, and rows are refused. Rows have
//! the place of the record that they came in, so that they are in one order, however they come. Each record of a sensor is one
//! piece of them, and of each sender a pane has a bounded number. What was taken can be written, and read again.

use crate::guard::guarded;
use crate::halves::{place_of, states_of};
use crate::pane_state::{Form, PaneState, Size};
use crate::payload::{Bounds, OWN, Payload, SENT, SaidOf, apart, is_sendable, said_of};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tapline_delivery::{HalfId, Merge, Origin, Position};
use tapline_engine::QueryLimits;
use tapline_operators::{HalfStates, PLACE_OCTETS_MAX};
use tapline_query::ContinuousQuery;

/// How much shorter packing makes states, by and large: what becomes longer than that counts as more than it is.
const PACKED_TIMES: usize = 4;

/// Octets of rows of one query that are kept to be revised: they are in each checkpoint.
const ROWS_KEPT_OCTETS_MAX: usize = 8 << 20;

/// Parts of states in a payload, where these are merged: one, as both ends make it.
const PARTS_MAX: usize = 32;

/// Octets that a part weighs at least, since it is handled by itself.
const PART_WEIGHT: usize = 4096;

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
pub(crate) struct Half {
    pub(crate) states: Arc<HalfStates>,
    pub(crate) limits: QueryLimits,
    /// What all states of its query take.
    octets: Arc<AtomicUsize>,
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
    /// What somebody sent, of so many parts at most.
    fn received(&self, octets: &[u8], parts: usize) -> Result<Payload, String> {
        let payload = Payload::decode(octets, &self.states, Bounds { parts, ..SENT })?;
        self.states.check_possible(&payload.parts).map(|()| payload)
    }

    /// Rows that somebody sent, with their places.
    fn received_rows(&self, from: Origin<'_>, octets: &[u8]) -> Result<Payload, String> {
        let place = place_among(from)?;
        // A sensor sends what it saw as one, a tier has the pieces of its sensors, with their places.
        let mut news = self.received(octets, if from.stands_for.is_some() { SENT.parts } else { 1 })?;
        if from.stands_for.is_some() {
            news.parts.put_at(&place);
        } else {
            news.parts.put_all_at(&place);
        }
        Ok(news)
    }

    /// Octets that panes may take which are kept only to be revised.
    fn kept_max(&self) -> usize {
        let kept_max = if self.states.are_rows() { ROWS_KEPT_OCTETS_MAX } else { usize::MAX };
        kept_max.min(self.limits.held.octets_max / 2)
    }

    /// Whether its query holds as much as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.octets.load(Ordering::Relaxed) > self.limits.held.octets_max
    }
}

impl Merge for Merging {
    type State = PaneState;

    fn empty(&self, half: HalfId) -> PaneState {
        let of_query = self.half(half).map(|half| half.octets).unwrap_or_default();
        PaneState::new(Form::Packed(Payload::encode_nothing().into()), of_query)
    }

    fn merge(&self, half: HalfId, state: &mut PaneState, payload: &[u8]) -> Result<(), String> {
        let half = self.half(half).ok_or("no query here has their half")?;
        guarded(|| state.add(half.received(payload, PARTS_MAX)?, &half))
    }

    fn merge_from(
        &self,
        half: HalfId,
        state: &mut PaneState,
        (from, payload): (Origin<'_>, &[u8]),
    ) -> Result<(), String> {
        let Some(rows) = self.half(half).filter(|half| half.states.are_rows()) else {
            return self.merge(half, state, payload);
        };
        guarded(|| {
            let news = rows.received_rows(from, payload)?;
            let pieces = state.pieces_with(from, news.parts.len())?;
            state.add(news, &rows)?;
            state.note_pieces(from.sensor, pieces);
            Ok(())
        })
    }

    fn encode(&self, _: HalfId, state: &PaneState) -> Arc<[u8]> {
        state.packed()
    }

    /// What takes long to unpack, or to handle, is not taken for short.
    fn weight(&self, payload: &[u8]) -> u64 {
        let SaidOf { unpacked, parts } = said_of(payload);
        payload.len().max(unpacked / PACKED_TIMES).max(parts.max(1) * PART_WEIGHT) as u64
    }

    fn octets(&self, state: &PaneState) -> u64 {
        state.octets() as u64
    }

    /// What all states take together is known at any time, and no less than what some of them do.
    fn may_be_full(&self, half: HalfId) -> bool {
        self.half(half).is_some_and(|half| half.octets.load(Ordering::Relaxed) > half.kept_max())
    }

    /// Half of what they may take is for panes that are still to be given, and more where these need it: else new groups of
    /// them would be folded, and rows refused.
    fn is_full(&self, half: HalfId, kept: u64) -> bool {
        self.half(half).is_some_and(|half| {
            let most = half.limits.held.octets_max;
            kept > half.kept_max() as u64 || half.octets.load(Ordering::Relaxed) > most - most / 4
        })
    }

    fn encode_apart(&self, half: HalfId, state: &PaneState) -> Vec<(Arc<[u8]>, f64)> {
        let whole = state.packed();
        let half = self.half(half).filter(|_| !is_sendable(&whole));
        let parts = half.and_then(|half| {
            let payload = || Payload::decode(&whole, &half.states, OWN);
            guarded(|| apart(payload()?, &half.states)).ok()
        });
        let shared = |parts: Vec<(Vec<u8>, f64)>| -> Vec<(Arc<[u8]>, f64)> {
            parts.into_iter().map(|(octets, share)| (octets.into(), share)).collect()
        };
        parts.map_or_else(|| vec![(whole, 1.0)], shared)
    }

    fn decode(&self, half: HalfId, payload: &Arc<[u8]>) -> Result<PaneState, String> {
        // What a checkpoint has of a query that is no more is dropped with its half.
        let half = self.half(half);
        let size = half.as_ref().map_or(Ok(Size::default()), |half| {
            guarded(|| Payload::decode(payload, &half.states, OWN).map(|payload| Size::of(&payload)))
        })?;
        let of_query = half.map(|half| half.octets).unwrap_or_default();
        let mut state = PaneState::new(Form::Packed(Arc::clone(payload)), of_query);
        state.size = size;
        Ok(state)
    }
}

/// Where the rows of a record stand among those of others: by sensor, then by its lives and numbers. No name has a zero.
fn place_among(from: Origin<'_>) -> Result<Arc<[u8]>, String> {
    let Position { incarnation, number } = from.position;
    let (life, number) = (incarnation.0.to_be_bytes(), number.to_be_bytes());
    let place = [from.sensor.as_str().as_bytes(), &[0], &life, &number].concat();
    if place.len() > PLACE_OCTETS_MAX {
        return Err(format!("their place is of {} octets, more than {PLACE_OCTETS_MAX}", place.len()));
    }
    Ok(place.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crafted::{nulls, payload, rows};
    use crate::halves::half_id;
    use crate::pane_state::PIECES_OF_SENSOR_MAX;
    use crate::payload::Packed;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int64Type, UInt16Type};
    use proptest::prelude::*;
    use tapline_delivery::{Incarnation, SensorName};
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
        assert_eq!((merging.weight(&nothing), merging.weight(&bomb)), (PART_WEIGHT as u64, (1 << 30) - 1));
        assert_eq!(merging.merge(half, &mut state, &nothing), Ok(()));
        assert_eq!(merging.encode(half, &state), nothing);
        assert!(
            merging.decode(half, &nothing).is_ok()
                && merging.decode(half, &b"garbage".as_slice().into()).is_err()
        );
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
        let whole = Payload::decode(&merging.encode(half, &state), &of_half, OWN).unwrap();
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
        assert!(!merging.may_be_full(half), "nobody has to look at each");
        merging.merge(half, &mut state, &rows(0..60_000).encode(&states).unwrap().octets).unwrap();
        let octets = merging.octets(&state);
        assert!((120_000..140_000).contains(&octets) && octets == merging.octets_held(7) as u64, "{octets}");
        assert!(merging.may_be_full(half));
        assert!(!merging.is_full(half, 100_000) && merging.is_full(half, 100_001));
        merging.merge(half, &mut state, &rows(0..60_000).encode(&states).unwrap().octets).unwrap();
        assert!(merging.is_full(half, 0), "what is kept goes where there is no room for others");
    }

    /// Whose a record is, and which one.
    fn origin(sensor: &SensorName, number: u64, stands_for: Option<usize>) -> Origin<'_> {
        Origin { sensor, position: Position { incarnation: Incarnation(1), number }, stands_for }
    }

    #[test]
    fn a_sensor_has_so_many_pieces_of_a_pane_and_a_tier_more() {
        let ((merging, states), half) = (merging_rows(1 << 30), half_id(7, 0));
        let sent = rows(0..1).encode(&states).unwrap().octets;
        let mut twice = rows(0..1);
        twice.parts.put_at(&b"a".as_slice().into());
        twice.append(rows(1..2));
        let twice = twice.encode(&states).unwrap().octets;
        assert_eq!(merging.weight(&twice), 2 * PART_WEIGHT as u64);
        let [one, other] = ["pop-1", "pop-2"].map(SensorName::new);
        let mut state = merging.empty(half);
        let most = PIECES_OF_SENSOR_MAX as u64;
        for number in 1..=most {
            merging.merge_from(half, &mut state, (origin(&one, number, None), &sent)).unwrap();
        }
        let before = merging.encode(half, &state);
        let why = merging.merge_from(half, &mut state, (origin(&one, most + 1, None), &sent)).unwrap_err();
        assert!(why.contains("513 pieces of this sensor, more than 512"), "{why}");
        let why = merging.merge_from(half, &mut state, (origin(&other, 1, None), &twice)).unwrap_err();
        assert!(why.contains("of 2 parts, more than 1"), "{why}");
        assert_eq!(merging.encode(half, &state), before, "what is refused changes nothing");
        assert_eq!(merging.merge_from(half, &mut state, (origin(&other, 1, None), &sent)), Ok(()));
        let tier = SensorName::new("region");
        for number in 1..=most {
            merging.merge_from(half, &mut state, (origin(&tier, number, Some(9)), &twice)).unwrap();
        }
        let whole = Payload::decode(&merging.encode(half, &state), &states, OWN).unwrap();
        // Those of a tier that have places keep them, and those of one place are one.
        assert_eq!((whole.parts.len() as u64, whole.parts.rows()), (most + 1 + 1 + most, 3 * most + 1));
    }

    #[test]
    fn a_sensor_says_no_other_place_than_its_own() {
        let ((merging, states), half) = (merging_rows(1 << 30), half_id(7, 0));
        let mut lies = rows(0..1);
        lies.parts.put_at(&b"a".as_slice().into());
        let mut state = merging.empty(half);
        for (sensor, payload) in [("pop-1", rows(1..2)), ("pop-2", lies)] {
            let (sensor, sent) = (SensorName::new(sensor), payload.encode(&states).unwrap().octets);
            merging.merge_from(half, &mut state, (origin(&sensor, 1, None), &sent)).unwrap();
        }
        let whole = Payload::decode(&merging.encode(half, &state), &states, OWN).unwrap();
        let ports =
            whole.parts.groups().map(|part| part.groups.column(0).as_primitive::<UInt16Type>().value(0));
        assert!(ports.eq([1, 0]), "pop-1 comes first");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_that_were_taken_can_be_written_and_read_again(
            is_null in any::<bool>(),
            records in prop::collection::vec((0_usize..80_000, 0_usize..5, 0_usize..1100, any::<bool>()), 1..12),
        ) {
            let sql = if is_null { "SELECT NULL AS nothing FROM packets" } else { "SELECT src_port FROM packets" };
            let (merging, half) = (Merging::default(), half_id(7, 0));
            let query = Planner::new().plan(sql).unwrap().of_sensors().unwrap();
            merging.add_query(7, &query, &QueryLimits::default()).unwrap();
            let states = merging.half(half).unwrap().states;
            let (mut state, mut taken) = (merging.empty(half), 0);
            for (number, (rows, pieces, long, is_tier)) in (1..).zip(records) {
                let mut sent = Payload::default();
                for _ in 0..pieces {
                    sent.append(nulls(&states, rows));
                }
                sent.parts.put_at(&vec![b'x'; long].into());
                let Ok(Packed { octets, .. }) = sent.encode(&states) else { continue };
                let sensor = SensorName::new(&"x".repeat(long));
                let from = origin(&sensor, number, is_tier.then_some(3));
                if merging.merge_from(half, &mut state, (from, &octets)).is_ok() {
                    taken += (rows * pieces) as u64;
                }
                let octets = merging.encode(half, &state);
                state = merging.decode(half, &octets).unwrap();
                let back = Payload::decode(&octets, &states, OWN).unwrap();
                prop_assert_eq!((back.parts.rows(), back.is_doubted), (taken, false));
            }
        }

        #[test]
        fn groups_that_were_taken_can_be_written_and_read_again(
            records in prop::collection::vec(
                prop::collection::vec((any::<u16>(), -1_i64..10, any::<i64>()), 0..40), 1..50),
        ) {
            let sql = "SELECT src_port, count(*), sum(octets) FROM packets GROUP BY src_port, tumble('1 second')";
            let (merging, half) = (Merging::default(), half_id(7, 0));
            merging.add_query(7, &Planner::new().plan(sql).unwrap(), &QueryLimits::default()).unwrap();
            let states = merging.half(half).unwrap().states;
            let mut state = merging.empty(half);
            for groups in records {
                let sent = payload(&states, &groups).encode(&states).unwrap().octets;
                let _ = merging.merge(half, &mut state, &sent);
                let octets = merging.encode(half, &state);
                prop_assert!(Payload::decode(&octets, &states, OWN).is_ok());
                state = merging.decode(half, &octets).unwrap();
            }
        }
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
