//! Group tables: key columns in, a group number for each row out.
//!
//! Group 0 is the folded group, to which rows go whose key is new when the table is full; real
//! groups are numbered from 1 on, as they come. A table is full at `groups_max`.

mod constant;
mod direct;
mod keys;
mod layout;
mod packed;
mod rows;
mod single;
mod slots;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;

pub(crate) use constant::ConstantKeys;

/// The number of the group of rows beyond the cap.
pub(crate) const FOLDED: usize = 0;

/// Groups that a table can number.
pub(crate) const GROUPS_MAX: usize = u32::MAX as usize - 1;

/// Assigns group numbers to keys.
pub(crate) trait GroupTable: Send {
    /// Puts the group number of each of `rows` rows into `groups`, which is cleared first.
    ///
    /// # Errors
    /// Only when the keys do not have the table's types.
    fn intern(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()>;

    /// Groups without the folded one.
    fn len(&self) -> usize;

    /// Takes no more than so many groups from now on, of those that it was made for.
    fn limit(&mut self, groups_max: usize);

    /// Octets that it will take with so many groups, never less than it takes now.
    fn octets_with(&self, groups: usize) -> usize;

    /// The keys of groups 1, 2, …; the table is empty afterwards.
    ///
    /// # Errors
    /// Only when Arrow refuses the table's own octets.
    fn take_keys(&mut self) -> Result<Vec<ArrayRef>>;
}

/// The fastest table for keys of these types; `groups_max` is at most [`GROUPS_MAX`].
pub(crate) fn group_table(schema: &SchemaRef, groups_max: usize) -> Result<Box<dyn GroupTable>> {
    if schema.fields().is_empty() {
        return Ok(Box::new(single::SingleGroup));
    }
    if let Some(table) = direct::DirectGroups::new(schema, groups_max) {
        return Ok(Box::new(table));
    }
    match packed::packed_table(schema, groups_max) {
        Some(table) => Ok(table),
        None => Ok(Box::new(rows::RowGroups::new(schema, groups_max)?)),
    }
}

/// Numbers the next group when `groups` of `groups_max` are taken.
pub(crate) fn next_group(groups: usize, groups_max: usize) -> usize {
    if groups < groups_max { groups + 1 } else { FOLDED }
}

#[cfg(test)]
mod tests;
