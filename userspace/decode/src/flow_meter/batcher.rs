//! Turns flow records into record batches.
//!
//! Takes rows one by one, gives batches of the columns that some query names. No row is refused: a
//! batch that was full is not lost but longer.

use arrow_array::RecordBatch;
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::{BatchBuilder, FLOWS, FlowRow};

/// Collects rows of `flows` into batches.
#[derive(Debug)]
pub struct FlowBatcher {
    builder: BatchBuilder,
    burst: Vec<FlowRow>,
    batch_rows: usize,
}

impl FlowBatcher {
    /// Builds the columns at these positions of [`FLOWS`]; a batch is full at `batch_rows`.
    #[must_use]
    pub fn new(columns: &[usize], batch_rows: usize) -> Self {
        let builder = BatchBuilder::new(&FLOWS, columns, batch_rows);
        Self { builder, burst: Vec::with_capacity(BURST_ROWS), batch_rows }
    }

    /// Builds the columns at these positions instead, from an empty batch on.
    pub fn relayout(&mut self, columns: &[usize]) {
        self.builder.relayout(columns);
    }

    /// The symbol of a source's name, for the rows of this batcher.
    pub fn intern_source(&mut self, name: &str) -> Symbol {
        self.builder.intern(name)
    }

    /// Adds a row.
    pub fn push(&mut self, row: &FlowRow) {
        self.burst.push(*row);
        if self.burst.len() == BURST_ROWS {
            self.append_burst();
        }
    }

    /// Rows since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.builder.rows() + self.burst.len()
    }

    /// Whether it is time for [`Self::finish`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows() >= self.batch_rows
    }

    /// The rows since the last batch, `None` when there are none.
    pub fn finish(&mut self) -> Option<RecordBatch> {
        self.append_burst();
        (self.builder.rows() > 0).then(|| self.builder.finish())
    }

    /// Takes back a batch whose memory may be used again.
    pub fn recycle(&mut self, batch: RecordBatch) {
        self.builder.recycle(batch);
    }

    fn append_burst(&mut self) {
        let rows = &self.burst;
        self.builder.append(rows.len(), |position, column| FlowRow::append(rows, position, column));
        self.burst.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use tapline_record::FlowColumn;

    #[test]
    fn batches_hold_the_rows_in_order() {
        let columns = [FlowColumn::Packets as usize, FlowColumn::Vlan as usize];
        let mut batcher = FlowBatcher::new(&columns, 100);
        let (mut packets, mut sizes) = (vec![], vec![]);
        let mut collect = |batcher: &mut FlowBatcher| {
            let Some(batch) = batcher.finish() else { return };
            sizes.push(batch.num_rows());
            packets.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            assert_eq!(batch.column(1).null_count(), batch.num_rows(), "absent columns are NULL");
            batcher.recycle(batch);
        };
        for number in 0..250 {
            batcher.push(&FlowRow {
                present: FlowColumn::Packets.bit(),
                packets: number,
                ..FlowRow::default()
            });
            if batcher.is_full() {
                collect(&mut batcher);
            }
        }
        collect(&mut batcher);
        collect(&mut batcher);
        assert_eq!(sizes, [100, 100, 50], "and no empty batch at the end");
        assert_eq!(packets, (0..250).collect::<Vec<_>>());
    }
}
