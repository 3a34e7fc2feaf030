//! Results that wait for whoever watches.
//!
//! Takes results as they come, numbered one after the other; gives the next one behind a number. All who watch share
//! what waits, which has a bound however many they are and however slow: who finds the next one gone is told how many he
//! has missed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_engine::WindowResult;

/// Results that wait, in number and in octets of their rows; one always does.
const WAITING_MAX: usize = 64;
const WAITING_OCTETS_MAX: usize = 16 << 20;
/// What has waited for so long is passed over by who only wants the newest.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// A result, and what those that hold it know of it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) number: u64,
    pub(crate) result: Arc<WindowResult>,
    /// Of its rows.
    pub(crate) octets: usize,
    pub(crate) at: Instant,
}

/// What whoever watches wants where it is too slow for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All, as long as they wait.
    Each,
    /// The newest window: what has waited for two seconds is passed over.
    Newest,
}

/// The results that wait, the newest last, with no number left out.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    results: VecDeque<Given>,
    octets: usize,
}

impl Waiting {
    pub(crate) fn take(&mut self, given: Given) {
        self.octets += given.octets;
        self.results.push_back(given);
        while self.results.len() > 1 && (self.results.len() > WAITING_MAX || self.octets > WAITING_OCTETS_MAX)
        {
            self.octets -= self.results.pop_front().map_or(0, |given| given.octets);
        }
    }

    /// The next one behind this number that is still there, and that whoever has this pace wants.
    pub(crate) fn after(&self, number: u64, pace: Pace, now: Instant) -> Option<&Given> {
        let first = self.results.front()?.number;
        let place = usize::try_from((number + 1).saturating_sub(first)).ok()?;
        let next = self.results.get(place)?;
        let is_slow = pace == Pace::Newest && now.duration_since(next.at) > SLOW_AFTER;
        self.results.get(if is_slow { place.max(self.newest_window()) } else { place })
    }

    /// The place from which on all are of the newest window, or of older ones that were revised behind it.
    fn newest_window(&self) -> usize {
        let revised = self.results.iter().rev().take_while(|given| given.result.revision > 0).count();
        let mut before = self.results.iter().rev().skip(revised).peekable();
        let newest = before.peek().and_then(|given| given.result.window);
        let is_of = |given: &&Given| newest.is_some() && given.result.window == newest;
        self.results.len() - (revised + before.take_while(is_of).count()).max(1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;
    use tapline_engine::{QueryId, Span, Status, WindowResult};
    use tapline_record::EventTime;

    pub(crate) fn given(number: u64, start: Option<i64>, status: Status) -> Given {
        let window = start.map(|start| Span { start: EventTime(start), end: EventTime(start + 10) });
        let (query, revision) = (QueryId(0), u64::from(status == Status::Revised));
        let result = WindowResult { query, window, status, revision, completeness: None, rows: vec![] };
        Given { number, result: Arc::new(result), octets: 0, at: Instant::now() }
    }

    /// Windows by number: the last one has two results.
    fn waiting() -> (Waiting, Instant) {
        let mut waiting = Waiting::default();
        let all = [1, 2, 3, 4].map(|number| given(number, Some(number as i64 * 10), Status::Final));
        let at = all[0].at;
        all.into_iter().for_each(|given| waiting.take(Given { at, ..given }));
        waiting.take(Given { at, ..given(5, Some(40), Status::Folded) });
        (waiting, at)
    }

    #[test]
    fn who_is_slow_gets_the_newest_window_only() {
        let (waiting, at) = waiting();
        let next = |number, pace, seconds| {
            waiting.after(number, pace, at + Duration::from_secs(seconds)).map(|given| given.number)
        };
        assert_eq!(next(0, Pace::Newest, 1), Some(1), "soon enough for all");
        assert_eq!(next(0, Pace::Newest, 3), Some(4), "all of the newest window");
        assert_eq!(next(4, Pace::Newest, 3), Some(5));
        assert_eq!(next(5, Pace::Newest, 3), None);
        assert_eq!(next(0, Pace::Each, 3), Some(1));
        let (mut waiting, at) = self::waiting();
        waiting.take(Given { at, ..given(6, Some(20), Status::Revised) });
        let number = |given: &Given| given.number;
        let late = at + Duration::from_secs(3);
        assert_eq!(waiting.after(0, Pace::Newest, late).map(number), Some(4), "what is revised is older");
        assert_eq!(waiting.after(5, Pace::Newest, late).map(number), Some(6));
    }

    #[test]
    fn what_waits_has_a_bound() {
        let mut waiting = Waiting::default();
        let (now, one) = (Instant::now(), WAITING_OCTETS_MAX / 4);
        let first = |waiting: &Waiting| waiting.after(0, Pace::Each, now).unwrap().number;
        (1..=100).for_each(|number| waiting.take(given(number, None, Status::Final)));
        assert_eq!(first(&waiting), 37);
        for number in 101..=110 {
            waiting.take(Given { octets: one, ..given(number, None, Status::Final) });
        }
        assert_eq!((first(&waiting), waiting.octets), (107, WAITING_OCTETS_MAX));
        waiting.take(Given { octets: one * 100, ..given(111, None, Status::Final) });
        assert_eq!((first(&waiting), waiting.octets), (111, one * 100), "one is always there");
        assert_eq!(waiting.after(0, Pace::Newest, now + SLOW_AFTER * 2).unwrap().number, 111);
    }
}
