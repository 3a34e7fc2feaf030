//! What a table is asked by, and which row that is.

use crate::prefixes::Prefixes;
use crate::radix::NOTHING;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};
use hashbrown::HashMap;
use std::fmt;
use tapline_record::address::{Mac, parse_ip, parse_mac};

/// Octets of addresses.
const IP_OCTETS: i32 = 16;
const MAC_OCTETS: i32 = 6;

/// What the keys of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Prefixes and addresses: the longest one around an address holds.
    Prefix,
    /// MAC addresses.
    Mac,
    /// Whole numbers.
    Integer,
    /// Texts.
    Text,
}

impl KeyKind {
    /// The columns that are asked for.
    #[must_use]
    pub fn is_asked_by(self, kind: &DataType) -> bool {
        let is_text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        match (self, kind) {
            (_, DataType::Null)
            | (Self::Prefix, DataType::FixedSizeBinary(IP_OCTETS))
            | (Self::Mac, DataType::FixedSizeBinary(MAC_OCTETS)) => true,
            (Self::Integer, kind) => kind.is_integer(),
            _ => is_text,
        }
    }

    /// Whether a text can be such a key; what is looked for in prefixes is an address.
    #[must_use]
    pub fn is_asked_by_text(self, text: &str) -> bool {
        match self {
            Self::Prefix => parse_ip(text).is_some(),
            Self::Mac => parse_mac(text).is_some(),
            Self::Integer => false,
            Self::Text => true,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "addresses and prefixes",
            Self::Mac => "MAC addresses",
            Self::Integer => "whole numbers",
            Self::Text => "texts",
        })
    }
}

/// The rows of a table by key.
#[derive(Debug)]
pub(crate) enum Keys {
    Prefixes(Box<Prefixes>),
    Macs(HashMap<Mac, u32>),
    Integers(HashMap<i64, u32>),
    Texts(HashMap<Box<str>, u32>),
}

impl Keys {
    pub(crate) const fn kind(&self) -> KeyKind {
        match self {
            Self::Prefixes(_) => KeyKind::Prefix,
            Self::Macs(_) => KeyKind::Mac,
            Self::Integers(_) => KeyKind::Integer,
            Self::Texts(_) => KeyKind::Text,
        }
    }

    /// The type of the keys as a column of values, of a file of texts.
    pub(crate) const fn text_or_integer(&self) -> DataType {
        if matches!(self, Self::Integers(_)) { DataType::Int64 } else { DataType::Utf8View }
    }

    /// The row of each key; NULL where there is none, and for NULL.
    pub(crate) fn find(&self, keys: &ArrayRef) -> Result<UInt32Array, ArrowError> {
        if keys.data_type().is_null() {
            return Ok(new_null_array(&DataType::UInt32, keys.len()).as_primitive().clone());
        }
        Ok(match self {
            Self::Prefixes(prefixes) => match keys.as_fixed_size_binary_opt() {
                Some(addresses) => rows_of(addresses, |octets| prefixes.row(octets)),
                None => by_text(keys, |text| prefixes.find(parse_ip(text)?))?,
            },
            Self::Macs(macs) => match keys.as_fixed_size_binary_opt() {
                Some(addresses) => {
                    rows_of(addresses, |octets: Mac| macs.get(&octets).copied().unwrap_or(NOTHING))
                }
                None => by_text(keys, |text| macs.get(&parse_mac(text)?).copied())?,
            },
            Self::Integers(integers) => {
                let keys = cast(keys, &DataType::Int64)?;
                let keys = keys.as_primitive::<Int64Type>();
                keys.iter().map(|key| integers.get(&key?).copied()).collect()
            }
            Self::Texts(texts) => by_text(keys, |text| texts.get(text).copied())?,
        })
    }
}

/// The rows of addresses of `N` octets, where `find` gives [`NOTHING`] for those that have none.
fn rows_of<const N: usize>(addresses: &FixedSizeBinaryArray, find: impl Fn([u8; N]) -> u32) -> UInt32Array {
    let (octets, _) = addresses.value_data().as_chunks::<N>();
    let mut rows: Vec<u32> = octets.iter().map(|octets| find(*octets)).collect();
    let found = BooleanBuffer::collect_bool(rows.len(), |place| rows[place] != NOTHING);
    // A row that is NULL is looked at all the same by whoever takes values, and must be one.
    rows.iter_mut().for_each(|row| *row = if *row == NOTHING { 0 } else { *row });
    let nulls = NullBuffer::union(Some(&NullBuffer::new(found)), addresses.nulls());
    UInt32Array::new(rows.into(), nulls.filter(|nulls| nulls.null_count() > 0))
}

fn by_text(keys: &ArrayRef, find: impl Fn(&str) -> Option<u32>) -> Result<UInt32Array, ArrowError> {
    let texts = cast(keys, &DataType::Utf8View)?;
    Ok(texts.as_string_view().iter().map(|text| find(text?)).collect())
}
