//! Objects that the store does not take or give, and those of somebody else: each costs itself only.

use super::super::{BY_ADDRESS, HOUR, SECOND, Stored, all, ask, files, keep, numbers, parcel};
use super::{Switched, beside, moving, options, overwrite, take_hours, trouble, turn};
use crate::bucket::Bucket;
use crate::history::History;
use crate::options::HistoryOptions;
use crate::shared::Shared;
use object_store::ObjectStore;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tapline_record::EventTime;

/// The keys of the files of a folder.
fn keys_of(folder: &Path) -> Vec<String> {
    let key = |path: &Path| format!("office/{}", path.strip_prefix(folder).unwrap().display());
    files(folder).iter().map(|path| key(path)).collect()
}

fn refuse(store: &Switched, keys: &[String]) {
    *store.refused.lock().unwrap() = keys.iter().cloned().collect();
}

fn said(stored: &Stored) -> Vec<String> {
    stored.said.lock().unwrap().clone()
}

#[test]
fn objects_that_the_store_does_not_take_are_in_nobodys_way() {
    for refused in [1, 4] {
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
        let mut stored = beside(options(folder.path()), &store);
        take_hours(&mut stored, 7);
        let mut moving = moving(&stored);
        // Those that would be first.
        let keys = keys_of(folder.path());
        refuse(&store, &keys[..refused]);
        let turns = [6, 7, 8, 9].map(|number| 8 * HOUR + number * 20 * SECOND);
        turns.iter().for_each(|now| turn(&mut moving, *now));
        assert_eq!(store.keys(), keys[refused..], "the others are there");
        let why = trouble(&stored).unwrap();
        let begin = format!("{refused} files wait that cannot be read or moved, and others go on: ");
        assert!(why.starts_with(&begin) && why.contains("hour=1970-01-01T00/"), "{why}");
        assert!(why.contains("cannot go to the bucket: s3://results/office refuses"), "{why}");
        let told = said(&stored).len();
        turn(&mut moving, 8 * HOUR + 1200 * SECOND);
        turn(&mut moving, 8 * HOUR + 1220 * SECOND);
        assert_eq!(said(&stored).len(), told, "each is told once");
        refuse(&store, &[]);
        turn(&mut moving, 8 * HOUR + 2400 * SECOND);
        assert_eq!((store.keys(), trouble(&stored)), (keys, None));
    }
}

#[test]
fn objects_that_the_store_does_not_give_are_in_nobodys_way() {
    let store = Arc::new(Switched::default());
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut lost = beside(options(first.path()), &store);
    take_hours(&mut lost, 6);
    turn(&mut moving(&lost), 8 * HOUR);
    assert_eq!(store.keys().len(), 6);
    // The disk is lost, and the store does not give what would be first.
    refuse(&store, &store.keys()[..4]);
    let stored = beside(options(second.path()), &store);
    let mut moving = moving(&stored);
    for number in 0..4 {
        turn(&mut moving, 8 * HOUR + number * 20 * SECOND);
    }
    assert_eq!(all(&stored.history), [4, 5]);
    let why = trouble(&stored).unwrap();
    assert!(why.starts_with("4 files wait") && why.contains("hour=1970-01-01T00/"), "{why}");
    let told = said(&stored);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("office/query=top-talkers/hour=")), "{told:?}");
    turn(&mut moving, 8 * HOUR + 400 * SECOND);
    assert_eq!(said(&stored), told, "each is told once");
    refuse(&store, &[]);
    turn(&mut moving, 8 * HOUR + 800 * SECOND);
    assert_eq!((all(&stored.history), trouble(&stored)), (vec![0, 1, 2, 3, 4, 5], None));
}

#[test]
fn a_question_for_other_hours_is_answered_and_others_are_let_go_of() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let mut options = HistoryOptions { keep: hours(1), ..options(folder.path()) };
    options.bucket.as_mut().unwrap().keep = hours(8);
    let mut stored = beside(options, &store);
    take_hours(&mut stored, 4);
    let mut moving = moving(&stored);
    turn(&mut moving, 6 * HOUR);
    keep(&stored, 6 * HOUR);
    assert_eq!((files(folder.path()).len(), store.keys().len()), (0, 4));
    let keys = store.keys();
    refuse(&store, &keys[1..2]);
    let early = "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T01:00:00Z'";
    assert_eq!(numbers(&stored.history, early), [0]);
    let failed = ask(&stored.history, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err();
    assert!(failed.contains("hour=1970-01-01T01/"), "{failed}");
    // All four are too old there, and one of them stays.
    for seconds in [0, 700, 720] {
        turn(&mut moving, 13 * HOUR + seconds * SECOND);
    }
    assert_eq!(store.keys(), keys[1..2]);
    assert!(trouble(&stored).unwrap().contains("refuses whoever asks"), "{:?}", trouble(&stored));
    refuse(&store, &[]);
    turn(&mut moving, 13 * HOUR + 740 * SECOND);
    assert_eq!((store.keys().len(), trouble(&stored)), (0, None));
}

#[test]
fn what_somebody_else_has_put_beside_ours_is_none_of_ours() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 2);
    let own = fs::read(&files(folder.path())[0]).unwrap();
    let key = |name: &str| format!("office/query=top-talkers/hour=1970-01-01T00/{name}");
    let foreign = [
        "18446744073709551615-000000ab.parquet",
        "1099511627777-000000ab.parquet",
        "99999999999999999999-000000ab.parquet",
        "7-ab.parquet",
        "00000007-000000ab.parquet.bak",
        "notes",
    ];
    foreign.iter().for_each(|name| overwrite(&store, &key(name), own.clone()));
    // It is called as one of ours is, and ends almost so.
    let rubbish = [&b"rubbish"[..], &4_u32.to_le_bytes(), b"PAR1"].concat();
    overwrite(&store, &key("00000007-000000ab.parquet"), rubbish);
    let mut moving = moving(&stored);
    for hour in [5, 7, 9] {
        turn(&mut moving, hour * HOUR);
    }
    assert_eq!((trouble(&stored), store.keys().len()), (None, foreign.len() + 3));
    let expected = format!("{} is no file of results", key("00000007-000000ab.parquet"));
    assert_eq!(said(&stored), [expected], "once");
    stored.sink.take(&parcel(BY_ADDRESS, SECOND, 7)).unwrap();
    stored.sink.finish(EventTime(9 * HOUR)).unwrap();
    assert_eq!(all(&stored.history), [0, 1, 7]);
    turn(&mut moving, 9 * HOUR + SECOND);
    assert_eq!((trouble(&stored), store.keys().len()), (None, foreign.len() + 4));
}

#[test]
fn whoever_has_no_folder_is_answered_from_the_objects_that_can_be_opened() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 5);
    turn(&mut moving(&stored), 7 * HOUR);
    let there = || {
        let options = options(folder.path()).bucket.unwrap();
        let shared = Shared::elsewhere(Bucket::of(options, Arc::clone(&store) as Arc<dyn ObjectStore>));
        History { shared: Arc::new(shared.unwrap()) }
    };
    let whole = there();
    assert_eq!((all(&whole), whole.left_out()), (vec![0, 1, 2, 3, 4], None));
    let keys = store.keys();
    let footer = [&b"rubbish"[..], &4_u32.to_le_bytes(), b"PAR1"].concat();
    overwrite(&store, &keys[1], b"rubbish without an end".to_vec());
    overwrite(&store, &keys[4], footer);
    refuse(&store, &keys[2..3]);
    let history = there();
    let early = "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T01:00:00Z'";
    assert_eq!((numbers(&history, early), history.left_out()), (vec![0], None), "it needs none of them");
    assert_eq!(all(&history), [0, 3]);
    let said = history.left_out().unwrap();
    assert!(said.starts_with("3 files are left out of the answer: s3://results/office/query="), "{said}");
    assert!(said.contains("hour=1970-01-01T01/") && said.ends_with("it is no Parquet file"), "{said}");
    // A store that is away is no fault of an object.
    let away = there();
    assert_eq!(away.schema("top-talkers").unwrap().unwrap().fields().len(), 6);
    store.is_away.store(true, Ordering::Relaxed);
    let failed = ask(&away, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err();
    assert!(failed.contains("it is away"), "{failed}");
}
