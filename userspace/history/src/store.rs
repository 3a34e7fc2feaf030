//! The folder of a history: who may write there, what lies there, and how files come and go.
//!
//! Files are written in `.new` and put into their hours. What is merged or removed goes to `.gone` for a while, where
//! whoever knew it by name still finds it. Names that begin with a point are nobody's at a start, and go, but for
//! `.sums`, which go with their files, and `.tails`, which say what lies elsewhere.

use crate::index::Index;
use crate::place::{Hour, HourFile, NUMBER_MAX, file_name, of_file, query_folder, query_of_folder};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Looks for a file that is on its way to another folder, and the time between two.
const LOOKS: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a file ends with that was put aside, since it is none that can be read.
pub(crate) const DAMAGED: &str = "damaged";

/// A folder of results.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// Numbers files while they are written.
    written: AtomicU64,
    /// What lies there, as long as it is ours to write.
    index: Arc<Mutex<Option<Index>>>,
    /// How many folders were listed.
    #[cfg(test)]
    pub(crate) listed: AtomicU64,
}

/// A file of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) hour: Hour,
    /// In the order in which they were written.
    pub(crate) number: u64,
    pub(crate) columns: u32,
    pub(crate) octets: u64,
}

/// A store that is ours to write.
#[derive(Debug)]
pub(crate) struct WriteLock {
    index: Arc<Mutex<Option<Index>>>,
    /// Locked as long as it is open.
    _file: File,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Others may write from now on.
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Store {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            written: AtomicU64::new(0),
            index: Arc::default(),
            #[cfg(test)]
            listed: AtomicU64::new(0),
        }
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a folder; nothing where there is none.
    pub(crate) fn entries(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        #[cfg(test)]
        self.listed.fetch_add(1, Ordering::Relaxed);
        match fs::read_dir(folder) {
            Ok(entries) => entries.collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the folder to write, and removes what a crash left there.
    pub(crate) fn lock(&self) -> Result<WriteLock, String> {
        let said = |error: io::Error| format!("{} cannot be written: {error}", self.root.display());
        fs::create_dir_all(&self.root).map_err(said)?;
        let file = File::create(self.root.join(".lock")).map_err(said)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another node stores results in {}; take another folder",
                    self.root.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(said(error)),
        }
        self.finish_replacing().and_then(|()| self.remove_leftovers()).map_err(said)?;
        *self.index() = Some(Index::of(self.all_queries().map_err(said)?));
        Ok(WriteLock { index: Arc::clone(&self.index), _file: file })
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for folder in [self.folder_of_new(), self.folder_of_gone()] {
            remove_folder(&folder)?;
        }
        for query in self.queries()? {
            let folder = self.root.join(query_folder(&query));
            let hidden = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
            for entry in self.entries(&folder)?.iter().filter(|entry| hidden(entry)) {
                remove_folder(&entry.path())?;
            }
        }
        self.remove_lonely_sums()
    }

    /// Removes sums whose files went.
    fn remove_lonely_sums(&self) -> io::Result<()> {
        let sums = self.folder_of_sums();
        for query in self.entries(&sums)? {
            for hour in self.entries(&query.path())? {
                let lonely = |sums: &DirEntry| {
                    let place = Path::new(&query.file_name()).join(hour.file_name()).join(sums.file_name());
                    Some(self.root.join(place).with_extension("parquet")).filter(|path| !path.exists())
                };
                let lonely: Vec<PathBuf> = self.entries(&hour.path())?.iter().filter_map(lonely).collect();
                lonely.iter().try_for_each(|path| self.remove_sums(path))?;
            }
        }
        Ok(())
    }

    /// The queries of which there are results, by name.
    pub(crate) fn queries(&self) -> io::Result<Vec<String>> {
        let names = self.entries(&self.root)?.into_iter().filter_map(|entry| {
            let name = entry.file_name();
            query_of_folder(name.to_str()?).map(str::to_owned)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The hours in which there may be results of a query, in order.
    pub(crate) fn hours(&self, query: &str) -> io::Result<Vec<Hour>> {
        let entries = self.entries(&self.root.join(query_folder(query)))?;
        let hours = entries.into_iter().filter_map(|entry| Hour::of_folder(entry.file_name().to_str()?));
        let mut hours: Vec<Hour> = hours.collect();
        hours.sort_unstable();
        Ok(hours)
    }

    /// The files of an hour, in the order in which they were written.
    pub(crate) fn parts(&self, query: &str, hour: Hour) -> io::Result<Vec<Part>> {
        let part = |entry: DirEntry| {
            let (number, columns) = of_file(entry.file_name().to_str()?)?;
            // One that is gone meanwhile is found where it went.
            let octets = entry.metadata().map_or(0, |found| found.len());
            Some(Part { path: entry.path(), hour, number, columns, octets })
        };
        let mut parts: Vec<Part> =
            self.entries(&self.hour_folder(query, hour))?.into_iter().filter_map(part).collect();
        parts.sort_by_key(|part| (part.number, part.columns));
        Ok(parts)
    }

    /// All files of an hour, those among them that are none of results, as one that was put aside.
    pub(crate) fn files(&self, query: &str, hour: Hour) -> io::Result<Vec<PathBuf>> {
        let entries = self.entries(&self.hour_folder(query, hour))?;
        let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|found| found.is_file()));
        Ok(files.map(DirEntry::path).collect())
    }

    /// Whether a file of an hour was put aside.
    pub(crate) fn has_damaged(&self, query: &str, hour: Hour) -> io::Result<bool> {
        let is_damaged = |path: &PathBuf| path.extension().is_some_and(|extension| extension == DAMAGED);
        Ok(self.files(query, hour)?.iter().any(is_damaged))
    }

    /// Opens a file, wherever it went.
    pub(crate) fn open(&self, part: &Part) -> io::Result<File> {
        let gone = self.gone_path(&part.path);
        let mut looks = 1..LOOKS;
        let is_lacking = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        loop {
            let opened = match File::open(&part.path) {
                Err(error) if is_lacking(&error) => File::open(&gone),
                other => other,
            };
            match opened {
                Err(error) if is_lacking(&error) && looks.next().is_some() => thread::sleep(LOOK_EVERY),
                Err(error) if is_lacking(&error) => {
                    // Somebody else took it away.
                    HourFile::of(&part.path).iter().for_each(|file| self.forget_query(&file.query));
                    return Err(error);
                }
                other => return other,
            }
        }
    }

    /// A path for a file that is written, on the disk of all others.
    pub(crate) fn path_to_write(&self) -> io::Result<PathBuf> {
        let folder = self.folder_of_new();
        fs::create_dir_all(&folder)?;
        Ok(folder.join(self.written.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    /// A path for the next file of an hour. Whoever asks holds the lock until it is there.
    pub(crate) fn next_path(&self, query: &str, hour: Hour, columns: u32) -> io::Result<PathBuf> {
        self.make_hour(query, hour)?;
        let number = self.next_number(query, hour)?;
        let path = self.hour_folder(query, hour).join(file_name(number, columns));
        // A file of this name that was there once may have had some.
        self.remove_sums(&path)?;
        Ok(path)
    }

    /// A number that no file of an hour has, here or elsewhere.
    pub(crate) fn next_number(&self, query: &str, hour: Hour) -> io::Result<u64> {
        let taken: BTreeSet<u64> = self.all_parts(query, hour)?.iter().map(|part| part.number).collect();
        let next = taken.last().map_or(1, |last| last + 1);
        // Where the last one is somebody else's, one before it is free.
        let is_free = |number: &u64| !taken.contains(number);
        Ok(if next > NUMBER_MAX { (1..NUMBER_MAX).find(is_free).unwrap_or(next) } else { next })
    }

    /// Makes the folder of an hour, unless it is there.
    pub(crate) fn make_hour(&self, query: &str, hour: Hour) -> io::Result<()> {
        let folder = self.hour_folder(query, hour);
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        keep_names(&self.root)?;
        folder.parent().map_or(Ok(()), keep_names)
    }

    pub(crate) fn hour_folder(&self, query: &str, hour: Hour) -> PathBuf {
        self.root.join(query_folder(query)).join(hour.folder())
    }

    /// A hidden folder beside that of an hour, empty.
    pub(crate) fn folder_beside(&self, query: &str, hour: Hour) -> io::Result<PathBuf> {
        let folder = self.hidden_hour(query, hour);
        remove_folder(&folder)?;
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    fn hidden_hour(&self, query: &str, hour: Hour) -> PathBuf {
        self.root.join(query_folder(query)).join(format!(".{}", hour.folder()))
    }

    /// Lets the folder of an hour and the one beside it change places, at once.
    pub(crate) fn exchange(&self, query: &str, hour: Hour) -> io::Result<()> {
        let (folder, beside) = (self.hour_folder(query, hour), self.hidden_hour(query, hour));
        keep_names(&beside)?;
        renameat_with(CWD, &beside, CWD, &folder, RenameFlags::EXCHANGE)?;
        folder.parent().map_or(Ok(()), keep_names)
    }

    /// Takes an hour away; gives the files that went to `.gone`.
    pub(crate) fn remove_hour(&self, query: &str, hour: Hour) -> io::Result<Vec<PathBuf>> {
        let _changes = self.changes(query, hour);
        let hidden = self.hidden_hour(query, hour);
        remove_folder(&hidden)?;
        fs::rename(self.hour_folder(query, hour), &hidden)?;
        let gone = self.put_away(query, hour)?;
        // It stays while other hours are in it.
        let _ = fs::remove_dir(self.root.join(query_folder(query)));
        Ok(gone)
    }

    /// Moves what is in the folder beside an hour to `.gone`, unless the hour has it too, and removes the folder.
    pub(crate) fn put_away(&self, query: &str, hour: Hour) -> io::Result<Vec<PathBuf>> {
        let (hidden, folder) = (self.hidden_hour(query, hour), self.hour_folder(query, hour));
        let mut gone = vec![];
        for entry in self.entries(&hidden)? {
            let path = folder.join(entry.file_name());
            if !path.exists() {
                let place = self.gone_path(&path);
                place.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::rename(entry.path(), &place)?;
                self.remove_sums(&path)?;
                gone.push(place);
            }
        }
        remove_folder(&hidden)?;
        Ok(gone)
    }

    /// Where a file is for a while that was taken out of its hour.
    pub(crate) fn gone_path(&self, path: &Path) -> PathBuf {
        self.folder_of_gone().join(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// The files of sums of a file, and their octets.
    pub(crate) fn sums_of(&self, part: &Part) -> Vec<(PathBuf, u64)> {
        let entries = self.entries(&self.sums_path(&part.path)).unwrap_or_default();
        let file = |entry: DirEntry| (entry.path(), entry.metadata().map_or(0, |found| found.len()));
        entries.into_iter().map(file).collect()
    }

    /// Whether it is known which sums a file has.
    pub(crate) fn has_sums(&self, part: &Part) -> bool {
        self.sums_path(&part.path).is_dir()
    }

    /// Puts a folder of sums beside a file. Whoever asks holds the lock until it is there.
    pub(crate) fn put_sums(&self, part: &Part, folder: &Path) -> io::Result<()> {
        let place = self.sums_path(&part.path);
        remove_folder(&place)?;
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::rename(folder, place)
    }

    /// Lets the sums of a file go.
    pub(crate) fn remove_sums(&self, path: &Path) -> io::Result<()> {
        let place = self.sums_path(path);
        remove_folder(&place)?;
        // These stay while other sums are in them.
        for folder in place.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Where the sums of a file are.
    fn sums_path(&self, path: &Path) -> PathBuf {
        self.folder_of_sums().join(path.strip_prefix(&self.root).unwrap_or(path)).with_extension("")
    }

    fn folder_of_sums(&self) -> PathBuf {
        self.root.join(".sums")
    }

    /// An empty folder to write in, on the disk of all others.
    pub(crate) fn folder_to_write(&self) -> io::Result<PathBuf> {
        let folder = self.path_to_write()?;
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    fn folder_of_new(&self) -> PathBuf {
        self.root.join(".new")
    }

    fn folder_of_gone(&self) -> PathBuf {
        self.root.join(".gone")
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    let removed = if folder.is_dir() { fs::remove_dir_all(folder) } else { fs::remove_file(folder) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps the names in a folder over a loss of power.
pub(crate) fn keep_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
