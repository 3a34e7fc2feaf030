//! Groups of one state, by keys that have numbers which several lower halves share.
//!
//! Takes the numbers of keys, or keys as any other table, gives a group number for each row: the same that a table of its
//! own would give, with the same cap, since groups are numbered as their keys come, and a key that no row of this state
//! has is no group. What its groups take is charged as if it had looked their keys up by itself, or more.

use crate::group::{FOLDED, GroupTable, group_table, next_group};
use crate::key_numbers::{CommonKeys, KeyNumbers, NumberedKeys};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{concat, take};
use datafusion::common::{Result, internal_err};
use std::sync::Arc;

/// Pieces of keys that stand beside each other before they are put together.
const PIECES_MAX: usize = 64;

/// The rows of a piece of a batch that are folded, by the keys of all of the batch.
pub(crate) struct NumberedRows<'a> {
    pub(crate) keys: &'a NumberedKeys,
    /// The first row of the piece, and how many it has.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    /// Which of these are folded, without NULL; `None` where all are.
    pub(crate) mask: Option<&'a BooleanArray>,
}

/// By what rows are looked up.
#[derive(Clone, Copy)]
pub(crate) enum Keys<'a> {
    /// Their own key columns.
    Columns(&'a [ArrayRef]),
    /// The keys of their batch.
    Numbers(&'a NumberedRows<'a>),
}

/// The groups of a state.
pub(crate) enum Groups {
    /// In a table of its own.
    Own(Box<dyn GroupTable>),
    /// By numbers.
    Numbered(NumberedGroups),
}

impl Groups {
    /// The group of each of so many rows.
    ///
    /// # Errors
    /// Only when the keys are not of the groups' types, or numbers come to a table of its own.
    pub(crate) fn intern(&mut self, keys: Keys<'_>, rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        match (self, keys) {
            (Self::Own(table), Keys::Columns(keys)) => table.intern(keys, rows, groups),
            (Self::Numbered(numbered), Keys::Columns(keys)) => numbered.intern_columns(keys, rows, groups),
            (Self::Numbered(numbered), Keys::Numbers(rows)) => numbered.intern_numbers(rows, groups),
            (Self::Own(_), Keys::Numbers(_)) => internal_err!("a table of keys knows no numbers of them"),
        }
    }

    /// Groups without the folded one.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(table) => table.len(),
            Self::Numbered(numbered) => numbered.numbers.len(),
        }
    }

    /// Takes no more than so many groups from now on.
    pub(crate) fn limit(&mut self, groups_max: usize) {
        match self {
            Self::Own(table) => table.limit(groups_max),
            Self::Numbered(numbered) => numbered.groups_max = groups_max,
        }
    }

    /// Octets that they will take when there are so many.
    pub(crate) fn octets_with(&self, groups: usize) -> usize {
        match self {
            Self::Own(table) => table.octets_with(groups),
            Self::Numbered(numbered) => numbered.octets_with(groups),
        }
    }

    /// The keys of groups 1, 2, …; there are none afterwards.
    ///
    /// # Errors
    /// Only when Arrow refuses the table's own octets.
    pub(crate) fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Own(table) => table.take_keys(),
            Self::Numbered(numbered) => numbered.take_keys(),
        }
    }
}

/// Groups by the numbers of their keys.
pub(crate) struct NumberedGroups {
    common: Arc<CommonKeys>,
    /// How often numbers had been given anew when these were.
    generation: u64,
    /// Group by the number of its key, 0 where there is none.
    places: Vec<u32>,
    /// The number of each group's key, in the order of groups.
    numbers: Vec<u32>,
    /// Their keys, one piece after the other.
    pieces: Vec<Vec<ArrayRef>>,
    key_octets: usize,
    /// Rows with which new groups came.
    new_rows: Vec<u32>,
    groups_max: usize,
    /// A table that stays empty: what its groups would take.
    own: Box<dyn GroupTable>,
}

impl NumberedGroups {
    /// No groups, of which there may be so many.
    ///
    /// # Errors
    /// When there is no table for such keys.
    pub(crate) fn new(common: Arc<CommonKeys>, groups_max: usize) -> Result<Self> {
        let own = group_table(common.schema(), groups_max)?;
        Ok(Self {
            common,
            generation: 0,
            places: vec![],
            numbers: vec![],
            pieces: vec![],
            key_octets: 0,
            new_rows: vec![],
            groups_max,
            own,
        })
    }

    /// The groups of the rows that are folded. The numbers are those that are given now.
    fn intern_numbers(&mut self, rows: &NumberedRows<'_>, groups: &mut Vec<usize>) -> Result<()> {
        let common = Arc::clone(&self.common);
        self.follow(&mut common.numbers())?;
        groups.clear();
        let numbers = &rows.keys.numbers[rows.first..rows.first + rows.rows];
        match rows.mask {
            None => {
                let rows = (rows.first..).zip(numbers);
                groups.extend(rows.map(|(row, number)| self.group_of(*number, row)));
            }
            Some(mask) => {
                let kept = mask.values().set_indices();
                groups.extend(kept.map(|row| self.group_of(numbers[row], rows.first + row)));
            }
        }
        self.keep_keys(&rows.keys.columns)
    }

    /// The groups of rows with these keys, which nobody has looked up.
    fn intern_columns(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        let common = Arc::clone(&self.common);
        let mut known = common.numbers();
        groups.clear();
        groups.extend(known.find(keys, rows)?.map(|number| number as usize));
        self.follow(&mut known)?;
        for (row, number) in groups.iter_mut().enumerate() {
            *number = self.group_of(*number as u32, row);
        }
        self.keep_keys(keys)
    }

    /// Has a place for each number, and those of its groups, if numbers were given anew.
    fn follow(&mut self, known: &mut KeyNumbers) -> Result<()> {
        if self.generation != known.generation() {
            self.generation = known.generation();
            self.put_together()?;
            self.places.clear();
            if let Some(keys) = self.pieces.first() {
                let groups = self.numbers.len();
                self.numbers.clear();
                self.numbers.extend(known.find_held(keys, groups)?);
            }
            self.places.resize(known.len() + 1, 0);
            for (group, number) in (1..).zip(&self.numbers) {
                self.places[*number as usize] = group;
            }
        }
        if self.places.len() <= known.len() {
            self.places.resize(known.len() + 1, 0);
        }
        Ok(())
    }

    #[inline]
    fn group_of(&mut self, number: u32, row: usize) -> usize {
        let known = self.places[number as usize] as usize;
        if known != FOLDED { known } else { self.add(number, row) }
    }

    #[cold]
    fn add(&mut self, number: u32, row: usize) -> usize {
        let group = next_group(self.numbers.len(), self.groups_max);
        if group != FOLDED {
            self.numbers.push(number);
            self.places[number as usize] = u32::try_from(group).expect("invariant: at most GROUPS_MAX");
            self.new_rows.push(u32::try_from(row).expect("invariant: batches are short"));
        }
        group
    }

    /// Keeps the keys of new groups, which came with rows of these.
    fn keep_keys(&mut self, keys: &[ArrayRef]) -> Result<()> {
        if self.new_rows.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from(std::mem::take(&mut self.new_rows));
        let piece = keys.iter().map(|key| take(key, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        self.key_octets += octets_of(&piece);
        self.pieces.push(piece);
        if self.pieces.len() > PIECES_MAX { self.put_together() } else { Ok(()) }
    }

    /// Makes one piece of all.
    fn put_together(&mut self) -> Result<()> {
        let [first, _, ..] = &self.pieces[..] else { return Ok(()) };
        let column = |place: usize| {
            let of_pieces: Vec<&dyn Array> = self.pieces.iter().map(|piece| piece[place].as_ref()).collect();
            concat(&of_pieces)
        };
        let whole = (0..first.len()).map(column).collect::<Result<Vec<_>, _>>()?;
        self.key_octets = octets_of(&whole);
        self.pieces = vec![whole];
        Ok(())
    }

    fn octets_with(&self, groups: usize) -> usize {
        let known = self.numbers.len() * size_of::<u32>() + self.key_octets;
        let a_group = known.div_ceil(self.numbers.len() + 1);
        let held = self.places.capacity() * size_of::<u32>() + known.max(a_group * (groups + 1));
        self.own.octets_with(groups.max(self.numbers.len())).max(held)
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.put_together()?;
        for number in self.numbers.drain(..) {
            self.places[number as usize] = 0;
        }
        self.key_octets = 0;
        match self.pieces.pop() {
            Some(keys) => Ok(keys),
            None => self.own.take_keys(),
        }
    }
}

fn octets_of(keys: &[ArrayRef]) -> usize {
    keys.iter().map(Array::get_array_memory_size).sum()
}
