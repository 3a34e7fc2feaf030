//! What was read of a folder, as it is kept from one run to the next.
//!
//! A line says what it is, one says how far time had come, and each other one tells of a file, or of a capture by its
//! content. A damaged one is none: then nobody knows what was read.

use super::delivered::{Delivered, DeliveredCapture};
use super::known::{FileId, FileMemory};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use tapline_capture::{Beginning, Ending};
use tapline_record::EventTime;

/// First line of the text.
const TITLE: &str =
    "tapline captures 1: device inode octets altered beginning checksum first frames undecodable done name";
/// What a line about a capture begins with; behind it stand first, beginning, checksum, octets, checksum of their end,
/// frames, undecodable and when that was.
const DELIVERED: &str = "delivered ";
/// What stands for something that is not known.
const NOTHING: &str = "-";

/// What was read of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderMemory {
    /// The latest time of a frame, as far as our clock had come.
    pub newest: EventTime,
    /// The files that were seen.
    pub files: BTreeMap<FileId, FileMemory>,
    /// The captures that were read, by their content.
    pub(super) delivered: Delivered,
}

impl Default for FolderMemory {
    fn default() -> Self {
        Self { newest: EventTime::MIN, files: BTreeMap::new(), delivered: Delivered::default() }
    }
}

impl FolderMemory {
    /// As text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nnewest {}\n", self.newest.0);
        for (id, file) in &self.files {
            let or_nothing = |value: Option<i64>| value.map_or(NOTHING.to_owned(), |value| value.to_string());
            let beginning = file.beginning;
            // Writing to a text does not fail.
            let _ = writeln!(
                text,
                "{} {} {} {} {} {} {} {} {} {} {}",
                id.device,
                id.inode,
                file.octets,
                file.altered.0,
                or_nothing(beginning.map(|beginning| beginning.octets.into())),
                or_nothing(beginning.map(|beginning| beginning.checksum.into())),
                or_nothing(file.first.map(|first| first.0)),
                file.frames,
                file.undecodable,
                u8::from(file.is_done),
                escaped(&file.name),
            );
        }
        for (first, capture) in self.delivered.iter() {
            let DeliveredCapture { beginning, ending, frames, undecodable, read } = capture;
            let _ = writeln!(
                text,
                "{DELIVERED}{} {} {} {} {} {frames} {undecodable} {}",
                first.0, beginning.octets, beginning.checksum, ending.octets, ending.checksum, read.0,
            );
        }
        let _ = writeln!(text, "end {}", self.files.len());
        text
    }

    /// What a text says; `None` where it is none of ours, or not whole.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let newest = EventTime(lines.next()?.strip_prefix("newest ")?.parse().ok()?);
        let (mut files, mut delivered) = (BTreeMap::new(), Delivered::default());
        for line in lines {
            if let Some(count) = line.strip_prefix("end ") {
                return (count.parse() == Ok(files.len())).then_some(Self { newest, files, delivered });
            }
            if let Some(line) = line.strip_prefix(DELIVERED) {
                let (first, capture) = capture_of(line)?;
                delivered.add(first, capture);
                continue;
            }
            let (id, file) = file_of(line)?;
            files.insert(id, file);
        }
        None
    }
}

fn capture_of(line: &str) -> Option<(EventTime, DeliveredCapture)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [first, beginning, checksum, octets, end, frames, undecodable, read] = words.as_slice() else {
        return None;
    };
    let capture = DeliveredCapture {
        beginning: Beginning { octets: beginning.parse().ok()?, checksum: checksum.parse().ok()? },
        ending: Ending { octets: octets.parse().ok()?, checksum: end.parse().ok()? },
        frames: frames.parse().ok()?,
        undecodable: undecodable.parse().ok()?,
        read: EventTime(read.parse().ok()?),
    };
    Some((EventTime(first.parse().ok()?), capture))
}

fn file_of(line: &str) -> Option<(FileId, FileMemory)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [device, inode, octets, altered, beginning, checksum, first, frames, undecodable, done, name] =
        words.as_slice()
    else {
        return None;
    };
    let maybe = |word: &str| if word == NOTHING { Some(None) } else { word.parse::<i64>().ok().map(Some) };
    let beginning = maybe(beginning)?.zip(maybe(checksum)?);
    let beginning = beginning.and_then(|(octets, checksum)| {
        Some(Beginning { octets: octets.try_into().ok()?, checksum: checksum.try_into().ok()? })
    });
    let file = FileMemory {
        name: unescaped(name)?,
        octets: octets.parse().ok()?,
        altered: EventTime(altered.parse().ok()?),
        beginning,
        first: maybe(first)?.map(EventTime),
        frames: frames.parse().ok()?,
        undecodable: undecodable.parse().ok()?,
        is_done: *done == "1",
    };
    Some((FileId { device: device.parse().ok()?, inode: inode.parse().ok()? }, file))
}

/// A name as one word: what is no plain character is written as its two digits behind %.
fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    for octet in name.as_bytes() {
        if octet.is_ascii_graphic() && *octet != b'%' {
            text.push(char::from(*octet));
        } else {
            let _ = write!(text, "%{octet:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<OsString> {
    let (mut octets, mut rest) = (vec![], text.as_bytes());
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        if *octet == b'%' {
            let (digits, behind) = rest.split_at_checked(2)?;
            octets.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = behind;
        } else {
            octets.push(*octet);
        }
    }
    Some(OsString::from_vec(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> FolderMemory {
        let file = |name: &[u8], beginning, frames| FileMemory {
            name: OsString::from_vec(name.to_vec()),
            octets: 100,
            altered: EventTime(7),
            beginning,
            first: beginning.map(|_| EventTime(-5)),
            frames,
            undecodable: 1,
            is_done: frames == 0,
        };
        let beginning = Some(Beginning { octets: 40, checksum: u32::MAX });
        let files = [
            (FileId { device: 1, inode: 2 }, file(b"a b%\n\xff.pcap", beginning, 3)),
            (FileId { device: 1, inode: 3 }, file(b"-", None, 0)),
        ];
        let capture = DeliveredCapture {
            beginning: Beginning { octets: 40, checksum: u32::MAX },
            ending: Ending { octets: 100, checksum: 8 },
            frames: 3,
            undecodable: 1,
            read: EventTime(11),
        };
        let mut delivered = Delivered::default();
        assert!(!delivered.add(EventTime(-5), capture));
        FolderMemory { newest: EventTime(9), files: files.into(), delivered }
    }

    #[test]
    fn what_is_written_is_read() {
        for memory in [memory(), FolderMemory::default()] {
            assert_eq!(FolderMemory::of_text(&memory.to_text()), Some(memory));
        }
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let text = memory().to_text();
        for cut in 0..text.len() - 1 {
            assert_eq!(FolderMemory::of_text(&text[..cut]), None, "{cut}");
        }
        assert_eq!(FolderMemory::of_text(&text.replace("captures 1", "captures 2")), None);
    }
}
