//! What is known of files on their way to a bucket, between whoever keeps the folder and whoever moves them.

use crate::place::Hour;
use crate::store::Part;
use crate::unread::Unread;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Of files of the folder, what became of them.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Those that lie in the bucket, too.
    there: BTreeSet<PathBuf>,
    /// Hours that have to leave the folder, whether they would change still or not.
    wanted: BTreeSet<(String, Hour)>,
    /// Files that cannot be read.
    pub(crate) unread: Unread,
    /// What cannot be done, and is tried again.
    pub(crate) trouble: Option<String>,
    /// Results that the folder had no room for, by query.
    pub(crate) lost: BTreeMap<String, u64>,
}

impl Moved {
    pub(crate) fn note(&mut self, part: &Part) {
        self.there.insert(part.path.clone());
    }

    pub(crate) fn has(&self, part: &Part) -> bool {
        self.there.contains(&part.path)
    }

    /// These lie in the folder no more, or in the bucket.
    pub(crate) fn forget(&mut self, part: &Part) {
        self.there.remove(&part.path);
    }

    pub(crate) fn want(&mut self, query: &str, hour: Hour) {
        self.wanted.insert((query.to_owned(), hour));
    }

    pub(crate) fn is_wanted(&self, query: &str, hour: Hour) -> bool {
        self.wanted.contains(&(query.to_owned(), hour))
    }

    /// Notes what is wrong besides files that wait; gives what is to be told of these, as far as the outlet does not tell it
    /// by itself.
    pub(crate) fn settle(&mut self, wrong: Option<String>) -> Vec<String> {
        self.unread.forget_gone();
        let waits = self.unread.said();
        let is_told = self.trouble.is_none() && wrong.is_none() && waits.is_some();
        self.trouble = wrong.or(waits);
        let news = self.unread.take_news();
        if is_told { vec![] } else { news }
    }

    /// An hour has left the folder.
    pub(crate) fn left(&mut self, query: &str, hour: Hour) {
        self.wanted.remove(&(query.to_owned(), hour));
    }
}
