//! The newest results of a query, and whoever watches them come.

use arrow_array::RecordBatch;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tapline_engine::{ResultColumns, Span, Status, WindowResult};
use tapline_record::EventTime;
use tapline_sinks::Asked;
use tokio::sync::broadcast;

/// Results that are kept of a query: the newest ones, in number and in octets of their rows; one is always kept.
const KEPT_MAX: usize = 256;
const KEPT_OCTETS_MAX: usize = 4 << 20;
/// Results that wait for whoever watches; beyond, the oldest are lost to it, which it is told.
const WATCHED_MAX: usize = 64;

/// What a query answered lately.
#[derive(Debug)]
pub struct Results {
    columns: ResultColumns,
    /// As outlets know it, where they get what it answers.
    asked: Option<Arc<Asked>>,
    kept: Mutex<Kept>,
    /// Until it has ended.
    news: Mutex<Option<News>>,
    /// Why it gives nothing more, once it has ended; nothing where it did not fail.
    ended: OnceLock<Option<String>>,
}

type News = broadcast::Sender<Arc<WindowResult>>;

/// The results that are kept, the newest last.
#[derive(Debug, Default)]
pub struct Kept {
    results: VecDeque<Arc<WindowResult>>,
    octets: usize,
    /// The start of the window that was given last as a whole.
    last: Option<Span>,
}

impl Results {
    pub(crate) fn new(columns: ResultColumns, asked: Option<Asked>) -> Self {
        let news = Mutex::new(Some(broadcast::channel(WATCHED_MAX).0));
        Self { columns, asked: asked.map(Arc::new), kept: Mutex::default(), news, ended: OnceLock::new() }
    }

    /// The query, where outlets get what it answers.
    pub(crate) const fn asked(&self) -> Option<&Arc<Asked>> {
        self.asked.as_ref()
    }

    /// The columns of its results.
    #[must_use]
    pub fn columns(&self) -> &ResultColumns {
        &self.columns
    }

    /// Keeps a result, and shows it to whoever watches.
    pub(crate) fn take(&self, result: &Arc<WindowResult>) {
        // Who begins to watch now has it from one of the two.
        let mut kept = self.kept();
        kept.take(Arc::clone(result));
        if let Some(news) = &*lock(&self.news) {
            // Fails where nobody watches.
            let _ = news.send(Arc::clone(result));
        }
    }

    /// Says that nothing more comes, and why, where it failed: whoever watches hears of the end behind the last result.
    pub(crate) fn end(&self, failure: Option<String>) {
        // The first end is the one that counts.
        let _ = self.ended.set(failure);
        lock(&self.news).take();
    }

    /// Why nothing more comes, where the query failed and whoever watches it is told.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.ended.get()?.as_deref()
    }

    /// The results of the newest so many windows, oldest first; of a query without windows, the newest so many.
    #[must_use]
    pub fn newest(&self, windows: usize) -> Vec<Arc<WindowResult>> {
        self.kept().newest(windows)
    }

    /// The newest so many, and all that come after them.
    #[must_use]
    pub fn watch(&self, windows: usize) -> (Vec<Arc<WindowResult>>, broadcast::Receiver<Arc<WindowResult>>) {
        // Nothing comes between.
        let kept = self.kept();
        let news = lock(&self.news);
        let coming = news.as_ref().map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe);
        (kept.newest(windows), coming)
    }

    /// The window that was given last, but early.
    #[must_use]
    pub fn last_window(&self) -> Option<Span> {
        self.kept().last
    }

    /// What was given of that window.
    pub(crate) fn newest_whole(&self) -> Vec<Arc<WindowResult>> {
        let kept = self.kept();
        let is_of = |result: &&Arc<WindowResult>| {
            kept.last.is_some() && result.window == kept.last && result.status != Status::Early
        };
        kept.results.iter().filter(is_of).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn take(&mut self, result: Arc<WindowResult>) {
        // What was given of a window so far is behind what is given now.
        let of_window = |known: &Arc<WindowResult>| {
            known.status == Status::Early && known.window.is_some() && known.window == result.window
        };
        if let Some(place) = self.results.iter().position(of_window) {
            self.remove(place);
        }
        if result.status != Status::Early {
            self.last = result.window.or(self.last);
        }
        self.octets += octets(&result);
        self.results.push_back(result);
        while self.results.len() > 1 && (self.results.len() > KEPT_MAX || self.octets > KEPT_OCTETS_MAX) {
            self.remove(0);
        }
    }

    fn remove(&mut self, place: usize) {
        self.octets -= self.results.remove(place).map_or(0, |result| octets(&result));
    }

    fn newest(&self, windows: usize) -> Vec<Arc<WindowResult>> {
        let mut starts: Vec<Option<EventTime>> = vec![];
        let mut newest: Vec<_> = vec![];
        for (number, result) in self.results.iter().rev().enumerate() {
            let start = result.window.map(|window| window.start);
            if start.is_none() && number == windows {
                break;
            }
            if !starts.contains(&start) {
                if start.is_some() && starts.len() == windows {
                    break;
                }
                starts.push(start);
            }
            newest.push(Arc::clone(result));
        }
        newest.reverse();
        newest
    }
}

fn octets(result: &WindowResult) -> usize {
    result.rows.iter().map(RecordBatch::get_array_memory_size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_engine::QueryId;
    use tapline_query::Planner;

    fn result(start: Option<i64>, status: Status) -> Arc<WindowResult> {
        let window = start.map(|start| Span { start: EventTime(start), end: EventTime(start + 10) });
        Arc::new(WindowResult { query: QueryId(0), window, status, completeness: None, rows: vec![] })
    }

    /// Starts and statuses of results.
    fn of(results: &[Arc<WindowResult>]) -> Vec<(Option<i64>, Status)> {
        results.iter().map(|result| (result.window.map(|window| window.start.0), result.status)).collect()
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
        came.into_iter().for_each(|(start, status)| kept.take(result(Some(start), status)));
        assert_eq!(of(&kept.newest(1)), [(Some(20), Status::Early)]);
        assert_eq!(of(&kept.newest(2)), [(Some(10), Status::Final), (Some(20), Status::Early)]);
        let all = [(0, Status::Final), (0, Status::Folded), (10, Status::Final), (20, Status::Early)];
        assert_eq!(of(&kept.newest(3)), all.map(|(start, status)| (Some(start), status)));
        assert_eq!(kept.last.map(|window| window.start), Some(EventTime(10)));
        assert!(kept.newest(0).is_empty());
    }

    #[test]
    fn who_watches_hears_of_the_end_behind_the_last_result() {
        let query = Planner::new().plan("SELECT count(*) FROM flows GROUP BY tumble('1 second')").unwrap();
        let results = Results::new(ResultColumns::of(&query, true), None);
        let (_, mut news) = results.watch(0);
        results.take(&result(Some(0), Status::Final));
        results.end(Some("it divided by zero".to_owned()));
        results.end(None);
        assert!(news.try_recv().is_ok() && news.try_recv().is_err());
        assert_eq!(results.failure(), Some("it divided by zero"));
        let (kept, mut late) = results.watch(5);
        assert!(kept.len() == 1 && late.try_recv().is_err());
    }

    #[test]
    fn there_is_a_limit() {
        let mut kept = Kept::default();
        (0..1000).for_each(|start| kept.take(result(Some(start * 10), Status::Final)));
        assert_eq!(kept.results.len(), KEPT_MAX);
        assert_eq!(of(&kept.newest(1)), [(Some(9990), Status::Final)]);
        let mut rows = Kept::default();
        (0..1000).for_each(|_| rows.take(result(None, Status::Final)));
        assert_eq!((rows.newest(7).len(), rows.newest(1_000_000).len()), (7, KEPT_MAX));
    }
}
