//! How key columns are packed into words, and back.
//!
//! The widest columns come first, so that none straddles more words than it must, then a bit a column
//! that says NULL. The loose layout takes every row. The tight one takes those whose addresses are all
//! IPv4-mapped, in 4 octets each, and leaves the NULL bits out where they would cost a word. The narrow one
//! takes those whose numbers of 32 bits are such as autonomous systems have.

use datafusion::arrow::array::downcast_primitive_array;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use std::cmp::Reverse;

/// Words of the widest packed key; wider ones go by rows.
pub(super) const WORDS_MAX: usize = 8;

/// Bits of a 32-bit number in the narrow layout: half a million numbers from 0 on, and as many from
/// [`PRIVATE_MIN`] on.
const NARROW_BITS: usize = 20;
const NARROW_MASK: u32 = (1 << NARROW_BITS) - 1;
const PUBLIC_COUNT: u32 = 1 << (NARROW_BITS - 1);

/// The first 32-bit number of an autonomous system for private use (RFC 6996).
const PRIVATE_MIN: u32 = 4_200_000_000;

/// What stands before an IPv4 address in its mapped form.
const MAPPED_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Where the columns stand in a key.
pub(super) struct Layout {
    /// In the schema's order.
    pub(super) fields: Vec<Field>,
    /// Bits from the first field to the end of the last one.
    pub(super) bits: usize,
}

/// Where one column stands in a key.
pub(super) struct Field {
    pub(super) data_type: DataType,
    /// Octets of a value.
    pub(super) width: usize,
    /// First bit in the key.
    first: usize,
    /// What is kept of a value.
    kept: Kept,
    /// The bit of the key that says NULL; without one, NULL does not fit.
    null_bit: Option<usize>,
}

/// What is kept of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// All of them.
    Whole,
    /// The last four octets of IPv4-mapped addresses; no other value fits.
    Mapped,
    /// 32-bit numbers as [`narrow`] has them; no other value fits.
    Narrow,
}

impl Layout {
    /// The layout for every row; `None` when some key has no fixed width or all are too wide.
    pub(super) fn loose(schema: &SchemaRef) -> Option<Self> {
        let layout = Self::new(schema, |_| Kept::Whole, |_| true)?;
        (layout.words() <= WORDS_MAX).then_some(layout)
    }

    /// The layout for rows without IPv6 addresses, and perhaps without NULL; `None` as for [`Self::loose`].
    pub(super) fn tight(schema: &SchemaRef) -> Option<Self> {
        let kept = |data_type: &DataType| match data_type {
            DataType::FixedSizeBinary(16) => Kept::Mapped,
            _ => Kept::Whole,
        };
        Self::new(schema, kept, |free_bits| free_bits >= schema.fields().len())
    }

    /// The layout for rows whose 32-bit numbers are those of autonomous systems; `None` as for [`Self::loose`].
    pub(super) fn narrow(schema: &SchemaRef) -> Option<Self> {
        let kept = |data_type: &DataType| match data_type {
            DataType::UInt32 => Kept::Narrow,
            _ => Kept::Whole,
        };
        Self::new(schema, kept, |_| true)
    }

    pub(super) const fn words(&self) -> usize {
        self.bits.div_ceil(64)
    }

    /// Fields of which so much is `kept`, with NULL bits if `takes_null` for the bits that the values leave free.
    fn new(
        schema: &SchemaRef,
        kept: impl Fn(&DataType) -> Kept,
        takes_null: impl Fn(usize) -> bool,
    ) -> Option<Self> {
        let types = || schema.fields().iter().map(|field| field.data_type());
        let widths: Vec<usize> = types().map(width_of).collect::<Option<_>>()?;
        let bits_of = |(data_type, &width): (&DataType, &usize)| match kept(data_type) {
            Kept::Whole => padded(width) * 8,
            Kept::Mapped => 32,
            Kept::Narrow => NARROW_BITS,
        };
        let (firsts, bits) = place(&types().zip(&widths).map(bits_of).collect::<Vec<_>>());
        let takes_null = takes_null(bits.div_ceil(64) * 64 - bits);
        let field = |(column, data_type): (usize, &DataType)| Field {
            data_type: data_type.clone(),
            width: widths[column],
            first: firsts[column],
            kept: kept(data_type),
            null_bit: takes_null.then_some(bits + column),
        };
        let null_bits = if takes_null { widths.len() } else { 0 };
        Some(Self { fields: types().enumerate().map(field).collect(), bits: bits + null_bits })
    }
}

/// Octets of a value of this type, `None` when that varies or there are none.
fn width_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok().filter(|&width| width > 0),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => None,
        other => other.primitive_width(),
    }
}

/// First bits of values of so many bits, and the bits of all. No value of at most a word straddles two.
fn place(bits: &[usize]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..bits.len()).collect();
    order.sort_by_key(|&column| Reverse(bits[column]));
    let (mut first, mut firsts) = (0, vec![0; bits.len()]);
    for column in order {
        if first % 64 + bits[column].min(64) > 64 {
            first = first.next_multiple_of(64);
        }
        firsts[column] = first;
        first += bits[column];
    }
    (firsts, first)
}

/// Octets that a value takes up: the next power of two, whole words beyond 8, so that none straddles.
const fn padded(width: usize) -> usize {
    if width <= 8 { width.next_power_of_two() } else { width.next_multiple_of(8) }
}

impl Field {
    const fn word(&self) -> usize {
        self.first / 64
    }

    const fn shift(&self) -> usize {
        self.first % 64
    }

    /// Writes the column's rows into the keys, whose part of it is zero; says whether the layout has a place
    /// for all of them, and for which it has none in `unfit`.
    pub(super) fn pack<const W: usize>(
        &self,
        keys: &mut [[u64; W]],
        column: &ArrayRef,
        unfit: &mut [bool],
    ) -> bool {
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        if let (Some(bit), true) = (self.null_bit, column.null_count() == column.len()) {
            keys.iter_mut().for_each(|key| key[bit / 64] |= 1 << (bit % 64));
            return true;
        }
        let values_fit = match self.kept {
            Kept::Whole => {
                self.pack_whole(keys, column);
                true
            }
            Kept::Mapped => self.pack_parts(keys, column, unfit, mapped_part),
            Kept::Narrow => self.pack_parts(keys, column, unfit, narrow_part),
        };
        match (nulls, self.null_bit) {
            (None, _) => values_fit,
            (Some(valid), Some(bit)) => {
                for (key, _) in keys.iter_mut().zip(valid.iter()).filter(|(_, valid)| !valid) {
                    self.clear(key);
                    key[bit / 64] |= 1 << (bit % 64);
                }
                values_fit
            }
            (Some(valid), None) => {
                unfit.iter_mut().zip(valid.iter()).for_each(|(unfit, valid)| *unfit |= !valid);
                false
            }
        }
    }

    /// Writes a part of each value, which must be one that has such a part, unless it is NULL; says whether they
    /// are.
    #[inline]
    fn pack_parts<const W: usize, const N: usize>(
        &self,
        keys: &mut [[u64; W]],
        column: &ArrayRef,
        unfit: &mut [bool],
        part_of: impl Fn(&[u8; N]) -> (u32, bool),
    ) -> bool {
        let (word, shift) = (self.word(), self.shift());
        let (values, _) = octets_of(column).as_chunks::<N>();
        let rows = keys.iter_mut().zip(values).zip(unfit);
        let mut all_fit = true;
        let mut pack = |((key, value), unfit): ((&mut [u64; W], _), &mut bool), valid: bool| {
            let (part, has_part) = part_of(value);
            key[word] |= u64::from(part) << shift;
            let fits = !valid | has_part;
            *unfit |= !fits;
            all_fit &= fits;
        };
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => rows.for_each(|row| pack(row, true)),
            Some(valid) => rows.zip(valid.iter()).for_each(|(row, valid)| pack(row, valid)),
        }
        all_fit
    }

    fn pack_whole<const W: usize>(&self, keys: &mut [[u64; W]], column: &ArrayRef) {
        let (word, shift) = (self.word(), self.shift());
        if let Some(column) = column.as_boolean_opt() {
            return pack_words(keys, word, shift, column.values().iter().map(u64::from));
        }
        let octets = octets_of(column);
        macro_rules! pack_as {
            ($native:ty) => {{
                let (values, _) = octets.as_chunks::<{ size_of::<$native>() }>();
                let values = values.iter().map(|value| u64::from(<$native>::from_ne_bytes(*value)));
                pack_words(keys, word, shift, values);
            }};
        }
        match self.width {
            1 => pack_as!(u8),
            2 => pack_as!(u16),
            4 => pack_as!(u32),
            6 => {
                let (values, _) = octets.as_chunks::<6>();
                let word_of = |&[a, b, c, d, e, f]: &[u8; 6]| u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
                pack_words(keys, word, shift, values.iter().map(word_of));
            }
            8 => pack_as!(u64),
            width => {
                for part in (0..width).step_by(8) {
                    let word_of = |value: &[u8]| word_at(value, part);
                    pack_words(keys, word + part / 8, shift, octets.chunks_exact(width).map(word_of));
                }
            }
        }
    }

    /// Makes the column's part of a key zero.
    fn clear<const W: usize>(&self, key: &mut [u64; W]) {
        let kept_bits = match self.kept {
            Kept::Whole => self.width * 8,
            Kept::Mapped => 32,
            Kept::Narrow => NARROW_BITS,
        };
        for part in (0..kept_bits).step_by(64) {
            let bits = (kept_bits - part).min(64);
            key[self.word() + part / 64] &= !(u64::MAX >> (64 - bits) << self.shift());
        }
    }

    /// Appends the value in a key.
    #[inline]
    pub(super) fn unpack<const W: usize>(&self, key: &[u64; W], octets: &mut Vec<u8>) {
        let word = key[self.word()] >> self.shift();
        match self.kept {
            Kept::Whole => {}
            Kept::Mapped => {
                octets.extend_from_slice(&MAPPED_PREFIX);
                return octets.extend_from_slice(&word.to_ne_bytes()[..4]);
            }
            Kept::Narrow => {
                return octets.extend_from_slice(&widened(word as u32 & NARROW_MASK).to_ne_bytes());
            }
        }
        for part in (0..self.width).step_by(8) {
            let word = key[self.word() + part / 8] >> self.shift();
            octets.extend_from_slice(&word.to_ne_bytes()[..(self.width - part).min(8)]);
        }
    }

    /// Whether a key says NULL.
    pub(super) fn is_null<const W: usize>(&self, key: &[u64; W]) -> bool {
        self.null_bit.is_some_and(|bit| key[bit / 64] >> (bit % 64) & 1 == 1)
    }
}

/// The last four octets of an address, and whether it is IPv4-mapped.
#[inline]
fn mapped_part([prefix @ .., a, b, c, d]: &[u8; 16]) -> (u32, bool) {
    (u32::from_ne_bytes([*a, *b, *c, *d]), *prefix == MAPPED_PREFIX)
}

/// The narrow form of a number, and whether it has one.
#[inline]
fn narrow_part(number: &[u8; 4]) -> (u32, bool) {
    let narrow = narrow(u32::from_ne_bytes(*number));
    (narrow & NARROW_MASK, narrow <= NARROW_MASK)
}

/// The narrow form of a number, more than [`NARROW_MASK`] where it has none.
#[inline]
const fn narrow(number: u32) -> u32 {
    if number < PUBLIC_COUNT {
        return number;
    }
    let private = number.wrapping_sub(PRIVATE_MIN);
    if private < PUBLIC_COUNT { PUBLIC_COUNT + private } else { u32::MAX }
}

/// The number of a narrow form.
const fn widened(narrow: u32) -> u32 {
    if narrow < PUBLIC_COUNT { narrow } else { narrow - PUBLIC_COUNT + PRIVATE_MIN }
}

/// Writes values of at most one word.
#[inline]
fn pack_words<const W: usize>(
    keys: &mut [[u64; W]],
    word: usize,
    shift: usize,
    values: impl Iterator<Item = u64>,
) {
    keys.iter_mut().zip(values).for_each(|(key, value)| key[word] |= value << shift);
}

/// Up to eight octets of a value from `first` on, as a word.
fn word_at(value: &[u8], first: usize) -> u64 {
    let mut word = [0; 8];
    let octets = &value[first..value.len().min(first + 8)];
    word[..octets.len()].copy_from_slice(octets);
    u64::from_ne_bytes(word)
}

/// The values of an array of fixed width as octets.
fn octets_of(array: &ArrayRef) -> &[u8] {
    downcast_primitive_array!(
        array => array.values().inner().as_slice(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().values().as_slice(),
        other => unreachable!("invariant: {other} has no fixed width")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_numbers_come_back() {
        let kept = [0, 1, PUBLIC_COUNT - 1, PRIVATE_MIN, PRIVATE_MIN + PUBLIC_COUNT - 1];
        assert_eq!(kept.map(|number| widened(narrow(number))), kept);
        assert!(kept.iter().all(|&number| narrow(number) <= NARROW_MASK));
        for other in [PUBLIC_COUNT, PRIVATE_MIN - 1, PRIVATE_MIN + PUBLIC_COUNT, u32::MAX] {
            assert!(narrow(other) > NARROW_MASK, "{other}");
        }
    }
}
