//! The tables that queries may name, each read from a file, and read again when it has changed.
//!
//! Whoever asks takes the table as it is, once a batch; a new one takes its place in between. A file that cannot be
//! taken leaves the table as it was, and says why.

use crate::file::TableFile;
use crate::nearest::nearest;
use crate::stamp::Stamp;
use crate::table::Table;
use crate::vendors::Vendors;
use arrow_schema::DataType;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// Tables by name.
#[derive(Debug, Default)]
pub struct Tables {
    /// In the order in which they were given.
    loaded: Vec<Loaded>,
    vendors: OnceLock<Vendors>,
}

/// A table, and the file that it comes from.
#[derive(Debug)]
pub struct Loaded {
    file: TableFile,
    table: RwLock<Arc<Table>>,
    watched: Mutex<Watched>,
    /// Why the file as it is was not taken; whoever asks for that waits for no load, which holds `watched`.
    refused: Mutex<Option<String>>,
}

/// What was last seen of a file.
#[derive(Debug)]
struct Watched {
    /// As it was when it was read.
    read: Option<Stamp>,
    /// As it is since the last look; it is read when it has not changed for the time between two looks.
    seen: Option<Stamp>,
}

/// What became of a file that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was taken, with so many keys.
    Taken(String, usize),
    /// It was not, and why; the table is as it was.
    Refused(String),
}

impl fmt::Display for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(name, keys) => write!(f, "the table `{name}` was read anew; it has {keys} keys"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// How a table stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStatus {
    /// What queries call it.
    pub name: String,
    /// The file that it comes from.
    pub file: String,
    /// How many keys it has.
    pub keys: usize,
    /// Why the file as it is was not taken, if it was not.
    pub refused: Option<String>,
}

/// There is no table of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTable {
    /// The one that may have been meant.
    pub nearest: Option<String>,
}

impl Tables {
    /// Reads all files.
    ///
    /// # Errors
    /// When two tables have one name, or a file cannot be taken: what is wrong, where, and what would be right.
    pub fn open(files: Vec<TableFile>) -> Result<Self, String> {
        let mut tables = Self::default();
        for file in files {
            if tables.loaded.iter().any(|loaded| loaded.file.name == file.name) {
                return Err(format!("two tables are called `{}`; give one of them another name", file.name));
            }
            tables.loaded.push(Loaded::open(file)?);
        }
        Ok(tables)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty()
    }

    /// The table of a name.
    ///
    /// # Errors
    /// When there is none: which one may have been meant.
    pub fn get(&self, name: &str) -> Result<&Loaded, NoTable> {
        let names = || self.loaded.iter().map(Loaded::name);
        let found = self.loaded.iter().find(|loaded| loaded.name() == name);
        found.ok_or_else(|| NoTable { nearest: nearest(name, names()) })
    }

    /// The first MaxMind table that has one of these columns, and which of them.
    #[must_use]
    pub fn of_addresses<'a>(&self, columns: &[&'a str]) -> Option<(&Loaded, &'a str)> {
        let mut of_networks = self.loaded.iter().filter(|loaded| loaded.file.is_maxmind());
        of_networks.find_map(|loaded| {
            let table = loaded.table();
            let has = |column: &&&str| table.column_type(column).is_some();
            columns.iter().find(has).map(|column| (loaded, *column))
        })
    }

    /// Who made network cards, as this machine knows it; it is read when it is asked for the first time.
    #[must_use]
    pub fn vendors(&self) -> &Vendors {
        self.vendors.get_or_init(Vendors::of_this_machine)
    }

    /// Looks whether files have changed, and reads those that have, once they stay as they are from one look to the next.
    #[must_use]
    pub fn look(&self) -> Vec<Refreshed> {
        self.loaded.iter().filter_map(|loaded| loaded.look(false)).collect()
    }

    /// Reads all files that have changed or were refused, at once; one that is written meanwhile is left to the next look.
    #[must_use]
    pub fn reload(&self) -> Vec<Refreshed> {
        self.loaded.iter().filter_map(|loaded| loaded.look(true)).collect()
    }

    /// How all tables stand.
    #[must_use]
    pub fn statuses(&self) -> Vec<TableStatus> {
        self.loaded.iter().map(Loaded::status).collect()
    }
}

impl Loaded {
    fn open(file: TableFile) -> Result<Self, String> {
        let read = Stamp::of(&file.path);
        let table = RwLock::new(Arc::new(file.load(None)?));
        let watched = Mutex::new(Watched { read, seen: read });
        Ok(Self { file, table, watched, refused: Mutex::new(None) })
    }

    /// The table as it is.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What queries call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The type of a column, which stays what it is.
    #[must_use]
    pub fn column_type(&self, column: &str) -> Option<DataType> {
        self.table().column_type(column).cloned()
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file if it has changed, and either stays as it is or must be read `at_once`, as is then one that was
    /// refused; says what became of it.
    fn look(&self, at_once: bool) -> Option<Refreshed> {
        let mut watched = self.watched();
        let now = Stamp::of(&self.file.path);
        let is_settled = at_once || watched.seen == now;
        let is_tried_again = at_once && self.refused().is_some();
        watched.seen = now;
        if (now == watched.read && !is_tried_again) || !is_settled {
            return None;
        }
        let before = self.table();
        let loaded = self.file.load(Some(&before));
        watched.seen = Stamp::of(&self.file.path);
        if watched.seen != now {
            // Somebody writes it still; the next look takes it.
            return None;
        }
        watched.read = now;
        Some(self.take(&before, loaded))
    }

    /// Puts what was loaded in the place of the table before, or tells why it is not.
    fn take(&self, before: &Table, loaded: Result<Table, String>) -> Refreshed {
        let taken = loaded.and_then(|new| match before.refuses(&new) {
            None => Ok(new),
            Some(why) => Err(format!("{}: {why}", self.file)),
        });
        match taken {
            Ok(table) => {
                let keys = table.entries();
                *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
                *self.refused() = None;
                Refreshed::Taken(self.file.name.clone(), keys)
            }
            Err(why) => {
                *self.refused() = Some(why.clone());
                Refreshed::Refused(format!("the table `{}` stays as it was: {why}", self.file.name))
            }
        }
    }

    fn status(&self) -> TableStatus {
        TableStatus {
            name: self.file.name.clone(),
            file: self.file.to_string(),
            keys: self.table().entries(),
            refused: self.refused().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::{ArrayRef, StringArray};
    use std::path::Path;

    fn open(path: &Path, text: &str) -> Tables {
        std::fs::write(path, text).unwrap();
        Tables::open(vec![format!("nets={}", path.display()).parse().unwrap()]).unwrap()
    }

    fn name_of(tables: &Tables, address: &str) -> Option<String> {
        let keys: ArrayRef = Arc::new(StringArray::from(vec![address]));
        let names = tables.get("nets").unwrap().table().values(&keys, "name").unwrap();
        names.as_string_view().iter().next().flatten().map(str::to_owned)
    }

    #[test]
    fn a_file_that_has_changed_is_read_when_it_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nets.csv");
        let tables = open(&path, "net,name\n10.0.0.0/8,a\n");
        assert_eq!(tables.look(), []);
        std::fs::write(&path, "net,name\n10.0.0.0/8,abc\n").unwrap();
        assert_eq!(tables.look(), [], "it may be written still");
        assert_eq!(tables.look(), [Refreshed::Taken("nets".to_owned(), 1)]);
        assert_eq!(name_of(&tables, "10.0.0.1").as_deref(), Some("abc"));
        assert_eq!(tables.look(), []);
        // Another file of the same length, put in its place.
        let other = folder.path().join("other");
        std::fs::write(&other, "net,name\n10.0.0.0/8,xyz\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(tables.reload(), [Refreshed::Taken("nets".to_owned(), 1)]);
        assert_eq!(name_of(&tables, "10.0.0.1").as_deref(), Some("xyz"));
    }

    #[test]
    fn what_cannot_be_taken_leaves_the_table_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nets.csv");
        let tables = open(&path, "net,name\n10.0.0.0/8,a\n");
        for (text, expected) in [
            (
                Some("net,name\n10.0.0.0/8,b\n10.0.0.0/33,c\n"),
                "nets.csv, line 3: '10.0.0.0/33' is no address",
            ),
            (Some("net,site\n10.0.0.0/8,b\n"), "nets.csv: its first column of values was 'name'"),
            (None, "nets.csv: No such file"),
        ] {
            match text {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let [Refreshed::Refused(why)] = &tables.reload()[..] else { panic!("{expected}: it was taken") };
            assert!(why.starts_with("the table `nets` stays as it was: ") && why.contains(expected), "{why}");
            assert!(tables.statuses()[0].refused.as_ref().is_some_and(|why| why.contains(expected)));
            assert_eq!(tables.look(), [], "it is told once");
            assert_eq!(tables.reload().len(), 1, "whoever asks for it has it tried again");
            assert_eq!(name_of(&tables, "10.0.0.1").as_deref(), Some("a"));
        }
        std::fs::write(&path, "net,name\n10.0.0.0/8,b\n").unwrap();
        assert_eq!(tables.reload(), [Refreshed::Taken("nets".to_owned(), 1)]);
        assert_eq!(tables.statuses()[0].refused, None);
    }

    #[test]
    fn how_tables_stand_is_told_while_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let tables = open(&folder.path().join("nets.csv"), "net,name\n10.0.0.0/8,a\n");
        let loading = tables.loaded[0].watched();
        assert_eq!(tables.statuses()[0].keys, 1);
        drop(loading);
    }

    #[test]
    fn what_is_mistyped_in_names_is_told() {
        let parse = |text: &str| text.parse::<TableFile>();
        let file = parse("nets=/a:b/c.csv:prefix").unwrap();
        assert_eq!((file.path.to_str(), file.key.as_deref()), (Some("/a:b/c.csv"), Some("prefix")));
        assert_eq!(parse("nets=/a:b/c.CSV").unwrap().key, None);
        for (text, expected) in [
            ("nets.csv", "write NAME=FILE, such as"),
            ("a b=c.csv", "`a b` cannot be a table's name"),
            ("=c.csv", "`` cannot be a table's name"),
            ("a=c.txt", "c.txt ends with none of .csv, .parquet and .mmdb"),
            ("a=c.mmdb:key", "a .mmdb file has no column of keys"),
        ] {
            assert!(parse(text).unwrap_err().starts_with(expected), "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nets.csv");
        let tables = open(&path, "net,name\n10.0.0.0/8,a\n");
        assert_eq!(tables.get("nts").unwrap_err().nearest.as_deref(), Some("nets"));
        assert_eq!(tables.get("hosts").unwrap_err().nearest, None);
        let twice = vec![parse(&format!("a={}", path.display())).unwrap(); 2];
        assert!(Tables::open(twice).unwrap_err().starts_with("two tables are called `a`"));
        assert!(Tables::open(vec![parse("a=/no/such.csv").unwrap()]).unwrap_err().contains("No such file"));
    }
}
