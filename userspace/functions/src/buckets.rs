//! Counts of numbered buckets: few in a sorted list, many in an array.
//!
//! At most 64 octaves of 128 buckets are kept, the highest that occur; what falls below counts into
//! the lowest that is kept. Which ones are kept follows from the highest bucket alone, so the counts do
//! not depend on the order in which they came.

/// Buckets of one octave.
pub(crate) const OCTAVE: u32 = 128;
/// Buckets that are kept.
pub(crate) const BUCKETS_MAX: u32 = 64 * OCTAVE;
/// Where a count stops growing: 46 bits, 70 million million.
pub(crate) const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 46;
/// Entries of a list that is never worth an array.
const LIST_MIN: usize = 16;

/// Counts by bucket.
#[derive(Clone, Debug)]
pub(crate) enum Buckets {
    List(List),
    Array(CountArray),
}

impl Default for Buckets {
    fn default() -> Self {
        Self::List(List::default())
    }
}

impl Buckets {
    /// Adds `count` to `bucket`.
    #[inline]
    pub(crate) fn add(&mut self, bucket: u32, count: u64) {
        match self {
            Self::Array(array) => array.add(bucket, count),
            Self::List(list) => {
                list.add(bucket, count);
                if list.is_worth_an_array() {
                    *self = Self::Array(list.to_array());
                }
            }
        }
    }

    /// The buckets that are not empty, in ascending order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, u64)> + '_ {
        let (entries, first, counts) = match self {
            Self::List(list) => (list.entries.as_slice(), 0, [].as_slice()),
            Self::Array(array) => ([].as_slice(), array.first, array.counts.as_slice()),
        };
        let listed = entries.iter().map(|entry| (entry.bucket(), entry.count()));
        let counted = counts.iter().enumerate().map(move |(place, count)| (first + place as u32, *count));
        listed.chain(counted.filter(|(_, count)| *count > 0))
    }

    /// Octets on the heap.
    #[inline]
    pub(crate) fn heap_octets(&self) -> usize {
        match self {
            Self::List(list) => list.entries.capacity() * size_of::<Entry>(),
            Self::Array(array) => array.counts.capacity() * size_of::<u64>(),
        }
    }
}

/// The lowest bucket that is kept when `highest` occurs.
const fn floor(highest: u32) -> u32 {
    end_of_octave(highest).saturating_sub(BUCKETS_MAX)
}

const fn start_of_octave(bucket: u32) -> u32 {
    bucket / OCTAVE * OCTAVE
}

const fn end_of_octave(bucket: u32) -> u32 {
    start_of_octave(bucket) + OCTAVE
}

fn sum(count: u64, more: u64) -> u64 {
    count.saturating_add(more).min(COUNT_MAX)
}

/// A bucket and its count in one word, bucket first.
#[derive(Clone, Copy, Debug)]
struct Entry(u64);

impl Entry {
    fn new(bucket: u32, count: u64) -> Self {
        Self((u64::from(bucket) << COUNT_BITS) | count.min(COUNT_MAX))
    }

    const fn bucket(self) -> u32 {
        (self.0 >> COUNT_BITS) as u32
    }

    const fn count(self) -> u64 {
        self.0 & COUNT_MAX
    }
}

/// Entries in ascending order, one a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    entries: Vec<Entry>,
}

impl List {
    fn add(&mut self, bucket: u32, count: u64) {
        let bucket = bucket.max(self.floor());
        match self.entries.binary_search_by_key(&bucket, |entry| entry.bucket()) {
            Ok(place) => {
                let entry = &mut self.entries[place];
                *entry = Entry::new(bucket, sum(entry.count(), count));
            }
            Err(place) => {
                self.entries.insert(place, Entry::new(bucket, count));
                self.collapse();
            }
        }
    }

    fn floor(&self) -> u32 {
        self.entries.last().map_or(0, |entry| floor(entry.bucket()))
    }

    /// Moves what lies below the floor onto it.
    fn collapse(&mut self) {
        let floor = self.floor();
        let below = self.entries.partition_point(|entry| entry.bucket() < floor);
        if below > 0 {
            let count = self.entries.drain(..below).map(Entry::count).fold(0, sum);
            self.add(floor, count);
        }
    }

    /// Whether the list is full and an array takes at most twice the room of its next size.
    fn is_worth_an_array(&self) -> bool {
        let [first, .., last] = self.entries.as_slice() else { return false };
        let length = self.entries.len();
        let array_length = end_of_octave(last.bucket()) - start_of_octave(first.bucket());
        length >= LIST_MIN && length == self.entries.capacity() && array_length as usize <= 4 * length
    }

    fn to_array(&self) -> CountArray {
        let mut array = CountArray::default();
        for entry in self.entries.iter().rev() {
            array.add(entry.bucket(), entry.count());
        }
        array
    }
}

/// The counts of a run of whole octaves, the last of which is not empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountArray {
    first: u32,
    counts: Vec<u64>,
}

impl CountArray {
    #[inline]
    fn add(&mut self, bucket: u32, count: u64) {
        let place = bucket.wrapping_sub(self.first) as usize;
        match self.counts.get_mut(place) {
            Some(held) => *held = sum(*held, count),
            None => self.grow(bucket, count),
        }
    }

    #[cold]
    fn grow(&mut self, bucket: u32, count: u64) {
        if self.counts.is_empty() {
            self.first = start_of_octave(bucket);
        }
        if bucket >= self.first {
            self.grow_up(end_of_octave(bucket));
            self.add(bucket, count);
        } else {
            let floor = floor(self.first + self.counts.len() as u32 - 1);
            self.grow_down(start_of_octave(bucket).max(floor));
            self.add(bucket.max(floor), count);
        }
    }

    fn grow_up(&mut self, end: u32) {
        self.counts.resize((end - self.first) as usize, 0);
        let below = end.saturating_sub(BUCKETS_MAX).saturating_sub(self.first);
        if below > 0 {
            let count = self.counts.drain(..below as usize).fold(0, sum);
            self.first += below;
            self.counts[0] = sum(self.counts[0], count);
            self.counts.shrink_to(BUCKETS_MAX as usize);
        }
    }

    fn grow_down(&mut self, first: u32) {
        let more = (self.first - first) as usize;
        self.counts.splice(..0, std::iter::repeat_n(0, more));
        self.first = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The counts that the module's header promises.
    fn expected(additions: &[(u32, u64)]) -> Vec<(u32, u64)> {
        let highest = additions.iter().map(|(bucket, _)| *bucket).max().unwrap_or(0);
        let lowest = ((highest / 128 + 1) * 128).saturating_sub(8192);
        let mut counts = std::collections::BTreeMap::new();
        for (bucket, count) in additions {
            *counts.entry((*bucket).max(lowest)).or_insert(0) += count;
        }
        counts.into_iter().collect()
    }

    fn counted(additions: impl IntoIterator<Item = (u32, u64)>) -> Buckets {
        let mut buckets = Buckets::default();
        additions.into_iter().for_each(|(bucket, count)| buckets.add(bucket, count));
        buckets
    }

    fn counted_in_array(additions: impl IntoIterator<Item = (u32, u64)>) -> Buckets {
        let mut array = CountArray::default();
        additions.into_iter().for_each(|(bucket, count)| array.add(bucket, count));
        Buckets::Array(array)
    }

    proptest! {
        #[test]
        fn counts_do_not_depend_on_order(
            width in prop_oneof![Just(50_u32), Just(2_000), Just(20_000), Just(262_000)],
            additions in prop::collection::vec((0..262_000_u32, 1..5_u64), 0..600),
        ) {
            let additions: Vec<(u32, u64)> = additions.iter().map(|(b, c)| (100 + b % width, *c)).collect();
            let want = expected(&additions);
            let backwards = || additions.iter().rev().copied();
            for found in [
                counted(additions.iter().copied()),
                counted(backwards()),
                counted_in_array(additions.iter().copied()),
                counted_in_array(backwards()),
            ] {
                prop_assert_eq!(&found.iter().collect::<Vec<_>>(), &want);
                prop_assert!(found.iter().rev().eq(want.iter().rev().copied()));
            }
        }
    }

    #[test]
    fn dense_values_become_an_array_and_scattered_ones_do_not() {
        let dense = counted((0..1_000).map(|bucket| (bucket, 1)));
        let scattered = counted((0..64).map(|octave| (octave * OCTAVE, 1)));
        assert!(matches!(dense, Buckets::Array(_)) && matches!(scattered, Buckets::List(_)));
        assert!(dense.heap_octets() <= 2 * 1_024 * size_of::<u64>());
    }

    #[test]
    fn memory_is_bounded() {
        for step in [1, 7, 128, 1_000] {
            let all = counted((0..262_000).step_by(step).map(|bucket| (bucket, 1)));
            assert!(all.heap_octets() <= 2 * BUCKETS_MAX as usize * size_of::<u64>(), "{step}");
        }
    }

    #[test]
    fn counts_saturate_alike() {
        let additions = [(300, COUNT_MAX - 1), (300, 5), (301, 1), (300, u64::MAX)];
        let want = vec![(300, COUNT_MAX), (301, 1)];
        assert_eq!(counted(additions).iter().collect::<Vec<_>>(), want);
        assert_eq!(counted_in_array(additions).iter().collect::<Vec<_>>(), want);
    }
}
