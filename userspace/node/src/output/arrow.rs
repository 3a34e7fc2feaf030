//! Arrow's IPC stream format.

use super::Writer;
use crate::failure::Failure;
use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use std::io::Write;

pub(super) struct ArrowWriter {
    writer: StreamWriter<Box<dyn Write>>,
}

impl ArrowWriter {
    pub(super) fn new(target: Box<dyn Write>, schema: &SchemaRef) -> Result<Self, Failure> {
        let writer = StreamWriter::try_new(target, schema);
        Ok(Self { writer: writer.map_err(|error| Failure::Run(error.to_string()))? })
    }
}

impl Writer for ArrowWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.writer.write(batch)
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        Ok(self.writer.get_mut().flush()?)
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        self.writer.finish()
    }
}
