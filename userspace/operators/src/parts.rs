//! What came of one lower half for one window, in parts.
//!
//! A part holds the groups of one pane, or some of them; states of the same group are merged when the window closes,
//! or before, where there are many parts.

use crate::groups::{GroupBatch, GroupState};
use crate::lower::OperatorLimits;
use datafusion::common::Result;
use std::sync::Arc;
use tapline_query::AggregateFold;

/// Parts of one lower half in one window beyond which they are merged.
const PARTS_MAX: usize = 32;

/// What came of one lower half.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Each with whether it is finished.
    given: Vec<(Arc<GroupBatch>, bool)>,
    /// Octets of all of them.
    octets: usize,
    /// Whether groups of those that were merged may lack rows.
    lack_rows: bool,
}

impl Parts {
    /// Whether nothing came.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    pub(crate) fn push(&mut self, groups: Arc<GroupBatch>, is_finished: bool) {
        self.octets += octets_of(&groups);
        self.given.push((groups, is_finished));
    }

    /// What others held.
    pub(crate) fn suspended(groups: Arc<GroupBatch>, lack_rows: bool) -> Self {
        Self { octets: octets_of(&groups), given: vec![(groups, false)], lack_rows }
    }

    /// Whether some are finished: these cannot be merged.
    pub(crate) fn has_finished(&self) -> bool {
        self.given.iter().any(|(_, is_finished)| *is_finished)
    }

    /// The groups of each of them: partial states, where no part is finished.
    pub fn groups(&self) -> impl Iterator<Item = &GroupBatch> {
        self.given.iter().map(|(groups, _)| groups.as_ref())
    }

    /// Rows that were folded into all of them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.groups().map(|groups| groups.rows).sum()
    }

    /// The groups of each of them.
    pub(crate) fn into_groups(self) -> impl Iterator<Item = GroupBatch> {
        self.given.into_iter().map(|(groups, _)| Arc::unwrap_or_clone(groups))
    }

    /// How many groups they have, those of several as often.
    #[must_use]
    pub fn groups_in_all(&self) -> usize {
        self.groups().map(|groups| groups.groups.num_rows()).sum()
    }

    /// Each of them alone.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.given.iter().map(|(groups, is_finished)| Self {
            given: vec![(Arc::clone(groups), *is_finished)],
            octets: octets_of(groups),
            lack_rows: self.lack_rows,
        })
    }

    /// Two with half of the groups each; `None` where there are fewer than two.
    #[must_use]
    pub fn halved(&self) -> Option<[Self; 2]> {
        let lack_rows = self.lack_rows;
        let of = |given: &[(Arc<GroupBatch>, bool)]| {
            let octets = given.iter().map(|(groups, _)| octets_of(groups)).sum();
            Self { given: given.to_vec(), octets, lack_rows }
        };
        let [(whole, is_finished)] = &self.given[..] else {
            let (first, second) = self.given.split_at(self.given.len() / 2);
            return (!first.is_empty()).then(|| [of(first), of(second)]);
        };
        let (all, rows) = (whole.groups.num_rows(), whole.groups.num_rows() / 2);
        let first = GroupBatch { groups: whole.groups.slice(0, rows), ..whole.as_ref().clone() };
        let groups = whole.groups.slice(rows, all - rows);
        let second = GroupBatch { groups, folded: None, rows: 0, folded_rows: 0 };
        (rows > 0).then(|| [first, second].map(|groups| of(&[(Arc::new(groups), *is_finished)])))
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
    pub(crate) const fn len(&self) -> usize {
        self.given.len()
    }

    /// Whether there are so many that they had better be merged now.
    #[must_use]
    pub const fn are_many(&self) -> bool {
        self.given.len() > PARTS_MAX
    }

    /// Whether groups may lack rows: what one part has in a group, another one may have folded.
    pub(crate) fn may_lack_rows(&self) -> bool {
        let any_is_folded = self.given.iter().any(|(groups, _)| groups.folded.is_some());
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
        self.given = vec![(Arc::new(groups), false)];
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
            [(groups, true)] => Ok(Some(groups.as_ref().clone())),
            _ => {
                let mut state = self.state(fold, limits)?;
                whole(state.take_results()?, &mut state).map(Some)
            }
        }
    }

    fn state(&self, fold: &Arc<AggregateFold>, limits: OperatorLimits) -> Result<GroupState> {
        let mut state = GroupState::new(Arc::clone(fold), limits.groups_max)?;
        self.given.iter().try_for_each(|(groups, _)| state.merge(groups))?;
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
