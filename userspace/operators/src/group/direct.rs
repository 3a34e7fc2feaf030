//! One key of at most 16 bits: its value is its place.

use super::{GroupTable, next_group};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, SchemaRef, UInt8Type, UInt16Type};
use datafusion::common::{Result, internal_err};
use std::sync::Arc;

/// A table of one `UInt8` or `UInt16` column.
pub(crate) struct DirectGroups {
    data_type: DataType,
    /// Group number by value, 0 when there is none yet; the last place is for NULL.
    places: Vec<u32>,
    /// Values in the order of their groups.
    values: Vec<Option<u16>>,
    groups_max: usize,
}

impl DirectGroups {
    /// Groups up to which it takes less time to free their places than all places.
    const FEW_GROUPS: usize = 1024;

    pub(crate) fn new(schema: &SchemaRef, groups_max: usize) -> Option<Self> {
        let [field] = &schema.fields()[..] else { return None };
        let values = match field.data_type() {
            DataType::UInt8 => 1 << 8,
            DataType::UInt16 => 1 << 16,
            _ => return None,
        };
        let data_type = field.data_type().clone();
        Some(Self { data_type, places: vec![0; values + 1], values: vec![], groups_max })
    }

    fn intern_array<T>(&mut self, array: &PrimitiveArray<T>, groups: &mut Vec<usize>)
    where
        T: ArrowPrimitiveType,
        T::Native: Into<u16>,
    {
        if array.null_count() == 0 {
            groups.extend(array.values().iter().map(|&value| self.group_of(Some(value.into()))));
        } else {
            groups.extend(array.iter().map(|value| self.group_of(value.map(Into::into))));
        }
    }

    #[inline]
    fn group_of(&mut self, value: Option<u16>) -> usize {
        let null = self.places.len() - 1;
        let place = value.map_or(null, usize::from);
        let known = self.places[place] as usize;
        if known != 0 { known } else { self.add(place, value) }
    }

    /// Makes all places free again.
    fn clear_places(&mut self) {
        if self.values.len() > Self::FEW_GROUPS {
            return self.places.fill(0);
        }
        let null = self.places.len() - 1;
        for value in &self.values {
            self.places[value.map_or(null, usize::from)] = 0;
        }
    }

    #[cold]
    fn add(&mut self, place: usize, value: Option<u16>) -> usize {
        let group = next_group(self.values.len(), self.groups_max);
        if group != super::FOLDED {
            self.values.push(value);
            self.places[place] = u32::try_from(group).expect("invariant: at most 65537 groups");
        }
        group
    }
}

impl GroupTable for DirectGroups {
    fn intern(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        groups.clear();
        groups.reserve(rows);
        match (keys, &self.data_type) {
            ([key], DataType::UInt8) => self.intern_array(key.as_primitive::<UInt8Type>(), groups),
            ([key], DataType::UInt16) => self.intern_array(key.as_primitive::<UInt16Type>(), groups),
            _ => return internal_err!("one key of type {} expected", self.data_type),
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn limit(&mut self, groups_max: usize) {
        self.groups_max = groups_max;
    }

    fn octets_with(&self, groups: usize) -> usize {
        let values = self.values.capacity().max(groups.min(self.places.len()));
        size_of_val(&self.places[..]) + values * size_of::<Option<u16>>()
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.clear_places();
        let values = self.values.drain(..);
        Ok(vec![match self.data_type {
            DataType::UInt8 => {
                let low_octet = |value: u16| u8::try_from(value).expect("invariant: came from a UInt8");
                Arc::new(values.map(|value| value.map(low_octet)).collect::<PrimitiveArray<UInt8Type>>())
            }
            _ => Arc::new(values.collect::<PrimitiveArray<UInt16Type>>()),
        }])
    }
}
