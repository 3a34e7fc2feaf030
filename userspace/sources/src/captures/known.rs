//! What is known of the files of a folder.
//!
//! A file is told from others by its place on the device and by what it begins with, not by its name: names are given
//! away when captures rotate, and so are the places of files that were deleted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use tapline_capture::Beginning;
use tapline_record::EventTime;

/// What names of compressed files end with.
const COMPRESSIONS: [&[u8]; 6] = [b".gz", b".zst", b".lz4", b".xz", b".bz2", b".zstd"];

/// The place of a file on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The file on it.
    pub inode: u64,
}

/// A file as a look at the folder found it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) id: FileId,
    pub(super) name: OsString,
    pub(super) octets: u64,
    pub(super) altered: EventTime,
}

/// What is remembered of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMemory {
    /// Its name when it was seen last.
    pub name: OsString,
    /// Its octets, likewise.
    pub octets: u64,
    /// When it, its name or its rights were changed last, likewise.
    pub altered: EventTime,
    /// What it begins with, once it has a frame.
    pub beginning: Option<Beginning>,
    /// Time of its first frame, if it has any.
    pub first: Option<EventTime>,
    /// Frames that were read of it.
    pub frames: u64,
    /// Frames of it that could not be delivered.
    pub undecodable: u64,
    /// Whether nothing more is expected of it.
    pub is_done: bool,
}

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To look whether its first frame is there.
    Unbegun,
    /// To wait for its turn.
    Waiting(EventTime),
    /// It is read.
    Open,
    /// Nothing.
    Done,
}

/// A file that was seen.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) memory: FileMemory,
    pub(super) stage: Stage,
    /// The most octets that were seen of this capture: another one in its place may be shorter.
    pub(super) held_octets: u64,
    /// What files of its series are called.
    pub(super) series: Vec<u8>,
    /// When its octets changed last, by our clock.
    pub(super) changed: EventTime,
    /// Whether it is in the folder.
    pub(super) is_there: bool,
    /// Whether its first frame was looked for since it changed.
    pub(super) is_tried: bool,
    /// Whether it was told what is wrong with it.
    pub(super) is_told: bool,
}

impl Known {
    /// A file that was never seen before.
    pub(super) fn new(seen: &Seen) -> Self {
        let memory = FileMemory {
            name: seen.name.clone(),
            octets: seen.octets,
            altered: seen.altered,
            beginning: None,
            first: None,
            frames: 0,
            undecodable: 0,
            is_done: false,
        };
        let series = series(&seen.name);
        Self {
            memory,
            stage: Stage::Unbegun,
            held_octets: seen.octets,
            series,
            changed: seen.altered,
            is_there: true,
            is_tried: false,
            is_told: false,
        }
    }

    /// A file that an earlier run knew; whether it is there still shows at the first look.
    pub(super) fn of_memory(memory: FileMemory) -> Self {
        let stage = if memory.is_done { Stage::Done } else { Stage::Unbegun };
        let (series, changed, held_octets) = (series(&memory.name), memory.altered, memory.octets);
        Self { memory, stage, held_octets, series, changed, is_there: false, is_tried: false, is_told: false }
    }

    /// Takes it for another capture than it was.
    pub(super) fn begin_anew(&mut self) {
        let memory = &mut self.memory;
        (memory.beginning, memory.first, memory.is_done) = (None, None, false);
        (memory.frames, memory.undecodable) = (0, 0);
        // The next look says how much the other one holds.
        self.held_octets = 0;
        self.stage = Stage::Unbegun;
    }

    /// When it began: its first frame, or when its header was written.
    pub(super) fn begins(&self) -> EventTime {
        self.memory.first.unwrap_or(self.memory.altered)
    }

    /// Whether it is no capture.
    pub(super) const fn is_foreign(&self) -> bool {
        matches!(self.stage, Stage::Done) && self.is_told && self.memory.beginning.is_none()
    }

    /// Whether something of it was read, or is to be, and is not done with.
    pub(super) const fn is_begun(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
            || self.memory.frames > 0 && !matches!(self.stage, Stage::Done)
    }
}

/// What files of one series are called, but for the numbers that tell them apart.
pub(super) fn series(name: &OsStr) -> Vec<u8> {
    let name = plain_name(name);
    name.as_bytes().iter().copied().filter(|octet| !octet.is_ascii_digit()).collect()
}

/// The name without what compression adds to it.
pub(super) fn plain_name(name: &OsStr) -> OsString {
    let octets = name.as_bytes();
    let plain = COMPRESSIONS.iter().find_map(|ending| octets.strip_suffix(*ending));
    OsString::from_vec(plain.unwrap_or(octets).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_of_one_series() {
        let of = |name: &str| series(OsStr::new(name));
        for [one, other] in [
            ["x.pcap", "x.pcap17"],
            ["x.pcap00", "x.pcap01"],
            ["dump-2026-11-29_21:00:00.pcap", "dump-2026-11-29_21:01:00.pcap.gz"],
            ["ring_00001_20261129210000.pcapng", "ring_00012_20261129220000.pcapng"],
        ] {
            assert_eq!(of(one), of(other));
        }
        assert_ne!(of("uplink-1.pcap"), of("lan-1.pcap"));
        assert_eq!(plain_name(OsStr::new("a.pcap.zst")), "a.pcap");
        assert_eq!(plain_name(OsStr::new("a.pcap")), "a.pcap");
    }
}
