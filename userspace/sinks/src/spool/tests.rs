//! A spool before a sink that comes and goes, over crashes of its own.

use super::folder::{Folder, HEADER};
use super::{Spool, SpoolOptions};
use crate::sink::{Parcel, Refusal, ResultId, Sink};
use crate::test_results::parcel;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_record::EventTime;

/// Notes what it takes, unless it is away.
#[derive(Clone, Default)]
struct Notes {
    taken: Arc<Mutex<Vec<i64>>>,
    is_away: Arc<AtomicBool>,
}

impl Notes {
    fn away() -> Self {
        let notes = Self::default();
        notes.is_away.store(true, Ordering::Relaxed);
        notes
    }

    fn taken(&self) -> Vec<i64> {
        self.taken.lock().unwrap().clone()
    }
}

impl Sink for Notes {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Refusal::Later("it is away".to_owned()));
        }
        if parcel.origin.name == "never" {
            return Err(Refusal::Never("it is never taken".to_owned()));
        }
        self.taken.lock().unwrap().push(parcel.id.number);
        Ok(())
    }
}

fn spool(folder: &Path, octets_max: u64, notes: &Notes) -> Spool {
    let options = SpoolOptions { folder: folder.to_owned(), octets_max };
    Spool::new(options, Box::new(notes.clone()), Arc::new(|_, _| {}))
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        sleep(Duration::from_millis(5));
    }
}

fn give(spool: &mut Spool, numbers: impl IntoIterator<Item = i64>) {
    numbers.into_iter().for_each(|number| spool.take(&parcel("a", number)).unwrap());
    spool.tend(EventTime(0)).unwrap();
}

/// The files of records, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|of| of == "spool")).collect();
    files.sort();
    files
}

#[test]
fn results_wait_while_the_sink_is_away_and_come_once_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::away();
    let mut spool = spool(folder.path(), 1 << 20, &notes);
    give(&mut spool, 1..=50);
    wait("trouble", || spool.trouble() == Some("it is away".to_owned()));
    assert_eq!((spool.held(), notes.taken()), (50, vec![]));
    notes.is_away.store(false, Ordering::Relaxed);
    wait("the sink", || spool.held() == 0 && spool.trouble().is_none());
    spool.take(&parcel("never", 51)).unwrap();
    give(&mut spool, 52..=60);
    wait("all", || spool.held() == 0);
    assert_eq!(notes.taken(), (1..=50).chain(52..=60).collect::<Vec<_>>());
    assert_eq!(spool.lost(), BTreeMap::from([("never".to_owned(), 1)]));
}

#[test]
fn what_waits_survives_a_restart_and_what_was_sent_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::default();
    let mut first = spool(folder.path(), 1 << 20, &notes);
    give(&mut first, 1..=3);
    wait("three", || first.held() == 0);
    notes.is_away.store(true, Ordering::Relaxed);
    give(&mut first, 4..=9);
    first.finish(EventTime(0)).unwrap();
    drop(first);
    let (back, id) = (Notes::default(), ResultId { sender: 2, number: 10 });
    let mut second = spool(folder.path(), 1 << 20, &back);
    second.take(&Parcel { id, ..parcel("a", 10) }).unwrap();
    wait("the rest", || second.held() == 0);
    second.finish(EventTime(0)).unwrap();
    assert_eq!((notes.taken(), back.taken()), (vec![1, 2, 3], (4..=10).collect()));
    drop(second);
    let third = Notes::default();
    let mut spool = spool(folder.path(), 1 << 20, &third);
    give(&mut spool, [11]);
    wait("one", || spool.held() == 0);
    assert_eq!(third.taken(), [11]);
}

#[test]
fn a_folder_is_of_one_spool() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = spool(folder.path(), 1 << 20, &Notes::default());
    give(&mut first, [1]);
    let mut second = spool(folder.path(), 1 << 20, &Notes::default());
    let refused = second.take(&parcel("a", 2)).unwrap_err().to_string();
    assert!(refused.contains("is the spool of another sink or node"), "{refused}");
}

#[test]
fn the_oldest_ones_give_way_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::away();
    let mut spool = spool(folder.path(), 64 << 10, &notes);
    give(&mut spool, 1..=500);
    let octets: u64 = files(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(octets <= 64 << 10, "{octets}");
    let lost = spool.lost()["a"];
    assert!(lost > 0 && lost + spool.held() == 500, "{lost} {}", spool.held());
    notes.is_away.store(false, Ordering::Relaxed);
    wait("the rest", || spool.held() == 0);
    let taken = notes.taken();
    assert!(taken.is_sorted() && taken.ends_with(&[498, 499, 500]), "{taken:?}");
    assert_eq!(taken.len() as u64 + lost + spool.lost().get("a").copied().unwrap_or_default(), 500);
    let parcel = parcel("a", 501);
    let rows = vec![parcel.result.rows[0].clone(); 2000];
    let result = tapline_operators::WindowResult { rows, ..parcel.result.as_ref().clone() };
    let refused = spool.take(&Parcel { result: Arc::new(result), ..parcel }).unwrap_err();
    assert!(matches!(&refused, Refusal::Never(why) if why.contains("raise spool_octets_max")), "{refused}");
}

/// A folder with three results in one file that a crash left, and where each of their records ends.
fn crashed(folder: &Path) -> (PathBuf, Vec<u64>) {
    let mut spool = spool(folder, 1 << 20, &Notes::away());
    let mut ends = vec![HEADER];
    for number in 1..=3 {
        give(&mut spool, [number]);
        ends.push(files(folder)[0].metadata().unwrap().len());
    }
    spool.finish(EventTime(0)).unwrap();
    (files(folder)[0].clone(), ends)
}

/// What the next start sends.
fn sent_after(folder: &Path) -> Vec<i64> {
    let notes = Notes::default();
    let mut spool = spool(folder, 1 << 20, &notes);
    give(&mut spool, [9]);
    wait("what is left", || spool.held() == 0);
    spool.finish(EventTime(0)).unwrap();
    notes.taken()
}

#[test]
fn a_torn_record_at_the_end_is_none() {
    let template = tempfile::tempdir().unwrap();
    let (file, ends) = crashed(template.path());
    let whole = fs::read(&file).unwrap();
    // At the borders of records, beside them, within frames and payloads, and in the header.
    let cuts = ends.iter().flat_map(|end| [end - 1, *end, end + 1, end + 7, end + 9, end + 40]);
    for cut in cuts.chain([0, 3]).filter(|cut| *cut <= whole.len() as u64) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(file.file_name().unwrap());
        fs::write(&place, &whole[..usize::try_from(cut).unwrap()]).unwrap();
        let left = ends.iter().skip(1).filter(|end| **end <= cut).count();
        let expected: Vec<i64> = (1..=3).take(left).chain([9]).collect();
        assert_eq!(sent_after(folder.path()), expected, "cut at {cut} of {ends:?}");
    }
}

#[test]
fn zeros_and_noise_behind_the_last_record_are_none() {
    for tail in [vec![0; 4096], vec![0xff; 100], b"TAPSPL01".to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let (file, _) = crashed(folder.path());
        let whole = [fs::read(&file).unwrap(), tail].concat();
        fs::write(&file, whole).unwrap();
        assert_eq!(sent_after(folder.path()), [1, 2, 3, 9]);
    }
}

#[test]
fn a_position_that_is_damaged_or_missing_sends_again() {
    for change in ["nothing", "cut", "other"] {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::default();
        let mut spool = spool(folder.path(), 1 << 20, &notes);
        give(&mut spool, [1, 2]);
        wait("two", || spool.held() == 0);
        notes.is_away.store(true, Ordering::Relaxed);
        give(&mut spool, [3]);
        spool.finish(EventTime(0)).unwrap();
        drop(spool);
        let position = folder.path().join("position");
        let mut octets = fs::read(&position).unwrap();
        match change {
            "cut" => octets.truncate(7),
            "other" => octets[9] ^= 0x40,
            _ => {}
        }
        fs::write(&position, octets).unwrap();
        let expected: &[i64] = if change == "nothing" { &[3, 9] } else { &[1, 2, 3, 9] };
        assert_eq!(sent_after(folder.path()), expected, "{change}");
    }
}

#[test]
fn what_is_damaged_while_it_waits_is_lost_and_the_rest_comes() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::away();
    let mut spool = spool(folder.path(), 1 << 20, &notes);
    give(&mut spool, 1..=3);
    wait("trouble", || spool.trouble().is_some());
    let file = OpenOptions::new().write(true).open(&files(folder.path())[0]).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"other", HEADER + 20).unwrap();
    notes.is_away.store(false, Ordering::Relaxed);
    wait("the damage", || spool.held() == 0);
    assert_eq!(spool.lost(), BTreeMap::from([("a".to_owned(), 3)]));
    give(&mut spool, [4]);
    wait("one", || spool.held() == 0);
    assert_eq!(notes.taken(), [4]);
}

#[test]
fn what_cannot_be_read_now_is_told_and_sent_later() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::away();
    let mut spool = spool(folder.path(), 1 << 20, &notes);
    give(&mut spool, 1..=3);
    wait("trouble", || spool.trouble().is_some());
    let (file, aside) = (files(folder.path())[0].clone(), folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    notes.is_away.store(false, Ordering::Relaxed);
    wait("other trouble", || spool.trouble().is_some_and(|why| why.contains("cannot be used")));
    fs::remove_dir(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    wait("all", || spool.held() == 0);
    assert_eq!((notes.taken(), spool.lost()), (vec![1, 2, 3], BTreeMap::new()));
}

#[test]
fn what_another_version_wrote_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = crashed(folder.path());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&b"TAPSPL02"[..], &whole[8..]].concat()).unwrap();
    let mut spool = spool(folder.path(), 1 << 20, &Notes::default());
    let refused = spool.take(&parcel("a", 9)).unwrap_err();
    assert!(matches!(&refused, Refusal::Later(why) if why.contains("this version")), "{refused}");
    assert_eq!(fs::read(&file).unwrap().len(), whole.len());
    fs::write(&file, whole).unwrap();
    assert_eq!(sent_after(folder.path()), [1, 2, 3, 9]);
}

#[test]
fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    fs::write(&place, "a file").unwrap();
    let notes = Notes::default();
    let mut spool = spool(&place, 1 << 20, &notes);
    let refused = spool.take(&parcel("a", 1)).unwrap_err();
    assert!(matches!(&refused, Refusal::Later(why) if why.contains("cannot be used")), "{refused}");
    assert!(spool.tend(EventTime(0)).is_err());
    fs::remove_file(&place).unwrap();
    give(&mut spool, [1]);
    wait("it", || notes.taken() == [1]);
    assert!(Folder::open(&place).is_err(), "it is taken");
}
