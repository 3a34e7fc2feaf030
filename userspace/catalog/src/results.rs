//! The newest results of a query, and whoever watches them come.

use crate::waiting::{Given, Waiting};
use arrow_array::RecordBatch;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;
use tapline_engine::{ResultColumns, Span, Status, WindowResult};
use tapline_record::EventTime;
use tapline_sinks::{Alert, Origin};
use tokio::sync::watch;

/// Results that are kept of a query: the newest ones, in number and in octets of their rows; one is always kept.
const KEPT_MAX: usize = 256;
const KEPT_OCTETS_MAX: usize = 4 << 20;

/// What a query answered lately.
#[derive(Debug)]
pub struct Results {
    columns: ResultColumns,
    /// As outlets know it, where they get what it answers.
    origin: Option<RwLock<Arc<Origin>>>,
    newest: Mutex<Newest>,
    /// Wakes whoever watches; says whether it has ended.
    news: watch::Sender<bool>,
    /// Why it gives nothing more, once it has ended; nothing where it did not fail.
    ended: OnceLock<Option<String>>,
}

/// What was given lately, to be read in full or as it comes.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pub(crate) kept: Kept,
    pub(crate) waiting: Waiting,
    /// The number of the newest one; they are counted from 1 on.
    pub(crate) number: u64,
}

/// The results that are kept, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    results: VecDeque<Given>,
    octets: usize,
    /// The start of the window that was given last as a whole.
    last: Option<Span>,
}

impl Results {
    pub(crate) fn new(columns: ResultColumns, origin: Option<Origin>) -> Self {
        let (newest, news) = (Mutex::default(), watch::Sender::new(false));
        let origin = origin.map(|origin| RwLock::new(Arc::new(origin)));
        Self { columns, origin, newest, news, ended: OnceLock::new() }
    }

    /// The query, where outlets get what it answers.
    pub(crate) fn origin(&self) -> Option<Arc<Origin>> {
        let origin = self.origin.as_ref()?;
        Some(Arc::clone(&origin.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What makes its rows alarms from now on.
    pub(crate) fn put_alerts(&self, alerts: Vec<Arc<Alert>>) {
        let Some(origin) = &self.origin else { return };
        let mut origin = origin.write().unwrap_or_else(PoisonError::into_inner);
        *origin = Arc::new(Origin { alerts, ..Origin::clone(&origin) });
    }

    /// The columns of its results.
    #[must_use]
    pub fn columns(&self) -> &ResultColumns {
        &self.columns
    }

    /// Keeps a result, and shows it to whoever watches.
    pub(crate) fn take(&self, result: &Arc<WindowResult>) {
        let mut newest = self.newest_mut();
        // Who begins to watch now has it from one of the two.
        newest.take(Arc::clone(result), self.watchers() > 0);
        drop(newest);
        // That something was said is enough: whoever is woken looks.
        self.news.send_modify(|_| {});
    }

    /// Says that nothing more comes, and why, where it failed: whoever watches hears of the end behind the last result.
    pub(crate) fn end(&self, failure: Option<String>) {
        // The first end is the one that counts.
        let _ = self.ended.set(failure);
        self.news.send_replace(true);
    }

    /// Why nothing more comes, where the query failed and whoever watches it is told.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.ended.get()?.as_deref()
    }

    /// The results of the newest so many windows, oldest first; of a query without windows, the newest so many.
    #[must_use]
    pub fn newest(&self, windows: usize) -> Vec<Arc<WindowResult>> {
        self.newest_mut().kept.newest(windows).into_iter().map(|given| Arc::clone(&given.result)).collect()
    }

    /// What wakes whoever watches; it says whether nothing comes any more.
    pub(crate) fn news(&self) -> watch::Receiver<bool> {
        self.news.subscribe()
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.news.receiver_count()
    }

    /// The window that was given last, but early.
    #[must_use]
    pub fn last_window(&self) -> Option<Span> {
        self.newest_mut().kept.last
    }

    /// What was given of that window.
    pub(crate) fn newest_whole(&self) -> Vec<Arc<WindowResult>> {
        let kept = &self.newest_mut().kept;
        let is_of = |result: &&Arc<WindowResult>| {
            kept.last.is_some() && result.window == kept.last && result.status != Status::Early
        };
        kept.results.iter().map(|given| &given.result).filter(is_of).cloned().collect()
    }

    /// What was given lately, for a moment.
    pub(crate) fn newest_mut(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn take(&mut self, result: Arc<WindowResult>, is_watched: bool) {
        self.number += 1;
        let octets = result.rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let given = Given { number: self.number, result, octets, at: Instant::now() };
        self.kept.take(given.clone());
        if is_watched {
            self.waiting.take(given);
        } else {
            self.waiting = Waiting::default();
        }
    }
}

impl Kept {
    fn take(&mut self, given: Given) {
        let (window, status) = (given.result.window, given.result.status);
        let revision = given.result.revision;
        // What was given of a window so far is behind what is given now.
        let is_over = |known: &Given| {
            (known.result.status == Status::Early || known.result.revision < revision)
                && window.is_some()
                && known.result.window == window
        };
        while let Some(place) = self.results.iter().position(is_over) {
            self.remove(place);
        }
        let is_newer = |last: Span| revision == 0 || window.is_some_and(|window| window.start > last.start);
        if status != Status::Early && self.last.is_none_or(is_newer) {
            self.last = window.or(self.last);
        }
        self.octets += given.octets;
        self.results.push_back(given);
        while self.results.len() > 1 && (self.results.len() > KEPT_MAX || self.octets > KEPT_OCTETS_MAX) {
            self.remove(0);
        }
    }

    fn remove(&mut self, place: usize) {
        self.octets -= self.results.remove(place).map_or(0, |given| given.octets);
    }

    /// The one of this number, if it is kept still.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<WindowResult>> {
        let place = self.results.binary_search_by_key(&number, |given| given.number).ok()?;
        self.results.get(place).map(|given| &given.result)
    }

    pub(crate) fn newest(&self, windows: usize) -> Vec<&Given> {
        let mut starts: Vec<Option<EventTime>> = vec![];
        let mut newest: Vec<_> = vec![];
        let mut all: Vec<&Given> = self.results.iter().collect();
        if all.iter().any(|given| given.result.revision > 0) {
            // What is revised came behind later windows.
            all.sort_by_key(|given| given.result.window.map(|window| window.start));
        }
        for (number, given) in all.into_iter().rev().enumerate() {
            let start = given.result.window.map(|window| window.start);
            if start.is_none() && number == windows {
                break;
            }
            if !starts.contains(&start) {
                if start.is_some() && starts.len() == windows {
                    break;
                }
                starts.push(start);
            }
            newest.push(given);
        }
        newest.reverse();
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::tests::given;

    /// Starts and statuses of results.
    fn of(results: &[&Given]) -> Vec<(Option<i64>, Status)> {
        let of = |given: &&Given| (given.result.window.map(|window| window.start.0), given.result.status);
        results.iter().map(of).collect()
    }

    #[test]
    fn the_newest_windows_are_kept_and_early_ones_make_room() {
        let mut kept = Kept::default();
        let came = [
            (0, Status::Early),
            (0, Status::Early),
            (0, Status::Final),
            (10, Status::Early),
            (0, Status::Folded),
            (10, Status::Final),
            (20, Status::Early),
        ];
        for ((start, status), number) in came.into_iter().zip(1..) {
            kept.take(given(number, Some(start), status));
        }
        assert_eq!(of(&kept.newest(1)), [(Some(20), Status::Early)]);
        assert_eq!(of(&kept.newest(2)), [(Some(10), Status::Final), (Some(20), Status::Early)]);
        let all = [(0, Status::Final), (0, Status::Folded), (10, Status::Final), (20, Status::Early)];
        assert_eq!(of(&kept.newest(3)), all.map(|(start, status)| (Some(start), status)));
        assert_eq!(kept.last.map(|window| window.start), Some(EventTime(10)));
        assert!(kept.newest(0).is_empty());
        assert!(kept.get(1).is_none() && kept.get(6).is_some(), "early ones are found no more");
    }

    #[test]
    fn what_is_revised_takes_the_place_of_what_was_said_before() {
        let mut kept = Kept::default();
        let came = [
            (0, Status::Final),
            (0, Status::Folded),
            (10, Status::Final),
            (20, Status::Final),
            (0, Status::Revised),
            (10, Status::Revised),
        ];
        for ((start, status), number) in came.into_iter().zip(1..) {
            kept.take(given(number, Some(start), status));
        }
        let all = [(0, Status::Revised), (10, Status::Revised), (20, Status::Final)];
        let all = all.map(|(start, status)| (Some(start), status));
        assert_eq!(of(&kept.newest(3)), all);
        assert_eq!(of(&kept.newest(2)), all[1..]);
        assert_eq!(kept.last.map(|window| window.start), Some(EventTime(20)));
    }

    #[test]
    fn there_is_a_limit() {
        let mut kept = Kept::default();
        (0..1000).for_each(|number| kept.take(given(number, Some(number as i64 * 10), Status::Final)));
        assert_eq!(kept.results.len(), KEPT_MAX);
        assert_eq!(of(&kept.newest(1)), [(Some(9990), Status::Final)]);
        let mut rows = Kept::default();
        (0..1000).for_each(|number| rows.take(given(number, None, Status::Final)));
        assert_eq!((rows.newest(7).len(), rows.newest(1_000_000).len()), (7, KEPT_MAX));
    }
}
