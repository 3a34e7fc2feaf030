//! What lies in a bucket, as this disk knows it: the ends of its files.
//!
//! ```text
//! FOLDER/.tails/query=NAME/hour=2026-11-30T01/00000001-5f3a9c0d.123456.tail
//!                                             as the file          its octets
//!                                             00000001-5f3a9c0d.123456.mark
//! ```
//! A Parquet file says at its end which columns it has, and what lies where in it. So what there is is known without
//! asking the store, and only rows that are wanted are asked for. A file that has a tail does not change any more: it is
//! in the bucket, or on its way there; when it is there, its mark is what the store calls its content, the ETag.

use crate::place::{Hour, HourFile, of_file, query_folder, query_of_folder};
use crate::store::{Part, Store};
use std::fs::{self, DirEntry, File};
use std::io::{self, Error, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

const EXTENSION: &str = "tail";
const MARK_EXTENSION: &str = "mark";
/// What a Parquet file ends with: octets of what it says of itself, and who it is.
pub(crate) const END_OCTETS: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

impl Store {
    /// The queries of which something lies here or in a bucket.
    pub(crate) fn all_queries(&self) -> io::Result<Vec<String>> {
        let mut names = self.queries()?;
        let query = |entry: DirEntry| Some(query_of_folder(entry.file_name().to_str()?)?.to_owned());
        names.extend(self.entries(&self.folder_of_tails())?.into_iter().filter_map(query));
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The hours of a query of which something lies here or in a bucket.
    pub(crate) fn all_hours(&self, query: &str) -> io::Result<Vec<Hour>> {
        let mut hours = self.hours(query)?;
        hours.extend(self.hours_of_tails(query)?);
        hours.sort_unstable();
        hours.dedup();
        Ok(hours)
    }

    /// The hours of which something lies in a bucket, or is on its way.
    pub(crate) fn hours_of_tails(&self, query: &str) -> io::Result<Vec<Hour>> {
        let entries = self.entries(&self.folder_of_tails().join(query_folder(query)))?;
        Ok(entries.iter().filter_map(|entry| Hour::of_folder(entry.file_name().to_str()?)).collect())
    }

    /// The files of an hour that lie here, and those that lie in a bucket only.
    pub(crate) fn all_parts(&self, query: &str, hour: Hour) -> io::Result<Vec<Part>> {
        // First, so that what leaves the disk meanwhile is among them.
        let tails = self.tails(query, hour)?;
        let mut parts = self.parts(query, hour)?;
        let away = tails.into_iter().filter(|tail| !parts.iter().any(|part| part.path == tail.path));
        let away: Vec<Part> = away.collect();
        parts.extend(away);
        parts.sort_by_key(|part| (part.number, part.columns));
        Ok(parts)
    }

    /// The files of an hour that may change still.
    pub(crate) fn loose_parts(&self, query: &str, hour: Hour) -> io::Result<Vec<Part>> {
        let parts = self.parts(query, hour)?.into_iter();
        Ok(parts.filter(|part| !self.has_tail(part)).collect())
    }

    /// The files of an hour that lie in a bucket, or are on their way.
    pub(crate) fn tails(&self, query: &str, hour: Hour) -> io::Result<Vec<Part>> {
        let folder = self.folder_of_tails().join(query_folder(query)).join(hour.folder());
        let part = |entry: DirEntry| {
            let name = entry.file_name();
            let (stem, octets) =
                name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?.rsplit_once('.')?;
            let name = format!("{stem}.parquet");
            let (number, columns) = of_file(&name)?;
            let path = self.hour_folder(query, hour).join(name);
            Some(Part { path, hour, number, columns, octets: octets.parse().ok()? })
        };
        Ok(self.entries(&folder)?.into_iter().filter_map(part).collect())
    }

    pub(crate) fn has_tail(&self, part: &Part) -> bool {
        self.tail_path(part).is_file()
    }

    /// The tail of a file.
    pub(crate) fn tail(&self, part: &Part) -> io::Result<Vec<u8>> {
        fs::read(self.tail_path(part))
    }

    /// Keeps the tail of a file, which does not change from then on.
    pub(crate) fn put_tail(&self, part: &Part, tail: &[u8]) -> io::Result<()> {
        let _changes = self.changes_at(&part.path);
        self.write_whole(&self.tail_path(part), tail)
    }

    /// Forgets a file that lies in no bucket.
    pub(crate) fn remove_tail(&self, part: &Part) -> io::Result<()> {
        let _changes = self.changes_at(&part.path);
        let path = self.tail_path(part);
        // A tail without a mark is on its way; a mark without a tail would be nobody's.
        for path in [&self.mark_path(part), &path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // These stay while other tails are in them.
        for folder in path.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// What the store called the content of a file when it was there; empty where it calls it nothing, and nothing where
    /// nobody knows that it was.
    pub(crate) fn mark(&self, part: &Part) -> io::Result<Option<String>> {
        match fs::read_to_string(self.mark_path(part)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            mark => mark.map(Some),
        }
    }

    /// Keeps what the store calls the content of a file that has a tail.
    pub(crate) fn put_mark(&self, part: &Part, mark: &str) -> io::Result<()> {
        self.write_whole(&self.mark_path(part), mark.as_bytes())
    }

    /// A file of the folder, by names.
    pub(crate) fn part_of(&self, file: &HourFile, octets: u64) -> Option<Part> {
        let (number, columns) = of_file(&file.name)?;
        let path = self.hour_folder(&file.query, file.hour).join(&file.name);
        Some(Part { path, hour: file.hour, number, columns, octets })
    }

    fn tail_path(&self, part: &Part) -> PathBuf {
        let path = part.path.strip_prefix(self.root()).unwrap_or(&part.path);
        self.folder_of_tails().join(path.with_extension(format!("{}.{EXTENSION}", part.octets)))
    }

    fn mark_path(&self, part: &Part) -> PathBuf {
        self.tail_path(part).with_extension(MARK_EXTENSION)
    }

    fn folder_of_tails(&self) -> PathBuf {
        self.root().join(".tails")
    }
}

/// The tail of a Parquet file that lies here.
pub(crate) fn tail_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let octets = file.metadata()?.len();
    let mut from = |start: u64| {
        let mut found = vec![];
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut found).map(|_| found)
    };
    let end = from(octets.saturating_sub(END_OCTETS))?;
    let length = tail_octets(&end).filter(|length| *length <= octets);
    let length = length.ok_or_else(|| Error::new(ErrorKind::InvalidData, "it is no Parquet file"))?;
    from(octets - length)
}

/// Octets of a tail by the end of it; `None` where it is not that of a Parquet file.
pub(crate) fn tail_octets(end: &[u8]) -> Option<u64> {
    let (_, end) = end.split_at_checked(end.len().checked_sub(END_OCTETS as usize)?)?;
    let (length, magic) = end.split_first_chunk::<4>()?;
    (magic == MAGIC).then(|| u64::from(u32::from_le_bytes(*length)) + END_OCTETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    #[test]
    fn the_tail_of_a_file_is_what_it_says_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"rows of a fileMETA\x04\0\0\0PAR1").unwrap();
        assert_eq!(tail_of(&file).unwrap(), b"META\x04\0\0\0PAR1");
        for wrong in [&b"META\x04\0\0\0PAR2"[..], b"META\xff\0\0\0PAR1", b"PAR1", b""] {
            fs::write(&file, wrong).unwrap();
            assert!(tail_of(&file).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_lies_elsewhere_is_known_beside_what_lies_here() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let file = HourFile::of(Path::new("query=a/hour=2026-11-30T01/00000007-000000ab.parquet")).unwrap();
        let part = store.part_of(&file, 123).unwrap();
        store.put_tail(&part, b"PAR1").unwrap();
        assert_eq!(store.all_queries().unwrap(), ["a"]);
        assert_eq!(store.all_hours("a").unwrap(), [file.hour]);
        assert_eq!(store.all_parts("a", file.hour).unwrap(), slice::from_ref(&part));
        assert_eq!(store.tail(&part).unwrap(), b"PAR1");
        assert_eq!(store.mark(&part).unwrap(), None);
        store.put_mark(&part, "a-1").unwrap();
        assert_eq!(store.mark(&part).unwrap().as_deref(), Some("a-1"));
        assert_eq!(store.next_number("a", file.hour).unwrap(), 8);
        fs::create_dir_all(part.path.parent().unwrap()).unwrap();
        fs::write(&part.path, vec![0; 123]).unwrap();
        assert_eq!(store.all_parts("a", file.hour).unwrap(), slice::from_ref(&part), "once");
        assert!(store.loose_parts("a", file.hour).unwrap().is_empty());
        store.remove_tail(&part).unwrap();
        assert_eq!(store.loose_parts("a", file.hour).unwrap(), [part]);
        assert_eq!(fs::read_dir(folder.path().join(".tails")).unwrap().count(), 0);
    }
}
