//! Builds record batches of the columns that some query names.

use crate::column::{BURST_ROWS, ColumnBuilder, Symbol, SymbolTable};
use crate::stream::Stream;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

/// Batches whose memory is kept for the next ones; more are given back to the allocator.
const SPARE_BATCHES_MAX: usize = 64;

/// Fills batches of a stream's columns, burst by burst.
#[derive(Debug)]
pub struct BatchBuilder {
    stream: &'static Stream,
    schema: SchemaRef,
    /// Position in the stream, and the column.
    columns: Vec<(usize, ColumnBuilder)>,
    symbols: SymbolTable,
    rows: usize,
    capacity_rows: usize,
    spare: Vec<RecordBatch>,
}

impl BatchBuilder {
    /// Builds the columns at `positions` of `stream`; a batch is full at `capacity_rows`.
    #[must_use]
    pub fn new(stream: &'static Stream, positions: &[usize], capacity_rows: usize) -> Self {
        let mut builder = Self {
            stream,
            schema: stream.schema_of(positions),
            columns: columns_at(stream, positions),
            symbols: SymbolTable::default(),
            rows: 0,
            capacity_rows,
            spare: Vec::new(),
        };
        builder.make_room();
        builder
    }

    /// Builds the columns at these positions instead, from an empty batch on; symbols stay what they are.
    pub fn relayout(&mut self, positions: &[usize]) {
        debug_assert_eq!(self.rows, 0, "rows of the layout before are taken first");
        self.schema = self.stream.schema_of(positions);
        self.columns = columns_at(self.stream, positions);
        self.spare.clear();
        self.make_room();
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Whether the column at `position` of the stream is built.
    #[must_use]
    pub fn builds(&self, position: usize) -> bool {
        self.columns.iter().any(|(built, _)| *built == position)
    }

    /// The symbol that stands for `text` in rows of this builder.
    pub fn intern(&mut self, text: &str) -> Symbol {
        self.symbols.intern(text)
    }

    /// Rows of the batch that is being filled.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether another burst might exceed the batch's capacity.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows + BURST_ROWS > self.capacity_rows
    }

    /// Appends a burst of `rows` rows: `fill` is called once a column, with its position.
    ///
    /// `fill` must append `rows` values to each column that it is given.
    #[inline]
    pub fn append(&mut self, rows: usize, mut fill: impl FnMut(usize, &mut ColumnBuilder)) {
        for (position, column) in &mut self.columns {
            fill(*position, column);
        }
        self.rows += rows;
    }

    /// The column at `position` of the stream, for values that are pushed one by one.
    pub fn column_mut(&mut self, position: usize) -> Option<&mut ColumnBuilder> {
        self.columns.iter_mut().find(|(built, _)| *built == position).map(|(_, column)| column)
    }

    /// The rows since the last call; the builder is ready for the next batch.
    pub fn finish(&mut self) -> RecordBatch {
        let Self { columns, symbols, .. } = self;
        let arrays = columns.iter_mut().map(|(_, column)| column.finish(symbols)).collect();
        let rows = std::mem::take(&mut self.rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .expect("invariant: every burst fills every column");
        self.make_room();
        batch
    }

    /// Takes back a batch whose memory may be used again.
    pub fn recycle(&mut self, batch: RecordBatch) {
        if self.spare.len() < SPARE_BATCHES_MAX {
            self.spare.push(batch);
        }
    }

    fn make_room(&mut self) {
        let arrays = self.spare.pop().map(|batch| batch.into_parts().1).unwrap_or_default();
        for ((_, column), array) in self.columns.iter_mut().zip(arrays) {
            column.reclaim(array);
        }
        for (_, column) in &mut self.columns {
            column.reserve(self.capacity_rows);
        }
    }
}

/// Empty columns.
fn columns_at(stream: &Stream, positions: &[usize]) -> Vec<(usize, ColumnBuilder)> {
    positions.iter().map(|&position| (position, ColumnBuilder::new(stream.kind(position)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PACKETS, PacketColumn, PacketRow};
    use arrow_array::Array;

    const WANTED: [usize; 3] =
        [PacketColumn::Ts as usize, PacketColumn::SrcIp as usize, PacketColumn::DstPort as usize];

    fn burst(rows: usize) -> Vec<PacketRow> {
        let present = PacketColumn::Ts.bit() | PacketColumn::SrcIp.bit();
        let row = |ts| PacketRow { present, ts, src_ip: [9; 16], dst_port: 5, ..PacketRow::default() };
        (0..rows).map(|position| row(i64::try_from(position).unwrap())).collect()
    }

    #[test]
    fn only_wanted_columns_are_built() {
        let mut builder = BatchBuilder::new(&PACKETS, &WANTED, 128);
        let rows = burst(64);
        builder.append(64, |position, column| PacketRow::append(&rows, position, column));
        assert!(!builder.is_full());
        builder.append(3, |position, column| PacketRow::append(&rows[..3], position, column));
        assert!(builder.is_full());
        let batch = builder.finish();
        assert_eq!(batch.num_rows(), 67);
        assert_eq!(batch.schema().fields().len(), 3);
        assert_eq!(batch.column(2).null_count(), 67, "absent whatever the field holds");
    }

    #[test]
    fn a_recycled_batch_lends_its_memory() {
        let mut builder = BatchBuilder::new(&PACKETS, &WANTED, 64);
        let rows = burst(64);
        let mut buffers = std::collections::BTreeSet::new();
        for _ in 0..10 {
            builder.append(64, |position, column| PacketRow::append(&rows, position, column));
            let batch = builder.finish();
            buffers.insert(batch.column(0).to_data().buffers()[0].as_ptr());
            builder.recycle(batch);
        }
        assert_eq!(buffers.len(), 2, "one batch is filled while the other one is away");
    }

    #[test]
    fn a_batch_without_columns_counts_its_rows() {
        let mut builder = BatchBuilder::new(&PACKETS, &[], 64);
        builder.append(5, |_, _| ());
        assert_eq!(builder.finish().num_rows(), 5);
    }
}
