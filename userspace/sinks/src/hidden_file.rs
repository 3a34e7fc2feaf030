//! Parquet files that are there as a whole or not at all.
//!
//! A file is written under a hidden name on the same disk, made safe, and then put into its place: no reader sees a part
//! of it, and what a crash leaves under a hidden name is nobody's.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Rows that are kept, encoded, before they are written: as many as readers like to take at a time.
pub const ROWS_PER_GROUP: usize = 1 << 17;

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFailure {
    /// The disk has no room, or the like; it may be tried again.
    #[error("{0} cannot be written: {1}")]
    Disk(PathBuf, String),
    /// No file can hold these rows.
    #[error("{0} cannot hold these rows: {1}")]
    Rows(PathBuf, String),
}

/// How files are written.
#[must_use]
pub fn parquet_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_created_by(concat!("tapline version ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

/// A file that is written, and does not stand in its place yet; without [`Self::publish`] it goes.
#[derive(Debug)]
pub struct HiddenFile {
    hidden: PathBuf,
    is_there: bool,
}

impl HiddenFile {
    /// Writes batches of these columns under a hidden name, and makes them safe.
    ///
    /// # Errors
    /// When they cannot be written, or `batches` gives a failure.
    pub fn write(
        hidden: PathBuf,
        schema: &SchemaRef,
        batches: impl IntoIterator<Item = Result<RecordBatch, ParquetFailure>>,
    ) -> Result<Self, ParquetFailure> {
        Self::write_as(hidden, schema, parquet_properties(), batches)
    }

    /// The same, in another way.
    ///
    /// # Errors
    /// As above.
    pub fn write_as(
        hidden: PathBuf,
        schema: &SchemaRef,
        properties: WriterProperties,
        batches: impl IntoIterator<Item = Result<RecordBatch, ParquetFailure>>,
    ) -> Result<Self, ParquetFailure> {
        let target = File::create(&hidden).map_err(|error| on_disk(&hidden, &error))?;
        let written = target.try_clone().map_err(|error| on_disk(&hidden, &error))?;
        let file = Self { hidden, is_there: false };
        let trouble = Arc::new(OnceLock::new());
        let target = Watched { target, trouble: Arc::clone(&trouble) };
        let said = |error: ParquetError| failure(&file.hidden, &error, trouble.get());
        let mut writer =
            ArrowWriter::try_new(target, SchemaRef::clone(schema), Some(properties)).map_err(said)?;
        for batch in batches {
            writer.write(&batch?).map_err(said)?;
        }
        writer.finish().map_err(said)?;
        written.sync_all().map_err(|error| on_disk(&file.hidden, &error))?;
        Ok(file)
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot stand there; then it is gone.
    pub fn publish(mut self, path: &Path) -> Result<(), ParquetFailure> {
        fs::rename(&self.hidden, path).map_err(|error| on_disk(path, &error))?;
        self.is_there = true;
        // The file is there, whether its name is safe already or not: who wrote it again would have its rows twice.
        path.parent().into_iter().for_each(sync_folder);
        Ok(())
    }
}

impl Drop for HiddenFile {
    fn drop(&mut self) {
        if !self.is_there {
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Makes the names in a folder safe, where its disk can.
pub(crate) fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

fn on_disk(path: &Path, error: &io::Error) -> ParquetFailure {
    ParquetFailure::Disk(path.to_owned(), error.to_string())
}

/// Tells a full disk from rows that no file can hold.
fn failure(path: &Path, error: &ParquetError, trouble: Option<&String>) -> ParquetFailure {
    match trouble {
        Some(trouble) => ParquetFailure::Disk(path.to_owned(), trouble.clone()),
        None => ParquetFailure::Rows(path.to_owned(), error.to_string()),
    }
}

/// A file that remembers what went wrong with its disk: errors of Parquet do not always say that it was that.
struct Watched {
    target: File,
    trouble: Arc<OnceLock<String>>,
}

impl Watched {
    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| {
            // The first one is the one that counts; what is interrupted is tried again.
            if error.kind() != io::ErrorKind::Interrupted {
                let _ = self.trouble.set(error.to_string());
            }
        })
    }
}

impl Write for Watched {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let outcome = self.target.write(octets);
        self.note(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.target.flush();
        self.note(outcome)
    }
}
