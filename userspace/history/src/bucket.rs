//! A bucket of an object store: files of hours that are over lie there under the names that they have in the folder.
//!
//! ```text
//! s3://BUCKET/PREFIX/query=NAME/hour=2026-11-30T01/00000001-5f3a9c0d.parquet
//! ```
//! An object never changes: it is there as a whole, or not at all. That it is a certain file is known by its mark, the
//! ETag that the store gives it, and where that is not known, by all of its octets. Whoever asks waits, on whichever
//! thread; what speaks to the store runs on one of its own, which starts when somebody asks first. What fails is a
//! sentence that names the store. What somebody else has put there, under whichever name, is nothing of ours.

mod listing;
mod s3;

use crate::options::BucketOptions;
use crate::place::{HourFile, query_folder, query_of_folder};
use crate::tails::{END_OCTETS, tail_octets};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutResult,
    Result,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read as _, Seek as _};
use std::iter;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is sent at once; a larger file goes in parts.
const PART_OCTETS: u64 = 8 << 20;
/// Octets of a tail that is asked for: far more than any file of ours has; and those that are asked for at first, which are
/// more than most have.
const TAIL_OCTETS_MAX: u64 = 64 << 20;
const TAIL_OCTETS_GUESSED: u64 = 64 << 10;
/// Between two looks whether whoever waits is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Characters of what a store says that are told.
const SAID_MAX: usize = 300;
/// What errors call the disk on which a file lies that is put there.
const DISK: &str = "disk";

/// Why a store does not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// As a sentence.
    pub(crate) why: String,
    /// Whether that is of the object which was asked for, and says nothing of others.
    pub(crate) is_of_one: bool,
}

impl Refused {
    pub(crate) const fn of_one(why: String) -> Self {
        Self { why, is_of_one: true }
    }

    const fn of_all(why: String) -> Self {
        Self { why, is_of_one: false }
    }
}

impl From<Refused> for String {
    fn from(refused: Refused) -> Self {
        refused.why
    }
}

/// What was asked for, or why not.
type Outcome<T> = std::result::Result<T, Refused>;

/// What became of a file that was to be put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is there, with this mark.
    There(String),
    /// Another one has its name.
    Taken,
    /// It cannot be read; why.
    Unread(String),
}

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) octets: u64,
    /// What the store calls its content; empty where it says nothing of it.
    pub(crate) mark: String,
}

/// A file that is to be there.
struct Own {
    octets: u64,
    content: File,
    /// The mark that it had there.
    known: Option<String>,
}

/// Something to do on the store's thread.
type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bucket, and the folder of it that is ours.
pub(crate) struct Bucket {
    pub(crate) options: BucketOptions,
    connected: Mutex<Option<Connected>>,
}

/// What speaks to it; its thread ends when nobody can ask any more.
#[derive(Clone)]
struct Connected {
    store: Arc<dyn ObjectStore>,
    jobs: UnboundedSender<Job>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Bucket({})", self.options.url())
    }
}

impl Bucket {
    pub(crate) fn new(options: BucketOptions) -> Self {
        Self { options, connected: Mutex::new(None) }
    }

    /// The bucket that this store holds.
    #[cfg(test)]
    pub(crate) fn of(options: BucketOptions, store: Arc<dyn ObjectStore>) -> Self {
        let jobs = start().unwrap();
        Self { options, connected: Mutex::new(Some(Connected { store, jobs })) }
    }

    /// The key of a file of the folder.
    pub(crate) fn key(&self, file: &HourFile) -> Key {
        let hour = file.hour.folder();
        self.within(&[&query_folder(&file.query), &hour, &file.name])
    }

    fn within(&self, names: &[&str]) -> Key {
        Key::from_iter(self.options.prefix().chain(names.iter().copied()))
    }

    /// The queries of which something lies there.
    pub(crate) fn queries(&self, ends: &AtomicBool) -> Outcome<Vec<String>> {
        let prefix = self.within(&[]);
        let found = self.ask(ends, |store| async move { store.list_with_delimiter(Some(&prefix)).await })?;
        let query = |folder: Key| Some(query_of_folder(folder.filename()?)?.to_owned());
        Ok(found.common_prefixes.into_iter().filter_map(query).collect())
    }

    /// The files of a query that lie there.
    pub(crate) fn files(&self, query: &str, ends: &AtomicBool) -> Outcome<BTreeMap<HourFile, Object>> {
        let prefix = self.within(&[&query_folder(query)]);
        let found: Vec<ObjectMeta> =
            self.ask(ends, |store| async move { store.list(Some(&prefix)).try_collect().await })?;
        let file = |object: ObjectMeta| {
            let path = PathBuf::from(object.location.as_ref());
            let file = HourFile::of(&path).filter(|file| file.query == query)?;
            // One that lies deeper, such as somebody's copy, is none of ours.
            let is_ours = self.key(&file) == object.location;
            is_ours.then(|| (file, Object { octets: object.size, mark: mark(object.e_tag) }))
        };
        Ok(found.into_iter().filter_map(file).collect())
    }

    /// Puts a file of so many octets there, unless it is there, by the mark that is known of it or by its content.
    pub(crate) fn put(
        &self,
        file: &HourFile,
        (octets, content): (u64, File),
        known: Option<String>,
        ends: &AtomicBool,
    ) -> Outcome<Put> {
        let (key, own) = (self.key(file), Own { octets, content, known });
        self.ask(ends, |store| async move {
            match put(&store, &key, own).await {
                Err(Error::Generic { store: DISK, source }) => Ok(Put::Unread(source.to_string())),
                other => other,
            }
        })
    }

    /// These octets of a file.
    pub(crate) fn read(
        &self,
        file: &HourFile,
        ranges: Vec<Range<u64>>,
        ends: &AtomicBool,
    ) -> Outcome<Vec<Bytes>> {
        let key = self.key(file);
        let asked = key.clone();
        let wanted: Vec<u64> = ranges.iter().map(|range| range.end.saturating_sub(range.start)).collect();
        let found = self.ask(ends, |store| async move { store.get_ranges(&asked, &ranges).await })?;
        if found.iter().map(|octets| octets.len() as u64).eq(wanted) {
            Ok(found)
        } else {
            let url = self.options.url();
            Err(Refused::of_one(format!("{url} gives less of {key} than was asked for")))
        }
    }

    /// What a file of so many octets ends with there; `None` where it is no Parquet file.
    pub(crate) fn tail(&self, file: &HourFile, octets: u64, ends: &AtomicBool) -> Outcome<Option<Bytes>> {
        let from = |start: u64| -> Outcome<Bytes> {
            let read = self.read(file, iter::once(start..octets).collect(), ends)?;
            Ok(read.into_iter().next().unwrap_or_default())
        };
        if octets < END_OCTETS {
            return Ok(None);
        }
        let end = from(octets.saturating_sub(TAIL_OCTETS_GUESSED))?;
        // Anybody who may write there can say how long one is.
        let length = tail_octets(&end).filter(|length| *length <= TAIL_OCTETS_MAX);
        let Some(start) = length.and_then(|length| octets.checked_sub(length)) else {
            return Ok(None);
        };
        let before = octets - end.len() as u64;
        match start.checked_sub(before).map(usize::try_from) {
            // Without what stands before it.
            Some(Ok(place)) => Ok(Some(Bytes::copy_from_slice(end.get(place..).unwrap_or_default()))),
            Some(Err(_)) | None => from(start).map(Some),
        }
    }

    /// Removes files; gives those that are not there any more, and why the others are.
    pub(crate) fn remove(
        &self,
        files: &[HourFile],
        ends: &AtomicBool,
    ) -> Outcome<(Vec<HourFile>, Option<String>)> {
        let keys: Vec<Result<Key>> = files.iter().map(|file| Ok(self.key(file))).collect();
        let removed: Vec<Result<Key>> = self.ask(ends, |store| async move {
            Ok(store.delete_stream(stream::iter(keys).boxed()).collect().await)
        })?;
        let (mut gone, mut wrong) = (BTreeSet::new(), None);
        for outcome in removed {
            match outcome {
                Ok(key) => {
                    gone.insert(key.to_string());
                }
                Err(Error::NotFound { path, .. }) => {
                    gone.insert(path);
                }
                Err(error) => {
                    wrong.get_or_insert_with(|| self.said(&error).why);
                }
            }
        }
        let gone = files.iter().filter(|file| gone.contains(self.key(file).as_ref())).cloned();
        Ok((gone.collect(), wrong))
    }

    /// Does something on the store's thread and waits for it, unless whoever waits is to end.
    fn ask<T, W>(&self, ends: &AtomicBool, work: impl FnOnce(Arc<dyn ObjectStore>) -> W) -> Outcome<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let said = |what: &str| Refused::of_all(format!("{} {what}", self.options.url()));
        let died = || said("cannot be spoken to any more: its thread died; please report this");
        let Connected { store, jobs } = self.connected()?;
        let (answer, answered) = sync_channel(1);
        let work = work(store);
        let job: Job = Box::pin(async move {
            // Who asked may have ended.
            let _ = answer.send(work.await);
        });
        jobs.send(job).map_err(|_| died())?;
        loop {
            match answered.recv_timeout(LOOK_EVERY) {
                Ok(outcome) => return outcome.map_err(|error| self.said(&error)),
                Err(RecvTimeoutError::Disconnected) => return Err(died()),
                Err(RecvTimeoutError::Timeout) if ends.load(Ordering::Acquire) => {
                    return Err(said("has not answered before the end"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn connected(&self) -> Outcome<Connected> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = connected.as_ref() {
            return Ok(connected.clone());
        }
        let store = s3::store(&self.options);
        let store = store.map_err(|why| Refused::of_all(format!("{}: {why}", self.options.url())))?;
        Ok(connected.insert(Connected { store, jobs: start()? }).clone())
    }

    /// What a store refuses, as a sentence; it holds no credentials.
    fn said(&self, error: &Error) -> Refused {
        let url = self.options.url();
        match error {
            Error::Unauthenticated { .. } => Refused::of_all(format!(
                "{url} does not know who asks; see to the variables AWS_…, or to store_credentials_file"
            )),
            Error::PermissionDenied { .. } => Refused::of_one(format!(
                "{url} refuses whoever asks; see to what its credentials may do there"
            )),
            Error::NotFound { path, .. } => {
                Refused::of_one(format!("{url} has no {path}, or there is no such bucket"))
            }
            other => {
                let text = other.to_string();
                let first = text.lines().next().unwrap_or_default();
                let said: String = first.chars().take(SAID_MAX).collect();
                Refused::of_all(format!("{url} does not do as asked: {said}"))
            }
        }
    }
}

/// Starts the thread that speaks to a store.
fn start() -> Outcome<UnboundedSender<Job>> {
    let said = |error: io::Error| Refused::of_all(format!("a thread cannot be started: {error}"));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
    let (sender, jobs) = unbounded_channel::<Job>();
    let work = move || runtime.block_on(do_all(jobs));
    thread::Builder::new().name("history store".to_owned()).spawn(work).map_err(said)?;
    Ok(sender)
}

async fn do_all(mut jobs: UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        tokio::spawn(job);
    }
}

async fn put(store: &Arc<dyn ObjectStore>, key: &Key, mut own: Own) -> Result<Put> {
    if let Some(found) = compared(store, key, &mut own).await? {
        return Ok(found);
    }
    match send(store, key, &mut own).await {
        Ok(sent) => Ok(Put::There(mark(sent.e_tag))),
        // It may be this one, whose answer was lost.
        Err(error @ Error::AlreadyExists { .. }) => {
            own.content.rewind().map_err(on_disk)?;
            compared(store, key, &mut own).await?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// What a store calls an object's content.
fn mark(e_tag: Option<String>) -> String {
    let e_tag = e_tag.unwrap_or_default();
    e_tag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// Whether what lies under a name is this file; nothing where nothing does.
async fn compared(store: &Arc<dyn ObjectStore>, key: &Key, own: &mut Own) -> Result<Option<Put>> {
    let found = match store.get_opts(key, GetOptions::new().with_head(true)).await {
        Ok(found) => found.meta,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mark = mark(found.e_tag);
    let is_known = !mark.is_empty() && own.known.as_ref() == Some(&mark);
    let is_same = found.size == own.octets && (is_known || has_content(store, key, own).await?);
    Ok(Some(if is_same { Put::There(mark) } else { Put::Taken }))
}

/// Whether an object of as many octets is this file, from the first one to the last.
async fn has_content(store: &Arc<dyn ObjectStore>, key: &Key, own: &mut Own) -> Result<bool> {
    let mut from = 0;
    loop {
        let next = part(&mut own.content)?;
        if next.is_empty() {
            check_length(from, own.octets)?;
            return Ok(true);
        }
        let to = from + next.len() as u64;
        let found = store.get_ranges(key, std::slice::from_ref(&(from..to))).await?;
        if found.first().is_none_or(|found| *found != next) {
            return Ok(false);
        }
        from = to;
    }
}

async fn send(store: &Arc<dyn ObjectStore>, key: &Key, own: &mut Own) -> Result<PutResult> {
    if own.octets > PART_OCTETS {
        return put_in_parts(store, key, own).await;
    }
    let all = part(&mut own.content)?;
    check_length(all.len() as u64, own.octets)?;
    store.put_opts(key, all.into(), PutMode::Create.into()).await
}

/// Sends a large file; nobody sees it before all of it is there.
async fn put_in_parts(store: &Arc<dyn ObjectStore>, key: &Key, own: &mut Own) -> Result<PutResult> {
    let mut upload = store.put_multipart_opts(key, PutMultipartOptions::default()).await?;
    let outcome = send_parts(&mut upload, own).await;
    if outcome.is_err() {
        // The store lets go of parts that nobody completes, sooner or later.
        let _ = upload.abort().await;
    }
    outcome
}

async fn send_parts(upload: &mut Box<dyn MultipartUpload>, own: &mut Own) -> Result<PutResult> {
    let mut sent = 0;
    loop {
        let next = part(&mut own.content)?;
        if next.is_empty() {
            check_length(sent, own.octets)?;
            return upload.complete().await;
        }
        sent += next.len() as u64;
        upload.put_part(next.into()).await?;
    }
}

/// Refuses a file that has become another one.
fn check_length(found: u64, octets: u64) -> Result<()> {
    if found == octets {
        return Ok(());
    }
    let source = format!("it has {found} octets, and had {octets}").into();
    Err(Error::Generic { store: DISK, source })
}

/// The next octets of a file, as many as are sent at once; none at its end.
fn part(content: &mut File) -> Result<Vec<u8>> {
    let mut octets = vec![];
    let read = content.take(PART_OCTETS).read_to_end(&mut octets);
    read.map_err(on_disk)?;
    Ok(octets)
}

fn on_disk(error: io::Error) -> Error {
    Error::Generic { store: DISK, source: error.into() }
}
