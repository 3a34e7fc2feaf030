//! Files of the folder that cannot be read: each is left alone for a while and tried again, and none is in the way of
//! others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tapline_record::EventTime;

/// How long one is left alone: a disk that fails takes its time to say so.
const RESTS_FOR_NS: i64 = 5 * 60 * 1_000_000_000;

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
    /// As a sentence that names it.
    why: String,
}

impl Unread {
    /// Notes what is wrong with a file, or a folder of some.
    pub(crate) fn note(&mut self, path: &Path, why: String, now: EventTime) {
        if !self.resting.contains_key(path) {
            self.news.push(format!("{why}; it is tried again, and others go on"));
        }
        self.resting.insert(path.to_owned(), Rest { since: now, why });
    }

    /// Whether one is left alone.
    pub(crate) fn rests(&self, path: &Path, now: EventTime) -> bool {
        // A clock that was ahead and is set back is none that says when it was tried.
        let is_recent = |rest: &Rest| (0..RESTS_FOR_NS).contains(&now.0.saturating_sub(rest.since.0));
        self.resting.get(path).is_some_and(is_recent)
    }

    /// One can be read.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.resting.remove(path);
    }

    /// Those that are gone wait no more.
    pub(crate) fn forget_gone(&mut self) {
        self.resting.retain(|path, _| fs::symlink_metadata(path).is_ok());
    }

    /// How many there are, and what is wrong with the first of them.
    pub(crate) fn said(&self) -> Option<String> {
        let (_, first) = self.resting.first_key_value()?;
        let count = self.resting.len();
        Some(format!("{count} files wait that cannot be read, and others go on: {}", first.why))
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
}
