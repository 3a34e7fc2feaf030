//! Keys of fixed width, packed into a few words.
//!
//! The columns of a batch are packed column by column into `[u64; W]` keys; the widest come first,
//! so that none straddles more words than it must, and a last field says which columns are NULL.
//! Rows are then looked up a chunk at a time: first all slots are read, then all keys that the
//! slots point to, so that the cache misses of a chunk overlap.

use super::{FOLDED, GroupTable, next_group};
use datafusion::arrow::array::downcast_primitive_array;
use datafusion::arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, make_array};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use std::sync::Arc;

/// Words of the widest packed key; wider ones go by rows.
const WORDS_MAX: usize = 8;
/// Rows whose cache misses overlap.
const CHUNK_ROWS: usize = 16;
/// Slots of an empty table.
const SLOTS_MIN: usize = 1 << 10;

/// A packed table for these keys, `None` when some key has no fixed width or all are too wide.
pub(crate) fn packed_table(schema: &SchemaRef, groups_max: usize) -> Option<Box<dyn GroupTable>> {
    let (fields, words) = layout(schema)?;
    macro_rules! with_words {
        ($($width:literal)+) => {
            match words {
                $($width => Some(Box::new(PackedGroups::<$width>::new(fields, groups_max)) as Box<_>),)+
                _ => None,
            }
        };
    }
    with_words!(1 2 3 4 5 6 7 8)
}

/// Where one column stands in a key.
#[derive(Clone, Debug)]
struct Field {
    data_type: DataType,
    /// Octets of a value.
    width: usize,
    /// First octet in the key.
    offset: usize,
    /// Bit that says NULL, counted from the key's first bit.
    null_bit: usize,
}

impl Field {
    const fn word(&self) -> usize {
        self.offset / 8
    }

    const fn shift(&self) -> usize {
        self.offset % 8 * 8
    }
}

/// Octets of a value of this type, `None` when that varies.
fn width_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => None,
        other => other.primitive_width(),
    }
}

/// The columns' places, in the schema's order, and the words of a key.
fn layout(schema: &SchemaRef) -> Option<(Vec<Field>, usize)> {
    let widths: Option<Vec<usize>> =
        schema.fields().iter().map(|field| width_of(field.data_type())).collect();
    let widths = widths?;
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|&column| std::cmp::Reverse(padded(widths[column])));
    let mut offset = 0;
    let mut offsets = vec![0; widths.len()];
    for column in order {
        offsets[column] = offset;
        offset += padded(widths[column]);
    }
    let fields = schema.fields().iter().enumerate().map(|(column, field)| Field {
        data_type: field.data_type().clone(),
        width: widths[column],
        offset: offsets[column],
        null_bit: offset * 8 + column,
    });
    let words = (offset * 8 + widths.len()).div_ceil(64);
    (words <= WORDS_MAX).then(|| (fields.collect(), words))
}

/// Octets that a field takes up: the next power of two, whole words beyond 8, so that none straddles.
const fn padded(width: usize) -> usize {
    if width <= 8 { width.next_power_of_two() } else { width.next_multiple_of(8) }
}

struct PackedGroups<const W: usize> {
    fields: Vec<Field>,
    /// Upper half: the hash's. Lower half: the group's number, 0 for an empty slot.
    slots: Vec<u64>,
    /// The keys of groups 1, 2, …
    keys: Vec<[u64; W]>,
    /// The keys of the batch at hand.
    batch: Vec<[u64; W]>,
    groups_max: usize,
}

impl<const W: usize> PackedGroups<W> {
    fn new(fields: Vec<Field>, groups_max: usize) -> Self {
        let groups_max = groups_max.min(u32::MAX as usize - 1);
        Self { fields, slots: vec![0; SLOTS_MIN], keys: vec![], batch: vec![], groups_max }
    }

    fn pack(&mut self, keys: &[ArrayRef], rows: usize) {
        self.batch.clear();
        self.batch.resize(rows, [0; W]);
        for (field, key) in self.fields.iter().zip(keys) {
            pack_column(&mut self.batch, field, key);
        }
    }

    /// Doubles the slots until `more` groups fit at half load.
    fn make_room(&mut self, more: usize) {
        let groups = (self.keys.len() + more).min(self.groups_max);
        let slots = (groups * 2).next_power_of_two().max(SLOTS_MIN);
        if slots <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let hash = hash_of(&self.keys[group_in(slot) - 1]);
            let empty = self.probe(hash).find(|&place| self.slots[place] == 0);
            self.slots[empty.expect("invariant: half of the slots are empty")] = slot;
        }
    }

    /// The slots where a key with this hash may stand, from its own on.
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<W> {
        let mask = self.slots.len() - 1;
        let first = place_of(hash, mask);
        (0..=mask).map(move |step| (first + step) & mask)
    }

    /// The group of a key that was not in its first slot.
    #[cold]
    #[inline(never)]
    fn find_or_add(&mut self, key: &[u64; W], hash: u64) -> usize {
        for place in self.probe(hash) {
            let slot = self.slots[place];
            if slot == 0 {
                let group = next_group(self.keys.len(), self.groups_max);
                if group != FOLDED {
                    self.keys.push(*key);
                    self.slots[place] = tag_of(hash) | group as u64;
                }
                return group;
            }
            if slot & TAG == tag_of(hash) && self.keys[group_in(slot) - 1] == *key {
                return group_in(slot);
            }
        }
        FOLDED
    }

    /// Looks a chunk of the batch up; what is not found in its first slot goes the slow way.
    #[inline]
    fn intern_chunk(&mut self, chunk: &[[u64; W]], groups: &mut Vec<usize>) {
        let mask = self.slots.len() - 1;
        let (mut hashes, mut found) = ([0_u64; CHUNK_ROWS], [0_u64; CHUNK_ROWS]);
        for ((key, hash), slot) in chunk.iter().zip(&mut hashes).zip(&mut found) {
            *hash = hash_of(key);
            *slot = self.slots[place_of(*hash, mask)];
        }
        for ((key, hash), slot) in chunk.iter().zip(&hashes).zip(&mut found) {
            let candidate = self.keys.get(group_in(*slot).wrapping_sub(1));
            let is_hit = *slot & TAG == tag_of(*hash) && candidate == Some(key);
            *slot = if is_hit { *slot } else { 0 };
        }
        for ((key, hash), slot) in chunk.iter().zip(&hashes).zip(&found) {
            groups.push(if *slot == 0 { self.find_or_add(key, *hash) } else { group_in(*slot) });
        }
    }
}

impl<const W: usize> GroupTable for PackedGroups<W> {
    fn intern(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        self.pack(keys, rows);
        self.make_room(rows);
        groups.clear();
        groups.reserve(rows);
        let batch = std::mem::take(&mut self.batch);
        for chunk in batch.chunks(CHUNK_ROWS) {
            self.intern_chunk(chunk, groups);
        }
        self.batch = batch;
        Ok(())
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        let columns = self.fields.iter().map(|field| unpack_column(&self.keys, field)).collect();
        self.keys.clear();
        self.slots.fill(0);
        columns
    }
}

/// The part of a slot that is the hash's.
const TAG: u64 = 0xffff_ffff_0000_0000;

const fn tag_of(hash: u64) -> u64 {
    hash & TAG
}

const fn group_in(slot: u64) -> usize {
    (slot & !TAG) as usize
}

const fn place_of(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

/// Multiplies to 128 bits and folds, once a word.
#[inline]
fn hash_of<const W: usize>(key: &[u64; W]) -> u64 {
    key.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, word| {
        let product = u128::from(hash ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93_a5a3_564e_27f8_8f5d);
        (product as u64) ^ (product >> 64) as u64
    })
}

/// Writes one column's values into every key of the batch.
fn pack_column<const W: usize>(batch: &mut [[u64; W]], field: &Field, array: &ArrayRef) {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    pack_values(batch, field, nulls, array);
    if let Some(nulls) = nulls {
        let (word, bit) = (field.null_bit / 64, field.null_bit % 64);
        for (key, valid) in batch.iter_mut().zip(nulls) {
            key[word] |= u64::from(!valid) << bit;
        }
    }
}

fn pack_values<const W: usize>(
    batch: &mut [[u64; W]],
    field: &Field,
    nulls: Option<&NullBuffer>,
    array: &ArrayRef,
) {
    let (word, shift) = (field.word(), field.shift());
    if let Some(array) = array.as_boolean_opt() {
        return pack_words(batch, word, shift, nulls, array.values().iter().map(u64::from));
    }
    let octets = octets_of(array);
    macro_rules! pack_as {
        ($native:ty) => {{
            let (values, _) = octets.as_chunks::<{ size_of::<$native>() }>();
            let values = values.iter().map(|value| u64::from(<$native>::from_ne_bytes(*value)));
            pack_words(batch, word, shift, nulls, values);
        }};
    }
    match field.width {
        1 => pack_as!(u8),
        2 => pack_as!(u16),
        4 => pack_as!(u32),
        8 => pack_as!(u64),
        _ => pack_octets(batch, field, nulls, octets),
    }
}

/// Writes values of at most one word; a NULL's value is left zero.
#[inline]
fn pack_words<const W: usize>(
    batch: &mut [[u64; W]],
    word: usize,
    shift: usize,
    nulls: Option<&NullBuffer>,
    values: impl Iterator<Item = u64>,
) {
    match nulls {
        None => batch.iter_mut().zip(values).for_each(|(key, value)| key[word] |= value << shift),
        Some(nulls) => batch
            .iter_mut()
            .zip(values)
            .zip(nulls)
            .for_each(|((key, value), valid)| key[word] |= if valid { value << shift } else { 0 }),
    }
}

/// Writes values of any other width, a word at a time.
fn pack_octets<const W: usize>(
    batch: &mut [[u64; W]],
    field: &Field,
    nulls: Option<&NullBuffer>,
    octets: &[u8],
) {
    for first in (0..field.width).step_by(8) {
        let length = (field.width - first).min(8);
        let word_of = |value: &[u8]| {
            let mut word = [0; 8];
            word[..length].copy_from_slice(&value[first..first + length]);
            u64::from_ne_bytes(word)
        };
        let values = octets.chunks_exact(field.width).map(word_of);
        pack_words(batch, field.word() + first / 8, field.shift(), nulls, values);
    }
}

/// The values of an array of fixed width as octets.
fn octets_of(array: &ArrayRef) -> &[u8] {
    downcast_primitive_array!(
        array => array.values().inner().as_slice(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().values().as_slice(),
        other => unreachable!("invariant: {other} has no fixed width")
    )
}

/// One column of the keys as an array.
fn unpack_column<const W: usize>(keys: &[[u64; W]], field: &Field) -> Result<ArrayRef> {
    let (word, bit) = (field.null_bit / 64, field.null_bit % 64);
    let valid = BooleanBuffer::from_iter(keys.iter().map(|key| key[word] >> bit & 1 == 0));
    let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
    if field.data_type == DataType::Boolean {
        let values = keys.iter().map(|key| key[field.word()] >> field.shift() & 1 == 1);
        return Ok(Arc::new(BooleanArray::new(BooleanBuffer::from_iter(values), nulls)));
    }
    let mut octets = Vec::with_capacity(keys.len() * field.width);
    for key in keys {
        for first in (0..field.width).step_by(8) {
            let word = (key[field.word() + first / 8] >> field.shift()).to_ne_bytes();
            octets.extend_from_slice(&word[..(field.width - first).min(8)]);
        }
    }
    let data = ArrayData::builder(field.data_type.clone())
        .len(keys.len())
        .nulls(nulls)
        .add_buffer(Buffer::from_vec(octets))
        .align_buffers(true)
        .build()?;
    Ok(make_array(data))
}
