//! Merges files of an hour into one, and lets a file be in the place of others.
//!
//! A folder with the new file and whatever else the hour has is made beside it, and takes its place at once: no reader
//! sees a row twice, and a crash leaves the one or the other. Files of other hours that it replaces, too, go right
//! behind that. Rows are in the same order in the merged file.

use crate::damage::damage;
use crate::layout::Layout;
use crate::place::{Hour, columns_number, file_name};
use crate::reading::{Running, Stored, in_order, whole};
use crate::shared::Shared;
use crate::sorted::properties;
use crate::store::{DAMAGED, Part, keep_names};
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
    /// These files cannot be read now, each of which says why; all are where they were.
    Unread(Vec<(PathBuf, String)>),
    /// The end came before.
    Ended,
}

/// Why no file takes the place of others.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Rows of theirs cannot be read.
    Rows(String),
    /// It cannot be written, or put there.
    Else(String),
}

impl Failed {
    /// Finds which files are to blame, where their rows cannot be read.
    pub(crate) fn blamed(
        self,
        shared: &Arc<Shared>,
        parts: &[Part],
        ends: &AtomicBool,
    ) -> Result<Merged, String> {
        let why = match self {
            Self::Rows(why) => why,
            Self::Else(why) => return Err(why),
        };
        let blamed = |part: &Part| Some((part.path.clone(), damage(shared, part, ends)?));
        let unread: Vec<(PathBuf, String)> = parts.iter().filter_map(blamed).collect();
        if ends.load(Ordering::Relaxed) {
            return Ok(Merged::Ended);
        }
        // Where all of them can be read by now, it is tried again.
        if unread.is_empty() { Err(why) } else { Ok(Merged::Unread(unread)) }
    }
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
        let unread =
            |error: &dyn Display| Ok(Merged::Unread(vec![(part.path.clone(), said(&part.path, error))]));
        let file = match shared.store.open(part) {
            Ok(file) => file,
            Err(error) => return unread(&error),
        };
        match ParquetRecordBatchReaderBuilder::try_new(file) {
            Ok(reader) => schemas.push(reader.schema().clone()),
            Err(ParquetError::External(error)) => return unread(&error),
            Err(_) => return put_aside(shared, part),
        }
    }
    let Some(schema) = schemas.first() else { return Ok(Merged::Done(vec![])) };
    if let Some(part) = other_than_named(parts, &schemas) {
        let why = said(&part.path, &"its columns are others than its name says");
        return Ok(Merged::Unread(vec![(part.path.clone(), why)]));
    }
    let merged = match rows(shared, parts, schema) {
        Ok(rows) => replace(shared, (query, hour), parts, (schema, rows), ends),
        Err(error) => Err(Failed::Rows(said(&shared.store.hour_folder(query, hour), &error))),
    };
    merged.or_else(|failed| failed.blamed(shared, parts, ends))
}

/// Where not all files have the same columns: one whose name says so, or whose columns are not the first one's.
fn other_than_named<'a>(parts: &'a [Part], schemas: &[SchemaRef]) -> Option<&'a Part> {
    let both = || parts.iter().zip(schemas);
    let other = both().find(|(_, schema)| Some(*schema) != schemas.first())?;
    let unnamed = both().find(|(part, schema)| columns_number(schema) != part.columns);
    Some(unnamed.unwrap_or(other).0)
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
) -> Result<Merged, Failed> {
    let folder = shared.store.hour_folder(query, hour);
    let path = shared.store.path_to_write();
    let path = path.map_err(|error| Failed::Else(said(shared.store.root(), &error)))?;
    let mut unread = None;
    let rows = rows.map(|batch| {
        batch.map_err(|error| {
            let why = unread.insert(error.to_string()).clone();
            ParquetFailure::Disk(folder.clone(), why)
        })
    });
    let rows = rows.take_while(|_| !ends.load(Ordering::Relaxed));
    let file = HiddenFile::write_as(path, schema, properties(schema), rows);
    if ends.load(Ordering::Relaxed) {
        return Ok(Merged::Ended);
    }
    let file = file.map_err(|failure| match unread {
        Some(why) => Failed::Rows(said(&folder, &why)),
        None => Failed::Else(failure.to_string()),
    })?;
    let gone = take_place(shared, (query, hour), parts, (file, columns_number(schema)));
    gone.map(Merged::Done).map_err(|error| Failed::Else(said(&folder, &error)))
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
    let aside = part.path.with_extension(DAMAGED);
    fs::rename(&part.path, &aside).map_err(|error| said(&part.path, &error))?;
    Ok(Merged::Damaged(aside))
}

fn said(path: &Path, error: &dyn Display) -> String {
    format!("{} cannot be merged: {error}", path.display())
}
