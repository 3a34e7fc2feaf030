//! Where an aggregator's checkpoint is kept.
//!
//! A store has one checkpoint. Another one takes its place only where it follows from it ([`Stamp::follows`]): comparing
//! and replacing are one step for everybody else, so that of several processes only the latest one writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tapline_delivery::{Checkpoint, Stamp};

const CHECKPOINT: &str = "checkpoint";
/// The same while it is written.
const NEW: &str = "checkpoint.new";
const LOCK: &str = "lock";

/// Keeps one checkpoint.
pub trait Store: Send {
    /// The checkpoint that is there.
    ///
    /// # Errors
    /// A sentence: it cannot be read, or is damaged, and then stays as it is until somebody moves it.
    fn load(&self) -> Result<Option<Vec<u8>>, String>;

    /// Puts a checkpoint in place of the one that is there; when this returns, no crash takes it any more.
    ///
    /// # Errors
    /// When it does not follow from the one that is there, or cannot be written.
    fn replace(&self, checkpoint: &Checkpoint) -> Result<(), StoreError>;
}

/// Why a checkpoint did not take the place of another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process goes on from here: whoever hears this ends.
    #[error("{0}")]
    TakenOver(String),
    /// It cannot be written now; it is not known whether it was.
    #[error("{0}")]
    Failed(String),
}

/// A folder with one checkpoint in it.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    /// The file that we put in place last: while it is open no other one is told from it wrongly.
    ours: Mutex<Option<(File, Stamp)>>,
}

impl FolderStore {
    /// One in this folder, which is made.
    ///
    /// # Errors
    /// A sentence: the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let said = |error: io::Error| {
            format!("the folder {} of checkpoints cannot be made: {error}", folder.display())
        };
        let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty());
        let missing: Vec<_> = missing.take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(folder).map_err(said)?;
        // What is made is an entry of the folder above, which has to be safe, too.
        missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder).map_err(said)?;
        Ok(Self { folder: folder.to_owned(), ours: Mutex::new(None) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes the folder for as long as what is given is held.
    fn lock(&self) -> io::Result<File> {
        let path = self.path(LOCK);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// The stamp of what is there, without reading it where we put it there.
    fn current(&self, ours: Option<&(File, Stamp)>) -> Result<Option<Stamp>, String> {
        if let Some((file, stamp)) = ours
            && let (Ok(there), Ok(file)) = (fs::metadata(self.path(CHECKPOINT)), file.metadata())
            && (there.dev(), there.ino()) == (file.dev(), file.ino())
        {
            return Ok(Some(*stamp));
        }
        let Some(octets) = self.load()? else { return Ok(None) };
        Checkpoint::stamp_of(&octets).map(Some).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, why: &impl ToString) -> String {
        let path = self.path(CHECKPOINT);
        format!(
            "{} is damaged: {}; put a copy in its place, or move it away, and the aggregator begins without it",
            path.display(),
            why.to_string()
        )
    }

    fn write(&self, octets: &[u8]) -> io::Result<File> {
        let new = self.path(NEW);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(new, self.path(CHECKPOINT))?;
        Ok(file)
    }
}

impl Store for FolderStore {
    fn load(&self) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(CHECKPOINT);
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        match Checkpoint::stamp_of(&octets) {
            Ok(_) => Ok(Some(octets)),
            Err(error) => Err(self.damaged(&error)),
        }
    }

    fn replace(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let folder = self.folder.display();
        let failed = |error: io::Error| {
            StoreError::Failed(format!("the folder {folder} takes no checkpoint: {error}; give it room"))
        };
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock().map_err(failed)?;
        let current = self.current(ours.as_ref()).map_err(StoreError::Failed)?;
        if !checkpoint.stamp.follows(current) {
            let epoch = current.map_or(0, |current| current.epoch);
            return Err(StoreError::TakenOver(format!(
                "another process, of epoch {epoch}, goes on with the checkpoints in {folder}; this one, of epoch {}, \
                 ends",
                checkpoint.stamp.epoch
            )));
        }
        let file = self.write(&checkpoint.octets).map_err(failed)?;
        // What is not safe is in its place all the same, and the next one follows from it.
        *ours = Some((file, checkpoint.stamp));
        sync_folder(&self.folder).map_err(failed)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_delivery::{
        Aggregator, AggregatorLimits, AggregatorOptions, HalfId, Lineage, Merge, Moment, Patience, Role,
    };

    struct Nothing;

    impl Merge for Nothing {
        type State = ();

        fn empty(&self, _: HalfId) {}

        fn merge(&self, _: HalfId, (): &mut (), _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn encode(&self, _: HalfId, (): &()) -> Vec<u8> {
            vec![]
        }
    }

    fn aggregator(epoch: u64) -> Aggregator<Nothing> {
        let options = AggregatorOptions {
            role: Role::Final,
            limits: AggregatorLimits::default(),
            patience: Patience::default(),
        };
        Aggregator::new(Nothing, options, epoch, Lineage(1))
    }

    #[test]
    fn of_two_processes_on_one_folder_the_latest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("some").join("where");
        let (one, other) = (FolderStore::open(&place).unwrap(), FolderStore::open(&place).unwrap());
        assert_eq!(one.load(), Ok(None));
        let now = Moment { steady_ns: 0, wall_ns: 0 };
        let mut first = aggregator(1);
        one.replace(&first.first_checkpoint()).unwrap();
        one.replace(&first.checkpoint(now)).unwrap();
        let found = other.load().unwrap().unwrap();
        let claim = Stamp::claim(Some(Checkpoint::stamp_of(&found).unwrap()));
        other.replace(&Checkpoint::claimed(&found, claim).unwrap()).unwrap();
        let Err(StoreError::TakenOver(said)) = one.replace(&first.checkpoint(now)) else {
            panic!("the one before goes on, too")
        };
        assert!(said.contains("of epoch 2, goes on") && said.contains("of epoch 1, ends"), "{said}");
        let mut second = aggregator(2);
        other.replace(&second.checkpoint(now)).unwrap();
        let there = Checkpoint::stamp_of(&one.load().unwrap().unwrap()).unwrap();
        assert_eq!(there, Stamp { epoch: 2, sequence: 1 });
    }

    #[test]
    fn what_is_torn_stays_until_somebody_moves_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let first = aggregator(1).first_checkpoint();
        store.replace(&first).unwrap();
        fs::write(folder.path().join(CHECKPOINT), &first.octets[..first.octets.len() - 1]).unwrap();
        let said = FolderStore::open(folder.path()).unwrap().load().unwrap_err();
        assert!(said.contains("checkpoint is damaged") && said.contains("move it away"), "{said}");
        fs::remove_file(folder.path().join(CHECKPOINT)).unwrap();
        assert_eq!(store.load(), Ok(None));
        assert_eq!(store.replace(&first), Ok(()), "an empty store is claimed anew");
    }

    #[test]
    fn a_store_without_room_says_so_and_goes_on_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let mut aggregator = aggregator(1);
        store.replace(&aggregator.first_checkpoint()).unwrap();
        let now = Moment { steady_ns: 0, wall_ns: 0 };
        fs::create_dir(folder.path().join(NEW)).unwrap();
        let failed = store.replace(&aggregator.checkpoint(now)).unwrap_err();
        assert!(matches!(&failed, StoreError::Failed(said) if said.contains("takes no checkpoint")));
        fs::remove_dir(folder.path().join(NEW)).unwrap();
        assert_eq!(store.replace(&aggregator.checkpoint(now)), Ok(()));
    }
}
