//! States that show each record that is lost, doubled or wrong: the records themselves.

use crate::aggregator::Merge;
use crate::names::HalfId;
use std::sync::Arc;

/// A record of a source: who saw it, and as which one.
pub(super) type Id = u32;

pub(super) const fn id(leaf: usize, sequence: usize) -> Id {
    (leaf as u32) << 16 | sequence as u32
}

pub(super) const fn leaf_of(id: Id) -> usize {
    (id >> 16) as usize
}

pub(super) const fn sequence_of(id: Id) -> usize {
    (id & 0xffff) as usize
}

/// Records that arrived, and records that are known to be missing; one that is there twice was counted twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) present: Vec<Id>,
    pub(super) missing: Vec<Id>,
}

impl Ids {
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = self.present.len() as u32;
        let all = [count].into_iter().chain(self.present.iter().copied()).chain(self.missing.iter().copied());
        all.flat_map(u32::to_le_bytes).collect()
    }

    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let (numbers, []) = payload.as_chunks::<4>() else { return None };
        let (count, ids) = numbers.split_first()?;
        let (present, missing) = ids.split_at_checked(u32::from_le_bytes(*count) as usize)?;
        let read = |ids: &[[u8; 4]]| ids.iter().map(|id| u32::from_le_bytes(*id)).collect();
        Some(Self { present: read(present), missing: read(missing) })
    }

    pub(super) fn len(&self) -> usize {
        self.present.len() + self.missing.len()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MergeIds;

impl Merge for MergeIds {
    type State = Ids;

    fn empty(&self, _: HalfId) -> Ids {
        Ids::default()
    }

    fn merge(&self, _: HalfId, state: &mut Ids, payload: &[u8]) -> Result<(), String> {
        let more = Ids::decode(payload).ok_or("it is no list of records")?;
        state.present.extend(more.present);
        state.missing.extend(more.missing);
        Ok(())
    }

    fn encode(&self, _: HalfId, state: &Ids) -> Arc<[u8]> {
        state.encode().into()
    }

    /// In two, wherever that can be: a pane of several parts is what more can go wrong with.
    fn encode_apart(&self, _: HalfId, state: &Ids) -> Vec<(Arc<[u8]>, f64)> {
        let all = state.len();
        if all < 2 {
            return vec![(state.encode().into(), 1.0)];
        }
        let present = state.present.split_at(state.present.len() / 2);
        let missing = state.missing.split_at(state.missing.len().div_ceil(2));
        let of =
            |present: &[Id], missing: &[Id]| Ids { present: present.to_vec(), missing: missing.to_vec() };
        let both = [of(present.0, missing.0), of(present.1, missing.1)];
        both.iter().map(|ids| (ids.encode().into(), ids.len() as f64 / all as f64)).collect()
    }
}
