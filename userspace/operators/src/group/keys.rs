//! A hash table of packed keys.
//!
//! Keys are looked up a chunk at a time: first all slots are read, then all keys that the slots
//! point to, so that the cache misses of a chunk overlap.

use super::layout::{Field, Layout};
use datafusion::arrow::array::ArrayRef;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// Rows whose cache misses overlap.
const CHUNK_ROWS: usize = 32;
/// Slots of an empty table.
const SLOTS_MIN: usize = 1 << 10;
/// Slots a key; with fewer, more keys are not in their first slot.
const SLOTS_PER_KEY: usize = 4;

/// Numbers packed keys from 1 on, in the order in which they come.
pub(super) trait KeyTable: Send {
    /// Packs the columns' rows; says whether the layout has a place for all of them, and for which it has
    /// none in `unfit`, one a row.
    fn pack(&mut self, layout: &Layout, columns: &[ArrayRef], unfit: &mut [bool]) -> bool;

    /// Drops the packed keys that are unfit.
    fn drop_unfit(&mut self, unfit: &[bool]);

    /// Appends the number of each packed key; 0 for a new one when `room` new ones have come.
    fn intern(&mut self, room: usize, numbers: &mut Vec<usize>);

    /// Leaves the next `count` numbers out.
    fn skip(&mut self, count: usize);

    /// The last number that is taken.
    fn len(&self) -> usize;

    /// Appends the values of all numbers in one field.
    fn unpack(&self, field: &Field, octets: &mut Vec<u8>);

    /// Whether the key with this number says NULL in one field.
    fn is_null(&self, number: usize, field: &Field) -> bool;

    /// Forgets all keys.
    fn clear(&mut self);
}

/// A table for keys of so many words, which are 1 to [`super::layout::WORDS_MAX`].
pub(super) fn key_table(words: usize) -> Option<Box<dyn KeyTable>> {
    macro_rules! with_words {
        ($($width:literal)+) => {
            match words {
                $($width => Some(Box::new(Keys::<$width>::new())),)+
                _ => None,
            }
        };
    }
    with_words!(1 2 3 4 5 6 7 8)
}

struct Keys<const W: usize> {
    /// The number of the key that belongs here, 0 for none.
    slots: Vec<u32>,
    /// The keys by their number; there is none with number 0.
    keys: Vec<[u64; W]>,
    /// The keys that are packed now.
    packed: Vec<[u64; W]>,
    /// Keys come from the network; whoever chooses them must not choose their slots.
    seed: u64,
}

impl<const W: usize> Keys<W> {
    fn new() -> Self {
        let seed = RandomState::new().hash_one(W);
        Self { slots: vec![0; SLOTS_MIN], keys: vec![[0; W]], packed: vec![], seed }
    }

    /// Makes room for `more` keys.
    fn make_room(&mut self, more: usize) {
        let slots = ((self.keys.len() + more) * SLOTS_PER_KEY).next_power_of_two();
        if slots <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        let mask = slots - 1;
        for number in old.into_iter().filter(|&number| number != 0) {
            let mut place = hash_of(&self.keys[number as usize], self.seed) as usize & mask;
            while self.slots[place] != 0 {
                place = (place + 1) & mask;
            }
            self.slots[place] = number;
        }
    }

    /// The number of a key that is not in its first slot.
    #[inline(never)]
    fn find_or_add(&mut self, key: &[u64; W], limit: usize) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = hash_of(key, self.seed) as usize & mask;
        while self.slots[place] != 0 {
            let number = self.slots[place] as usize;
            if is_same(&self.keys[number], key) {
                return number;
            }
            place = (place + 1) & mask;
        }
        let number = self.keys.len();
        if number > limit {
            return 0;
        }
        self.keys.push(*key);
        self.slots[place] = u32::try_from(number).expect("invariant: at most GROUPS_MAX");
        number
    }

    #[inline]
    fn intern_chunk(&mut self, chunk: &[[u64; W]], limit: usize, numbers: &mut Vec<usize>) {
        let mask = self.slots.len() - 1;
        let mut found = [0_usize; CHUNK_ROWS];
        let found = &mut found[..chunk.len()];
        for (key, found) in chunk.iter().zip(&mut *found) {
            *found = self.slots[hash_of(key, self.seed) as usize & mask] as usize;
        }
        let mut all_found = true;
        for (key, found) in chunk.iter().zip(&mut *found) {
            // Without a branch: some keys are not in their first slot, and nothing tells which.
            let is_hit = is_same(&self.keys[*found], key);
            *found &= usize::from(is_hit).wrapping_neg();
            all_found &= *found != 0;
        }
        if !all_found {
            for (key, found) in chunk.iter().zip(&mut *found).filter(|(_, found)| **found == 0) {
                *found = self.find_or_add(key, limit);
            }
        }
        numbers.extend_from_slice(found);
    }
}

impl<const W: usize> KeyTable for Keys<W> {
    fn pack(&mut self, layout: &Layout, columns: &[ArrayRef], unfit: &mut [bool]) -> bool {
        self.packed.clear();
        self.packed.resize(unfit.len(), [0; W]);
        let fields = layout.fields.iter().zip(columns);
        fields.fold(true, |all, (field, column)| field.pack(&mut self.packed, column, unfit) && all)
    }

    fn drop_unfit(&mut self, unfit: &[bool]) {
        let mut unfit = unfit.iter();
        self.packed.retain(|_| unfit.next().is_none_or(|unfit| !unfit));
    }

    fn intern(&mut self, room: usize, numbers: &mut Vec<usize>) {
        let packed = std::mem::take(&mut self.packed);
        self.make_room(packed.len().min(room));
        let limit = self.len() + room;
        numbers.reserve(packed.len());
        for chunk in packed.chunks(CHUNK_ROWS) {
            self.intern_chunk(chunk, limit, numbers);
        }
        self.packed = packed;
    }

    fn skip(&mut self, count: usize) {
        self.keys.resize(self.keys.len() + count, [0; W]);
    }

    fn len(&self) -> usize {
        self.keys.len() - 1
    }

    fn unpack(&self, field: &Field, octets: &mut Vec<u8>) {
        octets.reserve(self.len() * field.width);
        self.keys[1..].iter().for_each(|key| field.unpack(key, octets));
    }

    fn is_null(&self, number: usize, field: &Field) -> bool {
        field.is_null(&self.keys[number])
    }

    fn clear(&mut self) {
        self.keys.truncate(1);
        self.slots.fill(0);
    }
}

#[inline]
fn is_same<const W: usize>(one: &[u64; W], other: &[u64; W]) -> bool {
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// Multiplies to 128 bits and folds, once a word.
#[inline]
fn hash_of<const W: usize>(key: &[u64; W], seed: u64) -> u64 {
    key.iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * 0xa5a3_564e_27f8_8f5d_u128;
        (product as u64) ^ (product >> 64) as u64
    })
}
