//! Where a source is in what its interface has received, by counters that go on without it.
//!
//! Counters are read before the frames, and hold when nothing waits any more: what they counted by then was read. So whoever
//! goes on from there misses no more than was received since; what was read since counts as missing, too. At first they hold
//! as they stood before the interface was opened: one that is never at rest says where it began. Of several who read an
//! interface the one that had read least counts, so that each says something.

use std::time::{Duration, Instant};

/// Between two looks at counters.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads the counters of an interface, as whoever goes on later understands them.
pub type PassedCounters = Box<dyn FnMut() -> Option<String> + Send>;

/// How far a source is.
#[derive(Default)]
pub(crate) struct Passing {
    counters: Option<PassedCounters>,
    looked: Option<Instant>,
    /// What was counted at the last look; and at the last one of which all was read.
    counted: Option<String>,
    read: Option<String>,
}

impl Passing {
    /// That of a source whose interface has these, which said so before it was opened.
    pub(crate) fn by(counters: PassedCounters, begun: Option<String>) -> Self {
        Self { counters: Some(counters), read: begun, ..Self::default() }
    }

    /// Looks at them now and then, before frames are read.
    pub(crate) fn look(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look_now();
        }
    }

    /// Looks at them.
    pub(crate) fn look_now(&mut self) {
        if let Some(counters) = &mut self.counters {
            (self.looked, self.counted) = (Some(Instant::now()), counters());
        }
    }

    /// All was read that had come by the last look.
    pub(crate) fn has_read_all(&mut self) {
        if self.counted.is_some() {
            self.read = self.counted.take();
        }
    }

    /// What was counted when all that had come was read.
    pub(crate) fn position(&self) -> Option<String> {
        self.read.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_hold_when_all_that_they_counted_was_read() {
        let mut count = 0;
        let counters: PassedCounters = Box::new(move || {
            count += 1;
            Some(count.to_string())
        });
        let mut passing = Passing::by(counters, Some("0".to_owned()));
        assert_eq!(passing.position().as_deref(), Some("0"), "it has read nothing");
        passing.look();
        passing.look();
        assert_eq!(passing.position().as_deref(), Some("0"), "something may wait");
        passing.has_read_all();
        assert_eq!(passing.position().as_deref(), Some("1"), "they are looked at now and then");
        passing.look_now();
        passing.has_read_all();
        passing.has_read_all();
        assert_eq!(passing.position().as_deref(), Some("2"));
        let mut none = Passing::default();
        none.look_now();
        none.has_read_all();
        assert_eq!(none.position(), None);
    }
}
