//! A hash table of packed keys.

use super::layout::{Field, Layout};
use super::slots::{CHUNK_ROWS, KeySlots, NumberSlots, Slots};
use datafusion::arrow::array::ArrayRef;

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

    /// Octets that it will take with so many keys, never less than it takes now.
    fn octets_with(&self, keys: usize) -> usize;

    /// Appends the values of all numbers in one field.
    fn unpack(&self, field: &Field, octets: &mut Vec<u8>);

    /// Whether the key with this number says NULL in one field.
    fn is_null(&self, number: usize, field: &Field) -> bool;

    /// Forgets all keys.
    fn clear(&mut self);
}

/// A table for at most `numbers_max` keys of this layout; `None` when they are too wide.
pub(super) fn key_table(layout: &Layout, numbers_max: usize) -> Option<Box<dyn KeyTable>> {
    if KeySlots::take(layout.bits, numbers_max) {
        return Some(Box::new(Keys::<1, KeySlots>::new()));
    }
    macro_rules! with_words {
        ($($width:literal)+) => {
            match layout.words() {
                $($width => Some(Box::new(Keys::<$width, NumberSlots>::new())),)+
                _ => None,
            }
        };
    }
    with_words!(1 2 3 4 5 6 7 8)
}

struct Keys<const W: usize, S> {
    slots: S,
    /// The keys by their number; there is none with number 0.
    keys: Vec<[u64; W]>,
    /// The keys that are packed now.
    packed: Vec<[u64; W]>,
}

impl<const W: usize, S: Slots<W>> Keys<W, S> {
    fn new() -> Self {
        Self { slots: S::default(), keys: vec![[0; W]], packed: vec![] }
    }
}

impl<const W: usize, S: Slots<W>> KeyTable for Keys<W, S> {
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
        let Self { slots, keys, packed } = self;
        slots.make_room(keys.len() + packed.len().min(room), keys);
        let limit = keys.len() - 1 + room;
        let first = numbers.len();
        numbers.resize(first + packed.len(), 0);
        for (chunk, numbers) in packed.chunks(CHUNK_ROWS).zip(numbers[first..].chunks_mut(CHUNK_ROWS)) {
            slots.intern(chunk, keys, limit, numbers);
        }
    }

    fn skip(&mut self, count: usize) {
        self.keys.resize(self.keys.len() + count, [0; W]);
    }

    fn len(&self) -> usize {
        self.keys.len() - 1
    }

    fn octets_with(&self, keys: usize) -> usize {
        let numbered = self.keys.capacity().max((keys + 1).next_power_of_two());
        self.slots.octets_with(keys + 1) + (numbered + self.packed.capacity()) * size_of::<[u64; W]>()
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
        self.slots.clear();
    }
}
