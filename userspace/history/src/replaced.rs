//! Files of several hours in whose place one file of the first hour is: a day's windows begin in its first hour.
//!
//! Folders of two hours do not change places with two others at once. So it is written down before: whoever finds it
//! after a crash lets the old files go if the new one is there. Readers of this process look under a lock.

use crate::index::Changes;
use crate::store::{Part, Store, keep_names};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

impl Store {
    /// Writes down that a file takes the place of these, which are of other hours.
    pub(crate) fn note_replaced(&self, new: &Path, old: &[&Part]) -> io::Result<()> {
        // There is room for one: what an error left of another one is done first.
        self.finish_replacing()?;
        let paths = [new].into_iter().chain(old.iter().map(|part| part.path.as_path()));
        let names = paths.map(|path| path.strip_prefix(self.root()).unwrap_or(path).to_string_lossy());
        let text: String = names.map(|name| format!("{name}\n")).collect();
        self.write_whole(&self.replaced_path(), text.as_bytes())
    }

    /// Lets what was written down be done.
    fn forget_replaced(&self) -> io::Result<()> {
        match fs::remove_file(self.replaced_path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves files of other hours to `.gone`, now that another is in their place; gives them.
    pub(crate) fn put_others_away(&self, old: &[&Part]) -> io::Result<Vec<PathBuf>> {
        let _changes: Vec<Changes<'_>> = old.iter().map(|part| self.changes_at(&part.path)).collect();
        let mut gone = vec![];
        for part in old {
            let place = self.gone_path(&part.path);
            place.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::rename(&part.path, &place)?;
            self.remove_sums(&part.path)?;
            gone.push(place);
        }
        for folder in old.iter().filter_map(|part| part.path.parent()) {
            // It stays while other files are in it.
            if fs::remove_dir(folder).is_err() && folder.is_dir() {
                keep_names(folder)?;
            }
            folder.parent().map_or(Ok(()), keep_names)?;
        }
        self.forget_replaced()?;
        Ok(gone)
    }

    /// Does what a crash left half done.
    pub(crate) fn finish_replacing(&self) -> io::Result<()> {
        let text = match fs::read_to_string(self.replaced_path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        let mut paths = text.lines().map(|name| self.root().join(name));
        let is_there = paths.next().is_some_and(|new| new.is_file());
        for path in paths.filter(|path| is_there && path.is_file()) {
            let _changes = self.changes_at(&path);
            fs::remove_file(&path)?;
            self.remove_sums(&path)?;
            // It stays while other files are in it.
            let _ = path.parent().map(fs::remove_dir);
        }
        self.forget_all();
        self.forget_replaced()
    }

    /// Writes a file that is there as a whole or not at all.
    pub(crate) fn write_whole(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let hidden = self.path_to_write()?;
        let mut file = fs::File::create(&hidden)?;
        file.write_all(octets)?;
        file.sync_all()?;
        let folder = path.parent().unwrap_or(self.root());
        let is_new = !folder.is_dir();
        fs::create_dir_all(folder)?;
        fs::rename(&hidden, path)?;
        let above = folder.ancestors().take_while(|above| is_new && above.starts_with(self.root()));
        above.skip(1).try_for_each(keep_names)?;
        keep_names(folder)
    }

    fn replaced_path(&self) -> PathBuf {
        self.root().join(".replaced")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Hour;
    use tapline_record::EventTime;

    #[test]
    fn what_an_error_left_half_done_is_done_before_another_one_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let file = |hour: &str| {
            let path = folder.path().join("query=a").join(hour).join("00000001-00000000.parquet");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "rows").unwrap();
            path
        };
        let part = |path: &Path| {
            let (path, hour) = (path.to_owned(), Hour::of(EventTime(0)));
            Part { path, hour, number: 1, columns: 0, octets: 4 }
        };
        let [new, old, other] = ["hour=1970-01-01T00", "hour=1970-01-01T01", "hour=1970-01-02T01"].map(file);
        store.note_replaced(&new, &[&part(&old)]).unwrap();
        // It went no further.
        let never_there = folder.path().join("query=a/hour=1970-01-02T00/00000001-00000000.parquet");
        store.note_replaced(&never_there, &[&part(&other)]).unwrap();
        assert!(new.exists() && !old.exists());
        store.finish_replacing().unwrap();
        assert!(other.exists(), "nothing is in its place");
        assert!(!store.replaced_path().exists());
    }
}
