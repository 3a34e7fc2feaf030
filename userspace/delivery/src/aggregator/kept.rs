//! What whoever takes results goes on with after a crash: panes that he had, and that may be given again.

use super::giving::encoded;
use super::{Aggregator, Given, Merge};
use crate::half::{Half, Pane};
use crate::names::HalfId;
use std::collections::BTreeMap;

/// What is kept of a half of what was given and taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHalf {
    /// Which half.
    pub half: HalfId,
    /// The latest pane that was taken ends here; `i64::MIN` before the first one.
    pub taken_until: i64,
    /// Of panes that end here or earlier nothing is kept.
    pub closed_until: i64,
    /// The panes that were taken, earliest first, as they would be given now: with what came since, which is given
    /// again, too.
    pub panes: Vec<Given>,
}

impl<M: Merge> Aggregator<M> {
    /// What is kept of a half of what was given and taken; what was given and is not taken yet is still to come.
    #[must_use]
    pub fn kept(&self, half: HalfId) -> Option<KeptHalf> {
        let known = self.halves.get(&half)?;
        let mut waiting: BTreeMap<i64, u64> = BTreeMap::new();
        for given in self.results.iter().map(|untaken| &untaken.given).filter(|given| given.half == half) {
            *waiting.entry(given.pane.start).or_default() += 1;
        }
        let panes = known.panes.iter().filter_map(|(start, pane)| {
            let taken = pane.given.saturating_sub(waiting.get(start).copied().unwrap_or(0));
            Some(self.kept_pane((half, known), (*start, pane), taken.checked_sub(1)?))
        });
        let (taken_until, closed_until) = (known.taken_until, known.closed_until);
        Some(KeptHalf { half, taken_until, closed_until, panes: panes.collect() })
    }

    fn kept_pane(
        &self,
        (id, half): (HalfId, &Half<M::State>),
        (start, pane): (i64, &Pane<M::State>),
        revision: u64,
    ) -> Given {
        let (span, mut told) = (half.span(start), pane.told);
        told.is_doubted |= half.is_doubted(id, span, &self.links);
        let (state, records) = (encoded(&self.merge, id, pane), pane.records);
        let (absent, from) = (pane.absent.clone(), pane.contributors.iter().cloned().collect());
        Given { half: id, pane: span, revision, state, records, told, absent, from }
    }
}
