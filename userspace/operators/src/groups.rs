//! The state of one aggregate in one pane: a group table and its accumulators.
//!
//! Rows are folded in on workers; states are taken out, sent, and merged into another one of the same
//! kind, in any order. Group 0 holds the rows beyond the cap, so totals stay exact. Below the cap, groups are let in by
//! powers of two, as long as there is room for what the next ones would take; what has grown beyond that gives some up.

mod shrinking;

use crate::group::{ConstantKeys, FOLDED, GROUPS_MAX, group_table};
use crate::key_numbers::CommonKeys;
use crate::numbered::{Groups, Keys, NumberedGroups, NumberedRows};
use crate::one_group::OneGroup;
use crate::steps::evaluate;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::{cast, filter};
use datafusion::arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use std::sync::Arc;
use tapline_query::{Aggregate, AggregateFold};

/// Groups that a state may always have: with the folded one a power of two, as vectors and tables grow.
const ADMITTED_MIN: usize = 255;

/// Octets that an accumulator of many groups takes for each, as long as none is known.
const OCTETS_A_GROUP: usize = 48;

/// Group keys with their aggregates, partial or finished.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBatch {
    /// One row a group: keys, then the columns of each aggregate.
    pub groups: RecordBatch,
    /// What the rows beyond the cap add up to, keys NULL; one row, if there were any.
    pub folded: Option<RecordBatch>,
    /// Rows that were folded into all of it.
    pub rows: u64,
    /// Of these, rows beyond the cap.
    pub folded_rows: u64,
}

/// Rows whose keys have numbers, and the aggregates over the columns that these rows have.
pub(crate) struct NumberedInput<'a> {
    pub(crate) rows: NumberedRows<'a>,
    pub(crate) aggregates: &'a [Aggregate],
}

/// A group table and its accumulators.
pub(crate) struct GroupState {
    fold: Arc<AggregateFold>,
    /// The keys by which rows are told apart.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The keys that are the same in all rows.
    constants: ConstantKeys,
    table: Groups,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// Which of them cannot go on: some value could not be computed.
    failed: Vec<bool>,
    /// Why, as long as nobody has asked.
    failures: Vec<(usize, DataFusionError)>,
    /// A column of each literal argument, such as the 1 in count(1), as long as the longest batch.
    literals: Vec<Vec<Option<ArrayRef>>>,
    groups: Vec<usize>,
    groups_max: usize,
    /// Whether some aggregate takes more for a group the more comes of it.
    grows: bool,
    /// Groups that there is room for, and how many there were when the state was taken out last.
    admitted: usize,
    admitted_before: usize,
    /// Octets of all accumulators a group, as far as is known.
    octets_a_group: usize,
    /// Groups that the accumulators have places for, with the folded one.
    placed: usize,
    rows: u64,
    folded_rows: u64,
}

impl GroupState {
    /// An empty state that holds at most `groups_max` groups.
    ///
    /// # Errors
    /// When an aggregate has no accumulator for its types.
    pub(crate) fn new(fold: Arc<AggregateFold>, groups_max: usize) -> Result<Self> {
        let groups_max = groups_max.min(GROUPS_MAX);
        let table = Groups::Own(group_table(&keys_of(&fold), groups_max)?);
        let constants = ConstantKeys::among(&fold.keys);
        let keys = constants.others(&fold.keys);
        let has_keys = !keys.is_empty();
        let accumulators = fold.aggregates.iter().map(|aggregate| accumulator(&aggregate.function, has_keys));
        let accumulators = accumulators.collect::<Result<Vec<_>>>()?;
        let literals =
            fold.aggregates.iter().map(|aggregate| vec![None; aggregate.arguments.len()]).collect();
        let failed = vec![false; fold.aggregates.len()];
        let octets_a_group = fold.aggregates.iter().map(|aggregate| least_octets(&aggregate.function));
        let octets_a_group = octets_a_group.sum::<Result<usize>>()?;
        let grows = has_keys && fold.aggregates.iter().any(Aggregate::grows);
        Ok(Self {
            fold,
            keys,
            constants,
            table,
            accumulators,
            failed,
            failures: vec![],
            literals,
            groups: vec![],
            groups_max,
            grows,
            admitted: if has_keys { groups_max.min(ADMITTED_MIN) } else { groups_max },
            admitted_before: 0,
            octets_a_group,
            placed: 0,
            rows: 0,
            folded_rows: 0,
        })
    }

    /// Looks its keys up by the numbers that these have from now on; its groups stay what they are.
    ///
    /// # Errors
    /// Only when Arrow refuses a table's own octets.
    pub(crate) fn number(&mut self, keys: &Arc<CommonKeys>) -> Result<()> {
        if let Groups::Own(table) = &mut self.table {
            let held = table.take_keys()?;
            self.table = Groups::Numbered(NumberedGroups::new(Arc::clone(keys), self.groups_max, held)?);
        }
        Ok(())
    }

    /// Whether its keys have numbers.
    pub(crate) const fn is_numbered(&self) -> bool {
        matches!(self.table, Groups::Numbered(_))
    }

    /// Whether its keys have the numbers that these have.
    pub(crate) fn is_numbered_by(&self, keys: &Arc<CommonKeys>) -> bool {
        matches!(&self.table, Groups::Numbered(numbered) if numbered.are_by(keys))
    }

    /// Groups without the folded one.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Octets that it takes with the groups that were let in, whether or not all of them have come.
    pub(crate) fn octets(&self) -> usize {
        self.octets_with(if self.keys.is_empty() { 1 } else { self.admitted })
    }

    fn accumulated(&self) -> usize {
        self.accumulators.iter().map(|accumulator| accumulator.size()).sum()
    }

    /// Octets that it would take with so many groups.
    fn octets_with(&self, groups: usize) -> usize {
        let (table, accumulated) = (self.table.octets_with(groups), self.accumulated());
        if self.placed == 0 {
            return table + accumulated.max(self.octets_a_group.saturating_mul(groups + 1));
        }
        // Vectors double until all have a place.
        let times = (groups + 1).div_ceil(self.placed).next_power_of_two();
        table + accumulated.saturating_mul(times)
    }

    /// Rows folded in since the state was last taken out.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Aggregates that could not be computed since the last call, by their position; they are NULL from then on, and
    /// the others go on without them.
    pub(crate) fn take_failures(&mut self) -> Vec<(usize, DataFusionError)> {
        std::mem::take(&mut self.failures)
    }

    fn note_failure(&mut self, position: usize, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.failed[position] = true;
            self.failures.push((position, error));
        }
    }

    /// Folds the rows of a batch in; `packets` names the column that says how many records each row is, if there
    /// is one. The state may grow by so many octets; rows of new groups that would take more are folded, and so are the
    /// groups that came last where those that are there do.
    ///
    /// # Errors
    /// When a key cannot be computed for some row. An aggregate that cannot be is a failure of its own.
    pub(crate) fn update(&mut self, batch: &RecordBatch, packets: Option<usize>, room: usize) -> Result<()> {
        let (fold, most) = (self.fold.clone(), self.octets().saturating_add(room));
        let keys: Result<Vec<ArrayRef>> = self.keys.iter().map(|key| evaluate(key.as_ref(), batch)).collect();
        self.intern_admitted(Keys::Columns(&keys?), batch.num_rows(), room)?;
        self.count(batch, packets);
        self.update_all(&fold.aggregates, batch);
        self.shrink(most)
    }

    /// The same of rows whose keys have numbers, where those of the state have some.
    ///
    /// # Errors
    /// Only when the state's keys have none, or others.
    pub(crate) fn update_numbered(
        &mut self,
        batch: &RecordBatch,
        packets: Option<usize>,
        input: &NumberedInput<'_>,
        room: usize,
    ) -> Result<()> {
        let most = self.octets().saturating_add(room);
        self.intern_admitted(Keys::Numbers(&input.rows), batch.num_rows(), room)?;
        self.count(batch, packets);
        self.update_all(input.aggregates, batch);
        self.shrink(most)
    }

    /// Gives up groups where states that grow take more than so many octets.
    fn shrink(&mut self, most: usize) -> Result<()> {
        if self.grows { self.shrink_to(most) } else { Ok(()) }
    }

    fn update_all(&mut self, aggregates: &[Aggregate], batch: &RecordBatch) {
        self.placed = self.table.len() + 1;
        for (position, aggregate) in aggregates.iter().enumerate() {
            if !self.failed[position] {
                let outcome = self.update_one(position, aggregate, batch);
                self.note_failure(position, outcome);
            }
        }
    }

    /// Folds the rows of a batch into one aggregate.
    fn update_one(&mut self, position: usize, aggregate: &Aggregate, batch: &RecordBatch) -> Result<()> {
        let values = self.arguments(position, aggregate, batch)?;
        let filter = aggregate.filter.as_ref().map(|filter| evaluate(filter.as_ref(), batch)).transpose()?;
        let filter = filter.as_ref().map(AsArray::as_boolean);
        if aggregate.takes_states {
            return self.merge_some(position, &values, filter);
        }
        let total = self.table.len() + 1;
        self.accumulators[position].update_batch(&values, &self.groups, filter, total)
    }

    /// Merges states, one a row, into one aggregate.
    fn merge_some(
        &mut self,
        position: usize,
        states: &[ArrayRef],
        kept: Option<&BooleanArray>,
    ) -> Result<()> {
        let (accumulator, total) = (&mut self.accumulators[position], self.table.len() + 1);
        let Some(kept) = kept else { return accumulator.merge_batch(states, &self.groups, total) };
        let states = states.iter().map(|states| filter(states, kept)).collect::<Result<Vec<_>, _>>()?;
        let is_kept = |row: &usize| kept.is_valid(*row) && kept.value(*row);
        let groups: Vec<usize> = (0..kept.len()).filter(is_kept).map(|row| self.groups[row]).collect();
        accumulator.merge_batch(&states, &groups, total)
    }

    /// Merges the state that another one gave.
    ///
    /// # Errors
    /// When the states are not of this aggregate.
    pub(crate) fn merge(&mut self, partial: &GroupBatch) -> Result<()> {
        self.merge_states(&partial.groups)?;
        // Of how many rows a group is that finds no place, nobody knows any more: of one, at least.
        let placeless = self.groups.iter().filter(|group| **group == FOLDED).count() as u64;
        self.folded_rows = self.folded_rows.saturating_add(placeless);
        if let Some(folded) = &partial.folded {
            self.groups.clear();
            self.groups.resize(folded.num_rows(), FOLDED);
            self.merge_columns(folded)?;
        }
        self.rows = self.rows.saturating_add(partial.rows);
        self.folded_rows = self.folded_rows.saturating_add(partial.folded_rows);
        Ok(())
    }

    /// Takes the partial state out, for another one to merge; this one is empty afterwards.
    ///
    /// # Errors
    /// When an accumulator fails.
    pub(crate) fn take_states(&mut self) -> Result<GroupBatch> {
        let schema = state_schema(&self.fold)?;
        let widths =
            self.fold.aggregates.iter().map(|aggregate| Ok(aggregate.function.state_fields()?.len()));
        let widths = widths.collect::<Result<Vec<_>>>()?;
        let columns = self.take_columns(&schema, &widths, |accumulator| accumulator.state(EmitTo::All))?;
        self.split_folded(&schema, &columns)
    }

    /// Takes the finished aggregates out; this state is empty afterwards.
    ///
    /// # Errors
    /// When an accumulator fails.
    pub(crate) fn take_results(&mut self) -> Result<GroupBatch> {
        let schema = result_schema(&self.fold);
        let widths = vec![1; self.fold.aggregates.len()];
        let evaluate = |accumulator: &mut dyn GroupsAccumulator| Ok(vec![accumulator.evaluate(EmitTo::All)?]);
        let columns = self.take_columns(&schema, &widths, evaluate)?;
        self.split_folded(&schema, &columns)
    }

    fn intern(&mut self, keys: Keys<'_>, rows: usize) -> Result<()> {
        self.table.intern(keys, rows, &mut self.groups)
    }

    /// The same, where new groups may take so many octets. Groups that had no room once have none until the state is
    /// taken out: they would lack rows.
    fn intern_admitted(&mut self, keys: Keys<'_>, rows: usize, room: usize) -> Result<()> {
        if self.rows == 0 && self.has_room(self.admitted_before, room) {
            self.admitted = self.admitted.max(self.admitted_before);
        }
        self.table.limit(self.admitted);
        self.intern(keys, rows)?;
        if self.table.len() >= self.admitted && self.folded_rows == 0 && self.admit(rows, room) {
            self.table.limit(self.admitted);
            self.intern(keys, rows)?;
        }
        Ok(())
    }

    /// Lets more groups in, where some of these rows found no place; says whether there is room for any.
    fn admit(&mut self, rows: usize, room: usize) -> bool {
        let before = self.admitted;
        let folded = self.groups[..rows].iter().filter(|group| **group == FOLDED).count();
        let wanted = (before + folded).min(self.groups_max);
        while self.admitted < wanted {
            let next = (self.admitted * 2 + 1).min(self.groups_max);
            if !self.has_room(next, room) {
                break;
            }
            self.admitted = next;
        }
        self.admitted > before
    }

    fn has_room(&self, groups: usize, room: usize) -> bool {
        self.octets_with(groups).saturating_sub(self.octets()) <= room
    }

    fn count(&mut self, batch: &RecordBatch, packets: Option<usize>) {
        self.rows += records_in(batch, packets);
        if self.table.len() >= self.admitted {
            let folded = self.groups.iter().enumerate().filter(|(_, group)| **group == FOLDED);
            self.folded_rows += match packets {
                None => folded.count() as u64,
                Some(packets) => {
                    let packets = batch.column(packets).as_primitive::<Int64Type>();
                    folded.map(|(row, _)| packets.value(row).unsigned_abs()).sum()
                }
            };
        }
    }

    fn merge_states(&mut self, states: &RecordBatch) -> Result<()> {
        let keys = self.constants.others(&states.columns()[..self.fold.keys.len()]);
        self.intern(Keys::Columns(&keys), states.num_rows())?;
        self.merge_columns(states)
    }

    fn merge_columns(&mut self, states: &RecordBatch) -> Result<()> {
        let total = self.table.len() + 1;
        let mut first = self.fold.keys.len();
        let accumulators = self.accumulators.iter_mut().zip(&self.failed);
        for (aggregate, (accumulator, has_failed)) in self.fold.aggregates.iter().zip(accumulators) {
            let next = first + aggregate.function.state_fields()?.len();
            // What cannot go on has no states.
            if !has_failed {
                accumulator.merge_batch(&states.columns()[first..next], &self.groups, total)?;
            }
            first = next;
        }
        Ok(())
    }

    /// The argument columns of one aggregate.
    fn arguments(
        &mut self,
        position: usize,
        aggregate: &Aggregate,
        batch: &RecordBatch,
    ) -> Result<Vec<ArrayRef>> {
        let cached = self.literals[position].iter_mut();
        let arguments = aggregate.arguments.iter().zip(cached);
        arguments.map(|(argument, cache)| argument_column(argument.as_ref(), cache, batch)).collect()
    }

    /// Keys and aggregates of all groups, the folded one first; each aggregate has so many columns.
    fn take_columns(
        &mut self,
        schema: &SchemaRef,
        widths: &[usize],
        take: impl Fn(&mut dyn GroupsAccumulator) -> Result<Vec<ArrayRef>>,
    ) -> Result<Vec<ArrayRef>> {
        let groups = self.table.len() + 1;
        // Where all keys are constant there is one group, but of no rows none.
        let given = if self.keys.is_empty() && self.rows == 0 { 0 } else { groups - 1 };
        self.octets_a_group = self.accumulated().div_ceil(groups);
        self.placed = 0;
        if !self.keys.is_empty() {
            // With the folded one, a power of two.
            let groups = (groups.next_power_of_two() - 1).max(ADMITTED_MIN);
            self.admitted_before = groups.min(self.groups_max);
            self.admitted = self.groups_max.min(ADMITTED_MIN);
        }
        let mut columns = self.constants.put_back(self.table.take_keys()?, given)?;
        for (position, width) in widths.iter().enumerate() {
            let taken = (!self.failed[position]).then(|| take(self.accumulators[position].as_mut()));
            if let Some(Ok(taken)) = taken {
                columns.extend(taken);
                continue;
            }
            let fields = schema.fields()[columns.len()..][..*width].iter();
            columns.extend(fields.map(|field| new_null_array(field.data_type(), groups)));
            self.note_failure(position, taken.map_or(Ok(()), |taken| taken.map(drop)));
        }
        debug_assert_eq!(columns.len(), schema.fields().len());
        Ok(columns)
    }

    /// Parts group 0 from the others.
    fn split_folded(&mut self, schema: &SchemaRef, columns: &[ArrayRef]) -> Result<GroupBatch> {
        let keys = self.fold.keys.len();
        let (key_columns, values) = columns.split_at(keys);
        let groups = key_columns.first().or(values.first()).map_or(0, Array::len);
        let groups = if key_columns.is_empty() { groups.saturating_sub(1).max(1) } else { groups };
        let real = values.iter().map(|column| column.slice(1, groups));
        let columns = key_columns.iter().cloned().chain(real).collect();
        let (rows, folded_rows) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.folded_rows));
        let folded = if folded_rows > 0 {
            let nulls = schema.fields()[..keys].iter().map(|field| new_null_array(field.data_type(), 1));
            let values = values.iter().map(|column| column.slice(0, 1));
            Some(batch(schema, nulls.chain(values).collect(), 1)?)
        } else {
            None
        };
        Ok(GroupBatch { groups: batch(schema, columns, groups)?, folded, rows, folded_rows })
    }
}

/// The names and types of the keys by which rows are told apart.
pub(crate) fn keys_of(fold: &AggregateFold) -> SchemaRef {
    Arc::new(Schema::new(ConstantKeys::among(&fold.keys).others(fold.key_schema.fields())))
}

/// How many records each row of a batch is; `packets` names the column that says it, if there is one.
pub(crate) fn records_of(batch: &RecordBatch, packets: Option<usize>) -> impl Iterator<Item = u64> {
    let packets = packets.map(|packets| batch.column(packets).as_primitive::<Int64Type>());
    (0..batch.num_rows()).map(move |row| packets.map_or(1, |packets| packets.value(row).unsigned_abs()))
}

/// How many records the rows of a batch are; `packets` names the column that says it of each row, if there is one.
pub(crate) fn records_in(batch: &RecordBatch, packets: Option<usize>) -> u64 {
    match packets {
        None => batch.num_rows() as u64,
        Some(packets) => {
            let packets = batch.column(packets).as_primitive::<Int64Type>();
            packets.values().iter().map(|packets| packets.unsigned_abs()).sum()
        }
    }
}

/// A batch of these columns; an accumulator's type may differ from its field in a decimal's precision.
fn batch(schema: &SchemaRef, mut columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    for (column, field) in columns.iter_mut().zip(schema.fields()) {
        if column.data_type() != field.data_type() {
            *column = cast(column, field.data_type())?;
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// SQL's one row of an aggregate without keys over no rows.
///
/// # Errors
/// When an aggregate has no accumulator for its types.
pub(crate) fn results_of_nothing(fold: &AggregateFold) -> Result<GroupBatch> {
    let result = |aggregate: &Aggregate| aggregate.function.create_accumulator()?.evaluate()?.to_array();
    let columns = fold.aggregates.iter().map(result).collect::<Result<Vec<_>>>()?;
    let groups = batch(&result_schema(fold), columns, 1)?;
    Ok(GroupBatch { groups, folded: None, rows: 0, folded_rows: 0 })
}

fn argument_column(
    argument: &dyn PhysicalExpr,
    cache: &mut Option<ArrayRef>,
    batch: &RecordBatch,
) -> Result<ArrayRef> {
    let rows = batch.num_rows();
    if !argument.is::<Literal>() {
        return evaluate(argument, batch);
    }
    if let Some(column) = cache.as_ref().filter(|column| column.len() >= rows) {
        return Ok(if column.len() == rows { column.clone() } else { column.slice(0, rows) });
    }
    let column = evaluate(argument, batch)?;
    *cache = Some(column.clone());
    Ok(column)
}

fn accumulator(function: &Arc<AggregateFunctionExpr>, has_keys: bool) -> Result<Box<dyn GroupsAccumulator>> {
    if !has_keys {
        return Ok(Box::new(OneGroup::new(function.clone())?));
    }
    if function.groups_accumulator_supported() {
        return function.create_groups_accumulator();
    }
    let function = function.clone();
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
}

/// Octets that one group of an aggregate takes at least.
fn least_octets(function: &AggregateFunctionExpr) -> Result<usize> {
    if function.groups_accumulator_supported() {
        return Ok(OCTETS_A_GROUP);
    }
    Ok(function.create_accumulator()?.size())
}

/// Keys, nullable since the folded row has none, then the fields that `of` gives for each aggregate.
fn schema_of(fold: &AggregateFold, of: impl Fn(&Aggregate) -> Result<Vec<Arc<Field>>>) -> Result<SchemaRef> {
    let nullable = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_nullable(true));
    let mut fields: Vec<Arc<Field>> = fold.key_schema.fields().iter().map(nullable).collect();
    for aggregate in &fold.aggregates {
        fields.extend(of(aggregate)?.iter().map(nullable));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The columns of the partial states: keys, then those of each aggregate.
///
/// # Errors
/// When an aggregate cannot tell its own.
pub(crate) fn state_schema(fold: &AggregateFold) -> Result<SchemaRef> {
    schema_of(fold, |aggregate| aggregate.function.state_fields())
}

fn result_schema(fold: &AggregateFold) -> SchemaRef {
    schema_of(fold, |aggregate| Ok(vec![aggregate.function.field()]))
        .expect("invariant: results need no fallible call")
}

#[cfg(test)]
mod tests;
