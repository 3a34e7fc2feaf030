//! Where a packed key is found: the places of two hash tables, both probed a chunk of keys at a time.
//!
//! Keys of few bits stand in their places, so that a key costs one cache miss and many keys fit into the cache.
//! Of longer ones the place holds the number: first all places of a chunk are read, then all keys that they
//! point to, so that the cache misses of a chunk overlap.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::hint::black_box;

/// Rows whose cache misses overlap.
pub(super) const CHUNK_ROWS: usize = 32;
/// Places of an empty table.
const PLACES_MIN: usize = 1 << 10;

/// Finds the numbers of keys.
pub(super) trait Slots<const W: usize>: Default + Send {
    /// Makes room for so many keys, `keys` among them, by their number.
    fn make_room(&mut self, total: usize, keys: &[[u64; W]]);

    /// Puts the number of each key into `numbers`; a new one is appended to `keys`, unless `limit` is taken:
    /// then its number is 0.
    fn intern(&mut self, chunk: &[[u64; W]], keys: &mut Vec<[u64; W]>, limit: usize, numbers: &mut [usize]);

    /// Octets that it will take with so many keys, never less than it takes now.
    fn octets_with(&self, keys: usize) -> usize;

    /// Forgets all keys.
    fn clear(&mut self);
}

/// Numbers in their places, for keys of any length.
pub(super) struct NumberSlots {
    /// The number of the key that belongs here, 0 for none.
    places: Vec<u32>,
    seed: u64,
}

impl NumberSlots {
    /// Places a key; with fewer, more keys are not in their first place.
    const PLACES_PER_KEY: usize = 4;

    /// Places of a table of so many keys.
    const fn places_for(keys: usize) -> usize {
        (keys * Self::PLACES_PER_KEY).next_power_of_two()
    }

    /// The number of a key that is not in its first place.
    #[inline(never)]
    fn find_or_add<const W: usize>(
        &mut self,
        key: &[u64; W],
        keys: &mut Vec<[u64; W]>,
        limit: usize,
    ) -> usize {
        let mask = self.places.len() - 1;
        let mut place = hash_of(key, self.seed) as usize & mask;
        while self.places[place] != 0 {
            let number = self.places[place] as usize;
            if difference_of(&keys[number], key) == 0 {
                return number;
            }
            place = (place + 1) & mask;
        }
        let number = keys.len();
        if number > limit {
            return 0;
        }
        keys.push(*key);
        self.places[place] = u32::try_from(number).expect("invariant: at most GROUPS_MAX");
        number
    }
}

impl Default for NumberSlots {
    fn default() -> Self {
        Self { places: vec![0; PLACES_MIN], seed: seed() }
    }
}

impl<const W: usize> Slots<W> for NumberSlots {
    fn make_room(&mut self, total: usize, keys: &[[u64; W]]) {
        let places = Self::places_for(total);
        if places <= self.places.len() {
            return;
        }
        let old = std::mem::replace(&mut self.places, zeros(places));
        let mask = places - 1;
        for number in old.into_iter().filter(|&number| number != 0) {
            let mut place = hash_of(&keys[number as usize], self.seed) as usize & mask;
            while self.places[place] != 0 {
                place = (place + 1) & mask;
            }
            self.places[place] = number;
        }
    }

    #[inline]
    fn intern(&mut self, chunk: &[[u64; W]], keys: &mut Vec<[u64; W]>, limit: usize, numbers: &mut [usize]) {
        let mask = self.places.len() - 1;
        for (key, number) in chunk.iter().zip(&mut *numbers) {
            *number = self.places[hash_of(key, self.seed) as usize & mask] as usize;
        }
        // What differs is noted and judged later: a branch that is guessed wrong would wait for the cache miss
        // of its key, and all misses behind it would wait as well.
        let (mut differences, mut is_any_missing) = ([0; CHUNK_ROWS], false);
        for ((key, &number), difference) in chunk.iter().zip(&*numbers).zip(&mut differences) {
            *difference = difference_of(&keys[number], key);
            is_any_missing |= (number == 0) | (*difference != 0);
        }
        if is_any_missing {
            let rows = chunk.iter().zip(numbers).zip(differences);
            for ((key, number), _) in
                rows.filter(|((_, number), difference)| **number == 0 || *difference != 0)
            {
                *number = self.find_or_add(key, keys, limit);
            }
        }
    }

    fn octets_with(&self, keys: usize) -> usize {
        Self::places_for(keys).max(self.places.len()) * size_of::<u32>()
    }

    fn clear(&mut self) {
        self.places.fill(0);
    }
}

/// Slots that are looked at together: half a cache line.
const BUCKET_SLOTS: usize = 4;
type Bucket = [u64; BUCKET_SLOTS];

/// Keys and numbers in their places, for keys of one word and few bits.
pub(super) struct KeySlots {
    /// Keys, counted from 1, above their numbers; 0 for none.
    buckets: Vec<Bucket>,
    seed: u64,
}

impl KeySlots {
    /// Bits of a key.
    const KEY_BITS_MAX: usize = 42;
    /// Numbers have the other bits of a word.
    const NUMBER_MAX: usize = (1 << Self::NUMBER_BITS) - 1;
    const NUMBER_BITS: usize = 64 - Self::KEY_BITS_MAX - 1;
    /// Whether there are bits enough for such keys and so many numbers.
    pub(super) const fn take(key_bits: usize, numbers_max: usize) -> bool {
        key_bits <= Self::KEY_BITS_MAX && numbers_max <= Self::NUMBER_MAX
    }

    /// Keys for three buckets; with more, more keys are not in their first one.
    const KEYS_PER_3_BUCKETS: usize = 10;

    /// Buckets of a table of so many keys.
    const fn buckets_for(keys: usize) -> usize {
        (keys * 3).div_ceil(Self::KEYS_PER_3_BUCKETS).next_power_of_two()
    }

    /// The number of a key that is not in its first bucket.
    #[inline(never)]
    fn find_or_add(&mut self, key: u64, keys: &mut Vec<[u64; 1]>, limit: usize) -> usize {
        let mask = self.buckets.len() - 1;
        let mut place = hash_of(&[key], self.seed) as usize & mask;
        loop {
            let bucket = &mut self.buckets[place];
            let found = number_in(bucket, key);
            if found <= Self::NUMBER_MAX {
                return found;
            }
            if let Some(free) = bucket.iter_mut().find(|slot| **slot == 0) {
                let number = keys.len();
                if number > limit {
                    return 0;
                }
                keys.push([key]);
                *free = marked(key) | number as u64;
                return number;
            }
            place = (place + 1) & mask;
        }
    }
}

impl Default for KeySlots {
    fn default() -> Self {
        Self { buckets: vec![Bucket::default(); PLACES_MIN / BUCKET_SLOTS], seed: seed() }
    }
}

impl Slots<1> for KeySlots {
    fn make_room(&mut self, total: usize, _: &[[u64; 1]]) {
        let buckets = Self::buckets_for(total);
        if buckets <= self.buckets.len() {
            return;
        }
        let old = std::mem::replace(&mut self.buckets, zeros(buckets));
        let mask = buckets - 1;
        for slot in old.into_flattened().into_iter().filter(|&slot| slot != 0) {
            let mut place = hash_of(&[(slot >> Self::NUMBER_BITS) - 1], self.seed) as usize & mask;
            loop {
                if let Some(free) = self.buckets[place].iter_mut().find(|slot| **slot == 0) {
                    *free = slot;
                    break;
                }
                place = (place + 1) & mask;
            }
        }
    }

    #[inline]
    fn intern(&mut self, chunk: &[[u64; 1]], keys: &mut Vec<[u64; 1]>, limit: usize, numbers: &mut [usize]) {
        let mask = self.buckets.len() - 1;
        let (mut touched, mut is_any_missing) = (0, false);
        for (key, place) in chunk.iter().zip(&mut *numbers) {
            *place = hash_of(key, self.seed) as usize & mask;
            touched |= self.buckets[*place][0];
        }
        // Nothing waits for what was touched, so that more cache misses overlap than with all the work between them.
        black_box(touched);
        for (key, number) in chunk.iter().zip(&mut *numbers) {
            *number = number_in(&self.buckets[*number], key[0]);
            is_any_missing |= *number > Self::NUMBER_MAX;
        }
        if is_any_missing {
            for (key, number) in chunk.iter().zip(numbers).filter(|(_, number)| **number > Self::NUMBER_MAX) {
                *number = self.find_or_add(key[0], keys, limit);
            }
        }
    }

    fn octets_with(&self, keys: usize) -> usize {
        Self::buckets_for(keys).max(self.buckets.len()) * size_of::<Bucket>()
    }

    fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
    }
}

/// A key in its place, without a number; never zero.
const fn marked(key: u64) -> u64 {
    (key + 1) << KeySlots::NUMBER_BITS
}

/// The number of a key in a bucket, more than [`KeySlots::NUMBER_MAX`] when it is not there; without a branch,
/// since nothing tells in which slot it is.
#[inline]
fn number_in(bucket: &Bucket, key: u64) -> usize {
    let key = marked(key);
    let [a, b, c, d] = bucket.map(|slot| slot ^ key);
    a.min(b).min(c.min(d)) as usize
}

/// Keys come from the network; whoever chooses them must not choose their places.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// So many zeros, written: pages of zeros that are read before they are written are faulted in twice, and the
/// second time every core that runs this process is interrupted.
fn zeros<T: Clone + Default>(count: usize) -> Vec<T> {
    let mut zeros = Vec::with_capacity(count);
    zeros.resize(count, black_box(T::default()));
    zeros
}

/// Zero when the keys are the same.
#[inline]
fn difference_of<const W: usize>(one: &[u64; W], other: &[u64; W]) -> u64 {
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other))
}

/// Multiplies to 128 bits and folds, once a word.
#[inline]
fn hash_of<const W: usize>(key: &[u64; W], seed: u64) -> u64 {
    key.iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * 0xa5a3_564e_27f8_8f5d_u128;
        (product as u64) ^ (product >> 64) as u64
    })
}
