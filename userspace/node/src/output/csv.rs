//! Comma-separated values; the header line comes even when there is no row.

use super::Writer;
use arrow_csv::WriterBuilder;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use std::io::Write;
use tapline_sinks::flat;

pub(super) struct CsvWriter {
    /// None when it is finished.
    writer: Option<arrow_csv::Writer<Box<dyn Write>>>,
    /// Written at the end when no batch came.
    empty: Option<RecordBatch>,
}

impl CsvWriter {
    pub(super) fn new(target: Box<dyn Write>, schema: &SchemaRef) -> Self {
        let writer = WriterBuilder::new().with_header(true).build(target);
        Self { writer: Some(writer), empty: Some(RecordBatch::new_empty(schema.clone())) }
    }
}

impl CsvWriter {
    fn write_flat(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = flat(batch)?;
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(&batch))
    }
}

impl Writer for CsvWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.empty = None;
        self.write_flat(batch)
    }

    /// Every batch was flushed when it was written.
    fn flush(&mut self) -> Result<(), ArrowError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        if let Some(empty) = self.empty.take() {
            self.write_flat(&empty)?;
        }
        let target = self.writer.take().map(arrow_csv::Writer::into_inner);
        Ok(target.map_or(Ok(()), |mut target| target.flush())?)
    }
}
