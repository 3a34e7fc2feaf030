//! A sketch of the most frequent keys (Misra and Gries 1982, merged as Agarwal et al. 2012 show).
//!
//! Up to twice `kept` keys are counted exactly. When there are more, the count of the key that ranks
//! just behind the `kept` most frequent is taken off all counts, and keys without a count are
//! forgotten. Of n rows a count is therefore at most n / (kept + 1) too low and never too high, however
//! many sketches were merged, and a key that is more frequent than that is never forgotten.

use crate::hash::StableHash;
use crate::keys::{Key, OwnedKey};
use crate::sketch::Sketch;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Counts by key.
pub(crate) struct Frequent<Q: Key + ?Sized> {
    counts: HashMap<Q::Owned, u64, Seeded>,
    /// How much a count may be too low.
    shortfall: u64,
    key_octets: usize,
}

impl<Q: Key + ?Sized> Default for Frequent<Q> {
    fn default() -> Self {
        Self { counts: HashMap::default(), shortfall: 0, key_octets: 0 }
    }
}

impl<Q: Key + ?Sized> Clone for Frequent<Q> {
    fn clone(&self) -> Self {
        Self { counts: self.counts.clone(), ..*self }
    }
}

impl<Q: Key + ?Sized> Debug for Frequent<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frequent").field("counts", &self.counts).field("shortfall", &self.shortfall).finish()
    }
}

impl<Q: Key + ?Sized> Sketch for Frequent<Q> {
    #[inline]
    fn heap_octets(&self) -> usize {
        // The table of a std HashMap: seven in eight of its slots can be used, each has an octet more.
        let slots = match self.counts.capacity() {
            0 => 0,
            capacity => (capacity * 8 / 7).next_power_of_two(),
        };
        slots * (size_of::<(Q::Owned, u64)>() + 1) + self.key_octets
    }
}

impl<Q: Key + ?Sized> Frequent<Q> {
    /// Counts `key` `count` times.
    #[inline]
    pub(crate) fn add(&mut self, key: &Q, count: u64, kept: usize) {
        if let Some(held) = self.counts.get_mut(key) {
            *held = held.saturating_add(count);
        } else if count > 0 {
            self.insert(key.to_owned(), count);
            if self.counts.len() > 2 * kept {
                self.forget(kept);
            }
        }
    }

    fn insert(&mut self, key: Q::Owned, count: u64) {
        self.key_octets += key.heap_octets();
        self.counts.insert(key, count);
    }

    /// Leaves at most `kept` keys.
    #[cold]
    fn forget(&mut self, kept: usize) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, behind, _) = counts.select_nth_unstable_by(kept, |a, b| b.cmp(a));
        let behind = *behind;
        self.counts.retain(|_, count| {
            *count -= behind.min(*count);
            *count > 0
        });
        self.key_octets = self.counts.keys().map(OwnedKey::heap_octets).sum();
        self.add_shortfall(behind);
    }

    /// Whether any key was ever counted, kept or not.
    pub(crate) fn has_counted(&self) -> bool {
        self.shortfall > 0 || !self.counts.is_empty()
    }

    /// How much a count may be too low.
    pub(crate) const fn shortfall(&self) -> u64 {
        self.shortfall
    }

    /// Takes over the shortfall of a sketch whose counts were added.
    pub(crate) const fn add_shortfall(&mut self, shortfall: u64) {
        self.shortfall = self.shortfall.saturating_add(shortfall);
    }

    /// The keys with their counts, most frequent first, then in the order of the keys.
    pub(crate) fn ranked(&self) -> Vec<(&Q::Owned, u64)> {
        let mut ranked: Vec<_> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        ranked.sort_unstable_by(|(a_key, a), (b_key, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        ranked
    }
}

/// Hashes keys with a seed of this process, so that traffic cannot be made to collide.
#[derive(Clone, Copy, Default)]
struct Seeded;

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

impl BuildHasher for Seeded {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(*SEED)
    }
}

struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, octets: &[u8]) {
        self.0 = octets.stable_hash(self.0);
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number.stable_hash(self.0);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 = self.0.wrapping_add(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const KEPT: usize = 8;

    fn sketch(keys: &[u128]) -> Frequent<u128> {
        let mut sketch = Frequent::default();
        keys.iter().for_each(|key| sketch.add(key, 1, KEPT));
        sketch
    }

    fn merged<'a>(parts: impl IntoIterator<Item = &'a Frequent<u128>>) -> Frequent<u128> {
        let mut all = Frequent::default();
        for part in parts {
            part.ranked().into_iter().for_each(|(key, count)| all.add(key, count, KEPT));
            all.add_shortfall(part.shortfall());
        }
        all
    }

    fn truth(keys: &[u128]) -> BTreeMap<u128, u64> {
        keys.iter().fold(BTreeMap::new(), |mut counts, key| {
            *counts.entry(*key).or_insert(0) += 1;
            counts
        })
    }

    /// What the module's header promises.
    fn keeps_its_promise(sketch: &Frequent<u128>, keys: &[u128]) -> bool {
        let most = keys.len() as u64 / (KEPT as u64 + 1);
        let found: BTreeMap<u128, u64> =
            sketch.ranked().into_iter().map(|(key, count)| (*key, count)).collect();
        let is_near = |(key, count): (&u128, &u64)| {
            let found = found.get(key).copied().unwrap_or(0);
            found <= *count && count - found <= sketch.shortfall()
        };
        sketch.shortfall() <= most && found.len() <= 2 * KEPT && truth(keys).iter().all(is_near)
    }

    proptest! {
        #[test]
        fn counts_are_within_the_bound_in_any_order(
            parts in prop::collection::vec(prop::collection::vec((0..60_u128, 0..60_u128), 0..300), 0..6),
        ) {
            let parts: Vec<Vec<u128>> =
                parts.iter().map(|part| part.iter().map(|(a, b)| a * b / 40).collect()).collect();
            let sketches: Vec<_> = parts.iter().map(|part| sketch(part)).collect();
            let all = parts.concat();
            prop_assert!(keeps_its_promise(&sketch(&all), &all));
            prop_assert!(keeps_its_promise(&merged(&sketches), &all));
            prop_assert!(keeps_its_promise(&merged(sketches.iter().rev()), &all));
            let pairs: Vec<_> = sketches.chunks(2).map(merged).collect();
            prop_assert!(keeps_its_promise(&merged(&pairs), &all));
        }

        #[test]
        fn few_keys_are_exact(keys in prop::collection::vec(0..2 * KEPT as u128, 0..400)) {
            let (front, back) = keys.split_at(keys.len() / 2);
            let parts = [sketch(front), sketch(back)];
            let want: Vec<(u128, u64)> = truth(&keys).into_iter().collect();
            for found in [sketch(&keys), merged(&parts), merged(parts.iter().rev())] {
                let mut counts: Vec<(u128, u64)> = found.ranked().into_iter().map(|(key, n)| (*key, n)).collect();
                prop_assert!(counts.is_sorted_by(|a, b| (b.1, a.0) < (a.1, b.0)));
                counts.sort_unstable();
                prop_assert_eq!(&counts, &want);
                prop_assert_eq!(found.shortfall(), 0);
            }
        }
    }

    #[test]
    fn octets_of_keys_are_counted() {
        let mut sketch: Frequent<[u8]> = Frequent::default();
        assert_eq!(sketch.heap_octets(), 0);
        for number in 0..10_000_u32 {
            sketch.add(&[7; 1_000], 1, KEPT);
            sketch.add(&number.to_le_bytes(), 1, KEPT);
        }
        let held: usize = sketch.ranked().iter().map(|(key, _)| key.capacity()).sum();
        assert_eq!(sketch.key_octets, held);
        assert_eq!(sketch.ranked()[0].0.len(), 1_000);
        assert!((1_000..20_000).contains(&sketch.heap_octets()));
    }

    #[test]
    fn counts_from_damaged_states_saturate() {
        let mut sketch: Frequent<u128> = Frequent::default();
        (0..3).for_each(|_| sketch.add(&1, u64::MAX, KEPT));
        (0..100).for_each(|key| sketch.add(&key, u64::MAX, KEPT));
        sketch.add_shortfall(u64::MAX);
        assert_eq!(sketch.shortfall(), u64::MAX);
        assert!(sketch.ranked().len() <= 2 * KEPT);
    }
}
