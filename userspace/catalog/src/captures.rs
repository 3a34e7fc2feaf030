//! A folder of captures that appear, as an input.
//!
//! What was read of it is kept in a file of the state folder, so that no frame is read twice. It is open while some
//! query reads it; captures that appear meanwhile are read when the next query comes.

use crate::input::{Gap, Input, Meters};
use crate::wanted::WantedFrames;
use std::path::{Path, PathBuf};
use std::{fs, io};
use tapline_record::{EventTime, FLOWS, PACKET_FLOWS, PACKETS, Stream, StreamId};
use tapline_sources::{
    CaptureFolder, Demand, FolderMemory, PacketSource, SharedMemory, Source, SourceOptions, is_continued,
};

/// A folder of captures that appear.
pub struct CapturesInput {
    name: String,
    folder: PathBuf,
    /// Where it is kept what was read.
    file: Option<PathBuf>,
    options: SourceOptions,
    wanted: WantedFrames,
    /// Streams that nobody but folders of captures carries.
    alone_in: Vec<StreamId>,
    memory: SharedMemory,
    /// What was given to be kept last.
    kept: FolderMemory,
    /// Whether an earlier run left something to go on with.
    is_resumed: bool,
    /// Why it did not, to be told.
    refused: Option<String>,
}

impl CapturesInput {
    /// Reads the captures of a folder, as the source of this name, or of the folder's. What was read is kept in the
    /// folder `state`; what others of this node have read of it is in `memory`, where there was one.
    #[must_use]
    pub fn new(
        name: Option<String>,
        folder: &Path,
        state: Option<&Path>,
        memory: Option<SharedMemory>,
        options: SourceOptions,
    ) -> Self {
        let is_known = memory.is_some();
        let file = state.map(|state| state.join(file_name(folder)));
        let mut input = Self {
            name: name.unwrap_or_else(|| folder.display().to_string()),
            folder: folder.to_owned(),
            file,
            options,
            wanted: WantedFrames::default(),
            alone_in: vec![],
            memory: memory.unwrap_or_default(),
            kept: FolderMemory::default(),
            is_resumed: false,
            refused: None,
        };
        if !is_known {
            input.load();
        }
        input
    }

    /// What was read of it, as another one of the same folder goes on from.
    #[must_use]
    pub fn shared_memory(&self) -> SharedMemory {
        self.memory.clone()
    }

    /// Nobody but folders of captures carries these streams.
    #[must_use]
    pub fn alone_in(self, streams: &[StreamId]) -> Self {
        Self { alone_in: streams.to_vec(), ..self }
    }

    /// Wants only these frames.
    #[must_use]
    pub fn wanting(mut self, frames: WantedFrames) -> Self {
        self.wanted = frames;
        self.select();
        self
    }

    fn select(&self) {
        self.options.selection.set(self.wanted.predicate(true));
    }

    /// Takes up what an earlier run has kept.
    fn load(&mut self) {
        let Some(path) = &self.file else { return };
        let refused = match fs::read_to_string(path) {
            Ok(text) => match FolderMemory::of_text(&text) {
                Some(memory) => {
                    self.kept.clone_from(&memory);
                    *self.memory.lock() = memory;
                    self.is_resumed = true;
                    return;
                }
                None => "it is damaged, or of another version".to_owned(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => error.to_string(),
        };
        let aside = path.with_extension("refused");
        let put_aside = fs::rename(path, &aside).map_or_else(
            |error| format!("it cannot be put aside: {error}"),
            |()| format!("it is put aside as {}", aside.display()),
        );
        self.refused = Some(format!(
            "what was read before of {} is not known, and all captures that are there are read: {}: {refused}; {put_aside}",
            self.folder.display(),
            path.display(),
        ));
    }
}

/// The path of a folder by which it is told from others, whether or not it is there yet.
#[must_use]
pub fn whole_path(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| {
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        path.components().collect()
    })
}

/// What a folder is called in the state folder: by its path, as far as that can be a name, and by a checksum of it.
fn file_name(folder: &Path) -> String {
    let path = whole_path(folder);
    let path = path.to_string_lossy();
    let plain = path.trim_matches('/').chars().map(|of| if of.is_ascii_alphanumeric() { of } else { '-' });
    let plain: String = plain.take(NAME_OCTETS_MAX).collect();
    format!("captures-{plain}-{:08x}", crc32fast::hash(path.as_bytes()))
}

/// Octets of a folder's path that its file is named by.
const NAME_OCTETS_MAX: usize = 100;

impl Input for CapturesInput {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn identity(&self) -> String {
        format!("captures {} {} {:?} {:?}", self.name, self.folder.display(), self.options, self.alone_in)
    }

    fn kind(&self) -> &'static str {
        "captures"
    }

    fn streams(&self) -> Vec<&'static Stream> {
        vec![&PACKET_FLOWS, &PACKETS, &FLOWS]
    }

    fn is_on_demand(&self) -> bool {
        true
    }

    fn meters(&self) -> Meters {
        Meters::WhileRead
    }

    fn wanted(&self) -> Option<&WantedFrames> {
        Some(&self.wanted)
    }

    fn want(&mut self, frames: &WantedFrames) -> Result<(), String> {
        self.wanted.clone_from(frames);
        self.select();
        Ok(())
    }

    fn lateness_ns(&self) -> i64 {
        self.options.packets_lateness_ns()
    }

    fn check(&self) -> Result<(), String> {
        match fs::metadata(&self.folder) {
            Ok(found) if !found.is_dir() => {
                Err(format!("{} is no folder; name the folder of the captures", self.folder.display()))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn gap(&self, _: Option<&str>) -> Gap {
        let is_known = self.is_resumed && is_continued(&self.folder, &self.memory.lock());
        if is_known { Gap::Told } else { Gap::Unknown }
    }

    fn may_come_later(&self) -> bool {
        true
    }

    fn given_until(&self, now: EventTime) -> EventTime {
        let memory = self.memory.lock();
        // While nobody reads it, captures may come and go that nobody knows of.
        let has_read = memory.files.values().any(|file| file.beginning.is_some());
        let is_missed = has_read && !self.memory.is_open() && !is_continued(&self.folder, &memory);
        if is_missed { now } else { memory.newest }
    }

    fn take_unkept(&mut self) -> Option<(PathBuf, String)> {
        let path = self.file.clone()?;
        let memory = self.memory.lock();
        let news = (*memory != self.kept).then(|| memory.clone());
        drop(memory);
        self.kept = news?;
        Some((path, self.kept.to_text()))
    }

    fn open(&mut self, _: &Demand) -> Result<Vec<Box<dyn Source>>, String> {
        let folder = CaptureFolder::open(&self.name, &self.folder, &self.memory, &self.options)?;
        let folder = folder.alone_in(&self.alone_in).telling(self.refused.take());
        Ok(vec![Box::new(PacketSource::of_folder(folder, &self.options))])
    }
}
