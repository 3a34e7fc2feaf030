//! What came of one lower half for one window, in parts.
//!
//! A part holds the groups of one pane, or some of them; states of the same group are merged when the window closes,
//! or before, where there are many parts. Of a query without an aggregate it holds rows, which stay what they are: each part
//! may have a place among the others, whatever the order in which they come.

use crate::groups::{GroupBatch, GroupState};
use crate::room::OperatorLimits;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use std::sync::Arc;
use tapline_query::AggregateFold;

/// Parts of one lower half in one window beyond which they are merged.
const PARTS_MAX: usize = 32;

/// Octets of a place: a name, and where a record and a piece of it stand. Whoever says a longer one is refused.
pub const PLACE_OCTETS_MAX: usize = 1024;

/// What came of one lower half.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    given: Vec<Part>,
    /// Octets of all of them.
    octets: usize,
    /// Whether groups of those that were merged may lack rows.
    lack_rows: bool,
}

/// One of them.
#[derive(Clone, Debug)]
struct Part {
    groups: Arc<GroupBatch>,
    is_finished: bool,
    /// Where rows stand among those of other parts, as octets that are compared; those without one come first.
    place: Option<Arc<[u8]>>,
}

impl Part {
    fn octets(&self) -> usize {
        octets_of(&self.groups) + self.place.as_ref().map_or(0, |place| place.len())
    }
}

impl Parts {
    /// Whether nothing came.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    pub(crate) fn push(&mut self, groups: Arc<GroupBatch>, is_finished: bool) {
        self.octets += octets_of(&groups);
        self.given.push(Part { groups, is_finished, place: None });
    }

    /// Adds rows, behind those that are there of the same place.
    pub(crate) fn push_rows(&mut self, place: Option<Arc<[u8]>>, rows: RecordBatch) {
        let groups = GroupBatch { rows: rows.num_rows() as u64, groups: rows, folded: None, folded_rows: 0 };
        let part = Part { groups: Arc::new(groups), is_finished: false, place };
        self.octets += part.octets();
        self.given.push(part);
    }

    /// What others held.
    pub(crate) fn suspended(groups: Arc<GroupBatch>, lack_rows: bool) -> Self {
        let octets = octets_of(&groups);
        Self { octets, given: vec![Part { groups, is_finished: false, place: None }], lack_rows }
    }

    /// Whether some are finished: these cannot be merged.
    pub(crate) fn has_finished(&self) -> bool {
        self.given.iter().any(|part| part.is_finished)
    }

    /// The groups of each of them: partial states, where no part is finished.
    pub fn groups(&self) -> impl Iterator<Item = &GroupBatch> {
        self.given.iter().map(|part| part.groups.as_ref())
    }

    /// The place of each of them.
    pub(crate) fn places(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.given.iter().map(|part| part.place.as_deref())
    }

    /// Gives this place to the parts that have none.
    pub fn put_at(&mut self, place: &Arc<[u8]>) {
        for part in &mut self.given {
            part.place.get_or_insert_with(|| Arc::clone(place));
        }
    }

    /// Gives this place to all parts, whichever they have.
    pub fn put_all_at(&mut self, place: &Arc<[u8]>) {
        self.given.iter_mut().for_each(|part| part.place = None);
        self.put_at(place);
        self.octets = self.given.iter().map(Part::octets).sum();
    }

    /// Rows that were folded into all of them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.groups().map(|groups| groups.rows).sum()
    }

    /// The groups of each of them.
    pub(crate) fn into_groups(self) -> impl Iterator<Item = GroupBatch> {
        self.given.into_iter().map(|part| Arc::unwrap_or_clone(part.groups))
    }

    /// How many groups they have, those of several as often.
    #[must_use]
    pub fn groups_in_all(&self) -> usize {
        self.groups().map(|groups| groups.groups.num_rows()).sum()
    }

    /// Each of them alone.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.given.iter().map(|part| Self::of(vec![part.clone()], self.lack_rows))
    }

    fn of(given: Vec<Part>, lack_rows: bool) -> Self {
        let octets = given.iter().map(Part::octets).sum();
        Self { given, octets, lack_rows }
    }

    /// Two with half of the groups each; `None` where there are fewer than two.
    #[must_use]
    pub fn halved(&self) -> Option<[Self; 2]> {
        let lack_rows = self.lack_rows;
        let [Part { groups: whole, is_finished, place }] = &self.given[..] else {
            let (first, second) = self.given.split_at(self.given.len() / 2);
            let of = |some: &[Part]| Self::of(some.to_vec(), lack_rows);
            return (!first.is_empty()).then(|| [of(first), of(second)]);
        };
        let (all, rows) = (whole.groups.num_rows(), whole.groups.num_rows() / 2);
        let first = GroupBatch { groups: whole.groups.slice(0, rows), ..whole.as_ref().clone() };
        let groups = whole.groups.slice(rows, all - rows);
        let second = GroupBatch { groups, folded: None, rows: 0, folded_rows: 0 };
        // What was one place is two, one behind the other; none of ours is so long that it stays one.
        let within = |half: u8| -> Option<Arc<[u8]>> {
            let place = place.as_ref()?;
            let is_full = place.len() >= PLACE_OCTETS_MAX;
            Some(if is_full { Arc::clone(place) } else { [place.as_ref(), &[half]].concat().into() })
        };
        let part = |(groups, half): (GroupBatch, u8)| {
            let (groups, is_finished) = (Arc::new(groups), *is_finished);
            Self::of(vec![Part { groups, is_finished, place: within(half) }], lack_rows)
        };
        (rows > 0).then(|| [(first, 0), (second, 1)].map(part))
    }

    /// Takes others as well.
    pub fn append(&mut self, other: Self) {
        self.octets += other.octets;
        self.given.extend(other.given);
        self.lack_rows |= other.lack_rows;
    }

    /// Octets that they take.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.given.len()
    }

    /// Whether there are so many that they had better be merged now.
    #[must_use]
    pub const fn are_many(&self) -> bool {
        self.given.len() > PARTS_MAX
    }

    /// Whether groups may lack rows: what one part has in a group, another one may have folded.
    pub(crate) fn may_lack_rows(&self) -> bool {
        let any_is_folded = self.given.iter().any(|part| part.groups.folded.is_some());
        self.lack_rows || (self.given.len() > 1 && any_is_folded)
    }

    /// Merges them into one.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub(crate) fn merge(&mut self, fold: &Arc<AggregateFold>, limits: OperatorLimits) -> Result<()> {
        self.lack_rows = self.may_lack_rows();
        let mut state = self.state(fold, limits)?;
        let groups = whole(state.take_states()?, &mut state)?;
        self.octets = octets_of(&groups);
        self.given = vec![Part { groups: Arc::new(groups), is_finished: false, place: None }];
        Ok(())
    }

    /// Puts rows into the order of their places; those of one place become one part, with these columns.
    ///
    /// # Errors
    /// When they have other columns.
    pub(crate) fn join_rows(&mut self, columns: &SchemaRef) -> Result<()> {
        self.given.sort_by(|one, other| one.place.cmp(&other.place));
        let mut joined = Self::default();
        for part in self.given.chunk_by(|one, other| one.place == other.place) {
            let rows = concat_batches(columns, part.iter().map(|part| &part.groups.groups))?;
            joined.push_rows(part.first().and_then(|part| part.place.clone()), rows);
        }
        *self = joined;
        Ok(())
    }

    /// The finished aggregates of all of them; `None` of no part.
    ///
    /// # Errors
    /// When an aggregate fails.
    pub(crate) fn results(
        &self,
        fold: &Arc<AggregateFold>,
        limits: OperatorLimits,
    ) -> Result<Option<GroupBatch>> {
        match &self.given[..] {
            [] => Ok(None),
            [Part { groups, is_finished: true, .. }] => Ok(Some(groups.as_ref().clone())),
            _ => {
                let mut state = self.state(fold, limits)?;
                whole(state.take_results()?, &mut state).map(Some)
            }
        }
    }

    fn state(&self, fold: &Arc<AggregateFold>, limits: OperatorLimits) -> Result<GroupState> {
        let mut state = GroupState::new(Arc::clone(fold), limits.groups_max)?;
        self.given.iter().try_for_each(|part| state.merge(&part.groups))?;
        Ok(state)
    }
}

impl From<GroupBatch> for Parts {
    /// Partial states as the only part.
    fn from(groups: GroupBatch) -> Self {
        Self::suspended(Arc::new(groups), false)
    }
}

/// What was taken of a state, if each of its aggregates could be computed.
fn whole(groups: GroupBatch, state: &mut GroupState) -> Result<GroupBatch> {
    match state.take_failures().pop() {
        None => Ok(groups),
        Some((_, error)) => Err(error),
    }
}

/// Octets that groups take: of each part at least what it needs to be one.
pub(crate) fn octets_of(groups: &GroupBatch) -> usize {
    size_of::<GroupBatch>() + groups.groups.get_array_memory_size()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, AsArray as _, UInt8Array};
    use datafusion::arrow::datatypes::UInt8Type;

    fn rows(numbers: &[u8]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(UInt8Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    fn part(place: &str, numbers: &[u8]) -> Parts {
        let mut part = Parts::default();
        part.push_rows(None, rows(numbers));
        part.put_at(&place.as_bytes().into());
        part
    }

    fn numbers(parts: &Parts) -> Vec<Vec<u8>> {
        let of = |groups: &GroupBatch| groups.groups.column(0).as_primitive::<UInt8Type>().values().to_vec();
        parts.groups().map(of).collect()
    }

    #[test]
    fn rows_are_in_the_order_of_their_places_however_they_come() {
        let columns = rows(&[]).schema();
        let mut parts = Parts::default();
        [part("b1", &[5]), part("a2", &[3, 4]), part("a1", &[1]), part("a1", &[2])]
            .into_iter()
            .for_each(|part| parts.append(part));
        // Who has a place keeps it.
        parts.put_at(&b"z".as_slice().into());
        parts.join_rows(&columns).unwrap();
        assert_eq!((numbers(&parts), parts.rows()), (vec![vec![1, 2], vec![3, 4], vec![5]], 5));
        parts.put_all_at(&b"z".as_slice().into());
        parts.join_rows(&columns).unwrap();
        assert_eq!(numbers(&parts), [vec![1, 2, 3, 4, 5]]);
    }

    #[test]
    fn halves_of_halves_stand_where_the_whole_stood() {
        let columns = rows(&[]).schema();
        let whole = part("a1", &[0, 1, 2, 3, 4, 5, 6]);
        let mut left = vec![whole];
        let mut pieces = vec![part("a0", &[9]), part("a2", &[8])];
        while let Some(parts) = left.pop() {
            match parts.halved() {
                Some(halves) => left.extend(halves),
                None => pieces.insert(0, parts),
            }
        }
        assert_eq!(pieces.len(), 9);
        let mut all = Parts::default();
        pieces.into_iter().for_each(|piece| all.append(piece));
        all.join_rows(&columns).unwrap();
        assert_eq!(numbers(&all).concat(), [9, 0, 1, 2, 3, 4, 5, 6, 8]);
    }

    #[test]
    fn no_place_becomes_longer_than_may_be_read_again() {
        let [first, second] = part(&"x".repeat(PLACE_OCTETS_MAX - 1), &[1, 2, 3, 4]).halved().unwrap();
        for half in [first, second] {
            let quarters = half.halved().unwrap();
            let places = quarters.iter().flat_map(Parts::places).flatten();
            assert!(places.map(<[u8]>::len).eq([PLACE_OCTETS_MAX; 2]));
        }
    }
}
