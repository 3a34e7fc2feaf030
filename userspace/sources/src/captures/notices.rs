//! What is told of a folder, so much of it a minute.

use crate::notice::Notice;
use std::collections::VecDeque;
use tapline_record::EventTime;

/// What is told in a minute; a folder may hold any number of files that are no captures.
const TOLD_MAX: usize = 16;
const MINUTE_NS: i64 = 60_000_000_000;

/// What is to be told.
#[derive(Debug)]
pub(super) struct FolderNotices {
    pending: VecDeque<String>,
    since: EventTime,
    told: usize,
}

impl FolderNotices {
    pub(super) const fn new() -> Self {
        Self { pending: VecDeque::new(), since: EventTime::MIN, told: 0 }
    }

    /// Tells a sentence, unless there are too many.
    pub(super) fn tell(&mut self, what: String, now: EventTime) {
        if now.0.saturating_sub(self.since.0) >= MINUTE_NS || now < self.since {
            (self.since, self.told) = (now, 0);
        }
        self.told += 1;
        if self.told <= TOLD_MAX {
            self.pending.push_back(what);
        } else if self.told == TOLD_MAX + 1 {
            self.pending
                .push_back("there is more to tell of these captures; it is left out for a minute".to_owned());
        }
    }

    pub(super) fn next(&mut self) -> Option<Notice> {
        self.pending.pop_front().map(Notice::Captures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_told_a_minute() {
        let mut notices = FolderNotices::new();
        let told = |notices: &mut FolderNotices, second: i64| {
            (0..40).for_each(|_| notices.tell("x".to_owned(), EventTime(second * 1_000_000_000)));
            std::iter::from_fn(|| notices.next()).count()
        };
        assert_eq!([0, 59, 60, 10].map(|second| told(&mut notices, second)), [17, 0, 17, 17]);
    }
}
