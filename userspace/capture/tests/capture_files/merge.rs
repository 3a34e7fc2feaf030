//! Several files as one, and their times beforehand.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use tapline_capture::{CaptureFile, CaptureSet, TimeScan};
use tapline_record::EventTime;

use crate::reading::Kept;
use crate::written::{Big, Little, MICROSECONDS, interface, packet, pcap_header, pcap_record, section};
use harness::wireshark;

/// A capture with frames at `seconds`, each holding `mark`.
fn capture(seconds: &[u32], mark: u8) -> Vec<u8> {
    let records = seconds.iter().map(|second| pcap_record(Little, *second, 0, &[mark; 60]));
    records.fold(pcap_header(Little, MICROSECONDS, 65_535, 1), |file, record| [file, record].concat())
}

fn files(folder: &Path, captures: &[&[u8]]) -> Vec<PathBuf> {
    let write = |(index, capture): (usize, &&[u8])| {
        let path = folder.join(format!("{index}.pcap"));
        fs::write(&path, capture).unwrap();
        path
    };
    captures.iter().enumerate().map(write).collect()
}

fn read(mut set: CaptureSet, frames_max: usize) -> Vec<Kept> {
    let mut frames = Vec::new();
    while set.read(frames_max, &mut |frame| frames.push(Kept::of(frame))) > 0 {}
    frames
}

fn marks(frames: &[Kept]) -> Vec<(i64, u8)> {
    frames.iter().map(|frame| (frame.ts_ns / 1_000_000_000, frame.bytes[0])).collect()
}

#[test]
fn frames_come_by_time_and_equal_times_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let captures = [capture(&[1, 4, 4, 6], 0), capture(&[2, 4, 5, 9], 1), capture(&[], 2), capture(&[4], 3)];
    let captures: Vec<_> = captures.iter().map(Vec::as_slice).collect();
    let paths = files(folder.path(), &captures);
    let expected = [(1, 0), (2, 1), (4, 0), (4, 0), (4, 1), (4, 3), (5, 1), (6, 0), (9, 1)];
    for frames_max in [1, 2, 100] {
        let set = CaptureSet::open(&paths).unwrap();
        assert_eq!(marks(&read(set, frames_max)), expected, "{frames_max} at once");
    }
}

#[test]
fn turns_say_of_which_file_the_frames_are() {
    let folder = tempfile::tempdir().unwrap();
    let captures = [capture(&[1, 4, 4, 6], 0), capture(&[2, 4, 5, 9], 1), capture(&[], 2), capture(&[4], 3)];
    let captures: Vec<_> = captures.iter().map(Vec::as_slice).collect();
    let paths = files(folder.path(), &captures);
    for (files, frames_max) in [(1, 2), (4, 1), (4, 2), (4, 100)] {
        let paths = &paths[..files];
        let expected = marks(&read(CaptureSet::open(paths).unwrap(), 100));
        let mut set = CaptureSet::open(paths).unwrap();
        assert_eq!(set.paths(), paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>());
        set.read_by_turns();
        let mut found = vec![];
        while let Some(file) = set.turn() {
            set.read(frames_max, &mut |frame| {
                assert_eq!(usize::from(frame.bytes[0]), file);
                found.push(Kept::of(frame));
            });
        }
        assert!(set.is_at_end());
        assert_eq!(marks(&found), expected, "{frames_max} at once");
    }
}

#[test]
fn within_a_file_its_own_order_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let paths = files(folder.path(), &[&capture(&[5, 1, 7], 0), &capture(&[4, 6, 3], 1)]);
    let expected = [(4, 1), (5, 0), (1, 0), (6, 1), (3, 1), (7, 0)];
    assert_eq!(marks(&read(CaptureSet::open(&paths).unwrap(), 100)), expected);
}

#[test]
fn pipes_and_files_are_merged() {
    let pipe = CaptureFile::from_reader("pipe", Cursor::new(capture(&[2, 3], 0))).unwrap();
    let file = CaptureFile::from_reader("other", Cursor::new(capture(&[1, 4], 1))).unwrap();
    let set = CaptureSet::new(vec![pipe, file]);
    assert_eq!(set.total_octets(), None);
    assert_eq!(set.scan_times(), None);
    assert_eq!(marks(&read(set, 100)), [(1, 1), (2, 0), (3, 0), (4, 1)]);
}

#[test]
fn a_set_of_no_files_is_at_its_end() {
    let set = CaptureSet::new(Vec::new());
    assert_eq!(set.scan_times().unwrap().frames, 0);
    assert!(read(set, 10).is_empty());
}

#[test]
fn times_at_the_edge_of_what_can_be_said_are_merged() {
    let extreme = |offset: i64| {
        let options = crate::written::option(Big, 14, &offset.to_be_bytes());
        let frames = [packet(Big, 0, 0, &[0; 4]), packet(Big, 0, 0, &[1; 4])].concat();
        let file = [section(Big), interface(Big, 1, 0, &options), frames].concat();
        CaptureFile::from_reader("extreme", Cursor::new(file)).unwrap()
    };
    for offsets in [[i64::MIN, i64::MIN], [i64::MAX, i64::MAX], [i64::MAX, i64::MIN]] {
        let set = CaptureSet::new(offsets.map(extreme).into());
        assert_eq!(read(set, 100).len(), 4, "{offsets:?}");
    }
}

#[test]
fn the_counters_of_a_set_are_those_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let paths = files(folder.path(), &[&capture(&[1, 2], 0), &capture(&[1], 1)]);
    let mut set = CaptureSet::open(&paths).unwrap();
    while set.read(10, &mut |_| {}) > 0 {}
    assert_eq!((set.counters().frames, set.counters().captured_octets), (3, 180));
    assert!(set.files().iter().all(|file| file.end().is_some()));
    assert_eq!(Some(set.position_octets()), set.total_octets());
}

fn scan(captures: &[&[u8]]) -> TimeScan {
    let folder = tempfile::tempdir().unwrap();
    let mut set = CaptureSet::open(&files(folder.path(), captures)).unwrap();
    set.read(1, &mut |_| {});
    let scan = set.scan_times().unwrap();
    assert_eq!(set.counters().frames, 1, "a scan does not move the reader");
    scan
}

#[test]
fn a_scan_measures_the_disorder_of_the_merged_order() {
    let second = 1_000_000_000;
    let times = |frames, first: i64, last: i64, disorder: i64| TimeScan {
        frames,
        first: EventTime(first * second),
        last: EventTime(last * second),
        disorder_ns: disorder * second,
    };
    assert_eq!(scan(&[&capture(&[1, 2, 5], 0)]), times(3, 1, 5, 0));
    assert_eq!(scan(&[&capture(&[3, 7, 2, 9, 8], 0)]), times(5, 2, 9, 5));
    assert_eq!(scan(&[&capture(&[1, 8], 0), &capture(&[2, 5], 1)]), times(4, 1, 8, 0));
    assert_eq!(scan(&[&capture(&[5, 1], 0), &capture(&[4, 6], 1)]), times(4, 1, 6, 4));
    let packed = zstd::encode_all(&capture(&[3, 2], 0)[..], 1).unwrap();
    assert_eq!(scan(&[&packed]), times(2, 2, 3, 1));
}

#[test]
fn the_merged_order_is_that_of_mergecap() {
    let folder = tempfile::tempdir().unwrap();
    let captures = [capture(&[1, 4, 3, 8], 0), capture(&[2, 6, 7, 5], 1), capture(&[9, 10], 2)];
    let paths = files(folder.path(), &captures.each_ref().map(Vec::as_slice));
    let merged = folder.path().join("merged.pcapng");
    let names: Vec<_> = [&merged].into_iter().chain(&paths).map(|path| path.to_str().unwrap()).collect();
    if wireshark::run("mergecap", &[&["-w"], &names[..]].concat()).is_none() {
        return;
    }
    let expected = marks(&read(CaptureSet::open(&[merged]).unwrap(), 100));
    assert_eq!(marks(&read(CaptureSet::open(&paths).unwrap(), 100)), expected);
}
