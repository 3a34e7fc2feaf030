//! Where an aggregator's checkpoint is kept.
//!
//! A store has one manifest, and bundles of blobs under the stamps of the checkpoints that they were new in. Another
//! manifest takes its place only where it follows from it ([`Manifest::follows`]): comparing and replacing are one step for
//! everybody else, so that of several processes only the latest one writes. Of a checkpoint the bundle comes first, and
//! what is not named any more goes last, so that a crash leaves bundles too many, never one too few.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tapline_delivery::{Bundle, Checkpoint, Manifest, Stamp};

const CHECKPOINT: &str = "checkpoint";
/// What the name of a bundle begins with, before its epoch and its sequence.
const BUNDLE: &str = "bundle-";
/// What is behind a name while its file is written.
const NEW: &str = ".new";
const LOCK: &str = "lock";

/// What is to be done where something of a checkpoint is not there.
const MEND: &str = "put a copy of the whole folder in its place, or move the folder away, and the aggregator \
                    begins without it";

/// Keeps a manifest, and bundles. It knows nothing of blobs; bundles that no manifest names mean nothing.
pub trait Store: Send {
    /// The manifest that is there.
    ///
    /// # Errors
    /// A sentence: it cannot be read, or is damaged, and then stays as it is until somebody moves it.
    fn load(&self) -> Result<Option<Vec<u8>>, String>;

    /// Puts a manifest in place of the one that is there; when this returns, no crash takes it any more.
    ///
    /// # Errors
    /// When it does not follow from the one that is there, or cannot be written.
    fn swap(&self, manifest: &Manifest) -> Result<(), StoreError>;

    /// Puts a bundle there, under its stamp; when this returns, no crash takes it any more.
    ///
    /// # Errors
    /// A sentence: it cannot be written; then nothing of it takes room.
    fn put(&self, bundle: &Bundle) -> Result<(), String>;

    /// All of a bundle.
    ///
    /// # Errors
    /// A sentence: it is missing, or cannot be read.
    fn get(&self, bundle: Stamp) -> Result<Vec<u8>, String>;

    /// The bundles that are there, those included that were not put as a whole.
    ///
    /// # Errors
    /// A sentence: nobody can see which ones there are.
    fn list(&self) -> Result<Vec<Stamp>, String>;

    /// Deletes a bundle, where it is there.
    ///
    /// # Errors
    /// A sentence: it stays.
    fn delete(&self, bundle: Stamp) -> Result<(), String>;

    /// What is said of a bundle that is not what was put there.
    fn damaged(&self, bundle: Stamp) -> String;
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

/// Writes a checkpoint: when this returns, no crash takes it any more.
pub(crate) fn write(store: &dyn Store, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let Checkpoint { manifest, bundle, .. } = checkpoint;
    bundle.as_ref().map_or(Ok(()), |bundle| store.put(bundle)).map_err(StoreError::Failed)?;
    let swapped = store.swap(manifest);
    if swapped.is_err()
        && let (Some(bundle), Ok(found)) = (bundle, store.load())
        && found.is_none_or(|octets| Manifest::stamp_of(&octets) != Ok(manifest.stamp))
    {
        // No manifest names it, and none will: it takes room that there may not be. The next one deletes it else.
        let _ = store.delete(bundle.stamp());
    }
    swapped
}

/// Deletes what is not named any more, after a checkpoint was written.
pub(crate) fn tidy(store: &dyn Store, checkpoint: &Checkpoint) -> Result<(), String> {
    let left = store.list()?.into_iter().filter(|bundle| checkpoint.leaves(*bundle));
    left.map(|bundle| store.delete(bundle)).fold(Ok(()), Result::and)
}

/// A folder with one checkpoint in it.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    /// The manifest that we put in place last: while it is open no other one is told from it wrongly.
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
        Manifest::stamp_of(&octets).map(Some).map_err(|error| self.torn(&error))
    }

    fn torn(&self, why: &impl ToString) -> String {
        format!("{} is damaged: {}; {MEND}", self.path(CHECKPOINT).display(), why.to_string())
    }

    fn takes_none(&self, error: &io::Error) -> String {
        format!("the folder {} takes no checkpoint: {error}; give it room", self.folder.display())
    }

    /// Writes a file beside the one of its name, safe; nothing of it stays when that fails.
    fn write_beside<'a>(
        &self,
        name: &str,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<(File, PathBuf)> {
        let path = self.path(&[name, NEW].concat());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        write_all(file, pieces).map(|file| (file, path.clone())).inspect_err(|_| {
            // What is wrong is said; this one is deleted with what is left else.
            let _ = fs::remove_file(&path);
        })
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
        match Manifest::stamp_of(&octets) {
            Ok(_) => Ok(Some(octets)),
            Err(error) => Err(self.torn(&error)),
        }
    }

    fn swap(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::Failed(self.takes_none(&error));
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock().map_err(failed)?;
        let current = self.current(ours.as_ref()).map_err(StoreError::Failed)?;
        if !manifest.follows(current) {
            let epoch = current.map_or(0, |current| current.epoch);
            return Err(StoreError::TakenOver(format!(
                "another process, of epoch {epoch}, goes on with the checkpoints in {}; this one, of epoch {}, ends",
                self.folder.display(),
                manifest.stamp.epoch
            )));
        }
        let octets = std::iter::once(&manifest.octets[..]);
        let (file, path) = self.write_beside(CHECKPOINT, octets).map_err(failed)?;
        fs::rename(path, self.path(CHECKPOINT)).map_err(failed)?;
        // What is not safe is in its place all the same, and the next one follows from it.
        *ours = Some((file, manifest.stamp));
        sync_folder(&self.folder).map_err(failed)
    }

    fn put(&self, bundle: &Bundle) -> Result<(), String> {
        let said = |error: io::Error| self.takes_none(&error);
        let name = name_of(bundle.stamp());
        let (_, path) = self.write_beside(&name, bundle.pieces()).map_err(said)?;
        fs::rename(path, self.path(&name)).map_err(said)?;
        sync_folder(&self.folder).map_err(said)
    }

    fn get(&self, bundle: Stamp) -> Result<Vec<u8>, String> {
        let path = self.path(&name_of(bundle));
        fs::read(&path).map_err(|error| {
            let path = path.display();
            match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("{path} is missing, which the checkpoint beside it names; {MEND}")
                }
                _ => format!("{path} cannot be read: {error}"),
            }
        })
    }

    fn list(&self) -> Result<Vec<Stamp>, String> {
        let said =
            |error: io::Error| format!("the folder {} cannot be listed: {error}", self.folder.display());
        let mut bundles = vec![];
        for entry in fs::read_dir(&self.folder).map_err(said)? {
            bundles.extend(entry.map_err(said)?.file_name().to_str().and_then(stamp_in));
        }
        Ok(bundles)
    }

    fn delete(&self, bundle: Stamp) -> Result<(), String> {
        let name = name_of(bundle);
        for path in [self.path(&[&name, NEW].concat()), self.path(&name)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!(
                        "{} cannot be deleted: {error}; delete it, no checkpoint names it",
                        path.display()
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn damaged(&self, bundle: Stamp) -> String {
        let path = self.path(&name_of(bundle));
        format!("{} is damaged, which the checkpoint beside it names; {MEND}", path.display())
    }
}

fn name_of(bundle: Stamp) -> String {
    format!("{BUNDLE}{}-{}", bundle.epoch, bundle.sequence)
}

/// Which bundle has this name, or is to get it.
fn stamp_in(name: &str) -> Option<Stamp> {
    let numbers = name.strip_prefix(BUNDLE)?;
    let (epoch, sequence) = numbers.strip_suffix(NEW).unwrap_or(numbers).split_once('-')?;
    Some(Stamp { epoch: epoch.parse().ok()?, sequence: sequence.parse().ok()? })
}

/// Writes a file, and makes it safe.
fn write_all<'a>(file: File, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<File> {
    let mut writer = BufWriter::new(file);
    for piece in pieces {
        writer.write_all(piece)?;
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tapline_delivery::{
        Aggregator, AggregatorLimits, AggregatorOptions, Fingerprint, HalfId, HalfSpec, Head, Hello,
        Incarnation, Kind, Lineage, Merge, Moment, PartHead, Patience, Position, RestoreError, Role,
        SensorName, Span, Told, Verdict,
    };

    /// States are payloads, one behind the other.
    struct Octets;

    impl Merge for Octets {
        type State = Vec<u8>;

        fn empty(&self, _: HalfId) -> Vec<u8> {
            vec![]
        }

        fn merge(&self, _: HalfId, state: &mut Vec<u8>, payload: &[u8]) -> Result<(), String> {
            state.extend_from_slice(payload);
            Ok(())
        }

        fn encode(&self, _: HalfId, state: &Vec<u8>) -> Arc<[u8]> {
            state.as_slice().into()
        }
    }

    const HALF: HalfId = HalfId(1);
    const LIFE: Incarnation = Incarnation(1);
    const NOW: Moment = Moment { steady_ns: 0, wall_ns: 0 };

    fn options() -> AggregatorOptions {
        AggregatorOptions {
            role: Role::Final,
            limits: AggregatorLimits::default(),
            patience: Patience::default(),
        }
    }

    fn sensor() -> SensorName {
        SensorName::new("pop-1")
    }

    fn aggregator(epoch: u64) -> Aggregator<Octets> {
        let mut aggregator = Aggregator::new(Octets, options(), epoch, Lineage(1));
        aggregator.add_half(HALF, HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors: None });
        aggregator
    }

    /// An aggregator takes a record of a pane that stays open, of so many octets.
    fn receive(aggregator: &mut Aggregator<Octets>, number: u64, octets: usize) {
        let part = PartHead {
            half: HALF,
            fingerprint: Fingerprint(4),
            pane: Span { start: 10 * number as i64, end: 10 * (number as i64 + 1) },
            watermark: i64::MIN,
            records: 1,
            told: Told::default(),
            behind: vec![],
        };
        let position = |number| Position { incarnation: LIFE, number };
        let after = if number == 1 { Position::START } else { position(number - 1) };
        let head = Head { position: position(number), after, ends_cut: true, kind: Kind::Part(part) };
        if number == 1 {
            let hello = Hello {
                name: sensor(),
                lineage: Lineage(1),
                incarnation: LIFE,
                kept_after: Position::START,
                gaps: vec![],
                leaves: None,
            };
            aggregator.hello(&sensor(), &hello, NOW).unwrap();
        }
        let verdict = aggregator.receive(&sensor(), LIFE, (&head, &vec![7; octets]), NOW);
        assert_eq!(verdict, Verdict::Taken);
    }

    /// Writes a checkpoint, and says so; gives what it was.
    fn go_on(store: &FolderStore, aggregator: &mut Aggregator<Octets>) -> Checkpoint {
        let checkpoint = aggregator.checkpoint(NOW);
        write(store, &checkpoint).unwrap();
        aggregator.written(checkpoint.manifest.stamp);
        tidy(store, &checkpoint).unwrap();
        checkpoint
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn restored(store: &FolderStore, octets: &[u8]) -> Result<Aggregator<Octets>, RestoreError> {
        Aggregator::restore(Octets, options(), octets, |bundle| store.get(bundle), NOW)
    }

    #[test]
    fn of_two_processes_on_one_folder_the_latest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("some").join("where");
        let (one, other) = (FolderStore::open(&place).unwrap(), FolderStore::open(&place).unwrap());
        assert_eq!(one.load(), Ok(None));
        let mut first = aggregator(1);
        one.swap(&first.first_checkpoint()).unwrap();
        receive(&mut first, 1, 100);
        go_on(&one, &mut first);
        let claim = |stamp| Manifest::claimed(&other.load().unwrap().unwrap(), stamp).unwrap();
        let stale = claim(Stamp { epoch: 2, sequence: 0 });
        receive(&mut first, 2, 100);
        go_on(&one, &mut first);
        let said = other.swap(&stale).unwrap_err();
        assert!(matches!(said, StoreError::TakenOver(_)), "what was written meanwhile would be lost: {said}");
        let claimed = claim(Stamp { epoch: 2, sequence: 0 });
        other.swap(&claimed).unwrap();
        receive(&mut first, 3, 100);
        let late = first.checkpoint(NOW);
        let Err(StoreError::TakenOver(said)) = write(&one, &late) else {
            panic!("the one before goes on, too")
        };
        assert!(said.contains("of epoch 2, goes on") && said.contains("of epoch 1, ends"), "{said}");
        assert_eq!(names(&place), ["bundle-1-1", "bundle-1-2", "checkpoint", "lock"], "it leaves nothing");
        let mut second = restored(&other, &claimed.octets).unwrap();
        receive(&mut second, 3, 100);
        go_on(&other, &mut second);
        let there = Manifest::stamp_of(&one.load().unwrap().unwrap()).unwrap();
        assert_eq!(there, Stamp { epoch: 2, sequence: 1 });
        tidy(&one, &late).unwrap();
        assert!(other.get(there).is_ok(), "who was replaced deletes nothing of whoever came after him");
    }

    #[test]
    fn what_did_not_change_is_where_it_was_and_what_is_not_named_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let mut aggregator = aggregator(1);
        store.swap(&aggregator.first_checkpoint()).unwrap();
        (1..=20).for_each(|number| receive(&mut aggregator, number, 10_000));
        let octets = |checkpoint: &Checkpoint| checkpoint.bundle.as_ref().map_or(0, Bundle::octets);
        assert!(octets(&go_on(&store, &mut aggregator)) > 200_000);
        assert_eq!(octets(&go_on(&store, &mut aggregator)), 0);
        receive(&mut aggregator, 21, 10);
        assert!(octets(&go_on(&store, &mut aggregator)) < 100);
        // What a process that was killed left is of no use to anybody.
        fs::write(folder.path().join("bundle-1-2"), "torn").unwrap();
        fs::write(folder.path().join("bundle-1-4.new"), "torn").unwrap();
        assert_eq!(octets(&go_on(&store, &mut aggregator)), 0);
        assert_eq!(names(folder.path()), ["bundle-1-1", "bundle-1-3", "checkpoint", "lock"]);
        let mut again = restored(&store, &store.load().unwrap().unwrap()).unwrap();
        assert_eq!(again.held().panes, 21);
        again.drop_half(HALF);
        go_on(&store, &mut again);
        assert_eq!(names(folder.path()), ["checkpoint", "lock"]);
    }

    #[test]
    fn what_is_torn_stays_until_somebody_moves_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let first = aggregator(1).first_checkpoint();
        store.swap(&first).unwrap();
        fs::write(folder.path().join(CHECKPOINT), &first.octets[..first.octets.len() - 1]).unwrap();
        let said = FolderStore::open(folder.path()).unwrap().load().unwrap_err();
        assert!(said.contains("checkpoint is damaged") && said.contains("move the folder away"), "{said}");
        fs::remove_file(folder.path().join(CHECKPOINT)).unwrap();
        assert_eq!(store.load(), Ok(None));
        assert_eq!(store.swap(&first), Ok(()), "an empty store is claimed anew");
    }

    #[test]
    fn a_bundle_that_is_missing_or_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let mut aggregator = aggregator(1);
        store.swap(&aggregator.first_checkpoint()).unwrap();
        receive(&mut aggregator, 1, 100);
        let octets = go_on(&store, &mut aggregator).manifest.octets;
        let place = folder.path().join("bundle-1-1");
        let mut torn = fs::read(&place).unwrap();
        torn.pop();
        fs::write(&place, torn).unwrap();
        let stamp = Stamp { epoch: 1, sequence: 1 };
        assert_eq!(restored(&store, &octets).err(), Some(RestoreError::Damaged(stamp)));
        let said = store.damaged(stamp);
        assert!(said.contains("/bundle-1-1 is damaged") && said.contains("put a copy"), "{said}");
        fs::remove_file(place).unwrap();
        let Some(RestoreError::Missing(said)) = restored(&store, &octets).err() else {
            panic!("it is missing")
        };
        assert!(said.contains("/bundle-1-1 is missing") && said.contains("put a copy"), "{said}");
    }

    #[test]
    fn a_store_without_room_says_so_and_goes_on_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let mut aggregator = aggregator(1);
        store.swap(&aggregator.first_checkpoint()).unwrap();
        receive(&mut aggregator, 1, 100);
        // Of the bundle, then of the manifest: what was put before takes no room then.
        for (number, name) in [(1, "bundle-1-1.new"), (2, "checkpoint.new")] {
            fs::create_dir(folder.path().join(name)).unwrap();
            let failed = write(&store, &aggregator.checkpoint(NOW)).unwrap_err();
            assert!(matches!(&failed, StoreError::Failed(said) if said.contains("takes no checkpoint")));
            fs::remove_dir(folder.path().join(name)).unwrap();
            assert_eq!(names(folder.path()), ["checkpoint", "lock"], "{number}");
            assert_eq!(aggregator.covered(&sensor()), None, "nothing is acknowledged");
        }
        go_on(&store, &mut aggregator);
        assert!(aggregator.covered(&sensor()).is_some());
        let again = restored(&store, &store.load().unwrap().unwrap()).unwrap();
        assert_eq!(again.held().panes, 1, "what did not get there before is in it");
    }

    #[test]
    fn a_name_is_of_one_stamp() {
        let stamp = Stamp { epoch: 3, sequence: 17 };
        assert_eq!(stamp_in(&name_of(stamp)), Some(stamp));
        assert_eq!(stamp_in("bundle-3-17.new"), Some(stamp));
        for name in ["checkpoint", "lock", "bundle-", "bundle-3", "bundle-3-x", "bundle-3-17.old"] {
            assert_eq!(stamp_in(name), None, "{name}");
        }
    }
}
