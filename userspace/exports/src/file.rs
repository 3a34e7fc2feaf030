//! Export files: captures of exports, or their messages back to back.
//!
//! Takes paths, gives the messages in them: those of captures by time, as the exporters sent them; those
//! of other files one file after the other, as of one exporter. What a file is, is told by its content.
//! Everything before a cut or a damage is delivered, and how each file ended is said afterwards.

mod fragments;
mod frames;
mod packet;
mod raw;
mod stream;
mod streams;

use std::fmt;
use std::ops::AddAssign;
use std::path::Path;

use tapline_decode::Datagram;

use crate::{ExportEvent, OpenError};
use frames::FrameReader;
use raw::RawFile;
use tapline_capture::{CaptureFile, CaptureSet, End, Octets, check_standard_input};

/// What was found in export files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportCounters {
    /// Messages lent: `datagrams`, those put together of fragments, those of streams and of raw files.
    pub messages: u64,
    /// Frames of captures: `datagrams + fragments + segments + other`.
    pub frames: u64,
    /// Frames that hold a whole UDP datagram with an export message.
    pub datagrams: u64,
    /// Frames that hold a piece of a UDP datagram.
    pub fragments: u64,
    /// Frames that hold a segment of a TCP connection with IPFIX.
    pub segments: u64,
    /// Frames without exports.
    pub other: u64,
    /// Fragments of datagrams that are not whole.
    pub fragments_lost: u64,
    /// Messages and segments of which an end is missing: by the snap length, or at the end of a raw file.
    pub cut: u64,
    /// Places in TCP streams where octets are missing.
    pub stream_gaps: u64,
    /// Octets that were read of TCP streams, but belong to no whole message.
    pub stream_lost_octets: u64,
}

impl AddAssign for ExportCounters {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.frames += other.frames;
        self.datagrams += other.datagrams;
        self.fragments += other.fragments;
        self.segments += other.segments;
        self.other += other.other;
        self.fragments_lost += other.fragments_lost;
        self.cut += other.cut;
        self.stream_gaps += other.stream_gaps;
        self.stream_lost_octets += other.stream_lost_octets;
    }
}

/// Export files, read as one.
pub struct ExportSet {
    parts: Vec<Part>,
    /// The files as they were named, in the order of [`ExportSet::files`].
    paths: Vec<String>,
    /// Whether a read ends with the turn of a file.
    by_turns: bool,
    /// The one that is being read.
    current: usize,
}

/// Files that are read at once.
enum Part {
    Captures { set: CaptureSet, reader: Box<FrameReader> },
    Raw { file: RawFile, messages: u64 },
}

/// A file, by its content.
enum Opened {
    Capture(CaptureFile),
    Raw(RawFile),
}

impl ExportSet {
    /// Opens all `paths`; `-` is standard input. Of captures, UDP and TCP payloads sent to one of `ports`
    /// are taken, or, if none is given, those that look like export messages.
    ///
    /// Captures are merged by time if there is nothing else; otherwise all files are read in this order.
    ///
    /// # Errors
    /// What stands in the way at the first that cannot be opened, with its name: missing, a directory, not
    /// permitted, empty, or without exports; or standard input given twice.
    pub fn open<P: AsRef<Path>>(paths: &[P], ports: &[u16]) -> Result<Self, OpenError> {
        check_standard_input(paths)?;
        let files: Result<Vec<_>, _> = paths.iter().map(|path| Opened::open(path.as_ref())).collect();
        let paths = paths.iter().map(|path| path.as_ref().display().to_string()).collect();
        Ok(Self { parts: parts(files?, ports), paths, by_turns: false, current: 0 })
    }

    /// The files as they were named, in the order of [`ExportSet::files`].
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Lets each read end with the turn of a file, so that all that it reads is of the one that
    /// [`ExportSet::turn`] names before it.
    pub fn read_by_turns(&mut self) {
        self.by_turns = true;
        for part in &mut self.parts {
            if let Part::Captures { set, .. } = part {
                set.read_by_turns();
            }
        }
    }

    /// The place of the file that is read next; `None` at the end, and while a pipe has had nothing for a while.
    pub fn turn(&mut self) -> Option<usize> {
        let before: usize = self.parts[..self.current].iter().map(|part| part.files().len()).sum();
        match self.parts.get_mut(self.current)? {
            Part::Captures { set, .. } => set.turn().map(|file| before + file),
            Part::Raw { .. } => Some(before),
        }
    }

    /// The same files from their beginning, without disturbing this reader; `None` if one of them is a pipe,
    /// which can be read once only.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let parts = self.parts.iter().map(Part::again).collect::<Option<_>>()?;
        Some(Self { parts, paths: self.paths.clone(), by_turns: false, current: 0 })
    }

    /// Lends the messages of up to `records_max` (at least 1) next frames or raw messages to `visit`;
    /// returns how many of those were read.
    ///
    /// May return fewer before the end, and none at the end or when a pipe has had none for a while:
    /// [`ExportSet::is_at_end`] tells which.
    pub fn read(&mut self, records_max: usize, visit: &mut impl FnMut(&ExportEvent<'_>)) -> usize {
        while let Some(part) = self.parts.get_mut(self.current) {
            let records = part.read(records_max, visit);
            if records > 0 || !part.is_at_end() {
                return records;
            }
            part.finish(visit);
            self.current += 1;
            if self.by_turns {
                break;
            }
        }
        0
    }

    /// Whether every file is read to its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.current == self.parts.len()
    }

    /// What was found so far.
    #[must_use]
    pub fn counters(&self) -> ExportCounters {
        let mut sum = ExportCounters::default();
        self.parts.iter().for_each(|part| sum += part.counters());
        sum
    }

    /// The files in their order, each with how it ended; `None` as long as something may follow.
    pub fn files(&self) -> impl Iterator<Item = (&str, Option<&End>)> {
        self.parts.iter().flat_map(Part::files)
    }

    /// Octets read of all files as they are stored.
    #[must_use]
    pub fn position_octets(&self) -> u64 {
        self.parts.iter().map(Part::position_octets).sum()
    }

    /// Octets of all files as they are stored; `None` if one of them is a pipe.
    #[must_use]
    pub fn total_octets(&self) -> Option<u64> {
        self.parts.iter().map(Part::total_octets).sum()
    }
}

impl fmt::Debug for ExportSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files().collect();
        let mut fields = formatter.debug_struct("ExportSet");
        fields.field("files", &files).field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, OpenError> {
        match CaptureFile::open_or_octets(path)? {
            Ok(capture) => Ok(Self::Capture(capture)),
            Err((name, source)) => Self::raw(name, source),
        }
    }

    fn raw(name: String, source: Octets) -> Result<Self, OpenError> {
        if RawFile::is_one(source.available()) {
            return Ok(Self::Raw(RawFile::new(name, source)));
        }
        Err(OpenError::no_exports(name, source.available()))
    }
}

/// One part for all files if they are captures, else one for each.
fn parts(files: Vec<Opened>, ports: &[u16]) -> Vec<Part> {
    let captures =
        |files| Part::Captures { set: CaptureSet::new(files), reader: Box::new(FrameReader::new(ports)) };
    let (mut raw, mut merged) = (Vec::new(), Vec::new());
    let are_captures = files.iter().all(|file| matches!(file, Opened::Capture(_)));
    for file in files {
        match file {
            Opened::Capture(file) if are_captures => merged.push(file),
            Opened::Capture(file) => raw.push(captures(vec![file])),
            Opened::Raw(file) => raw.push(Part::Raw { file, messages: 0 }),
        }
    }
    if merged.is_empty() { raw } else { vec![captures(merged)] }
}

impl Part {
    fn again(&self) -> Option<Self> {
        Some(match self {
            Self::Captures { set, reader } => {
                Self::Captures { set: set.again()?, reader: Box::new(reader.again()) }
            }
            Self::Raw { file, .. } => Self::Raw { file: file.again()?, messages: 0 },
        })
    }

    fn read(&mut self, records_max: usize, visit: &mut impl FnMut(&ExportEvent<'_>)) -> usize {
        match self {
            Self::Captures { set, reader, .. } => {
                set.read(records_max, &mut |frame| reader.take(frame, visit))
            }
            Self::Raw { file, messages } => {
                let mut visit = |message: &Datagram<'_>| visit(&ExportEvent::Message(*message));
                let read = (0..records_max).take_while(|_| file.read(&mut visit)).count();
                *messages += read as u64;
                read
            }
        }
    }

    fn is_at_end(&self) -> bool {
        match self {
            Self::Captures { set, .. } => set.is_at_end(),
            Self::Raw { file, .. } => file.end().is_some(),
        }
    }

    /// Gives what waited for more, once.
    fn finish(&mut self, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        if let Self::Captures { reader, .. } = self {
            reader.finish(visit);
        }
    }

    fn counters(&self) -> ExportCounters {
        match self {
            Self::Captures { reader, .. } => reader.counters(),
            Self::Raw { file, messages } => {
                ExportCounters { messages: *messages, cut: file.cut(), ..ExportCounters::default() }
            }
        }
    }

    fn files(&self) -> Vec<(&str, Option<&End>)> {
        match self {
            Self::Captures { set, .. } => set.files().iter().map(|file| (file.name(), file.end())).collect(),
            Self::Raw { file, .. } => vec![(file.name(), file.end())],
        }
    }

    fn position_octets(&self) -> u64 {
        match self {
            Self::Captures { set, .. } => set.position_octets(),
            Self::Raw { file, .. } => file.source().stored_position(),
        }
    }

    fn total_octets(&self) -> Option<u64> {
        match self {
            Self::Captures { set, .. } => set.total_octets(),
            Self::Raw { file, .. } => file.source().stored_total(),
        }
    }
}
