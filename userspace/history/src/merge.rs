//! Merges files of an hour into one.
//!
//! A folder with the merged file and whatever else the hour has is made beside it, and takes its place at once: no
//! reader sees a row twice, and a crash leaves the one or the other.

use crate::place::{Hour, file_name};
use crate::shared::Shared;
use crate::store::{Part, keep_names};
use datafusion::arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_sinks::{HiddenFile, ParquetFailure};

/// Rows that are read at a time.
const ROWS_PER_BATCH: usize = 8192;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// These files went to `.gone`.
    Done(Vec<PathBuf>),
    /// This file is none that can be read; it was put aside.
    Damaged(PathBuf),
    /// The end came before.
    Ended,
}

/// Merges these files of an hour, unless it ends.
pub(crate) fn merge(
    shared: &Shared,
    (query, hour): (&str, Hour),
    parts: &[Part],
    ends: &AtomicBool,
) -> Result<Merged, String> {
    let mut readers: Vec<ParquetRecordBatchReaderBuilder<File>> = vec![];
    for part in parts {
        let file = shared.store.open(part).map_err(|error| said(&part.path, &error))?;
        match ParquetRecordBatchReaderBuilder::try_new(file) {
            Ok(reader) => readers.push(reader.with_batch_size(ROWS_PER_BATCH)),
            Err(ParquetError::External(error)) => return Err(said(&part.path, &error)),
            Err(_) => return put_aside(part),
        }
    }
    let Some(schema) = readers.first().map(|reader| reader.schema().clone()) else {
        return Ok(Merged::Done(vec![]));
    };
    if let Some((_, part)) = readers.iter().zip(parts).find(|(reader, _)| *reader.schema() != schema) {
        return Err(said(&part.path, &"its columns are others than its name says"));
    }
    let path = shared.store.path_to_write().map_err(|error| said(shared.store.root(), &error))?;
    let batches = readers.into_iter().zip(parts).flat_map(|(reader, part)| Batches::new(reader, part, ends));
    let file = match HiddenFile::write(path, &schema, batches) {
        _ if ends.load(Ordering::Relaxed) => return Ok(Merged::Ended),
        file => file.map_err(|failure| failure.to_string())?,
    };
    let gone = take_place(shared, (query, hour), parts, file);
    gone.map(Merged::Done).map_err(|error| said(&shared.store.hour_folder(query, hour), &error))
}

/// Lets a merged file be in the place of its parts.
fn take_place(
    shared: &Shared,
    (query, hour): (&str, Hour),
    parts: &[Part],
    file: HiddenFile,
) -> io::Result<Vec<PathBuf>> {
    let store = &shared.store;
    // No file comes or goes meanwhile.
    let _turn = shared.waiting();
    let beside = store.folder_beside(query, hour)?;
    let number = store.parts(query, hour)?.last().map_or(0, |part| part.number) + 1;
    let columns = parts.first().map_or(0, |part| part.columns);
    for path in store.files(query, hour)?.iter().filter(|path| !parts.iter().any(|part| part.path == **path))
    {
        fs::hard_link(path, beside.join(path.file_name().unwrap_or_default()))?;
    }
    let published = file.publish(&beside.join(file_name(number, columns)));
    published.map_err(|failure| io::Error::other(failure.to_string()))?;
    keep_names(&beside)?;
    store.exchange(query, hour)?;
    store.put_away(query, hour)
}

/// Takes the name of a file that nobody can read.
fn put_aside(part: &Part) -> Result<Merged, String> {
    let aside = part.path.with_extension("damaged");
    fs::rename(&part.path, &aside).map_err(|error| said(&part.path, &error))?;
    Ok(Merged::Damaged(aside))
}

fn said(path: &Path, error: &dyn Display) -> String {
    format!("{} cannot be merged: {error}", path.display())
}

/// The batches of a file, as long as it does not end.
struct Batches<'a> {
    reader: Result<ParquetRecordBatchReader, Option<ParquetFailure>>,
    path: &'a Path,
    ends: &'a AtomicBool,
}

impl<'a> Batches<'a> {
    fn new(reader: ParquetRecordBatchReaderBuilder<File>, part: &'a Part, ends: &'a AtomicBool) -> Self {
        let reader =
            reader.build().map_err(|error| Some(ParquetFailure::Disk(part.path.clone(), error.to_string())));
        Self { reader, path: &part.path, ends }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, ParquetFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ends.load(Ordering::Relaxed) {
            return None;
        }
        match &mut self.reader {
            Ok(reader) => {
                let batch = reader.next()?;
                Some(batch.map_err(|error| ParquetFailure::Disk(self.path.to_owned(), error.to_string())))
            }
            Err(failure) => failure.take().map(Err),
        }
    }
}
