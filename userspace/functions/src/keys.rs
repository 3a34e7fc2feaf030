//! The values of a column as keys that can be hashed, compared and turned back into values.
//!
//! Values of up to 16 octets become a number that sorts as they do, text and octet strings stay
//! octets. Floats that compare equal are one key, and so are all NaN.

use crate::sketch::Rows;
use datafusion::arrow::array::{Array, ArrayData, ArrayRef, AsArray, BinaryArray, StringArray, make_array};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer};
use datafusion::arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::{DataFusionError, Result, internal_err};
use std::borrow::Borrow;
use std::fmt::Debug;
use std::hash::Hash;

/// A key, as it is borrowed from a column.
pub(crate) trait Key: Hash + Eq + ToOwned<Owned: OwnedKey<Self>> + 'static {}

/// A key that is kept.
pub(crate) trait OwnedKey<Q: ?Sized>:
    Borrow<Q> + Hash + Ord + Clone + Debug + Send + Sync + 'static
{
    /// Octets on the heap.
    fn heap_octets(&self) -> usize;
}

impl Key for u128 {}

impl OwnedKey<u128> for u128 {
    fn heap_octets(&self) -> usize {
        0
    }
}

impl Key for [u8] {}

impl OwnedKey<[u8]> for Vec<u8> {
    fn heap_octets(&self) -> usize {
        self.capacity()
    }
}

/// How values of one type become keys and back.
pub(crate) trait KeyKind: Clone + Debug + Send + Sync + 'static {
    /// What they become.
    type Key: Key + ?Sized;

    /// Calls `visit` with the key, row and group of every row that counts.
    fn for_each(
        &mut self,
        values: &ArrayRef,
        rows: &Rows<'_>,
        visit: impl FnMut(&Self::Key, usize, usize),
    ) -> Result<()>;

    /// The values of `keys`, without NULL.
    fn values<'a>(&self, keys: impl ExactSizeIterator<Item = &'a OwnedOf<Self>>) -> Result<ArrayRef>;
}

/// The owned key of a kind.
pub(crate) type OwnedOf<K> = <<K as KeyKind>::Key as ToOwned>::Owned;

/// Values of a fixed width.
#[derive(Clone, Debug)]
pub(crate) struct FixedKeys {
    kind: DataType,
    order: Order,
    /// The keys of a batch.
    keys: Vec<u128>,
}

/// How the bits of a value become a number that sorts as the value does.
#[derive(Clone, Copy, Debug)]
enum Order {
    Boolean,
    Octets { width: usize },
    Unsigned { width: usize },
    Signed { width: usize },
    Float { width: usize },
}

impl Order {
    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Boolean => return Some(Self::Boolean),
            DataType::FixedSizeBinary(width) => {
                return usize::try_from(*width)
                    .ok()
                    .filter(|width| (1..=16).contains(width))
                    .map(|width| Self::Octets { width });
            }
            _ => {}
        }
        let width = kind.primitive_width().filter(|width| *width <= 16)?;
        match kind {
            DataType::Float16 => None,
            DataType::Float32 | DataType::Float64 => Some(Self::Float { width }),
            kind if kind.is_unsigned_integer() => Some(Self::Unsigned { width }),
            _ => Some(Self::Signed { width }),
        }
    }
}

impl FixedKeys {
    /// The kind of a type's values; `None` when they are wider than 16 octets or not of one width.
    pub(crate) fn of(kind: &DataType) -> Option<Self> {
        Some(Self { order: Order::of(kind)?, kind: kind.clone(), keys: Vec::new() })
    }

    fn read(&mut self, values: &ArrayRef) -> Result<()> {
        self.keys.clear();
        match self.order {
            Order::Boolean => self.keys.extend(values.as_boolean().values().iter().map(u128::from)),
            Order::Octets { width } => {
                let octets = values.as_fixed_size_binary().value_data();
                self.keys.extend(octets.chunks_exact(width).take(values.len()).map(number_of));
            }
            Order::Unsigned { width } => self.read_bits(values, width)?,
            Order::Signed { width } => {
                self.read_bits(values, width)?;
                let sign = sign_bit(width);
                self.keys.iter_mut().for_each(|key| *key ^= sign);
            }
            Order::Float { width } => {
                self.read_bits(values, width)?;
                let float = FloatBits::of(width);
                self.keys.iter_mut().for_each(|key| *key = float.key(*key));
            }
        }
        Ok(())
    }

    fn read_bits(&mut self, values: &ArrayRef, width: usize) -> Result<()> {
        let data = values.to_data();
        let length = values.len();
        match width {
            1 => self.keys.extend(data.buffer::<u8>(0)[..length].iter().map(|bits| u128::from(*bits))),
            2 => self.keys.extend(data.buffer::<u16>(0)[..length].iter().map(|bits| u128::from(*bits))),
            4 => self.keys.extend(data.buffer::<u32>(0)[..length].iter().map(|bits| u128::from(*bits))),
            8 => self.keys.extend(data.buffer::<u64>(0)[..length].iter().map(|bits| u128::from(*bits))),
            16 => self.keys.extend(data.buffer::<i128>(0)[..length].iter().map(|bits| *bits as u128)),
            _ => return internal_err!("no values are {width} octets wide"),
        }
        Ok(())
    }
}

impl KeyKind for FixedKeys {
    type Key = u128;

    fn for_each(
        &mut self,
        values: &ArrayRef,
        rows: &Rows<'_>,
        mut visit: impl FnMut(&u128, usize, usize),
    ) -> Result<()> {
        self.read(values)?;
        rows.for_each(|row, group| visit(&self.keys[row], row, group));
        Ok(())
    }

    fn values<'a>(&self, keys: impl ExactSizeIterator<Item = &'a u128>) -> Result<ArrayRef> {
        let length = keys.len();
        let buffer = match self.order {
            Order::Boolean => keys.map(|key| *key != 0).collect::<BooleanBuffer>().into_inner(),
            Order::Octets { width } => Buffer::from_vec(
                keys.flat_map(|key| key.to_be_bytes().into_iter().skip(16 - width)).collect::<Vec<u8>>(),
            ),
            Order::Unsigned { width } => bits_buffer(keys.copied(), width),
            Order::Signed { width } => bits_buffer(keys.map(|key| key ^ sign_bit(width)), width),
            Order::Float { width } => {
                let float = FloatBits::of(width);
                bits_buffer(keys.map(|key| float.bits(*key)), width)
            }
        };
        let data = ArrayData::builder(self.kind.clone()).len(length).add_buffer(buffer).build()?;
        Ok(make_array(data))
    }
}

/// Octets in network order as a number.
fn number_of(octets: &[u8]) -> u128 {
    let as_fold = || octets.iter().fold(0, |number, octet| (number << 8) | u128::from(*octet));
    octets.try_into().map_or_else(|_| as_fold(), u128::from_be_bytes)
}

/// The lowest `width` octets of every number.
fn bits_buffer(numbers: impl Iterator<Item = u128>, width: usize) -> Buffer {
    fn buffer<T: ArrowNativeType>(numbers: impl Iterator<Item = T>) -> Buffer {
        Buffer::from_vec(numbers.collect::<Vec<T>>())
    }
    match width {
        1 => buffer(numbers.map(|number| number as u8)),
        2 => buffer(numbers.map(|number| number as u16)),
        4 => buffer(numbers.map(|number| number as u32)),
        8 => buffer(numbers.map(|number| number as u64)),
        _ => buffer(numbers.map(|number| number as i128)),
    }
}

const fn sign_bit(width: usize) -> u128 {
    1 << (8 * width - 1)
}

/// The bits of IEEE floats of one width.
#[derive(Clone, Copy)]
struct FloatBits {
    sign: u128,
    infinity: u128,
}

impl FloatBits {
    const fn of(width: usize) -> Self {
        let infinity =
            if width == 4 { f32::INFINITY.to_bits() as u128 } else { f64::INFINITY.to_bits() as u128 };
        Self { sign: sign_bit(width), infinity }
    }

    fn key(self, bits: u128) -> u128 {
        let magnitude = bits & !self.sign;
        if magnitude > self.infinity {
            // NaN, above all numbers.
            self.sign | (self.infinity + 1)
        } else if magnitude == 0 || bits & self.sign == 0 {
            self.sign | magnitude
        } else {
            self.sign - 1 - magnitude
        }
    }

    fn bits(self, key: u128) -> u128 {
        if key & self.sign == 0 { self.sign | (self.sign - 1 - key) } else { key ^ self.sign }
    }
}

/// Text and octet strings.
#[derive(Clone, Debug)]
pub(crate) struct OctetKeys {
    is_text: bool,
}

impl OctetKeys {
    /// The kind of `Utf8` and `Binary` values; `None` for other types.
    pub(crate) fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Utf8 => Some(Self { is_text: true }),
            DataType::Binary => Some(Self { is_text: false }),
            _ => None,
        }
    }
}

impl KeyKind for OctetKeys {
    type Key = [u8];

    fn for_each(
        &mut self,
        values: &ArrayRef,
        rows: &Rows<'_>,
        mut visit: impl FnMut(&[u8], usize, usize),
    ) -> Result<()> {
        if self.is_text {
            let texts = values.as_string::<i32>();
            rows.for_each(|row, group| visit(texts.value(row).as_bytes(), row, group));
        } else {
            let octets = values.as_binary::<i32>();
            rows.for_each(|row, group| visit(octets.value(row), row, group));
        }
        Ok(())
    }

    fn values<'a>(&self, keys: impl ExactSizeIterator<Item = &'a Vec<u8>>) -> Result<ArrayRef> {
        let octets = BinaryArray::from_iter_values(keys);
        if self.is_text {
            let texts = StringArray::try_from_binary(octets).map_err(DataFusionError::from)?;
            return Ok(std::sync::Arc::new(texts));
        }
        Ok(std::sync::Arc::new(octets))
    }
}

/// What `fixed` or `octets` makes of the key kind of a type that [`key_type`] gave.
pub(crate) fn by_key_kind<R>(
    kind: &DataType,
    fixed: impl FnOnce(FixedKeys) -> R,
    octets: impl FnOnce(OctetKeys) -> R,
) -> Result<R> {
    if let Some(keys) = FixedKeys::of(kind) {
        return Ok(fixed(keys));
    }
    let Some(keys) = OctetKeys::of(kind) else {
        return internal_err!("{kind} values are no keys");
    };
    Ok(octets(keys))
}

/// The type that values of `kind` are read as; `None` when they cannot be keys.
pub(crate) fn key_type(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Null => Some(DataType::Boolean),
        DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Utf8 | DataType::Binary => Some(kind.clone()),
        kind => Order::of(kind).map(|_| kind.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int64Array,
        TimestampNanosecondArray, UInt16Array,
    };
    use std::sync::Arc;

    fn keys_of(values: &ArrayRef) -> Vec<u128> {
        let all: Vec<usize> = (0..values.len()).collect();
        let mut keys = Vec::new();
        let mut kind = FixedKeys::of(values.data_type()).unwrap();
        kind.for_each(values, &Rows::new(values, &all, None), |key, _, _| keys.push(*key)).unwrap();
        keys
    }

    #[test]
    fn keys_sort_as_values_and_come_back() {
        let times = TimestampNanosecondArray::from(vec![-1, 0, 1]).with_timezone("UTC");
        let columns: [ArrayRef; 8] = [
            Arc::new(BooleanArray::from(vec![false, true])),
            Arc::new(Int8Array::from(vec![-128, -1, 0, 127])),
            Arc::new(UInt16Array::from(vec![0, 1, 65_535])),
            Arc::new(Int64Array::from(vec![i64::MIN, -1, 0, i64::MAX])),
            Arc::new(Float32Array::from(vec![f32::NEG_INFINITY, -1.5, 0.0, 1e-40, 2.0, f32::INFINITY])),
            Arc::new(Float64Array::from(vec![f64::NEG_INFINITY, -1.5, -1e-320, 0.0, 2.0, f64::INFINITY])),
            Arc::new(
                FixedSizeBinaryArray::try_from_iter([[0_u8, 9, 0], [1, 0, 0], [1, 0, 1]].into_iter())
                    .unwrap(),
            ),
            Arc::new(times),
        ];
        for column in &columns {
            // Slices read from where they begin.
            for values in [column.clone(), column.slice(1, column.len() - 1)] {
                let keys = keys_of(&values);
                assert!(keys.is_sorted_by(|a, b| a < b), "{values:?}");
                let back = FixedKeys::of(values.data_type()).unwrap().values(keys.iter()).unwrap();
                assert_eq!(&back, &values);
            }
        }
    }

    #[test]
    fn equal_floats_are_one_key() {
        let values: ArrayRef =
            Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY]));
        let keys = keys_of(&values);
        assert_eq!((keys[0], keys[2]), (keys[1], keys[3]));
        assert!(keys[2] > keys[4]);
        let back = FixedKeys::of(&DataType::Float64).unwrap().values(keys[2..3].iter()).unwrap();
        assert!(back.as_primitive::<datafusion::arrow::datatypes::Float64Type>().value(0).is_nan());
    }

    #[test]
    fn types_without_keys_are_known() {
        for kind in [
            DataType::FixedSizeBinary(0),
            DataType::FixedSizeBinary(17),
            DataType::Decimal256(40, 2),
            DataType::Float16,
        ] {
            assert!(FixedKeys::of(&kind).is_none(), "{kind}");
        }
        assert_eq!(key_type(&DataType::new_list(DataType::Int8, true)), None);
        assert_eq!(key_type(&DataType::Utf8View), Some(DataType::Utf8));
    }
}
