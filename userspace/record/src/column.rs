//! Column builders: bursts of values in, Arrow arrays out, memory used again.
//!
//! A burst is at most [`BURST_ROWS`] rows, so that its validity is one word. An absent value is
//! stored as zero, which makes equal rows equal octets. The vectors behind an array come back by
//! `ColumnBuilder::reclaim` once nobody else holds it; then a batch costs no bulk allocation.

use crate::address::{Address, Mac};
use crate::stream::ColumnType;
use crate::validity::Validity;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::mem::take;
use std::sync::Arc;

/// Rows that are appended at once, at most.
pub const BURST_ROWS: usize = 64;

/// The largest count; what is beyond is nonsense from the network.
const COUNTER_MAX: u64 = i64::MAX as u64;

/// A text value by its number in a [`SymbolTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Symbol(pub u32);

/// The texts of a batch's text columns.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    texts: Vec<Box<str>>,
}

impl SymbolTable {
    /// The symbol of `text`, added when it is new. Meant for dozens of texts, not for thousands.
    pub fn intern(&mut self, text: &str) -> Symbol {
        let known = self.texts.iter().position(|known| **known == *text);
        let position = known.unwrap_or_else(|| {
            self.texts.push(text.into());
            self.texts.len() - 1
        });
        Symbol(u32::try_from(position).expect("invariant: fewer than 2^32 symbols"))
    }

    fn text(&self, symbol: Symbol) -> &str {
        self.texts.get(symbol.0 as usize).map_or("", |text| text)
    }
}

/// Fills one column.
#[derive(Debug)]
pub struct ColumnBuilder {
    data_type: DataType,
    values: Values,
    validity: Validity,
}

#[derive(Debug)]
enum Values {
    Timestamp(Vec<i64>),
    UInt8(Vec<u8>),
    UInt16(Vec<u16>),
    UInt32(Vec<u32>),
    UInt64(Vec<u64>),
    Counter(Vec<i64>),
    Float64(Vec<f64>),
    Address(Vec<i128>),
    Mac(Vec<u8>),
    Text(Vec<Symbol>),
    String(Strings),
    Bytes(Strings),
}

/// Values of any length, one behind the other.
#[derive(Debug, Default)]
struct Strings {
    octets: Vec<u8>,
    ends: Vec<i32>,
}

impl Strings {
    /// Appends a value, nothing for NULL; says whether it is there: what goes beyond 2³¹ octets is not.
    fn push(&mut self, value: Option<&[u8]>) -> bool {
        let room = usize::try_from(i32::MAX).map_or(0, |limit| limit - self.octets.len());
        let value = value.filter(|value| value.len() <= room);
        self.octets.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.end());
        value.is_some()
    }

    fn push_absent(&mut self, rows: usize) {
        self.ends.resize(self.ends.len() + rows, self.end());
    }

    fn end(&self) -> i32 {
        i32::try_from(self.octets.len()).expect("invariant: checked when octets were added")
    }

    /// The values since the last call: where they end, from 0 on, and their octets.
    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        self.ends.insert(0, 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(take(&mut self.ends)));
        (offsets, Buffer::from_vec(take(&mut self.octets)))
    }
}

/// A value that one of the column types stores.
pub trait ColumnValue: Copy + Default {
    /// Appends values to the vector of this type; a builder of another type is the caller's mistake.
    #[doc(hidden)]
    fn extend(builder: &mut ColumnBuilder, values: impl Iterator<Item = Self>);
}

macro_rules! column_value {
    ($($rust:ty => $variant:ident, $value:ident: $stored:expr;)+) => {
        $(impl ColumnValue for $rust {
            #[inline]
            fn extend(builder: &mut ColumnBuilder, values: impl Iterator<Item = Self>) {
                match &mut builder.values {
                    Values::$variant(column) => column.extend(values.map(|$value| $stored)),
                    other => unreachable!("invariant: {} into {other:?}", stringify!($rust)),
                }
            }
        })+
    };
}

column_value! {
    u8 => UInt8, value: value;
    u16 => UInt16, value: value;
    u32 => UInt32, value: value;
    f64 => Float64, value: value;
    Address => Address, value: i128::from_ne_bytes(value);
    Symbol => Text, value: value;
}

impl ColumnValue for i64 {
    #[inline]
    fn extend(builder: &mut ColumnBuilder, values: impl Iterator<Item = Self>) {
        match &mut builder.values {
            Values::Timestamp(column) | Values::Counter(column) => column.extend(values),
            other => unreachable!("invariant: i64 into {other:?}"),
        }
    }
}

impl ColumnValue for u64 {
    #[inline]
    fn extend(builder: &mut ColumnBuilder, values: impl Iterator<Item = Self>) {
        match &mut builder.values {
            Values::Counter(column) => column.extend(values.map(|value| value.min(COUNTER_MAX) as i64)),
            Values::UInt64(column) => column.extend(values),
            other => unreachable!("invariant: u64 into {other:?}"),
        }
    }
}

impl ColumnValue for Mac {
    #[inline]
    fn extend(builder: &mut ColumnBuilder, values: impl Iterator<Item = Self>) {
        match &mut builder.values {
            Values::Mac(column) => values.for_each(|mac| column.extend_from_slice(&mac)),
            other => unreachable!("invariant: Mac into {other:?}"),
        }
    }
}

impl ColumnBuilder {
    /// An empty column of this type.
    #[must_use]
    pub fn new(kind: ColumnType) -> Self {
        let values = match kind {
            ColumnType::Timestamp => Values::Timestamp(vec![]),
            ColumnType::UInt8 => Values::UInt8(vec![]),
            ColumnType::UInt16 => Values::UInt16(vec![]),
            ColumnType::UInt32 => Values::UInt32(vec![]),
            ColumnType::UInt64 => Values::UInt64(vec![]),
            ColumnType::Counter | ColumnType::Change | ColumnType::Int64 => Values::Counter(vec![]),
            ColumnType::Float64 => Values::Float64(vec![]),
            ColumnType::Address => Values::Address(vec![]),
            ColumnType::Mac => Values::Mac(vec![]),
            ColumnType::Text => Values::Text(vec![]),
            ColumnType::String => Values::String(Strings::default()),
            ColumnType::Bytes => Values::Bytes(Strings::default()),
        };
        Self { data_type: kind.data_type(), values, validity: Validity::default() }
    }

    /// Rows appended since the last [`Self::finish`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.validity.rows()
    }

    /// Whether no row was appended since the last [`Self::finish`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `rows` more rows.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Timestamp(column) | Values::Counter(column) => column.reserve(rows),
            Values::UInt8(column) => column.reserve(rows),
            Values::UInt16(column) => column.reserve(rows),
            Values::UInt32(column) => column.reserve(rows),
            Values::UInt64(column) => column.reserve(rows),
            Values::Float64(column) => column.reserve(rows),
            Values::Address(column) => column.reserve(rows),
            Values::Mac(column) => column.reserve(6 * rows),
            Values::Text(column) => column.reserve(rows),
            Values::String(column) | Values::Bytes(column) => column.ends.reserve(rows + 1),
        }
        self.validity.reserve(rows);
    }

    /// Appends a burst of values, each with 1 when it is present and 0 when it is not.
    ///
    /// At most [`BURST_ROWS`] values; their type must be the column's.
    #[inline]
    pub fn append<T: ColumnValue>(&mut self, burst: impl ExactSizeIterator<Item = (T, u64)>) {
        let rows = burst.len();
        debug_assert!(rows <= BURST_ROWS, "a burst's validity is one word");
        let mut valid = 0_u64;
        let mut row = 0_u32;
        T::extend(
            self,
            burst.map(|(value, present)| {
                valid |= present << row;
                row += 1;
                if present == 0 { T::default() } else { value }
            }),
        );
        self.validity.push(valid, rows);
    }

    /// Appends any number of values that are all present; their type must be the column's.
    #[inline]
    pub fn append_present<T: ColumnValue>(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let rows = values.len();
        T::extend(self, values);
        self.validity.push_present(rows);
    }

    /// As [`Self::append_present`], four values at a time, which costs less each.
    #[inline]
    pub fn append_fours<T: ColumnValue>(&mut self, values: impl ExactSizeIterator<Item = [T; 4]>) {
        let rows = 4 * values.len();
        T::extend(self, values.flatten());
        self.validity.push_present(rows);
    }

    /// Appends `rows` times NULL.
    pub fn append_absent(&mut self, rows: usize) {
        match &mut self.values {
            Values::Timestamp(column) | Values::Counter(column) => column.resize(column.len() + rows, 0),
            Values::UInt8(column) => column.resize(column.len() + rows, 0),
            Values::UInt16(column) => column.resize(column.len() + rows, 0),
            Values::UInt32(column) => column.resize(column.len() + rows, 0),
            Values::UInt64(column) => column.resize(column.len() + rows, 0),
            Values::Float64(column) => column.resize(column.len() + rows, 0.0),
            Values::Address(column) => column.resize(column.len() + rows, 0),
            Values::Mac(column) => column.resize(column.len() + 6 * rows, 0),
            Values::Text(column) => column.resize(column.len() + rows, Symbol::default()),
            Values::String(column) | Values::Bytes(column) => column.push_absent(rows),
        }
        self.validity.push_run(0, rows);
    }

    /// Appends one value of octets, `None` for NULL. Does nothing on a column of another type.
    pub fn push_bytes(&mut self, value: Option<&[u8]>) {
        if let Values::Bytes(column) = &mut self.values {
            let is_there = column.push(value);
            self.validity.push(u64::from(is_there), 1);
        }
    }

    /// Appends one text, `None` for NULL. Does nothing on a column of another type than [`ColumnType::String`].
    pub fn push_text(&mut self, value: Option<&str>) {
        if let Values::String(column) = &mut self.values {
            let is_there = column.push(value.map(str::as_bytes));
            self.validity.push(u64::from(is_there), 1);
        }
    }

    /// The rows since the last call as an array; the builder is empty afterwards.
    pub fn finish(&mut self, symbols: &SymbolTable) -> ArrayRef {
        let nulls = self.validity.finish();
        match &mut self.values {
            Values::Timestamp(column) => {
                let array = primitive::<TimestampNanosecondType>(column, nulls);
                Arc::new(array.with_data_type(self.data_type.clone()))
            }
            Values::UInt8(column) => Arc::new(primitive::<UInt8Type>(column, nulls)),
            Values::UInt16(column) => Arc::new(primitive::<UInt16Type>(column, nulls)),
            Values::UInt32(column) => Arc::new(primitive::<UInt32Type>(column, nulls)),
            Values::UInt64(column) => Arc::new(primitive::<UInt64Type>(column, nulls)),
            Values::Counter(column) => Arc::new(primitive::<Int64Type>(column, nulls)),
            Values::Float64(column) => Arc::new(primitive::<Float64Type>(column, nulls)),
            Values::Address(column) => {
                Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(take(column)), nulls))
            }
            Values::Mac(column) => {
                Arc::new(FixedSizeBinaryArray::new(6, Buffer::from_vec(take(column)), nulls))
            }
            Values::Text(column) => Arc::new(text(column, symbols, nulls.as_ref())),
            Values::String(column) => {
                let (offsets, octets) = column.take();
                Arc::new(StringArray::new(offsets, octets, nulls))
            }
            Values::Bytes(column) => {
                let (offsets, octets) = column.take();
                Arc::new(BinaryArray::new(offsets, octets, nulls))
            }
        }
    }

    /// Takes the memory of an array that this builder made, if nobody else holds it.
    ///
    /// Only into an empty builder; text and octets are not worth the trouble.
    pub(crate) fn reclaim(&mut self, array: ArrayRef) {
        debug_assert!(self.is_empty(), "rows would be lost");
        let validity = array.nulls().map(|nulls| nulls.buffer().clone());
        match &mut self.values {
            Values::Timestamp(column) => reuse(column, primitive_values::<TimestampNanosecondType>(array)),
            Values::UInt8(column) => reuse(column, primitive_values::<UInt8Type>(array)),
            Values::UInt16(column) => reuse(column, primitive_values::<UInt16Type>(array)),
            Values::UInt32(column) => reuse(column, primitive_values::<UInt32Type>(array)),
            Values::UInt64(column) => reuse(column, primitive_values::<UInt64Type>(array)),
            Values::Counter(column) => reuse(column, primitive_values::<Int64Type>(array)),
            Values::Float64(column) => reuse(column, primitive_values::<Float64Type>(array)),
            Values::Address(column) => reuse(column, fixed_values(array)),
            Values::Mac(column) => reuse(column, fixed_values(array)),
            Values::Text(_) | Values::String(_) | Values::Bytes(_) => drop(array),
        }
        reuse(self.validity.words_mut(), validity);
    }
}

/// The buffer behind `array`, which is dropped so that the buffer may have one owner.
fn primitive_values<T: ArrowPrimitiveType>(array: ArrayRef) -> Option<Buffer> {
    let buffer = array.as_primitive_opt::<T>().map(|array| array.values().inner().clone());
    drop(array);
    buffer
}

/// As [`primitive_values`], for addresses of either kind.
fn fixed_values(array: ArrayRef) -> Option<Buffer> {
    let buffer = array.as_fixed_size_binary_opt().map(|array| array.values().clone());
    drop(array);
    buffer
}

/// Puts the memory of `buffer` under `column` when it is ours alone and the better one.
fn reuse<T: ArrowNativeType>(column: &mut Vec<T>, buffer: Option<Buffer>) {
    if let Some(mut memory) = buffer.and_then(|buffer| buffer.into_vec::<T>().ok())
        && memory.capacity() > column.capacity()
    {
        memory.clear();
        *column = memory;
    }
}

fn primitive<T: ArrowPrimitiveType>(
    column: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::from(take(column)), nulls)
}

fn text(column: &mut Vec<Symbol>, symbols: &SymbolTable, nulls: Option<&NullBuffer>) -> StringArray {
    let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
    column.drain(..).enumerate().map(|(row, symbol)| is_valid(row).then(|| symbols.text(symbol))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(rows: usize, burst: usize) -> ColumnBuilder {
        let mut builder = ColumnBuilder::new(ColumnType::UInt16);
        let values: Vec<u16> = (0..rows).map(|row| u16::try_from(row).unwrap()).collect();
        for chunk in values.chunks(burst) {
            builder.append(chunk.iter().map(|&value| (value, u64::from(value % 3 != 0))));
        }
        builder
    }

    #[test]
    fn bursts_of_any_size_give_the_same_column() {
        let symbols = SymbolTable::default();
        let whole = filled(1000, 64).finish(&symbols);
        for burst in [1, 7, 63] {
            assert_eq!(&filled(1000, burst).finish(&symbols), &whole, "bursts of {burst}");
        }
        assert_eq!(whole.null_count(), 334);
        assert_eq!(whole.as_primitive::<UInt16Type>().values()[3], 0, "an absent value is stored as zero");
    }

    #[test]
    fn runs_of_any_size_mix_with_bursts() {
        let mut builder = ColumnBuilder::new(ColumnType::UInt16);
        builder.append_absent(3);
        builder.append_present([7_u16; 130].into_iter());
        builder.append([(8_u16, 1), (9, 0)].into_iter());
        builder.append_absent(70);
        let array = builder.finish(&SymbolTable::default());
        let array = array.as_primitive::<UInt16Type>();
        let expected = [vec![None; 3], vec![Some(7); 130], vec![Some(8)], vec![None; 71]].concat();
        assert_eq!(array.iter().collect::<Vec<_>>(), expected);
        assert_eq!(array.values()[134], 0, "an absent value is stored as zero");
    }

    #[test]
    fn rows_that_are_all_present_may_be_followed_by_others() {
        for present in [1, 63, 64, 65, 130] {
            let mut builder = ColumnBuilder::new(ColumnType::UInt16);
            builder.append_present(std::iter::repeat_n(7_u16, present));
            builder.append(std::iter::empty::<(u16, u64)>());
            builder.append_absent(3);
            builder.append(std::iter::empty::<(u16, u64)>());
            builder.append_present([8_u16].into_iter());
            let array = builder.finish(&SymbolTable::default());
            let expected = [vec![Some(7); present], vec![None; 3], vec![Some(8)]].concat();
            assert_eq!(array.as_primitive::<UInt16Type>().iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn memory_comes_back_unless_it_is_shared() {
        let symbols = SymbolTable::default();
        let mut builder = filled(1000, 64);
        let array = builder.finish(&symbols);
        let address = array.as_primitive::<UInt16Type>().values().as_ptr();
        let shared = array.clone();
        builder.reclaim(array);
        builder.append([(1_u16, 1)].into_iter());
        assert_eq!(shared.len(), 1000, "a shared array stays whole");
        builder.finish(&symbols);
        builder.reclaim(shared);
        builder.append([(7_u16, 1)].into_iter());
        let again = builder.finish(&symbols);
        assert_eq!(again.as_primitive::<UInt16Type>().values().as_ptr(), address);
        assert_eq!((again.len(), again.null_count()), (1, 0));
    }

    #[test]
    fn text_and_octets() {
        let mut symbols = SymbolTable::default();
        let (gre, vxlan) = (symbols.intern("gre"), symbols.intern("vxlan"));
        assert_eq!(symbols.intern("gre"), gre);
        let mut text = ColumnBuilder::new(ColumnType::Text);
        text.append([(gre, 1), (gre, 0), (vxlan, 1)].into_iter());
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("gre"), None, Some("vxlan")]));
        assert_eq!(&text.finish(&symbols), &expected);

        let mut bytes = ColumnBuilder::new(ColumnType::Bytes);
        for value in [Some(&b"ab"[..]), None, Some(b"")] {
            bytes.push_bytes(value);
        }
        let expected: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"ab"[..]), None, Some(b"")]));
        assert_eq!(&bytes.finish(&symbols), &expected);
    }

    #[test]
    fn texts_of_any_value() {
        let mut texts = ColumnBuilder::new(ColumnType::String);
        texts.append_absent(2);
        for value in [Some("ä"), Some(""), None] {
            texts.push_text(value);
        }
        let expected: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("ä"), Some(""), None]));
        assert_eq!(&texts.finish(&SymbolTable::default()), &expected);
        assert!(texts.is_empty());
    }
}
