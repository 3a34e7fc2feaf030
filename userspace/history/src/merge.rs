//! Merges files of an hour into one, and lets a file be in the place of others.
//!
//! A folder with the new file and whatever else the hour has is made beside it, and takes its place at once: no reader
//! sees a row twice, and a crash leaves the one or the other. Files of other hours that it replaces, too, go right
//! behind that. Rows are in the same order in the merged file.

use crate::layout::Layout;
use crate::place::{Hour, columns_number, file_name};
use crate::reading::{Running, Stored, in_order, whole};
use crate::shared::Shared;
use crate::sorted::properties;
use crate::store::{Part, keep_names};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as QueryResult;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_sinks::{HiddenFile, ParquetFailure};

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// These files went to `.gone`.
    Done(Vec<PathBuf>),
    /// This file is none that can be read; it was put aside.
    Damaged(PathBuf),
    /// This file cannot be read now, which says why.
    Unread(PathBuf, String),
    /// The end came before.
    Ended,
}

/// Merges these files of an hour, unless it ends.
pub(crate) fn merge(
    shared: &Arc<Shared>,
    (query, hour): (&str, Hour),
    parts: &[Part],
    ends: &AtomicBool,
) -> Result<Merged, String> {
    let mut schemas: Vec<SchemaRef> = vec![];
    for part in parts {
        let unread = |error: &dyn Display| Merged::Unread(part.path.clone(), said(&part.path, error));
        let file = match shared.store.open(part) {
            Ok(file) => file,
            Err(error) => return Ok(unread(&error)),
        };
        match ParquetRecordBatchReaderBuilder::try_new(file) {
            Ok(reader) => schemas.push(reader.schema().clone()),
            Err(ParquetError::External(error)) => return Ok(unread(&error)),
            Err(_) => return put_aside(shared, part),
        }
    }
    let Some(schema) = schemas.first() else { return Ok(Merged::Done(vec![])) };
    if let Some((_, part)) = schemas.iter().zip(parts).find(|(other, _)| *other != schema) {
        return Err(said(&part.path, &"its columns are others than its name says"));
    }
    let rows = rows(shared, parts, schema);
    let rows = rows.map_err(|error| said(&shared.store.hour_folder(query, hour), &error))?;
    replace(shared, (query, hour), parts, (schema, rows), ends)
}

/// The rows of files of the same columns, in their order.
fn rows(shared: &Arc<Shared>, parts: &[Part], schema: &SchemaRef) -> QueryResult<Running> {
    let order = Layout::read(schema).map_or(vec![], |layout| layout.order(schema));
    let partitions = whole(shared, parts, schema).into_iter().map(Stored::partition).collect();
    Running::start(&in_order(partitions, schema, &order)?, Arc::default())
}

/// Writes rows in the place of files, as one of this hour, unless it ends.
pub(crate) fn replace(
    shared: &Shared,
    (query, hour): (&str, Hour),
    parts: &[Part],
    (schema, rows): (&SchemaRef, impl Iterator<Item = QueryResult<RecordBatch>>),
    ends: &AtomicBool,
) -> Result<Merged, String> {
    let folder = shared.store.hour_folder(query, hour);
    let path = shared.store.path_to_write().map_err(|error| said(shared.store.root(), &error))?;
    let failure = |error: &dyn Display| ParquetFailure::Disk(folder.clone(), error.to_string());
    let rows = rows.map(|batch| batch.map_err(|error| failure(&error)));
    let rows = rows.take_while(|_| !ends.load(Ordering::Relaxed));
    let file = match HiddenFile::write_as(path, schema, properties(schema), rows) {
        _ if ends.load(Ordering::Relaxed) => return Ok(Merged::Ended),
        file => file.map_err(|failure| failure.to_string())?,
    };
    let gone = take_place(shared, (query, hour), parts, (file, columns_number(schema)));
    gone.map(Merged::Done).map_err(|error| said(&folder, &error))
}

/// Lets a file be in the place of others.
fn take_place(
    shared: &Shared,
    (query, hour): (&str, Hour),
    parts: &[Part],
    (file, columns): (HiddenFile, u32),
) -> io::Result<Vec<PathBuf>> {
    let store = &shared.store;
    let others: Vec<&Part> = parts.iter().filter(|part| part.hour != hour).collect();
    // No file comes or goes meanwhile.
    let _turn = shared.waiting();
    let _changes = store.changes(query, hour);
    store.make_hour(query, hour)?;
    let beside = store.folder_beside(query, hour)?;
    let number = store.next_number(query, hour)?;
    for path in store.files(query, hour)?.iter().filter(|path| !parts.iter().any(|part| part.path == **path))
    {
        fs::hard_link(path, beside.join(path.file_name().unwrap_or_default()))?;
    }
    let name = file_name(number, columns);
    let path = store.hour_folder(query, hour).join(&name);
    // One of this name that was there once may have had some, where it could not be put away.
    store.remove_sums(&path)?;
    file.publish(&beside.join(name)).map_err(|failure| io::Error::other(failure.to_string()))?;
    keep_names(&beside)?;
    if others.is_empty() {
        store.exchange(query, hour)?;
        return store.put_away(query, hour);
    }
    store.note_replaced(&path, &others)?;
    if let Err(error) = store.exchange(query, hour) {
        // They may have changed places all the same.
        store.finish_replacing()?;
        return Err(error);
    }
    let mut gone = store.put_others_away(&others)?;
    gone.extend(store.put_away(query, hour)?);
    Ok(gone)
}

/// Takes the name of a file that nobody can read.
fn put_aside(shared: &Shared, part: &Part) -> Result<Merged, String> {
    let _changes = shared.store.changes_at(&part.path);
    let aside = part.path.with_extension("damaged");
    fs::rename(&part.path, &aside).map_err(|error| said(&part.path, &error))?;
    Ok(Merged::Damaged(aside))
}

fn said(path: &Path, error: &dyn Display) -> String {
    format!("{} cannot be merged: {error}", path.display())
}
