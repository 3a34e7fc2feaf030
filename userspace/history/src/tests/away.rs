//! Stored results that lie in a bucket.

mod known;
mod refused;

use super::{BY_ADDRESS, HOUR, SECOND, Stored, all, ask, files, keep, numbers, of, parcel};
use crate::bucket::{Bucket, Put};
use crate::history::History;
use crate::mover::Moving;
use crate::options::{BucketOptions, HistoryOptions};
use crate::place::{Hour, HourFile};
use crate::shared::Shared;
use crate::tails::tail_of;
use async_trait::async_trait;
use futures::executor::block_on;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapline_record::EventTime;

/// A store that can be away, and counts what it is asked.
#[derive(Debug, Default)]
struct Switched {
    inner: InMemory,
    is_away: AtomicBool,
    /// Whether it refuses to say what it has.
    is_closed: AtomicBool,
    /// Keys of objects that it neither gives nor takes nor lets go of.
    refused: Mutex<BTreeSet<String>>,
    asked: AtomicUsize,
}

impl Switched {
    fn ask(&self) -> Result<&InMemory> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Error::Generic { store: "test", source: "it is away".into() });
        }
        Ok(&self.inner)
    }

    fn ask_for(&self, key: &Key) -> Result<&InMemory> {
        let inner = self.ask()?;
        if self.refused.lock().unwrap().contains(key.as_ref()) { Err(refusal(key)) } else { Ok(inner) }
    }

    fn ask_what_is_there(&self) -> Result<&InMemory> {
        let inner = self.ask()?;
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(Error::Generic { store: "test", source: "it lists nothing".into() });
        }
        Ok(inner)
    }

    fn keys(&self) -> Vec<String> {
        let all: Vec<ObjectMeta> = block_on(self.inner.list(None).try_collect()).unwrap();
        let mut keys: Vec<String> = all.iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }
}

fn refusal(key: &Key) -> Error {
    Error::PermissionDenied { path: key.to_string(), source: "it is not for you".into() }
}

impl Display for Switched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "switched")
    }
}

#[async_trait]
impl ObjectStore for Switched {
    async fn put_opts(&self, key: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask_for(key)?.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Key,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask_for(key)?.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.ask_for(key)?.get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        match self.ask() {
            Ok(inner) => {
                let refused = self.refused.lock().unwrap().clone();
                let is_refused = move |key: &Key| refused.contains(key.as_ref());
                let asked = move |key: Key| if is_refused(&key) { Err(refusal(&key)) } else { Ok(key) };
                inner.delete_stream(keys.map(move |key| key.and_then(&asked)).boxed())
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask_what_is_there() {
            Ok(inner) => inner.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.ask_what_is_there()?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.ask()?.copy_opts(from, to, options).await
    }
}

/// Puts something in the place of an object.
fn overwrite(store: &Switched, key: &str, octets: Vec<u8>) {
    block_on(store.inner.put_opts(&Key::from(key), octets.into(), PutOptions::default())).unwrap();
}

fn options(folder: &Path) -> HistoryOptions {
    let bucket = Some(BucketOptions::new("s3://results/office").unwrap());
    HistoryOptions { bucket, ..HistoryOptions::new(folder) }
}

fn beside(options: HistoryOptions, store: &Arc<Switched>) -> Stored {
    let bucket = Bucket::of(options.bucket.clone().unwrap(), Arc::clone(store) as Arc<dyn ObjectStore>);
    of(History { shared: Arc::new(Shared::with_bucket(options, Some(bucket))) })
}

/// What moves files of this history.
fn moving(stored: &Stored) -> Moving {
    let (shared, said) = (Arc::clone(&stored.history.shared), Arc::clone(&stored.said));
    let told = Arc::new(move |_, what: &str| said.lock().unwrap().push(what.to_owned()));
    let bucket = Arc::clone(shared.bucket.as_ref().unwrap());
    Moving::new(shared, bucket, told)
}

fn turn(moving: &mut Moving, now: i64) {
    moving.turn(EventTime(now), &AtomicBool::new(false));
}

fn trouble(stored: &Stored) -> Option<String> {
    stored.history.shared.moved().trouble.clone()
}

/// A result an hour, of so many hours.
fn take_hours(stored: &mut Stored, hours: i64) {
    for hour in 0..hours {
        stored.sink.take(&parcel(BY_ADDRESS, hour * HOUR, hour)).unwrap();
    }
    // The threads that begin here end here, too.
    stored.sink.finish(EventTime(hours * HOUR)).unwrap();
}

#[test]
fn what_left_the_folder_is_read_in_the_bucket_and_nothing_else_asks_for_it() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let keep_for = Some(Duration::from_secs(2 * 3600));
    let mut stored = beside(HistoryOptions { keep: keep_for, ..options(folder.path()) }, &store);
    take_hours(&mut stored, 5);
    let mut moving = moving(&stored);
    keep(&stored, 5 * HOUR + 1);
    assert_eq!(files(folder.path()).len(), 5, "they are nowhere else yet");
    turn(&mut moving, 5 * HOUR + 1);
    assert_eq!((store.keys().len(), trouble(&stored)), (4, None), "the last hour is not over");
    assert!(
        store.keys()[0].starts_with("office/query=top-talkers/hour=1970-01-01T00/00000001-"),
        "{:?}",
        store.keys()
    );
    keep(&stored, 5 * HOUR + 1);
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(all(&stored.history), [0, 1, 2, 3, 4]);
    let of_one =
        "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T01:00:00Z' AND src_ip = '192.0.2.7'";
    assert_eq!(numbers(&stored.history, of_one), [0]);
    // A question for what lies here, or for what is nowhere, asks nobody.
    store.is_away.store(true, Ordering::Relaxed);
    let before = store.asked.load(Ordering::Relaxed);
    let late = "SELECT n FROM \"top-talkers\" WHERE window_start >= '1970-01-01T03:00:00Z' ORDER BY n";
    assert_eq!(numbers(&stored.history, late), [3, 4]);
    let nobody = "SELECT count(*) FROM \"top-talkers\" WHERE window_start < '1970-01-01T02:00:00Z' AND src_ip = '192.0.2.8'";
    assert_eq!(numbers(&stored.history, nobody), [0]);
    assert_eq!(store.asked.load(Ordering::Relaxed), before);
    let failed = ask(&stored.history, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err();
    assert!(failed.contains("s3://results/office") && failed.contains("it is away"), "{failed}");
    let elsewhere = History::new(HistoryOptions::new(folder.path()));
    let failed = ask(&elsewhere, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err();
    assert!(failed.contains("asked by the node that stores there"), "{failed}");
    assert_eq!(*stored.said.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_bucket_that_is_away_keeps_files_here_and_is_asked_again() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 3);
    let mut moving = moving(&stored);
    store.is_away.store(true, Ordering::Relaxed);
    turn(&mut moving, 5 * HOUR);
    assert!(trouble(&stored).unwrap().contains("s3://results/office does not do as asked"));
    assert_eq!(stored.sink.trouble(), trouble(&stored));
    assert_eq!((all(&stored.history), store.keys().len()), (vec![0, 1, 2], 0));
    store.is_away.store(false, Ordering::Relaxed);
    turn(&mut moving, 5 * HOUR);
    assert_eq!((trouble(&stored), store.keys().len()), (None, 3));
    // It was killed before it knew that they are there, and one comes late.
    let mut again = beside(options(folder.path()), &store);
    again.sink.take(&parcel(BY_ADDRESS, HOUR + SECOND, 7)).unwrap();
    again.sink.finish(EventTime(5 * HOUR)).unwrap();
    let mut moving = super::away::moving(&again);
    keep(&again, 5 * HOUR);
    turn(&mut moving, 5 * HOUR);
    assert_eq!(store.keys().len(), 4, "what is there stays as it is: {:?}", store.keys());
    assert!(store.keys()[2].contains("hour=1970-01-01T01/00000002-"), "{:?}", store.keys());
    assert_eq!(all(&again.history), [0, 1, 2, 7]);
}

#[test]
fn a_question_for_an_hour_lists_nothing_however_much_is_stored() {
    for days in [1, 40] {
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
        let mut stored = beside(options(folder.path()), &store);
        take_hours(&mut stored, 2);
        let file = files(folder.path()).remove(0);
        let (tail, octets) = (tail_of(&file).unwrap(), file.metadata().unwrap().len());
        let name = file.with_extension(format!("{octets}.tail"));
        for hour in 2..days * 24 {
            let tails = folder.path().join(".tails/query=top-talkers");
            let tails = tails.join(Hour::of(EventTime(hour * HOUR)).folder());
            fs::create_dir_all(&tails).unwrap();
            fs::write(tails.join(name.file_name().unwrap()), &tail).unwrap();
        }
        let listed = &stored.history.shared.store.listed;
        let _ours = stored.history.shared.store.lock().unwrap();
        let of_an_hour = "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T01:00:00Z'";
        assert_eq!(numbers(&stored.history, of_an_hour), [0]);
        let before = listed.load(Ordering::Relaxed);
        assert_eq!(numbers(&stored.history, of_an_hour), [0]);
        assert_eq!(listed.load(Ordering::Relaxed), before, "{days} days");
    }
}

/// Takes a file away and leaves what nobody can read; gives what was in it.
fn tear(path: &Path) -> Vec<u8> {
    let octets = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    symlink(path, path).unwrap();
    octets
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other_one_and_is_tried_again() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 4);
    let mut moving = moving(&stored);
    let torn = files(folder.path())[1].clone();
    let octets = tear(&torn);
    turn(&mut moving, 6 * HOUR);
    assert_eq!(store.keys().len(), 3, "those behind it are there: {:?}", store.keys());
    let why = trouble(&stored).unwrap();
    assert!(why.starts_with("1 files wait that cannot be read") && why.contains("1970-01-01T01"), "{why}");
    assert!(stored.said.lock().unwrap().is_empty(), "the outlet tells what is trouble");
    // Another one, while there is trouble already.
    stored.sink.take(&parcel(BY_ADDRESS, SECOND, 7)).unwrap();
    stored.sink.finish(EventTime(6 * HOUR)).unwrap();
    let late = files(folder.path())[1].clone();
    let octets_of_late = tear(&late);
    turn(&mut moving, 6 * HOUR + 20 * SECOND);
    turn(&mut moving, 6 * HOUR + 40 * SECOND);
    assert!(trouble(&stored).unwrap().starts_with("2 files wait"));
    let said = stored.said.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].contains("hour=1970-01-01T00/00000002-"), "{said:?}");
    for (path, octets) in [(torn, octets), (late, octets_of_late)] {
        fs::remove_file(&path).unwrap();
        fs::write(path, octets).unwrap();
    }
    turn(&mut moving, 6 * HOUR + 60 * SECOND);
    assert_eq!(store.keys().len(), 3, "they are left alone for a while");
    turn(&mut moving, 6 * HOUR + 600 * SECOND);
    assert_eq!((store.keys().len(), trouble(&stored), all(&stored.history)), (5, None, vec![0, 1, 2, 3, 7]));
}

#[test]
fn what_cannot_be_read_to_its_end_is_told_from_a_bucket_that_refuses() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let options = options(folder.path()).bucket.unwrap();
    let bucket = Bucket::of(options, Arc::clone(&store) as Arc<dyn ObjectStore>);
    let file = HourFile::of(Path::new("query=a/hour=1970-01-01T00/00000001-00000000.parquet")).unwrap();
    let never = AtomicBool::new(false);
    let put =
        |path: &Path, octets: u64| bucket.put(&file, (octets, fs::File::open(path).unwrap()), None, &never);
    let short = folder.path().join("short");
    fs::write(&short, "rows").unwrap();
    assert!(matches!(put(folder.path(), 4096), Ok(Put::Unread(_))), "nobody reads a folder");
    for octets in [5, 9 << 20] {
        let why = format!("it has 4 octets, and had {octets}");
        assert_eq!(put(&short, octets), Ok(Put::Unread(why)));
    }
    assert!(store.keys().is_empty());
    store.is_away.store(true, Ordering::Relaxed);
    assert!(put(&short, 4).is_err());
}

#[test]
fn a_bucket_that_lists_nothing_gets_files_all_the_same() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    store.is_closed.store(true, Ordering::Relaxed);
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 3);
    turn(&mut moving(&stored), 5 * HOUR);
    assert!(trouble(&stored).unwrap().contains("it lists nothing"));
    assert_eq!((store.keys().len(), all(&stored.history)), (3, vec![0, 1, 2]));
}

#[test]
fn what_waits_for_a_bucket_has_its_bound_and_what_that_costs_is_counted() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut first = beside(options(folder.path()), &store);
    take_hours(&mut first, 4);
    let octets: u64 = files(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    drop(first);
    let octets_max = Some(octets - 1);
    let mut stored = beside(HistoryOptions { octets_max, ..options(folder.path()) }, &store);
    let mut moving = moving(&stored);
    turn(&mut moving, 2 * HOUR);
    assert_eq!(store.keys().len(), 1, "one hour is over");
    store.is_away.store(true, Ordering::Relaxed);
    keep(&stored, 5 * HOUR);
    assert_eq!((files(folder.path()).len(), stored.sink.lost().len()), (3, 0), "it lies elsewhere, too");
    drop(stored);
    let octets_max = Some(octets / 8 * 5);
    let mut stored = beside(HistoryOptions { octets_max, ..options(folder.path()) }, &store);
    keep(&stored, 5 * HOUR);
    assert_eq!(stored.sink.lost()["top-talkers"], 1);
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.contains("1 results of `top-talkers` are lost"), "{said}");
    store.is_away.store(false, Ordering::Relaxed);
    assert_eq!(all(&stored.history), [0, 2, 3]);
}

#[test]
fn a_disk_that_is_lost_takes_nothing_with_it_that_lies_in_the_bucket() {
    let store = Arc::new(Switched::default());
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut lost = beside(options(first.path()), &store);
    take_hours(&mut lost, 3);
    turn(&mut moving(&lost), 5 * HOUR);
    let mut stored = beside(options(second.path()), &store);
    // A file of the name that one of the lost ones had.
    store.is_away.store(true, Ordering::Relaxed);
    stored.sink.take(&parcel(BY_ADDRESS, HOUR + SECOND, 7)).unwrap();
    stored.sink.finish(EventTime(5 * HOUR)).unwrap();
    store.is_away.store(false, Ordering::Relaxed);
    let mut moving = moving(&stored);
    turn(&mut moving, 5 * HOUR);
    turn(&mut moving, 5 * HOUR);
    assert_eq!((all(&stored.history), store.keys().len()), (vec![0, 1, 2, 7], 4));
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.starts_with("another file than this node's lies at office/query=top-talkers/"), "{said}");
}

#[test]
fn a_bucket_lets_go_of_what_is_old() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let mut options = HistoryOptions { keep: minutes(60), ..options(folder.path()) };
    options.bucket.as_mut().unwrap().keep = minutes(210);
    let mut stored = beside(options, &store);
    take_hours(&mut stored, 4);
    let mut moving = moving(&stored);
    turn(&mut moving, 4 * HOUR);
    turn(&mut moving, 5 * HOUR);
    keep(&stored, 5 * HOUR);
    assert_eq!((store.keys().len(), all(&stored.history)), (4, vec![1, 2, 3]), "nobody finds it any more");
    turn(&mut moving, 5 * HOUR + 1);
    turn(&mut moving, 5 * HOUR + 601 * SECOND);
    assert_eq!(store.keys().len(), 3);
    assert_eq!(all(&stored.history), [1, 2, 3]);
    // Somebody else takes one away.
    let key = Key::from(store.keys()[0].as_str());
    let keys = stream::iter([Ok(key)]).boxed();
    block_on(store.inner.delete_stream(keys).try_collect::<Vec<Key>>()).unwrap();
    turn(&mut moving, 5 * HOUR + 3602 * SECOND);
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.contains("files of `top-talkers` are in s3://results/office no more"), "{said}");
}

#[test]
fn a_clock_that_was_ahead_takes_nothing_away() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let mut options = HistoryOptions { keep: hours(1), ..options(folder.path()) };
    options.bucket.as_mut().unwrap().keep = hours(24);
    let mut stored = beside(options, &store);
    take_hours(&mut stored, 3);
    let mut moving = moving(&stored);
    turn(&mut moving, 5 * HOUR);
    keep(&stored, 5 * HOUR);
    assert_eq!((files(folder.path()).len(), all(&stored.history)), (0, vec![0, 1, 2]));
    turn(&mut moving, 1000 * HOUR);
    turn(&mut moving, 5 * HOUR + 1);
    assert_eq!(all(&stored.history), [0, 1, 2]);
    // It is right for long by then.
    turn(&mut moving, 5 * HOUR + 3601 * SECOND);
    assert_eq!((store.keys().len(), all(&stored.history)), (3, vec![0, 1, 2]));
}

#[test]
fn what_comes_late_to_an_hour_in_the_bucket_stays_here_until_it_lies_there() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let keep_for = Some(Duration::from_secs(3600));
    let mut stored = beside(HistoryOptions { keep: keep_for, ..options(folder.path()) }, &store);
    take_hours(&mut stored, 3);
    let mut moving = moving(&stored);
    turn(&mut moving, 5 * HOUR);
    stored.sink.take(&parcel(BY_ADDRESS, HOUR + SECOND, 7)).unwrap();
    stored.sink.finish(EventTime(5 * HOUR)).unwrap();
    keep(&stored, 5 * HOUR);
    assert_eq!(files(folder.path()).len(), 2, "all of an hour goes, or none of it");
    turn(&mut moving, 5 * HOUR);
    keep(&stored, 5 * HOUR);
    assert_eq!((files(folder.path()).len(), store.keys().len()), (0, 4));
    assert_eq!(all(&stored.history), [0, 1, 2, 7]);
}

#[test]
fn what_comes_again_is_known_where_it_lies_in_the_bucket_only() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let keep_for = Some(Duration::from_secs(3600));
    let options = || HistoryOptions { keep: keep_for, comes_again: true, ..options(folder.path()) };
    let mut stored = beside(options(), &store);
    take_hours(&mut stored, 3);
    turn(&mut moving(&stored), 5 * HOUR);
    keep(&stored, 5 * HOUR);
    assert_eq!(files(folder.path()).len(), 0);
    drop(stored);
    let mut again = beside(options(), &store);
    again.sink.take(&parcel(BY_ADDRESS, HOUR, 1)).unwrap();
    assert_eq!(again.sink.held(), 0);
    store.is_away.store(true, Ordering::Relaxed);
    again.sink.take(&parcel(BY_ADDRESS, 0, 0)).unwrap();
    assert_eq!(again.sink.held(), 1);
    let said = again.said.lock().unwrap().join("\n");
    assert!(said.contains("so that some may be stored twice"), "{said}");
}

#[test]
fn what_somebody_copied_into_the_bucket_is_in_nobodys_way() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let mut stored = beside(options(folder.path()), &store);
    take_hours(&mut stored, 2);
    let hour = "query=top-talkers/hour=1970-01-01T00/00000001-00000000.parquet";
    let copy = Key::from(format!("office/query=top-talkers/copy/{hour}"));
    block_on(store.inner.put_opts(&copy, vec![0_u8; 64].into(), PutOptions::default())).unwrap();
    turn(&mut moving(&stored), 5 * HOUR);
    assert_eq!((trouble(&stored), store.keys().len()), (None, 3));
    assert_eq!(all(&stored.history), [0, 1]);
}
