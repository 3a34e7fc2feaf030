//! Files that cannot be read, or go nowhere: each is left alone for a while and tried again, and none is in the way of
//! others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tapline_record::EventTime;

/// How long one is left alone: a disk that fails takes its time to say so.
pub(crate) const RESTS_FOR_NS: i64 = 5 * 60 * 1_000_000_000;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It cannot be read.
    Unread,
    /// The bucket does not take it.
    NotTaken,
    /// It lies in the bucket, which does not give it.
    NotGiven,
}

/// Which ones these are.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    resting: BTreeMap<PathBuf, Rest>,
    /// What nobody was told yet.
    news: Vec<String>,
}

#[derive(Debug)]
struct Rest {
    since: EventTime,
    wrong: Wrong,
    /// As a sentence that names it.
    why: String,
    /// Whether the bucket is looked at anew, and nothing was wrong with it so far.
    is_doubtful: bool,
}

impl Unread {
    /// Notes that a file, or a folder of some, cannot be read.
    pub(crate) fn note(&mut self, path: &Path, why: String, now: EventTime) {
        self.note_as(Wrong::Unread, path, why, now);
    }

    /// Notes what is wrong with a file.
    pub(crate) fn note_as(&mut self, wrong: Wrong, path: &Path, why: String, now: EventTime) {
        if !self.resting.contains_key(path) {
            self.news.push(format!("{why}; it is tried again, and others go on"));
        }
        self.resting.insert(path.to_owned(), Rest { since: now, wrong, why, is_doubtful: false });
    }

    /// Whether one is left alone.
    pub(crate) fn rests(&self, path: &Path, now: EventTime) -> bool {
        // A clock that was ahead and is set back is none that says when it was tried.
        let is_recent = |rest: &Rest| (0..RESTS_FOR_NS).contains(&now.0.saturating_sub(rest.since.0));
        self.resting.get(path).is_some_and(is_recent)
    }

    /// What was wrong with one when it was tried last.
    pub(crate) fn wrong(&self, path: &Path) -> Option<Wrong> {
        self.resting.get(path).map(|rest| rest.wrong)
    }

    /// When one was tried last, where something was wrong with it.
    pub(crate) fn since(&self, path: &Path) -> Option<EventTime> {
        self.resting.get(path).map(|rest| rest.since)
    }

    /// Whether there is one that the bucket does not give.
    pub(crate) fn lacks_some(&self) -> bool {
        self.resting.values().any(|rest| rest.wrong == Wrong::NotGiven)
    }

    /// One is as it should be.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.resting.remove(path);
    }

    /// Those that are gone wait no more.
    pub(crate) fn forget_gone(&mut self) {
        let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        self.resting.retain(|path, rest| rest.wrong == Wrong::NotGiven || is_there(path));
    }

    /// It is looked at all that the bucket has.
    pub(crate) fn begin_look(&mut self) {
        let not_given = self.resting.values_mut().filter(|rest| rest.wrong == Wrong::NotGiven);
        not_given.for_each(|rest| rest.is_doubtful = true);
    }

    /// One is there, and it was not asked for.
    pub(crate) fn is_not_looked_at(&mut self, path: &Path) {
        self.resting.get_mut(path).into_iter().for_each(|rest| rest.is_doubtful = false);
    }

    /// It was looked at all of it: what was given now, or is there no more, waits no more.
    pub(crate) fn end_look(&mut self) {
        self.resting.retain(|_, rest| !rest.is_doubtful);
    }

    /// How many there are, and what is wrong with the first of them.
    pub(crate) fn said(&self) -> Option<String> {
        let (_, first) = self.resting.first_key_value()?;
        let count = self.resting.len();
        let are_unread = self.resting.values().all(|rest| rest.wrong == Wrong::Unread);
        let what = if are_unread { "read" } else { "read or moved" };
        Some(format!("{count} files wait that cannot be {what}, and others go on: {}", first.why))
    }

    /// A sentence about each one that nobody was told of.
    pub(crate) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_once_and_tried_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let (mut unread, minute) = (Unread::default(), |number: i64| EventTime(number * 60 * 1_000_000_000));
        unread.note(&file, "it is torn".to_owned(), minute(10));
        assert_eq!(unread.take_news(), ["it is torn; it is tried again, and others go on"]);
        let rests = [9, 10, 14, 15].map(|number| unread.rests(&file, minute(number)));
        assert_eq!(rests, [false, true, true, false]);
        unread.note(&file, "it is torn still".to_owned(), minute(15));
        assert!(unread.take_news().is_empty() && unread.rests(&file, minute(16)));
        let said = unread.said().unwrap();
        assert_eq!(said, "1 files wait that cannot be read, and others go on: it is torn still");
        unread.forget_gone();
        assert!(unread.said().is_some());
        fs::remove_file(&file).unwrap();
        unread.forget_gone();
        assert!(unread.said().is_none());
    }

    #[test]
    fn what_a_bucket_does_not_give_waits_until_it_does() {
        let (mut unread, now) = (Unread::default(), EventTime(0));
        for name in ["a", "b"] {
            unread.note_as(Wrong::NotGiven, Path::new(name), format!("{name} is refused"), now);
        }
        unread.forget_gone();
        unread.begin_look();
        unread.note_as(Wrong::NotGiven, Path::new("b"), "b is refused".to_owned(), now);
        assert_eq!(unread.take_news().len(), 2, "each is told once");
        unread.end_look();
        let said = unread.said().unwrap();
        assert_eq!(said, "1 files wait that cannot be read or moved, and others go on: b is refused");
        unread.begin_look();
        unread.end_look();
        assert!(unread.said().is_none() && !unread.lacks_some());
    }
}
