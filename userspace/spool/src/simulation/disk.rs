//! A disk that fails as real ones do.
//!
//! What processes see is apart from what a power cut leaves: of a file what was synced, and of the rest any pieces, or
//! zeros, or other octets; of a folder what was synced, and of the changes since then any. A sync of data that failed
//! has lost them though later ones succeed. Each operation can fail, be the last one before a crash, or find no room.

use super::random::Random;
use crate::files::{self, Files, Lock};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is torn is torn in such pieces.
const SECTOR: usize = 16;

/// A disk with one folder, shared by whoever uses it.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// After so many operations one fails, and so many more.
    pub(super) fails_in: Option<(usize, usize)>,
    /// After so many operations all is over, in the middle of one.
    pub(super) crashes_in: Option<usize>,
    /// Octets that all files may have.
    pub(super) room: Option<usize>,
    pub(super) is_read_only: bool,
}

#[derive(Debug)]
struct State {
    /// Names as they are seen.
    seen: BTreeMap<String, usize>,
    /// Names as a power cut leaves them, but for what follows.
    safe: BTreeMap<String, usize>,
    changes: Vec<Change>,
    contents: Vec<Content>,
    is_locked: bool,
    is_down: bool,
    faults: Faults,
    operations: usize,
    random: Random,
}

/// A change of a folder that a power cut may take back.
#[derive(Clone, Debug)]
enum Change {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

/// A file.
#[derive(Clone, Debug, Default)]
struct Content {
    octets: Vec<u8>,
    /// So many are safe.
    safe: usize,
    /// What was cut off, and may come back.
    ghost: Vec<u8>,
    /// A sync failed: what is behind the safe octets will not be.
    is_doomed: bool,
}

impl State {
    /// Counts an operation; says whether it is done.
    fn check(&mut self, is_write: bool) -> io::Result<()> {
        if self.is_down {
            return Err(io::Error::other("it crashed"));
        }
        self.operations += 1;
        if self.faults.crashes_in.is_some_and(|left| left == 0) {
            self.is_down = true;
            return Err(io::Error::other("it crashes"));
        }
        self.faults.crashes_in = self.faults.crashes_in.map(|left| left - 1);
        if is_write && self.faults.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.faults.fails_in {
            None => Ok(()),
            Some((0, 0)) => {
                self.faults.fails_in = None;
                Ok(())
            }
            Some((0, more)) => {
                self.faults.fails_in = Some((0, more - 1));
                Err(io::Error::other("it fails"))
            }
            Some((left, more)) => {
                self.faults.fails_in = Some((left - 1, more));
                Ok(())
            }
        }
    }

    /// Changes the folder; one that crashes in it may have changed it.
    fn change(&mut self, change: Change) -> io::Result<()> {
        let was_down = self.is_down;
        let begun = self.check(true);
        if begun.is_ok() || (self.is_down && !was_down && self.random.permille(500)) {
            apply(&mut self.seen, &change);
            self.changes.push(change);
        }
        begun
    }

    fn used(&self) -> usize {
        self.seen
            .values()
            .filter_map(|content| self.contents.get(*content))
            .map(|content| content.octets.len())
            .sum()
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, content) => drop(names.insert(name.clone(), *content)),
        Change::Unlink(name) => drop(names.remove(name)),
        Change::Rename(from, to) => {
            if let Some(content) = names.remove(from) {
                names.insert(to.clone(), content);
            }
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seen: BTreeMap::new(),
            safe: BTreeMap::new(),
            changes: vec![],
            contents: vec![],
            is_locked: false,
            is_down: false,
            faults: Faults::default(),
            operations: 0,
            random: Random(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Operations so far.
    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Octets of files with names that end so, in whole pieces.
    pub(super) fn octets_on_disk(&self, end: &str) -> u64 {
        let state = self.state();
        let files = state.seen.iter().filter(|(name, _)| name.ends_with(end));
        files.map(|(_, content)| (state.contents[*content].octets.len() as u64).next_multiple_of(4096)).sum()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().seen.keys().cloned().collect()
    }

    /// Changes octets of a file where it is safe.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>, &mut Random)) {
        let mut state = self.state();
        let State { seen, contents, random, .. } = &mut *state;
        let content = &mut contents[seen[name]];
        let length = content.octets.len();
        change(&mut content.octets, random);
        assert_eq!(content.octets.len(), length);
    }

    /// Puts a file there, safe.
    pub(super) fn put(&self, name: &str, octets: &[u8]) {
        let mut state = self.state();
        let content = state.contents.len();
        state.contents.push(Content { octets: octets.to_vec(), safe: octets.len(), ..Content::default() });
        state.seen.insert(name.to_owned(), content);
        state.safe.insert(name.to_owned(), content);
    }

    pub(super) fn get(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.contents[state.seen[name]].octets.clone()
    }

    /// The process is gone, and with it all faults; with the power, what was not safe is torn.
    pub(super) fn crash(&self, is_power_cut: bool) {
        let mut state = self.state();
        let State { seen, safe, changes, contents, random, .. } = &mut *state;
        if is_power_cut {
            for change in changes.drain(..) {
                if random.permille(500) {
                    apply(safe, &change);
                }
            }
            seen.clone_from(safe);
        }
        for content in contents.iter_mut() {
            // Memory may keep what the disk does not have.
            if is_power_cut || random.permille(500) {
                content.crash(is_power_cut, random);
            }
        }
        (state.is_down, state.is_locked, state.faults) = (false, false, Faults::default());
    }
}

impl Content {
    fn crash(&mut self, is_power_cut: bool, random: &mut Random) {
        if !is_power_cut && !self.is_doomed {
            return;
        }
        let had = self.octets.len();
        // What was cut off may come back, though only with the power gone.
        if is_power_cut && !self.ghost.is_empty() && random.permille(500) {
            let from = (self.octets.len() - self.safe).min(self.ghost.len());
            self.octets.extend_from_slice(&self.ghost.clone()[from..]);
        }
        let tail = self.octets.split_off(self.safe);
        let kind = random.below(4);
        let left = if kind == 0 { tail.len() } else { random.within(0, tail.len()) };
        for (place, sector) in tail[..left].chunks(SECTOR).enumerate() {
            let is_kept = kind == 1 || random.permille(700);
            match random.below(3) {
                _ if is_kept => self.octets.extend_from_slice(sector),
                0 => self.octets.extend(sector.iter().map(|octet| octet ^ (place as u8 | 1))),
                _ => self.octets.extend(sector.iter().map(|_| 0)),
            }
        }
        // Without that a file stays as long as it was.
        if is_power_cut {
            self.safe = self.octets.len();
            self.ghost.clear();
        } else {
            self.octets.resize(had, 0);
        }
        self.is_doomed = false;
    }
}

impl Files for Disk {
    fn make(&self) -> io::Result<()> {
        self.state().check(false)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.state().check(false)?;
        Ok(self.names())
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.state();
        if !state.seen.contains_key(name) {
            let content = state.contents.len();
            state.contents.push(Content::default());
            state.change(Change::Link(name.to_owned(), content))?;
        }
        if state.is_locked {
            return Ok(None);
        }
        state.is_locked = true;
        Ok(Some(Box::new(Held(self.clone()))))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn files::File>> {
        let mut state = self.state();
        if state.seen.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = state.contents.len();
        state.contents.push(Content::default());
        state.change(Change::Link(name.to_owned(), content))?;
        Ok(Box::new(Open { disk: self.clone(), content }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn files::File>> {
        let mut state = self.state();
        state.check(false)?;
        let content = *state.seen.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open { disk: self.clone(), content }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().change(Change::Unlink(name.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.check(true)?;
        state.changes.clear();
        state.safe = state.seen.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct Held(Disk);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().is_locked = false;
    }
}

#[derive(Debug)]
struct Open {
    disk: Disk,
    content: usize,
}

impl files::File for Open {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let was_down = state.is_down;
        let begun = state.check(true);
        let room = state.faults.room.map_or(usize::MAX, |room| room.saturating_sub(state.used()));
        let written = if begun.is_err() { state.random.within(0, octets.len()) } else { octets.len() };
        let written = if state.faults.is_read_only || was_down { 0 } else { written.min(room) };
        let content = &mut state.contents[self.content];
        content.octets.extend_from_slice(&octets[..written]);
        begun?;
        if written < octets.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, octets: &mut [u8], place: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(false)?;
        let place = usize::try_from(place).map_err(io::Error::other)?;
        let found = state.contents[self.content].octets.get(place..place + octets.len());
        octets.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.check(false)?;
        Ok(state.contents[self.content].octets.len() as u64)
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(true)?;
        let content = &mut state.contents[self.content];
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let ghost = content.octets.split_off(length);
        if content.safe >= length {
            content.ghost = ghost;
        }
        content.safe = content.safe.min(length);
        content.is_doomed = false;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let begun = state.check(true);
        let content = &mut state.contents[self.content];
        if begun.is_err() {
            content.is_doomed = content.safe < content.octets.len();
        } else if !content.is_doomed {
            content.safe = content.octets.len();
            content.ghost.clear();
        }
        begun
    }

    fn drop_cached(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(false)?;
        let State { contents, random, .. } = &mut *state;
        let content = &mut contents[self.content];
        if content.is_doomed {
            content.crash(false, random);
            content.safe = content.octets.len();
        }
        Ok(())
    }
}
