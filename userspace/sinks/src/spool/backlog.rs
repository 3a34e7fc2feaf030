//! What waits in a spool, for the thread that appends to it and the thread that sends from it.

use super::SpoolOptions;
use super::folder::{Folder, Segment, said};
use super::record::{FRAME, decode, first, query_of};
use crate::sink::Parcel;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Parts of a spool that are removed at once when it is full.
const PARTS: u64 = 8;
/// Octets of a file, at most; one record more is let in.
const SEGMENT_OCTETS_MAX: u64 = 16 << 20;
/// Results that are sent at once.
const BATCH_RESULTS_MAX: usize = 1024;
/// How long nothing is done when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// A folder, its files, and what is known of them.
pub(super) struct Backlog {
    options: SpoolOptions,
    folder: Folder,
    inner: Mutex<Inner>,
    /// Something was appended, or it ends.
    news: Condvar,
    /// The thread that sends is done.
    is_done: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Oldest first; the last one is appended to while `appended` is open.
    segments: VecDeque<Segment>,
    appended: Option<File>,
    is_dirty: bool,
    next_number: u64,
    /// The file whose records are being sent, which stays.
    in_flight: Option<u64>,
    lost: BTreeMap<String, u64>,
    trouble: Option<String>,
    /// Until when it may send what waits.
    ends: Option<Instant>,
    is_done: bool,
}

/// Results of one file, in their order.
pub(super) struct Batch {
    segment: u64,
    pub(super) parcels: Vec<Parcel>,
    /// Where each of their records ends.
    ends: Vec<u64>,
}

/// What the thread that sends does next.
pub(super) enum Step {
    Send(Batch),
    /// What waits cannot be read now; why.
    Stuck(String),
    /// Nothing waits, or what waited was damaged and is counted as lost.
    Idle,
    End,
}

impl Backlog {
    pub(super) fn open(options: SpoolOptions) -> Result<Self, String> {
        let (folder, segments) = Folder::open(&options.folder)?;
        let next_number = folder.next_number(&segments);
        let inner = Inner { segments, next_number, ..Inner::default() };
        let (news, is_done) = (Condvar::new(), Condvar::new());
        Ok(Self { options, folder, inner: Mutex::new(inner), news, is_done })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Octets of the longest record that has room.
    pub(super) const fn record_octets_max(&self) -> u64 {
        self.options.octets_max / 2
    }

    /// Octets behind which a file is full.
    fn segment_octets_max(&self) -> u64 {
        (self.options.octets_max / PARTS).min(SEGMENT_OCTETS_MAX)
    }

    /// Appends a record; the oldest ones give way where there is no room for it.
    pub(super) fn append(&self, query: &str, record: &[u8]) -> Result<(), String> {
        let mut inner = self.lock();
        let octets = record.len() as u64;
        self.make_room(&mut inner, octets);
        self.write(&mut inner, query, record).map_err(|error| said(&self.options.folder, &error))?;
        drop(inner);
        self.news.notify_one();
        Ok(())
    }

    fn write(&self, inner: &mut Inner, query: &str, record: &[u8]) -> io::Result<()> {
        let Inner { segments, appended, next_number, is_dirty, .. } = inner;
        let is_full = |segment: &Segment| segment.octets >= self.segment_octets_max();
        if let Some(file) = appended.take_if(|_| segments.back().is_none_or(is_full)) {
            file.sync_data()?;
        }
        let file = if let Some(file) = appended {
            file
        } else {
            let file = self.folder.create(*next_number)?;
            segments.push_back(Segment::new(*next_number));
            *next_number += 1;
            appended.insert(file)
        };
        let Some(segment) = segments.back_mut() else { return Ok(()) };
        *is_dirty = true;
        if let Err(error) = file.write_all(record) {
            // A half of it may be there: the next record takes its place, or goes into another file.
            let is_cut =
                file.set_len(segment.octets).and_then(|()| file.seek(SeekFrom::Start(segment.octets)));
            if is_cut.is_err() {
                *appended = None;
            }
            return Err(error);
        }
        segment.add(query, record.len() as u64);
        Ok(())
    }

    /// Removes the oldest files, but for the one whose records are being sent, and counts what is lost by that.
    fn make_room(&self, inner: &mut Inner, octets: u64) {
        // The file that is being sent stays, whatever comes.
        let most = self.options.octets_max.saturating_sub(self.segment_octets_max());
        loop {
            let held: u64 = inner.segments.iter().map(|segment| segment.octets).sum();
            let is_free = |segment: &Segment| Some(segment.number) != inner.in_flight;
            let oldest = inner.segments.iter().position(is_free);
            let Some(oldest) = oldest.filter(|_| held + octets > most) else { return };
            if oldest + 1 == inner.segments.len() {
                inner.appended = None;
            }
            let Some(segment) = inner.segments.remove(oldest) else { return };
            self.folder.remove(segment.number);
            for (query, results) in segment.waiting.into_iter().filter(|(_, results)| *results > 0) {
                *inner.lost.entry(query).or_default() += results;
            }
        }
    }

    /// Makes safe on the disk what was appended.
    pub(super) fn sync(&self) -> Result<(), String> {
        let mut inner = self.lock();
        let file = inner.appended.as_ref().filter(|_| inner.is_dirty).map(File::try_clone);
        inner.is_dirty = false;
        drop(inner);
        let synced = file.map_or(Ok(()), |file| file?.sync_data());
        synced.map_err(|error| {
            self.lock().is_dirty = true;
            said(&self.options.folder, &error)
        })
    }

    /// What is to be sent next, behind a pause that only the end cuts short.
    pub(super) fn next(&self, pause: Duration) -> Step {
        let mut inner = self.lock();
        if pause > Duration::ZERO {
            let waited = self.news.wait_timeout_while(inner, pause, |inner| inner.ends.is_none());
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_idle = |inner: &mut Inner| inner.ends.is_none() && inner.segments.iter().all(Segment::is_done);
        let waited = self.news.wait_timeout_while(inner, IDLE, is_idle);
        inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        let is_over = inner.ends.is_some_and(|ends| Instant::now() >= ends || inner.trouble.is_some());
        let waiting = inner.segments.iter().find(|segment| !segment.is_done()).cloned();
        match waiting {
            Some(segment) if !is_over => {
                inner.in_flight = Some(segment.number);
                drop(inner);
                self.batch(&segment)
            }
            None if inner.ends.is_none() => Step::Idle,
            _ => Step::End,
        }
    }

    /// What is sent of a file; what is gone or damaged of it is lost.
    fn batch(&self, segment: &Segment) -> Step {
        let Segment { number, safe, octets, .. } = *segment;
        let read = match self.folder.read(number, safe, octets) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => vec![],
            Err(error) => {
                self.lock().in_flight = None;
                return Step::Stuck(said(&self.options.folder, &error));
            }
        };
        let mut batch = Batch { segment: number, parcels: vec![], ends: vec![] };
        let (mut rest, mut end) = (read.as_slice(), safe);
        while let Some(payload) = first(rest).filter(|_| batch.parcels.len() < BATCH_RESULTS_MAX) {
            let record = FRAME + payload.len();
            rest = rest.get(record..).unwrap_or_default();
            let Some(parcel) = decode(payload) else {
                if batch.parcels.is_empty() {
                    self.give_up(number, query_of(payload).unwrap_or_default(), end + record as u64);
                    return Step::Idle;
                }
                break;
            };
            end += record as u64;
            batch.parcels.push(parcel);
            batch.ends.push(end);
        }
        if batch.parcels.is_empty() {
            self.give_up_rest(number);
            return Step::Idle;
        }
        Step::Send(batch)
    }

    /// A record that nobody can read any more.
    fn give_up(&self, number: u64, query: &str, end: u64) {
        let mut inner = self.lock();
        *inner.lost.entry(query.to_owned()).or_default() += 1;
        inner.settle(number, end, [query]);
        self.clear(&mut inner);
    }

    /// A file that is not as it was written.
    fn give_up_rest(&self, number: u64) {
        let mut inner = self.lock();
        let Some(segment) = inner.segments.iter_mut().find(|segment| segment.number == number) else {
            return;
        };
        segment.safe = segment.octets;
        let waited = std::mem::take(&mut segment.waiting);
        for (query, results) in waited.into_iter().filter(|(_, results)| *results > 0) {
            *inner.lost.entry(query).or_default() += results;
        }
        self.clear(&mut inner);
    }

    /// So many results of a batch are safe, and the next one is lost where that is said.
    pub(super) fn settle(&self, batch: &Batch, taken: usize, is_next_lost: bool) -> io::Result<()> {
        let gone = taken + usize::from(is_next_lost);
        let Some(end) = gone.checked_sub(1).and_then(|last| batch.ends.get(last)) else {
            self.lock().in_flight = None;
            return Ok(());
        };
        let names = batch.parcels.iter().take(gone).map(|parcel| parcel.origin.name.as_str());
        let mut inner = self.lock();
        if let Some(parcel) = batch.parcels.get(taken).filter(|_| is_next_lost) {
            *inner.lost.entry(parcel.origin.name.clone()).or_default() += 1;
        }
        inner.settle(batch.segment, *end, names);
        let oldest = self.clear(&mut inner);
        drop(inner);
        oldest.map_or(Ok(()), |(number, safe)| self.folder.note(number, safe))
    }

    /// Removes files of which nothing waits, but the one that is appended to; gives how far the oldest one is safe.
    fn clear(&self, inner: &mut Inner) -> Option<(u64, u64)> {
        inner.in_flight = None;
        while inner.segments.front().is_some_and(Segment::is_done)
            && (inner.segments.len() > 1 || inner.appended.is_none())
        {
            let done = inner.segments.pop_front()?;
            self.folder.remove(done.number);
        }
        inner.segments.front().map(|oldest| (oldest.number, oldest.safe))
    }

    /// Results that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.lock().segments.iter().flat_map(|segment| segment.waiting.values()).sum()
    }

    /// What was lost since this was asked before, by query.
    pub(super) fn take_lost(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lock().lost)
    }

    /// The sink behind lost these.
    pub(super) fn lose(&self, lost: BTreeMap<String, u64>) {
        let mut inner = self.lock();
        lost.into_iter().for_each(|(query, results)| *inner.lost.entry(query).or_default() += results);
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        self.lock().trouble = trouble;
    }

    /// Lets the thread that sends end: when nothing waits any more, it does not get on, or after this time.
    pub(super) fn end(&self, within: Duration) {
        self.lock().ends.get_or_insert(Instant::now() + within);
        self.news.notify_all();
    }

    /// Waits until the thread that sends is done, so long at most; says whether it is.
    pub(super) fn wait_for_end(&self, within: Duration) -> bool {
        let inner = self.lock();
        let waited = self.is_done.wait_timeout_while(inner, within, |inner| !inner.is_done);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_done
    }

    /// The thread that sends is done.
    pub(super) fn ended(&self) {
        self.lock().is_done = true;
        self.is_done.notify_all();
    }
}

impl Inner {
    /// The records of a file are safe, or given up, up to this place.
    fn settle<'a>(&mut self, number: u64, end: u64, queries: impl IntoIterator<Item = &'a str>) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            segment.safe = end;
            queries.into_iter().for_each(|query| segment.remove(query));
        }
    }
}
