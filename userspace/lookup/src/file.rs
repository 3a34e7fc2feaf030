//! Which file a table comes from, as people say it.

use crate::csv;
use crate::maxmind;
use crate::parquet;
use crate::table::Table;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Octets of a table's name.
const NAME_OCTETS_MAX: usize = 64;

/// A table by name, and the file that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// What queries call it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The column of keys, in place of the first one.
    pub key: Option<String>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Parquet,
    MaxMind,
}

const FORMATS: [(&str, Format); 3] =
    [("csv", Format::Csv), ("parquet", Format::Parquet), ("mmdb", Format::MaxMind)];

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        FORMATS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, format)| *format)
    }
}

impl FromStr for TableFile {
    type Err = String;

    /// Reads `NAME=FILE` or `NAME=FILE:KEY_COLUMN`.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, file)) = text.split_once('=') else {
            return Err("write NAME=FILE, such as nets=/etc/nets.csv".to_owned());
        };
        let key = file.rsplit_once(':').filter(|_| Format::of(Path::new(file)).is_none());
        let (path, key) = key.map_or((file, None), |(path, key)| (path, Some(key.to_owned())));
        Self::new(name, PathBuf::from(path), key)
    }
}

impl fmt::Display for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl TableFile {
    /// A table of this name from a file, whose extension says how it is written.
    ///
    /// # Errors
    /// What is wrong with a name or an extension, and what would be right.
    pub fn new(name: &str, path: PathBuf, key: Option<String>) -> Result<Self, String> {
        let is_fine = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        if name.is_empty() || name.len() > NAME_OCTETS_MAX || !name.chars().all(is_fine) {
            return Err(format!(
                "`{name}` cannot be a table's name; take up to {NAME_OCTETS_MAX} letters, digits, - and _"
            ));
        }
        match Format::of(&path) {
            None => Err(format!(
                "{} ends with none of .csv, .parquet and .mmdb, which say how a file is written",
                path.display()
            )),
            Some(Format::MaxMind) if key.is_some() => {
                Err("a .mmdb file has no column of keys to choose: leave it out".to_owned())
            }
            Some(_) => Ok(Self { name: name.to_owned(), path, key }),
        }
    }

    /// Whether it is a MaxMind file, of which the functions of addresses are answered.
    pub(crate) fn is_maxmind(&self) -> bool {
        Format::of(&self.path) == Some(Format::MaxMind)
    }

    /// Reads the file; keys and columns that `before` has keep their types.
    ///
    /// # Errors
    /// What is wrong with the file, where in it, and what would be right.
    pub(crate) fn load(&self, before: Option<&Table>) -> Result<Table, String> {
        let key = self.key.as_deref();
        let load = || match Format::of(&self.path) {
            Some(Format::Parquet) => parquet::load(&self.path, key, before),
            Some(Format::MaxMind) => maxmind::load(self.read()?, before),
            Some(Format::Csv) | None => csv::load(&self.read()?, key, before),
        };
        // What reads files of others for us may not be ready for every octet.
        let table = catch_unwind(AssertUnwindSafe(load));
        let table = table.unwrap_or_else(|_| Err(": it is damaged; write or fetch it anew".to_owned()));
        table.map_err(|wrong| format!("{self}{wrong}"))
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.path).map_err(|error| format!(": {error}"))
    }
}
