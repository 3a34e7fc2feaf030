//! Folders of a node: its state, and its queries as files.
//!
//! A state folder belongs to one node at a time, which holds a lock in it, and says by which version it was written.
//! Each query is a file; it is written beside its place and then put there, so that it is there as a whole or not.

use crate::definition::Definition;
use crate::error::CatalogError;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use tapline_exports::put_whole;

/// What a state folder is written by.
const VERSION: &str = "tapline state 1\n";
const EXTENSION: &str = "sql";

/// A state folder that is ours.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    is_new: bool,
}

impl StateFolder {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// A sentence: another node has it, it was written by another version, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, String> {
        let said = |what: &str| format!("--state {}: {what}", path.display());
        fs::create_dir_all(path).map_err(|error| said(&error.to_string()))?;
        let lock = File::create(path.join("lock")).map_err(|error| said(&error.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(said("another node is running on this folder; stop it, or take another folder"));
            }
            Err(TryLockError::Error(error)) => return Err(said(&error.to_string())),
        }
        let version = path.join("version");
        let is_new = match fs::read_to_string(&version) {
            Ok(found) if found == VERSION => false,
            Ok(found) => {
                let found = found.lines().next().unwrap_or_default();
                return Err(said(&format!(
                    "the file `version` says `{found}`, and this tapline reads `{}`; take the tapline that wrote it, or another folder",
                    VERSION.trim_end()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                put_whole(&version, |file| file.write_all(VERSION.as_bytes()))
                    .map_err(|error| said(&error.to_string()))?;
                true
            }
            Err(error) => return Err(said(&format!("version: {error}"))),
        };
        Ok(Self { path: path.to_owned(), _lock: lock, is_new })
    }

    /// Whether nothing was in it before.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The file of windows that are open while no node runs.
    #[must_use]
    pub fn windows(&self) -> PathBuf {
        self.path.join("open-windows")
    }

    /// Where its queries are, unless another folder was named.
    #[must_use]
    pub fn queries(&self) -> PathBuf {
        self.path.join("queries")
    }
}

/// The queries of a node, a file each.
#[derive(Clone, Debug)]
pub struct QueryFolder {
    path: PathBuf,
}

impl QueryFolder {
    /// Opens a folder of queries, or makes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Its queries, by name; of a file that is none, why not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn load(&self) -> Result<Vec<Result<Definition, String>>, String> {
        let said = |error: io::Error| format!("{}: {error}", self.path.display());
        let entries = fs::read_dir(&self.path).map_err(said)?;
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>().map_err(said)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        paths.sort();
        Ok(paths.iter().map(|path| load(path)).collect())
    }

    /// Writes a query.
    ///
    /// # Errors
    /// A sentence; then what was there is there still.
    pub fn save(&self, query: &Definition) -> Result<(), CatalogError> {
        let path = self.path_of(&query.name);
        put_whole(&path, |file| file.write_all(query.to_text().as_bytes()))
            .map_err(|error| CatalogError::Failed(format!("{} cannot be written: {error}", path.display())))
    }

    /// Refuses to write over what somebody has written into the file of a query, which this is otherwise.
    ///
    /// # Errors
    /// A sentence that says so.
    pub(crate) fn check_unedited(&self, query: &Definition) -> Result<(), CatalogError> {
        let path = self.path_of(&query.name);
        let is_unedited = match fs::read_to_string(&path) {
            Ok(text) if text == query.to_text() => true,
            Ok(text) => Definition::of_text(&query.name, &text).is_ok_and(|found| found == *query),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_unedited {
            return Ok(());
        }
        let path = path.display();
        let what = format!("{path} was edited since it was read; `tapline reload` takes that up");
        Err(CatalogError::wrong(what))
    }

    /// Removes the file of a query, if there is one.
    ///
    /// # Errors
    /// A sentence; then it is there still.
    pub fn remove(&self, name: &str) -> Result<(), CatalogError> {
        let path = self.path_of(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CatalogError::Failed(format!("{} cannot be removed: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.{EXTENSION}"))
    }
}

fn load(path: &Path) -> Result<Definition, String> {
    let said = |what: String| format!("{}: {what}", path.display());
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
    Definition::of_text(&name, &text).map_err(|error| said(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::QueryOptions;

    fn query(name: &str) -> Definition {
        Definition::new(name, "SELECT 1;", QueryOptions::default()).unwrap()
    }

    #[test]
    fn queries_are_files() {
        let folder = tempfile::tempdir().unwrap();
        let queries = QueryFolder::open(&folder.path().join("queries")).unwrap();
        queries.save(&query("b")).unwrap();
        queries.save(&query("a")).unwrap();
        fs::write(folder.path().join("queries/c.sql"), "-- early: x\n").unwrap();
        fs::write(folder.path().join("queries/d.txt"), "no query").unwrap();
        let loaded = queries.load().unwrap();
        assert_eq!(loaded[..2], [Ok(query("a")), Ok(query("b"))]);
        assert!(
            loaded[2]
                .as_ref()
                .unwrap_err()
                .ends_with("c.sql: line 1: early: write a number with ms, s, m or h, such as 30s")
        );
        assert_eq!(loaded.len(), 3);
        queries.remove("c").unwrap();
        queries.remove("a").unwrap();
        queries.remove("a").unwrap();
        assert_eq!(queries.load().unwrap(), [Ok(query("b"))]);
    }

    #[test]
    fn a_state_folder_is_of_one_node_and_one_version() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateFolder::open(folder.path()).unwrap();
        assert!(first.is_new());
        let message = StateFolder::open(folder.path()).unwrap_err();
        assert!(message.ends_with("another node is running on this folder; stop it, or take another folder"));
        drop(first);
        assert!(!StateFolder::open(folder.path()).unwrap().is_new());
        fs::write(folder.path().join("version"), "tapline state 9\n").unwrap();
        let message = StateFolder::open(folder.path()).unwrap_err();
        assert!(
            message.contains("says `tapline state 9`, and this tapline reads `tapline state 1`"),
            "{message}"
        );
        let under_file = folder.path().join("version/state");
        assert!(StateFolder::open(&under_file).unwrap_err().starts_with("--state "));
    }
}
