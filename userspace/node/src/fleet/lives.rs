//! Which query has which number on the wire, over restarts of the node.
//!
//! A number is of one life of a query, and is never used again: what sensors, spools and checkpoints have of it would
//! count as something else. Numbers are microseconds since the epoch, as far as these go on.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tapline_aggregate::check_query_id;
use tapline_catalog::{Assigned, Definition};
use tapline_exports::put_whole;
use tapline_query::SensorPattern;
use tapline_sources::{Clock as _, SystemClock};

const FILE: &str = "queries.json";
/// Microseconds in nanoseconds.
const MICROSECOND_NS: i64 = 1_000;

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept<'a> {
    /// The greatest number that was given, to one that is over, too: clocks may be put back.
    last: u64,
    queries: Vec<Cow<'a, Assigned>>,
}

/// The queries that live on.
#[derive(Debug)]
pub(super) struct Lives {
    path: PathBuf,
    /// Those of an earlier run that nobody has gone on with.
    left: Vec<Assigned>,
    /// The greatest number that was given.
    last: u64,
}

impl Lives {
    /// Those of an earlier run.
    ///
    /// # Errors
    /// A sentence, when the file cannot be read: without it, all that checkpoints have would be let go.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let said = |why: String| {
            format!("{} cannot be read: {why}; put a copy in its place, or move it away", path.display())
        };
        let Kept { last, queries } = match fs::read(&path) {
            Ok(octets) => serde_json::from_slice(&octets).map_err(|error| said(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(said(error.to_string())),
        };
        let left = queries.into_iter().map(Cow::into_owned).collect();
        Ok(Self { path, left, last })
    }

    /// The one that a query goes on as.
    pub(super) fn find(&self, definition: &Definition) -> Option<&Assigned> {
        let is_it = |known: &&Assigned| {
            known.name == definition.name && known.sql == definition.sql && known.limits == limits(definition)
        };
        self.left.iter().find(is_it)
    }

    /// A number that no query had.
    ///
    /// # Errors
    /// A sentence, when there is none any more.
    pub(super) fn next(&self) -> Result<u64, String> {
        let now = SystemClock.now().0 / MICROSECOND_NS;
        let next = now.unsigned_abs().max(self.last.saturating_add(1));
        let said = |why: String| {
            let last = self.last;
            format!(
                "{} has {last} as the number that was given last: {why}; move it away",
                self.path.display()
            )
        };
        check_query_id(next).map_err(said)?;
        Ok(next)
    }

    /// Somebody goes on with this number, or begins with it.
    pub(super) fn take(&mut self, id: u64) {
        self.left.retain(|known| known.id != id);
        self.last = self.last.max(id);
    }

    /// Those that nobody goes on with are over.
    pub(super) fn leave(&mut self) -> Vec<Assigned> {
        std::mem::take(&mut self.left)
    }

    /// Writes down these, and those that somebody may go on with.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn keep<'a>(&'a self, running: impl Iterator<Item = &'a Assigned>) -> Result<(), String> {
        let queries = self.left.iter().chain(running).map(Cow::Borrowed).collect();
        let all = Kept { last: self.last, queries };
        let said = |why: String| format!("{} cannot be written: {why}", self.path.display());
        let text = serde_json::to_vec_pretty(&all).map_err(|error| said(error.to_string()))?;
        put_whole(&self.path, |file| file.write_all(&text)).map_err(|error| said(error.to_string()))
    }
}

/// What a query may take, where that was said of it.
pub(super) fn limits(definition: &Definition) -> BTreeMap<String, String> {
    definition.options.allowance.said().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A pattern as it is written, without quotes: names of sensors have none.
pub(super) fn pattern(pattern: &SensorPattern) -> String {
    pattern.to_string().trim_matches('\'').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_catalog::QueryOptions;

    fn definition(name: &str, sql: &str) -> Definition {
        Definition::new(name, sql, QueryOptions::default()).unwrap()
    }

    #[test]
    fn a_query_goes_on_as_the_one_that_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut lives = Lives::read(folder.path()).unwrap();
        let first = Assigned {
            id: lives.next().unwrap(),
            name: "a".to_owned(),
            sql: "SELECT 1".to_owned(),
            ..Assigned::default()
        };
        let second = Assigned { id: first.id + 1, name: "b".to_owned(), ..first.clone() };
        lives.take(first.id);
        lives.take(second.id);
        assert!(lives.next().unwrap() > second.id, "though the clock may say less");
        lives.keep([&first, &second].into_iter()).unwrap();
        let mut again = Lives::read(folder.path()).unwrap();
        assert_eq!(again.find(&definition("a", "SELECT 1")), Some(&first));
        assert_eq!(again.find(&definition("a", "SELECT 2")), None, "another text is another query");
        again.take(first.id);
        again.keep([&first].into_iter()).unwrap();
        assert_eq!(Lives::read(folder.path()).unwrap().left.len(), 2, "the other one may come still");
        assert_eq!(again.leave(), [second]);
        again.keep([&first].into_iter()).unwrap();
        assert_eq!(Lives::read(folder.path()).unwrap().left, [first]);
        let mut later = Lives::read(folder.path()).unwrap();
        let most = (1 << 56) - 1;
        later.take(most - 1);
        later.keep(std::iter::empty()).unwrap();
        let mut last = Lives::read(folder.path()).unwrap();
        assert_eq!(last.next(), Ok(most), "that of one that is over comes no more");
        for id in [most, u64::MAX] {
            last.take(id);
            let why = last.next().unwrap_err();
            assert!(why.contains("queries.json has") && why.contains("at most"), "{why}");
        }
        fs::write(folder.path().join(FILE), "[{").unwrap();
        assert!(Lives::read(folder.path()).unwrap_err().contains("queries.json cannot be read"));
    }
}
