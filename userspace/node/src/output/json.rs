//! One JSON object a line; with several queries in one output, each says which.

use super::Writer;
use arrow_json::LineDelimitedWriter;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;
use std::io::Write;
use std::sync::Arc;
use tapline_sinks::{printable, with_own_names};

/// Where an object says whose it is.
pub(super) const QUERY: &str = "query";

pub(super) struct JsonWriter {
    writer: LineDelimitedWriter<Box<dyn Write>>,
    query: Option<String>,
}

impl JsonWriter {
    pub(super) fn new(target: Box<dyn Write>, query: Option<String>) -> Self {
        let writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(target);
        Self { writer, query }
    }
}

impl Writer for JsonWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = printable(batch)?;
        let batch = match &self.query {
            None => batch,
            Some(query) => with_query(&batch, query)?,
        };
        self.writer.write(&with_own_names(&batch)?)
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        Ok(self.writer.get_mut().flush()?)
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        self.writer.finish()?;
        self.flush()
    }
}

/// The batch with the query's name before its other columns.
fn with_query(batch: &RecordBatch, query: &str) -> Result<RecordBatch, ArrowError> {
    let names = std::iter::repeat_n(query, batch.num_rows());
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(names))];
    columns.extend(batch.columns().iter().cloned());
    let mut fields = vec![Arc::new(Field::new(QUERY, DataType::Utf8, false))];
    fields.extend(batch.schema().fields().iter().cloned());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
