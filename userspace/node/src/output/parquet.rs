//! A Parquet file: times stay times, numbers numbers, addresses are text, since no reader has a type for them.

use super::Writer;
use crate::failure::Failure;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tapline_sinks::{parquet_properties, with_addresses_as_text, with_own_names};

pub(super) struct ParquetWriter {
    /// None when it is finished.
    writer: Option<ArrowWriter<Kept>>,
    kept: Kept,
    target: Box<dyn Write>,
}

impl ParquetWriter {
    pub(super) fn new(target: Box<dyn Write>, schema: &SchemaRef) -> Result<Self, Failure> {
        let kept = Kept::default();
        let columns = in_parquet(&RecordBatch::new_empty(Arc::clone(schema))).map(|batch| batch.schema());
        let columns = columns.map_err(|error| Failure::Run(error.to_string()))?;
        let writer = ArrowWriter::try_new(kept.clone(), columns, Some(parquet_properties()));
        let writer = writer.map_err(|error| Failure::Run(format!("as a Parquet file: {error}")))?;
        Ok(Self { writer: Some(writer), kept, target })
    }

    /// Hands over what is ready: whole groups of rows.
    fn hand_over(&mut self) -> io::Result<()> {
        self.target.write_all(&self.kept.take())
    }
}

impl Writer for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        if let Some(writer) = &mut self.writer {
            writer.write(&in_parquet(batch)?).map_err(|error| into_arrow(&error))?;
        }
        Ok(self.hand_over()?)
    }

    /// A group of rows is written when it is full: nobody reads the file before its end is there.
    fn flush(&mut self) -> Result<(), ArrowError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(|error| into_arrow(&error))?;
        }
        self.hand_over()?;
        Ok(self.target.flush()?)
    }
}

/// The columns as they stand in a file, where each has a name of its own.
fn in_parquet(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    with_own_names(&with_addresses_as_text(batch)?)
}

fn into_arrow(error: &ParquetError) -> ArrowError {
    ArrowError::ParquetError(error.to_string())
}

/// What is encoded and was not handed over yet; clones are the same.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
