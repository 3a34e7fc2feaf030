//! What is known of objects: that one is a certain file, and what it ends with.

use super::super::{HOUR, all, ask, files, keep, numbers};
use super::{Switched, beside, moving, options, overwrite, take_hours, turn};
use crate::bucket::{Bucket, Put};
use crate::history::History;
use crate::options::{BucketOptions, HistoryOptions};
use crate::place::{Hour, HourFile};
use crate::shared::Shared;
use futures::executor::block_on;
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapline_record::EventTime;

fn octets_of(store: &Switched, key: &str) -> Vec<u8> {
    let key = Key::from(key);
    let found = block_on(async { store.inner.get_opts(&key, GetOptions::new()).await?.bytes().await });
    found.unwrap().to_vec()
}

#[test]
fn another_file_of_the_same_name_and_size_is_not_taken_for_one_that_was_on_its_way() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let keep_for = Some(Duration::from_secs(3600));
    let mut stored = beside(HistoryOptions { keep: keep_for, ..options(folder.path()) }, &store);
    take_hours(&mut stored, 2);
    store.is_away.store(true, Ordering::Relaxed);
    turn(&mut moving(&stored), 5 * HOUR);
    store.is_away.store(false, Ordering::Relaxed);
    // Another node's, of the first hour.
    let file = files(folder.path()).remove(0);
    let mut other = fs::read(&file).unwrap();
    other[8] ^= 1;
    let key = format!("office/{}", file.strip_prefix(folder.path()).unwrap().display());
    overwrite(&store, &key, other.clone());
    let mut moving = moving(&stored);
    turn(&mut moving, 5 * HOUR);
    assert_eq!(store.keys().len(), 2, "{:?}", store.keys());
    turn(&mut moving, 5 * HOUR);
    assert_eq!((store.keys().len(), octets_of(&store, &key)), (3, other));
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.starts_with("another file than this node's lies at office/query=top-talkers/"), "{said}");
}

#[test]
fn what_is_there_is_known_by_its_mark_over_a_restart_and_a_copy_of_it_by_its_tail() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let keep_for = Some(Duration::from_secs(2 * 3600));
    let options = || HistoryOptions { keep: keep_for, ..options(folder.path()) };
    let mut first = beside(options(), &store);
    take_hours(&mut first, 4);
    turn(&mut moving(&first), 5 * HOUR);
    keep(&first, 5 * HOUR);
    assert_eq!((files(folder.path()).len(), store.keys().len()), (2, 4));
    drop(first);
    let before = store.asked.load(Ordering::Relaxed);
    let stored = beside(options(), &store);
    let mut again = moving(&stored);
    turn(&mut again, 5 * HOUR);
    assert_eq!(store.asked.load(Ordering::Relaxed), before + 2, "which queries, which files, and no more");
    // Somebody copies one and puts it back.
    let key = store.keys()[0].clone();
    let octets = octets_of(&store, &key);
    overwrite(&store, &key, octets.clone());
    turn(&mut again, 7 * HOUR);
    assert_eq!((all(&stored.history), stored.said.lock().unwrap().len()), (vec![0, 1, 2, 3], 0));
    // Another one of as many octets, which says at its end that somebody else wrote it.
    let place = octets.windows(7).rposition(|part| part == b"tapline").unwrap();
    let mut other = octets.clone();
    other[place] ^= 1;
    overwrite(&store, &key, other.clone());
    turn(&mut again, 9 * HOUR);
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.starts_with("1 files of `top-talkers` are in s3://results/office no more, or"), "{said}");
    let part = stored.history.shared.store.tails("top-talkers", Hour::of(EventTime(0))).unwrap().remove(0);
    assert!(other.ends_with(&stored.history.shared.store.tail(&part).unwrap()), "it is known as it is");
}

#[test]
fn a_bucket_is_asked_by_whoever_has_no_folder_of_it() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    let there = || {
        let options = options(folder.path()).bucket.unwrap();
        Shared::elsewhere(Bucket::of(options, Arc::clone(&store) as Arc<dyn ObjectStore>))
    };
    let nothing = there().map(|_| ()).unwrap_err();
    assert!(nothing.starts_with("s3://results/office has no stored results"), "{nothing}");
    take_hours(&mut stored, 5);
    turn(&mut moving(&stored), 5 * HOUR);
    let history = History { shared: Arc::new(there().unwrap()) };
    assert_eq!(history.queries().unwrap(), ["top-talkers"]);
    assert!(history.schema("nobody").unwrap().is_none());
    let asked = |sql: &str| {
        let before = store.asked.load(Ordering::Relaxed);
        (numbers(&history, sql), store.asked.load(Ordering::Relaxed) - before)
    };
    let of_an_hour = "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T01:00:00Z'";
    // Which files there are; the newest one says the columns; then the hour's own, and rows of it.
    let (rows, requests) = asked(of_an_hour);
    // Two who read shares of one file may ask at once what it ends with.
    assert!(rows == [0] && (4..=5).contains(&requests), "{requests}");
    assert_eq!(asked(of_an_hour), (vec![0], 1), "what they end with is known");
    assert_eq!(all(&history), [0, 1, 2, 3]);
    store.is_away.store(true, Ordering::Relaxed);
    let failed = ask(&history, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err();
    assert!(failed.contains("s3://results/office") && failed.contains("it is away"), "{failed}");
    assert!(there().map(|_| ()).unwrap_err().contains("it is away"));
}

#[test]
fn what_a_file_ends_with_is_asked_for_twice_where_it_is_long() {
    let store = Arc::new(Switched::default());
    let options = BucketOptions::new("s3://results").unwrap();
    let bucket = Bucket::of(options, Arc::clone(&store) as Arc<dyn ObjectStore>);
    let file = HourFile::of(Path::new("query=a/hour=1970-01-01T00/00000001-00000000.parquet")).unwrap();
    let key = bucket.key(&file).to_string();
    let read = |rows: usize, tail: usize, end: &[u8]| {
        let mut octets = vec![1; rows];
        octets.extend(vec![2; tail]);
        octets.extend(u32::try_from(tail).unwrap().to_le_bytes());
        octets.extend(end);
        overwrite(&store, &key, octets.clone());
        let before = store.asked.load(Ordering::Relaxed);
        let found = bucket.tail(&file, octets.len() as u64, &AtomicBool::new(false)).unwrap();
        let is_it = found.as_ref().is_some_and(|found| *found == octets[rows..]);
        (found.is_some(), is_it, store.asked.load(Ordering::Relaxed) - before)
    };
    for (rows, tail, asked) in [(100, 50, 1), (1 << 20, 50, 1), (1 << 20, 1 << 18, 2), (0, 1, 1)] {
        assert_eq!(read(rows, tail, b"PAR1"), (true, true, asked), "{rows} {tail}");
    }
    assert_eq!(read(100, 50, b"PAR2"), (false, false, 1));
}

#[test]
fn a_large_file_goes_in_parts_and_is_there_as_a_whole() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let options = options(folder.path()).bucket.unwrap();
    let bucket = Bucket::of(options, Arc::clone(&store) as Arc<dyn ObjectStore>);
    let file = HourFile {
        query: "a".to_owned(),
        hour: Hour::of(EventTime(0)),
        name: "00000001-00000000.parquet".to_owned(),
    };
    let octets: Vec<u8> = (0..20_u32 * 1024 * 1024).map(|place| (place % 251) as u8).collect();
    let (path, never) = (folder.path().join("file"), AtomicBool::new(false));
    fs::write(&path, &octets).unwrap();
    let put = |path: &Path, known: Option<&String>| {
        let content = fs::File::open(path).unwrap();
        bucket.put(&file, (octets.len() as u64, content), known.cloned(), &never)
    };
    let Ok(Put::There(mark)) = put(&path, None) else { panic!("it is not there") };
    assert_eq!(put(&path, None), Ok(Put::There(mark.clone())), "its content is");
    let other = folder.path().join("other");
    let mut octets_of_other = octets.clone();
    octets_of_other[10 << 20] ^= 1;
    fs::write(&other, octets_of_other).unwrap();
    assert_eq!(put(&other, None), Ok(Put::Taken));
    assert_eq!(put(&other, Some(&"another".to_owned())), Ok(Put::Taken));
    let before = store.asked.load(Ordering::Relaxed);
    assert_eq!(put(&path, Some(&mark)), Ok(Put::There(mark)));
    assert_eq!(store.asked.load(Ordering::Relaxed), before + 1, "its mark says so");
    let read = bucket.read(&file, vec![0..octets.len() as u64, 9..12], &never).unwrap();
    assert!(read[0] == octets[..] && read[1] == octets[9..12]);
    let found: Vec<u64> = bucket.files("a", &never).unwrap().values().map(|object| object.octets).collect();
    assert_eq!(found, [20 << 20]);
    assert_eq!(bucket.queries(&never).unwrap(), ["a"]);
}
