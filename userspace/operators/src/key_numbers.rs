//! Numbers of the keys by which several lower halves of one worker group their rows.
//!
//! Takes the keys of a whole batch, gives the number of each row's key, so that they are looked up once for all halves;
//! which group that is in a pane of one of them, this one looks up by the number. Numbers that nobody has a group of are
//! not kept for long: when there are many, all are given anew, and whoever has groups asks for their numbers again.

use crate::group::{GROUPS_MAX, GroupTable, group_table};
use crate::placed::Placed;
use crate::stream_batch::StreamBatch;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tapline_query::StreamExpression;
use tapline_record::StreamId;

/// Halves look up so many rows a row of a batch, or numbers cost more than they save.
const LOOKUPS_MIN: u64 = 2;

/// Keys beyond those that are held, before numbers are given anew.
const KEYS_SPARE: usize = 1 << 16;

/// Keys of one stream, and their numbers. One thread uses them; it is shared so that whoever has groups may ask.
pub(crate) struct CommonKeys {
    stream: StreamId,
    keys: Vec<StreamExpression>,
    schema: SchemaRef,
    numbers: Mutex<KeyNumbers>,
    /// Rows of batches, and rows that halves kept of these, since that was judged last.
    offered: AtomicU64,
    wanted: AtomicU64,
    /// Whether it is worth it to look up all rows.
    pays: AtomicBool,
}

/// The keys of one batch.
pub(crate) struct NumberedKeys {
    /// The key columns.
    pub(crate) columns: Vec<ArrayRef>,
    /// The number of each row's key.
    pub(crate) numbers: Vec<u32>,
    generation: u64,
}

/// Numbers of keys, from 1 on.
pub(crate) struct KeyNumbers {
    table: Box<dyn GroupTable>,
    /// How often they were given anew.
    generation: u64,
    /// So many keys may there be before they are.
    keys_max: usize,
    found: Vec<usize>,
}

impl CommonKeys {
    /// Keys of these types; nobody has asked for any.
    ///
    /// # Errors
    /// When there is no table for such keys.
    pub(crate) fn new(stream: StreamId, keys: Vec<StreamExpression>, schema: SchemaRef) -> Result<Self> {
        let numbers = Mutex::new(KeyNumbers::new(&schema)?);
        let (offered, wanted) = (AtomicU64::new(0), AtomicU64::new(0));
        // All that is known is that several ask for them.
        Ok(Self { stream, keys, schema, numbers, offered, wanted, pays: AtomicBool::new(true) })
    }

    /// Whether a number for each key of these types saves anything: some keys are their own places, and of no key there
    /// is one group.
    pub(crate) fn are_worth_it(schema: &SchemaRef) -> bool {
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        match &types[..] {
            [] | [DataType::UInt8 | DataType::UInt16] => false,
            types => !types.iter().any(|data_type| matches!(data_type, DataType::Dictionary(..))),
        }
    }

    /// Whether they are these keys.
    pub(crate) fn are(&self, stream: StreamId, keys: &[StreamExpression]) -> bool {
        self.stream == stream && self.keys == keys
    }

    /// Their names and types.
    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Judges by the last turn whether it is worth it to look up all rows for so many halves.
    pub(crate) fn judge(&self, users: usize) {
        let [offered, wanted] = [&self.offered, &self.wanted].map(|rows| rows.swap(0, Ordering::Relaxed));
        if users < 2 || offered > 0 {
            self.pays.store(users > 1 && wanted >= LOOKUPS_MIN * offered, Ordering::Relaxed);
        }
    }

    /// Takes it to be worth it until it is judged: one more half asks for them.
    pub(crate) fn hope(&self) {
        self.pays.store(true, Ordering::Relaxed);
    }

    /// Whether it is worth it.
    pub(crate) fn pays(&self) -> bool {
        self.pays.load(Ordering::Relaxed)
    }

    /// Notes that a half kept so many rows.
    pub(crate) fn note_wanted(&self, rows: usize) {
        self.wanted.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The number of each row's key, if the batch is of their stream, it is worth it, and all can be computed; in some
    /// spare memory.
    pub(crate) fn number(&self, input: &StreamBatch, spare: &mut Vec<Vec<u32>>) -> Option<NumberedKeys> {
        if input.stream.id != self.stream {
            return None;
        }
        let rows = input.batch.num_rows();
        self.offered.fetch_add(rows as u64, Ordering::Relaxed);
        if !self.pays() {
            return None;
        }
        let column = |key| Placed::new(key, input.built())?.evaluate(&input.batch).ok();
        let columns: Vec<ArrayRef> = self.keys.iter().map(column).collect::<Option<_>>()?;
        let (mut known, mut numbers) = (self.numbers(), spare.pop().unwrap_or_default());
        numbers.clear();
        numbers.extend(known.find(&columns, rows).ok()?);
        Some(NumberedKeys { columns, numbers, generation: known.generation })
    }

    /// Whether these numbers were given since all were given anew.
    pub(crate) fn are_current(&self, keys: &NumberedKeys) -> bool {
        keys.generation == self.numbers().generation
    }

    pub(crate) fn numbers(&self) -> MutexGuard<'_, KeyNumbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Octets that they take.
    pub(crate) fn octets(&self) -> usize {
        self.numbers().table.octets_with(0)
    }
}

impl KeyNumbers {
    fn new(schema: &SchemaRef) -> Result<Self> {
        let table = group_table(schema, GROUPS_MAX)?;
        Ok(Self { table, generation: 0, keys_max: KEYS_SPARE, found: vec![] })
    }

    /// How often all numbers were given anew.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Lets so many keys come before numbers are given anew.
    #[cfg(test)]
    pub(crate) const fn give_anew_beyond(&mut self, keys_max: usize) {
        self.keys_max = keys_max;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The numbers of keys. Before, all are given anew if there are too many.
    ///
    /// # Errors
    /// Only when the keys are of other types.
    pub(crate) fn find(&mut self, keys: &[ArrayRef], rows: usize) -> Result<impl Iterator<Item = u32>> {
        if self.table.len() > self.keys_max {
            self.table.take_keys()?;
            self.generation += 1;
            self.keys_max = KEYS_SPARE;
        }
        self.table.intern(keys, rows, &mut self.found)?;
        Ok(self.found.iter().map(|number| *number as u32))
    }

    /// The numbers of keys that somebody has groups of.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn find_held(&mut self, keys: &[ArrayRef], rows: usize) -> Result<impl Iterator<Item = u32>> {
        self.table.intern(keys, rows, &mut self.found)?;
        // As many again may come before it is looked who holds which.
        self.keys_max = self.keys_max.max(2 * self.table.len() + KEYS_SPARE);
        Ok(self.found.iter().map(|number| *number as u32))
    }
}
