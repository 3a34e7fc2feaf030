//! What several lower halves of one worker have in common: conditions and keys, each computed once a batch.
//!
//! Lower halves join with what they are to compute, and leave by letting it go. Takes the batches of a turn before
//! they are processed, gives of each what at least two halves need of it. What cannot be computed of a whole batch is
//! not given: then each half computes it by itself, of the rows that it has come to, and fails or does not as it would
//! alone.

use crate::groups::keys_of;
use crate::key_numbers::{CommonKeys, NumberedKeys};
use crate::placed::{Placed, places_of};
use crate::steps::without_nulls;
use crate::stream_batch::StreamBatch;
use datafusion::arrow::array::{AsArray as _, BooleanArray};
use std::sync::Arc;
use tapline_query::{AggregateFold, Grouping, StreamExpression};
use tapline_record::StreamId;

/// What lower halves of one worker have in common.
#[derive(Default)]
pub struct Commons {
    conditions: Slots<CommonCondition>,
    keys: Slots<CommonKeys>,
    /// What was computed of each batch of the turn.
    batches: Vec<BatchCommons>,
    /// Numbers of keys of turns before, whose memory is used again.
    spare: Vec<Vec<u32>>,
}

/// What was computed of one batch, by slot.
#[derive(Default)]
pub struct BatchCommons {
    /// Without NULL.
    masks: Vec<Option<BooleanArray>>,
    keys: Vec<Option<NumberedKeys>>,
}

/// A condition on rows of one stream.
pub(crate) struct CommonCondition {
    stream: StreamId,
    expression: StreamExpression,
}

/// One lower half's use of something that it has in common with others.
pub(crate) struct Use<T> {
    pub(crate) slot: usize,
    what: Arc<T>,
    _user: Arc<()>,
}

/// The keys and aggregates of a lower half whose keys others may have, too.
pub(crate) struct JoinedKeys {
    used: Use<CommonKeys>,
    pub(crate) grouping: Arc<Grouping>,
    /// Where the columns that the aggregates read stand in the batches at hand.
    pub(crate) places: Vec<usize>,
}

/// All that somebody uses, each in its slot.
struct Slots<T>(Vec<Option<Slot<T>>>);

struct Slot<T> {
    what: Arc<T>,
    users: Arc<()>,
}

impl Commons {
    /// Computes what is common of the batches of a turn, which are tasks of these numbers.
    pub fn begin<'a>(&mut self, turn: impl Iterator<Item = Option<&'a StreamBatch>>) {
        self.end();
        self.conditions.forget_unused();
        self.keys.forget_unused();
        self.keys.all().for_each(|(users, keys)| keys.judge(users));
        for batch in turn {
            let common = batch.map_or_else(BatchCommons::default, |batch| self.common_of(batch));
            self.batches.push(common);
        }
    }

    fn common_of(&mut self, batch: &StreamBatch) -> BatchCommons {
        let Self { conditions, keys, spare, .. } = self;
        BatchCommons {
            masks: conditions.compute(|condition| condition.holds(batch)),
            keys: keys.compute(|keys| keys.number(batch, spare)),
        }
    }

    /// Lets go of what was computed, and of the batches that it is of.
    pub fn end(&mut self) {
        let keys = self.batches.drain(..).flat_map(|batch| batch.keys).flatten();
        self.spare.extend(keys.map(|keys| keys.numbers));
    }

    /// What was computed of the batch of the task of this number.
    #[must_use]
    pub fn of(&self, task: usize) -> Option<&BatchCommons> {
        self.batches.get(task)
    }

    /// How often something is used that several use.
    #[must_use]
    pub fn uses(&self) -> usize {
        self.conditions.uses() + self.keys.uses()
    }

    /// Octets that are held from one turn to the next.
    #[must_use]
    pub fn octets(&self) -> usize {
        let spare = self.spare.iter().map(|numbers| numbers.capacity() * size_of::<u32>());
        self.keys.shared().map(|(_, keys)| keys.octets()).sum::<usize>() + spare.sum::<usize>()
    }

    pub(crate) fn join_condition(
        &mut self,
        stream: StreamId,
        expression: &StreamExpression,
    ) -> Use<CommonCondition> {
        let is_same = |known: &CommonCondition| known.stream == stream && known.expression == *expression;
        match self.conditions.find(is_same) {
            Some(used) => used,
            None => self.conditions.add(CommonCondition { stream, expression: expression.clone() }),
        }
    }

    /// Joins with the keys of a fold; `None` where numbers of them save nothing.
    pub(crate) fn join_keys(&mut self, grouping: Grouping, fold: &AggregateFold) -> Option<JoinedKeys> {
        let schema = keys_of(fold);
        if !CommonKeys::are_worth_it(&schema) || schema.fields().len() != grouping.keys.len() {
            return None;
        }
        let found = self.keys.find(|known| known.are(grouping.stream, &grouping.keys));
        let used = match found {
            Some(used) => {
                used.what.hope();
                used
            }
            None => self.keys.add(CommonKeys::new(grouping.stream, grouping.keys.clone(), schema).ok()?),
        };
        Some(JoinedKeys { used, grouping: Arc::new(grouping), places: vec![] })
    }

    pub(crate) fn shares_condition(&self, used: &Use<CommonCondition>) -> bool {
        self.conditions.is_shared(used)
    }

    pub(crate) fn shares_keys(&self, joined: &JoinedKeys) -> bool {
        self.keys.is_shared(&joined.used)
    }
}

impl BatchCommons {
    /// For which rows a condition holds, without NULL, if that was computed.
    pub(crate) fn mask(&self, slot: usize) -> Option<&BooleanArray> {
        self.masks.get(slot)?.as_ref()
    }
}

impl CommonCondition {
    /// For which rows it holds, if the batch is of its stream, and it can be computed for each.
    fn holds(&self, batch: &StreamBatch) -> Option<BooleanArray> {
        if batch.stream.id != self.stream {
            return None;
        }
        let mask = Placed::new(&self.expression, batch.built())?.evaluate(&batch.batch).ok()?;
        Some(without_nulls(mask.as_boolean()))
    }
}

impl JoinedKeys {
    /// A half that keeps fewer than one row in so many has few of the keys, and finds these sooner by itself.
    const KEPT_ONE_IN: usize = 8;

    /// Finds the columns that its aggregates read in batches that have these; says whether all are there.
    pub(crate) fn bind(&mut self, built: &[usize]) -> bool {
        let places = places_of(&self.grouping.columns, built);
        let are_there = places.is_some();
        self.places = places.unwrap_or_default();
        are_there
    }

    /// The keys, for whoever asks for their numbers.
    pub(crate) const fn common(&self) -> &Arc<CommonKeys> {
        &self.used.what
    }

    /// Whether numbers are given for them.
    pub(crate) fn are_numbered(&self) -> bool {
        self.used.what.pays()
    }

    /// Notes how many of so many rows were kept; says whether these are enough to be looked up by numbers.
    pub(crate) fn note(&self, kept: usize, rows: usize) -> bool {
        let are_many = kept * Self::KEPT_ONE_IN >= rows;
        if are_many {
            self.used.what.note_wanted(kept);
        }
        are_many
    }

    /// The keys of a batch, if they were looked up for all of its rows, and their numbers are still the same.
    pub(crate) fn numbered<'a>(&self, common: &'a BatchCommons) -> Option<&'a NumberedKeys> {
        let keys = common.keys.get(self.used.slot)?.as_ref()?;
        self.used.what.are_current(keys).then_some(keys)
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<T> Slots<T> {
    /// Uses what is such, if there is any.
    fn find(&self, is_such: impl Fn(&T) -> bool) -> Option<Use<T>> {
        let mut known = self.0.iter().enumerate();
        known.find_map(|(slot, known)| {
            let known = known.as_ref().filter(|known| is_such(&known.what))?;
            Some(known.used(slot))
        })
    }

    /// Uses this, which nobody else does yet.
    fn add(&mut self, what: T) -> Use<T> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free == self.0.len() {
            self.0.push(None);
        }
        self.0[free].insert(Slot { what: Arc::new(what), users: Arc::default() }).used(free)
    }

    fn forget_unused(&mut self) {
        for slot in &mut self.0 {
            if slot.as_ref().is_some_and(|slot| slot.users() == 0) {
                *slot = None;
            }
        }
    }

    /// What somebody uses, and how many do.
    fn all(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().flatten().map(|slot| (slot.users(), slot.what.as_ref()))
    }

    /// What several use, and how many these are.
    fn shared(&self) -> impl Iterator<Item = (usize, &T)> {
        self.all().filter(|(users, _)| *users > 1)
    }

    fn uses(&self) -> usize {
        self.shared().map(|(users, _)| users).sum()
    }

    fn is_shared(&self, used: &Use<T>) -> bool {
        self.0.get(used.slot).and_then(Option::as_ref).is_some_and(|slot| slot.users() > 1)
    }

    /// By slot, what comes of that which several use.
    fn compute<R>(&self, mut of: impl FnMut(&T) -> Option<R>) -> Vec<Option<R>> {
        let shared = self.0.iter().map(|slot| slot.as_ref().filter(|slot| slot.users() > 1));
        shared.map(|slot| of(&slot?.what)).collect()
    }
}

impl<T> Slot<T> {
    /// How many use it.
    fn users(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }

    fn used(&self, slot: usize) -> Use<T> {
        Use { slot, what: Arc::clone(&self.what), _user: Arc::clone(&self.users) }
    }
}
