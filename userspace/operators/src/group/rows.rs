//! Keys of any type, by Arrow's row format. The slowest table, for text and wide keys.

use super::{FOLDED, GroupTable, next_group};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use hashbrown::DefaultHashBuilder as RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// A table of key rows.
pub(crate) struct RowGroups {
    converter: RowConverter,
    /// Hash and number of each group.
    table: HashTable<(u64, usize)>,
    /// The groups' keys, in their order.
    groups: Rows,
    /// The keys of the batch at hand.
    batch: Rows,
    random: RandomState,
    groups_max: usize,
}

impl RowGroups {
    pub(crate) fn new(schema: &SchemaRef, groups_max: usize) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let (groups, batch) = (converter.empty_rows(0, 0), converter.empty_rows(0, 0));
        let (table, random) = (HashTable::new(), RandomState::default());
        Ok(Self { converter, table, groups, batch, random, groups_max })
    }
}

impl GroupTable for RowGroups {
    fn intern(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        let Self { converter, table, groups: known, batch, random, groups_max } = self;
        batch.clear();
        converter.append(batch, keys)?;
        groups.clear();
        groups.reserve(rows);
        for row in batch.iter() {
            let hash = random.hash_one(row.as_ref());
            let same = |&(other, group): &(u64, usize)| other == hash && known.row(group - 1) == row;
            let group = match table.find(hash, same) {
                Some(&(_, group)) => group,
                None => next_group(known.num_rows(), *groups_max),
            };
            if group > known.num_rows() && group != FOLDED {
                known.push(row);
                table.insert_unique(hash, (hash, group), |&(hash, _)| hash);
            }
            groups.push(group);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.groups.num_rows()
    }

    fn limit(&mut self, groups_max: usize) {
        self.groups_max = groups_max;
    }

    fn octets_with(&self, groups: usize) -> usize {
        let known = self.groups.size() + self.table.allocation_size();
        // Nothing is known of how long keys are before there are some.
        let a_group = if self.len() == 0 { 0 } else { known.div_ceil(self.len() + 1) };
        known.max(a_group * (groups + 1)) + self.batch.size() + self.converter.size()
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        let keys = self.converter.convert_rows(self.groups.iter())?;
        self.groups.clear();
        self.table.clear();
        Ok(keys)
    }
}
