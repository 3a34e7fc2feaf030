//! Keys of fixed width, packed into a few words.
//!
//! Most rows have no IPv6 address, few NULLs and small numbers: they are looked up among tight keys of half the
//! size or less. The others have a table of their own; both share one sequence of numbers. Narrow keys stand in
//! their slots; where too many rows have none, tight ones take their place.

use super::keys::{KeyTable, key_table};
use super::layout::{Field, Layout};
use super::slots::KeySlots;
use super::{FOLDED, GroupTable};
use datafusion::arrow::array::{ArrayData, ArrayRef, BooleanArray, UInt32Array, make_array};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use std::sync::Arc;

/// Rows that are packed at once, so that their keys stay in the first-level cache.
const BLOCK_ROWS: usize = 1024;

/// Narrow keys are given up where more than one row of so many has none.
const ROWS_A_STRAY: u64 = 8;

/// A packed table for these keys, `None` when some key has no fixed width or all are too wide.
pub(crate) fn packed_table(schema: &SchemaRef, groups_max: usize) -> Option<Box<dyn GroupTable>> {
    let half = |layout: Layout| Some(Half { keys: key_table(&layout, groups_max)?, layout });
    let (narrow, tight) = (Layout::narrow(schema)?, Layout::tight(schema)?);
    let fits_slots = |layout: &Layout| KeySlots::take(layout.bits, groups_max);
    let (first, second) = if fits_slots(&narrow) && !fits_slots(&tight) {
        (half(narrow)?, Some(half(tight)?))
    } else {
        (half(tight)?, None)
    };
    Some(Box::new(PackedGroups {
        tight: first,
        instead_of_narrow: second,
        loose: half(Layout::loose(schema)?)?,
        loose_groups: vec![FOLDED],
        unfit: vec![],
        strays: vec![],
        rows: 0,
        rows_strayed: 0,
        numbers: vec![],
        groups_max,
    }))
}

/// The keys of one layout.
struct Half {
    layout: Layout,
    keys: Box<dyn KeyTable>,
}

struct PackedGroups {
    /// Its numbers are the groups'.
    tight: Half,
    /// What to go on with when narrow keys were tried, and too many rows have none.
    instead_of_narrow: Option<Half>,
    loose: Half,
    /// Groups by the number of their loose key.
    loose_groups: Vec<usize>,
    /// Which rows of a block have no tight key.
    unfit: Vec<bool>,
    /// Rows of the batch that have no tight key.
    strays: Vec<u32>,
    /// Rows since the table was empty, and those that had no tight key.
    rows: u64,
    rows_strayed: u64,
    numbers: Vec<usize>,
    groups_max: usize,
}

impl PackedGroups {
    fn room(&self) -> usize {
        self.groups_max.saturating_sub(self.len())
    }

    /// Looks the block up that begins at row `first` of the batch; strays are noted, and get their group later.
    fn intern_block(&mut self, columns: &[ArrayRef], first: usize, groups: &mut Vec<usize>) {
        let room = self.room();
        let Half { layout, keys } = &mut self.tight;
        if keys.pack(layout, columns, &mut self.unfit) {
            return keys.intern(room, groups);
        }
        keys.drop_unfit(&self.unfit);
        self.numbers.clear();
        keys.intern(room, &mut self.numbers);
        let mut fit = self.numbers.iter();
        for (row, &unfit) in self.unfit.iter().enumerate() {
            if unfit {
                self.strays.push(u32::try_from(first + row).expect("invariant: batches are short"));
                groups.push(FOLDED);
            } else {
                groups.extend(fit.next());
            }
        }
    }

    fn intern_strays(&mut self, columns: &[ArrayRef], groups: &mut [usize]) -> Result<()> {
        let strays = UInt32Array::from(std::mem::take(&mut self.strays));
        self.rows_strayed += strays.len() as u64;
        let columns: Vec<ArrayRef> =
            columns.iter().map(|column| take(column, &strays, None)).collect::<Result<_, _>>()?;
        self.unfit.clear();
        self.unfit.resize(strays.len(), false);
        self.numbers.clear();
        let (room, before) = (self.room(), self.loose.keys.len());
        self.loose.keys.pack(&self.loose.layout, &columns, &mut self.unfit);
        self.loose.keys.intern(room, &mut self.numbers);
        let (total, added) = (self.len(), self.loose.keys.len() - before);
        self.loose_groups.extend(total + 1..=total + added);
        self.tight.keys.skip(added);
        for (row, &number) in strays.values().iter().zip(&self.numbers) {
            groups[*row as usize] = self.loose_groups[number];
        }
        Ok(())
    }

    /// One column of the keys of all groups.
    fn unpack(&self, tight: &Field, loose: &Field) -> Result<ArrayRef> {
        let (mut octets, mut loose_octets) = (vec![], vec![]);
        self.tight.keys.unpack(tight, &mut octets);
        self.loose.keys.unpack(loose, &mut loose_octets);
        let mut valid: Vec<bool> =
            (1..=self.len()).map(|number| !self.tight.keys.is_null(number, tight)).collect();
        let groups = self.loose_groups.iter().enumerate().skip(1);
        for ((number, group), value) in groups.zip(loose_octets.chunks_exact(loose.width)) {
            octets[(group - 1) * loose.width..group * loose.width].copy_from_slice(value);
            valid[group - 1] = !self.loose.keys.is_null(number, loose);
        }
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        if loose.data_type == DataType::Boolean {
            let values = BooleanBuffer::from_iter(octets.iter().map(|&octet| octet == 1));
            return Ok(Arc::new(BooleanArray::new(values, nulls)));
        }
        let data = ArrayData::builder(loose.data_type.clone())
            .len(self.len())
            .nulls(nulls)
            .add_buffer(Buffer::from_vec(octets))
            .align_buffers(true)
            .build()?;
        Ok(make_array(data))
    }
}

impl GroupTable for PackedGroups {
    fn intern(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        groups.clear();
        groups.reserve(rows);
        self.rows += rows as u64;
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let block = BLOCK_ROWS.min(rows - first);
            self.unfit.clear();
            self.unfit.resize(block, false);
            let columns: Vec<ArrayRef> = keys.iter().map(|key| key.slice(first, block)).collect();
            self.intern_block(&columns, first, groups);
        }
        if self.strays.is_empty() { Ok(()) } else { self.intern_strays(keys, groups) }
    }

    fn len(&self) -> usize {
        self.tight.keys.len()
    }

    fn limit(&mut self, groups_max: usize) {
        self.groups_max = groups_max;
    }

    fn octets_with(&self, groups: usize) -> usize {
        let loose = self.loose.keys.len();
        let loose = if loose == 0 { 0 } else { (2 * loose + 1).next_power_of_two().min(groups) };
        let instead = self.instead_of_narrow.as_ref().map_or(0, |half| half.keys.octets_with(0));
        self.tight.keys.octets_with(groups)
            + self.loose.keys.octets_with(loose)
            + instead
            + self.loose_groups.capacity().max(loose) * size_of::<usize>()
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        let fields = self.tight.layout.fields.iter().zip(&self.loose.layout.fields);
        let columns = fields.map(|(tight, loose)| self.unpack(tight, loose)).collect();
        self.tight.keys.clear();
        self.loose.keys.clear();
        self.loose_groups.truncate(1);
        if self.rows_strayed > self.rows / ROWS_A_STRAY
            && let Some(tight) = self.instead_of_narrow.take()
        {
            self.tight = tight;
        }
        (self.rows, self.rows_strayed) = (0, 0);
        columns
    }
}
