//! Whoever watches the results of a query come.
//!
//! Holds no result, only the numbers of those that it wants: what it costs does not depend on how slowly it takes them.

use crate::results::Results;
use crate::waiting::{Pace, Waiting};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tapline_engine::WindowResult;
use tokio::sync::watch;

/// What comes to whoever watches.
#[derive(Debug)]
pub enum Came {
    /// A result.
    Result(Arc<WindowResult>),
    /// So many results were passed over, or did not wait any longer.
    Lost(u64),
    /// Nothing comes any more.
    Over,
}

/// Gives the results of a query, one after the other.
#[derive(Debug)]
pub struct Watcher {
    results: Arc<Results>,
    news: watch::Receiver<bool>,
    /// The numbers of those that were kept when it began, and are not taken yet.
    first: VecDeque<u64>,
    /// The number of the last one of the others that was taken, or is known to be lost.
    taken: u64,
    pace: Pace,
}

impl Results {
    /// Gives the newest so many, and all that come after them, at this pace.
    #[must_use]
    pub fn watch(self: &Arc<Self>, windows: usize, pace: Pace) -> Watcher {
        // Nothing comes between.
        let newest = self.newest_mut();
        let first = newest.kept.newest(windows).into_iter().map(|given| given.number).collect();
        Watcher { results: Arc::clone(self), news: self.news(), first, taken: newest.number, pace }
    }
}

impl Watcher {
    /// What comes next; whoever stops to wait for it may wait for it again.
    pub async fn next(&mut self) -> Came {
        loop {
            // Whatever comes from here on wakes.
            let is_over = *self.news.borrow_and_update();
            if let Some(came) = self.look(Instant::now()) {
                return came;
            }
            if is_over || self.news.changed().await.is_err() {
                return Came::Over;
            }
        }
    }

    /// Whether something is there already.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.first.is_empty() || self.results.newest_mut().number > self.taken
    }

    /// What is there now.
    fn look(&mut self, now: Instant) -> Option<Came> {
        let newest = self.results.newest_mut();
        if let Some(result) = self.first.front().and_then(|number| newest.kept.get(*number)) {
            let result = Arc::clone(result);
            self.first.pop_front();
            return Some(Came::Result(result));
        }
        let gone = self.first.iter().take_while(|number| newest.kept.get(**number).is_none()).count();
        if gone > 0 {
            self.first.drain(..gone);
            return Some(Came::Lost(gone as u64));
        }
        let given = newest.waiting.after(self.taken, self.pace, now)?;
        let lost = given.number - self.taken - 1;
        if lost > 0 {
            self.taken += lost;
            return Some(Came::Lost(lost));
        }
        self.taken = given.number;
        Some(Came::Result(Arc::clone(&given.result)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut newest = self.results.newest_mut();
        // This one is among them still; who begins now needs nothing of what waits.
        if self.results.watchers() <= 1 {
            newest.waiting = Waiting::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::tests::given;
    use std::time::Duration;
    use tapline_engine::{ResultColumns, Status};
    use tapline_query::Planner;

    fn results() -> Arc<Results> {
        let query = Planner::new().plan("SELECT count(*) FROM flows GROUP BY tumble('1 second')").unwrap();
        Arc::new(Results::new(ResultColumns::of(&query, true), None))
    }

    fn take(results: &Results, start: i64) {
        results.take(&given(0, Some(start), Status::Final).result);
    }

    /// The starts of windows that come now, and, below zero, how many were lost.
    fn look(watcher: &mut Watcher, after: Duration) -> Vec<i64> {
        let now = Instant::now() + after;
        let came = std::iter::from_fn(|| watcher.look(now));
        let number = |came| match came {
            Came::Result(result) => result.window.unwrap().start.0,
            Came::Lost(lost) => -(lost as i64),
            Came::Over => unreachable!("nobody waits"),
        };
        came.map(number).collect()
    }

    #[test]
    fn who_watches_gets_what_is_kept_and_what_comes() {
        let results = results();
        (1..=3).for_each(|start| take(&results, start));
        let mut watcher = results.watch(2, Pace::Newest);
        take(&results, 4);
        assert!(watcher.is_ready());
        assert_eq!(look(&mut watcher, Duration::ZERO), [2, 3, 4]);
        assert!(!watcher.is_ready());
        take(&results, 5);
        assert_eq!(look(&mut watcher, Duration::ZERO), [5]);
    }

    #[test]
    fn who_does_not_take_them_is_told_what_is_lost() {
        let results = results();
        take(&results, 1);
        let [mut slow, mut each] = [Pace::Newest, Pace::Each].map(|pace| results.watch(1, pace));
        (2..=300).for_each(|start| take(&results, start));
        let late = Duration::from_secs(10);
        assert_eq!(look(&mut slow, late), [-1, -298, 300], "the newest state, and that alone");
        let came = look(&mut each, late);
        assert_eq!((&came[..3], came.len()), (&[-1, -235, 237][..], 2 + 64), "all that wait");
    }

    #[test]
    fn nothing_waits_for_nobody() {
        let results = results();
        let [first, mut second] = [(); 2].map(|()| results.watch(0, Pace::Each));
        take(&results, 1);
        drop(first);
        assert_eq!(look(&mut second, Duration::ZERO), [1], "the other one still watches");
        drop(second);
        assert!(results.newest_mut().waiting.after(0, Pace::Each, Instant::now()).is_none());
        let mut third = results.watch(0, Pace::Each);
        take(&results, 2);
        assert_eq!(look(&mut third, Duration::ZERO), [2]);
    }

    #[test]
    fn who_watches_hears_of_the_end_behind_the_last_result() {
        let results = results();
        let mut watcher = results.watch(0, Pace::Each);
        take(&results, 1);
        results.end(Some("it divided by zero".to_owned()));
        results.end(None);
        let mut late = results.watch(5, Pace::Each);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for watcher in [&mut watcher, &mut late] {
                assert!(matches!(watcher.next().await, Came::Result(_)));
                assert!(matches!(watcher.next().await, Came::Over));
            }
        });
        assert_eq!(results.failure(), Some("it divided by zero"));
    }

    #[test]
    fn who_waits_is_woken() {
        let results = results();
        let mut watcher = results.watch(0, Pace::Each);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let came = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(watcher.next()));
            std::thread::sleep(Duration::from_millis(20));
            take(&results, 7);
            waiting.join().unwrap()
        });
        assert!(matches!(came, Came::Result(_)));
    }
}
