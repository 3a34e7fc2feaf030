//! How key columns are packed into words, and back.
//!
//! The widest columns come first, so that none straddles more words than it must. The tight layout
//! is for rows without NULL whose addresses are all IPv4-mapped, which then take 4 octets; the loose
//! one takes every row and has a bit a column that says NULL.

use datafusion::arrow::array::downcast_primitive_array;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use std::cmp::Reverse;

/// Words of the widest packed key; wider ones go by rows.
pub(super) const WORDS_MAX: usize = 8;

/// What stands before an IPv4 address in its mapped form.
const MAPPED_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Where the columns stand in a key.
pub(super) struct Layout {
    /// In the schema's order.
    pub(super) fields: Vec<Field>,
    pub(super) words: usize,
}

/// Where one column stands in a key.
pub(super) struct Field {
    pub(super) data_type: DataType,
    /// Octets of a value.
    pub(super) width: usize,
    /// First octet in the key.
    offset: usize,
    form: Form,
}

/// What is kept of a value.
#[derive(Clone, Copy)]
enum Form {
    /// All of it, and a bit of the key that says NULL.
    Nullable { bit: usize },
    /// All of it; NULL does not fit.
    Whole,
    /// The last four octets of an IPv4-mapped address; nothing else fits.
    MappedV4,
}

impl Layout {
    /// The layout for every row; `None` when some key has no fixed width or all are too wide.
    pub(super) fn loose(schema: &SchemaRef) -> Option<Self> {
        let widths = widths(schema)?;
        let (offsets, octets) = place(&widths);
        let form = |column| Form::Nullable { bit: octets * 8 + column };
        let words = (octets * 8 + widths.len()).div_ceil(64);
        (words <= WORDS_MAX).then(|| Self { fields: fields(schema, &widths, &offsets, form), words })
    }

    /// The layout for rows without NULL and without IPv6 addresses; `None` as for [`Self::loose`].
    pub(super) fn tight(schema: &SchemaRef) -> Option<Self> {
        let widths = widths(schema)?;
        let is_address = |column: usize| *schema.field(column).data_type() == DataType::FixedSizeBinary(16);
        let kept = widths.iter().enumerate();
        let kept: Vec<usize> =
            kept.map(|(column, &width)| if is_address(column) { 4 } else { width }).collect();
        let (offsets, octets) = place(&kept);
        let form = |column| if is_address(column) { Form::MappedV4 } else { Form::Whole };
        Some(Self { fields: fields(schema, &widths, &offsets, form), words: octets.div_ceil(8) })
    }
}

fn widths(schema: &SchemaRef) -> Option<Vec<usize>> {
    schema.fields().iter().map(|field| width_of(field.data_type())).collect()
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

/// First octets of values of these widths, and the octets of all.
fn place(widths: &[usize]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|&column| Reverse(padded(widths[column])));
    let (mut offset, mut offsets) = (0, vec![0; widths.len()]);
    for column in order {
        offsets[column] = offset;
        offset += padded(widths[column]);
    }
    (offsets, offset)
}

/// Octets that a value takes up: the next power of two, whole words beyond 8, so that none straddles.
const fn padded(width: usize) -> usize {
    if width <= 8 { width.next_power_of_two() } else { width.next_multiple_of(8) }
}

fn fields(
    schema: &SchemaRef,
    widths: &[usize],
    offsets: &[usize],
    form: impl Fn(usize) -> Form,
) -> Vec<Field> {
    let field = |column: usize| Field {
        data_type: schema.field(column).data_type().clone(),
        width: widths[column],
        offset: offsets[column],
        form: form(column),
    };
    (0..widths.len()).map(field).collect()
}

impl Field {
    const fn word(&self) -> usize {
        self.offset / 8
    }

    const fn shift(&self) -> usize {
        self.offset % 8 * 8
    }

    /// Writes the column's rows from `first` on into the keys, whose part of it is zero; says in `unfit`
    /// which rows the layout has no place for.
    pub(super) fn pack<const W: usize>(
        &self,
        keys: &mut [[u64; W]],
        column: &ArrayRef,
        first: usize,
        unfit: &mut [bool],
    ) {
        match self.form {
            Form::MappedV4 => self.pack_mapped(keys, column, first, unfit),
            Form::Whole | Form::Nullable { .. } => self.pack_whole(keys, column, first),
        }
        let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else { return };
        let valid = nulls.inner().slice(first, keys.len());
        match self.form {
            Form::Nullable { bit } => {
                for (key, _) in keys.iter_mut().zip(valid.iter()).filter(|(_, valid)| !valid) {
                    self.clear(key);
                    key[bit / 64] |= 1 << (bit % 64);
                }
            }
            Form::Whole | Form::MappedV4 => {
                unfit.iter_mut().zip(valid.iter()).for_each(|(unfit, valid)| *unfit |= !valid);
            }
        }
    }

    fn pack_mapped<const W: usize>(
        &self,
        keys: &mut [[u64; W]],
        column: &ArrayRef,
        first: usize,
        unfit: &mut [bool],
    ) {
        let (word, shift) = (self.word(), self.shift());
        let (values, _) = octets_of(column)[first * 16..].as_chunks::<16>();
        for ((key, [prefix @ .., a, b, c, d]), unfit) in keys.iter_mut().zip(values).zip(unfit) {
            key[word] |= u64::from(u32::from_ne_bytes([*a, *b, *c, *d])) << shift;
            *unfit |= *prefix != MAPPED_PREFIX;
        }
    }

    fn pack_whole<const W: usize>(&self, keys: &mut [[u64; W]], column: &ArrayRef, first: usize) {
        let (word, shift) = (self.word(), self.shift());
        if let Some(column) = column.as_boolean_opt() {
            let values = column.values().slice(first, keys.len());
            return pack_words(keys, word, shift, values.iter().map(u64::from));
        }
        let octets = &octets_of(column)[first * self.width..];
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
        for part in (0..self.width).step_by(8) {
            let bits = (self.width - part).min(8) * 8;
            key[self.word() + part / 8] &= !(u64::MAX >> (64 - bits) << self.shift());
        }
    }

    /// Appends the value in a key.
    #[inline]
    pub(super) fn unpack<const W: usize>(&self, key: &[u64; W], octets: &mut Vec<u8>) {
        if matches!(self.form, Form::MappedV4) {
            octets.extend_from_slice(&MAPPED_PREFIX);
            octets.extend_from_slice(&(key[self.word()] >> self.shift()).to_ne_bytes()[..4]);
            return;
        }
        for part in (0..self.width).step_by(8) {
            let word = key[self.word() + part / 8] >> self.shift();
            octets.extend_from_slice(&word.to_ne_bytes()[..(self.width - part).min(8)]);
        }
    }

    /// Whether a key says NULL.
    pub(super) fn is_null<const W: usize>(&self, key: &[u64; W]) -> bool {
        match self.form {
            Form::Nullable { bit } => key[bit / 64] >> (bit % 64) & 1 == 1,
            Form::Whole | Form::MappedV4 => false,
        }
    }
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
