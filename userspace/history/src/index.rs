//! What lies in a folder and in its bucket, by query and hour: whoever asks lists nothing that was listed before.
//!
//! It is known as long as the folder is ours to write, since nobody else changes it then. An hour is listed when
//! somebody asks for it, and again when files of it have come or gone, which whoever changes it says by
//! [`Store::changes`]. While folders are not ours, they are listed for each question.

use crate::place::{Hour, HourFile, file_name};
use crate::store::{Part, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which hours are meant.
pub(crate) type Has<'a> = &'a dyn Fn(Hour) -> bool;

/// The hours of a query, with the files of those that are listed: some 64 octets an hour.
type Hours = BTreeMap<Hour, Option<Box<[Entry]>>>;

/// A file, by what its name and the disk say.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    columns: u32,
    octets: u64,
}

/// What is known, by query; of one whose hours were not looked for, nothing.
#[derive(Debug)]
pub(crate) struct Index(BTreeMap<String, Option<Hours>>);

/// An hour of which files come or go: from its end on it is listed anew.
pub(crate) struct Changes<'a> {
    store: &'a Store,
    hour: Option<(String, Hour)>,
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        if let Some((query, hour)) = &self.hour {
            self.store.touch(query, *hour);
        }
    }
}

impl Entry {
    fn part(self, store: &Store, query: &str, hour: Hour) -> Part {
        let Self { number, columns, octets } = self;
        let path = store.hour_folder(query, hour).join(file_name(number, columns));
        Part { path, hour, number, columns, octets }
    }
}

impl Index {
    /// Of these queries.
    pub(crate) fn of(queries: Vec<String>) -> Self {
        Self(queries.into_iter().map(|query| (query, None)).collect())
    }

    /// The hours of a query; nothing where there is none of this name.
    fn hours(&mut self, store: &Store, query: &str) -> io::Result<Option<&mut Hours>> {
        let Some(hours) = self.0.get_mut(query) else { return Ok(None) };
        if hours.is_none() {
            *hours = Some(store.all_hours(query)?.into_iter().map(|hour| (hour, None)).collect());
        }
        Ok(hours.as_mut())
    }

    /// Those of these hours that are to be listed.
    fn unlisted(&mut self, store: &Store, query: &str, has: Has<'_>) -> io::Result<Vec<Hour>> {
        let hours = self.hours(store, query)?.into_iter().flatten();
        let unlisted = hours.filter(|(hour, files)| files.is_none() && has(**hour));
        Ok(unlisted.map(|(hour, _)| *hour).collect())
    }

    /// Lists an hour.
    fn list(&mut self, store: &Store, query: &str, hour: Hour) -> io::Result<()> {
        let Some(hours) = self.hours(store, query)? else { return Ok(()) };
        let parts = store.all_parts(query, hour)?.into_iter();
        let files: Box<[Entry]> =
            parts.map(|Part { number, columns, octets, .. }| Entry { number, columns, octets }).collect();
        if files.is_empty() {
            hours.remove(&hour);
        } else {
            hours.insert(hour, Some(files));
        }
        Ok(())
    }

    /// The hours of a query, of which these are listed.
    fn listed(&mut self, store: &Store, query: &str, has: Has<'_>) -> io::Result<Option<&Hours>> {
        for hour in self.unlisted(store, query, has)? {
            self.list(store, query, hour)?;
        }
        Ok(self.hours(store, query)?.map(|hours| &*hours))
    }
}

impl Store {
    /// The queries of which something lies here or in a bucket.
    pub(crate) fn known_queries(&self) -> io::Result<Vec<String>> {
        let index = self.index();
        let Some(Index(queries)) = index.as_ref() else { return self.all_queries() };
        let has_some = |hours: &Option<Hours>| hours.as_ref().is_none_or(|hours| !hours.is_empty());
        Ok(queries.iter().filter(|(_, hours)| has_some(hours)).map(|(query, _)| query.clone()).collect())
    }

    /// The files of a query in these hours, those that lie in a bucket only among them, in the order of hours.
    pub(crate) fn known_parts(&self, query: &str, has: Has<'_>) -> io::Result<Vec<Part>> {
        let mut index = self.index();
        let Some(index) = index.as_mut() else {
            let hours = self.all_hours(query)?.into_iter().filter(|hour| has(*hour));
            let parts = hours.map(|hour| self.all_parts(query, hour)).collect::<io::Result<Vec<_>>>()?;
            return Ok(parts.concat());
        };
        let hours = index.listed(self, query, has)?.into_iter().flatten().filter(|(hour, _)| has(**hour));
        let part = |(hour, entry): (Hour, &Entry)| entry.part(self, query, hour);
        let entries = hours.flat_map(|(hour, files)| files.iter().flatten().map(move |entry| (*hour, entry)));
        Ok(entries.map(part).collect())
    }

    /// The newest file of each set of columns, the newest one of all first.
    pub(crate) fn newest_by_columns(&self, query: &str) -> io::Result<Vec<Part>> {
        let mut seen = BTreeSet::new();
        let mut index = self.index();
        let Some(index) = index.as_mut() else {
            drop(index);
            let parts = self.known_parts(query, &|_| true)?.into_iter().rev();
            return Ok(parts.filter(|part| seen.insert(part.columns)).collect());
        };
        let hours = index.listed(self, query, &|_| true)?.into_iter().flatten().rev();
        let entries = hours.flat_map(|(hour, files)| {
            let newest_first = files.iter().flatten().rev();
            newest_first.map(move |entry| (*hour, entry))
        });
        let newest = entries.filter(|(_, entry)| seen.insert(entry.columns));
        Ok(newest.map(|(hour, entry)| entry.part(self, query, hour)).collect())
    }

    /// Lists those of these hours that are to be listed, one after the other, so that others have their turns in between,
    /// unless it ends.
    pub(crate) fn learn(&self, query: &str, has: Has<'_>, ends: &AtomicBool) -> io::Result<()> {
        let unlisted = match self.index().as_mut() {
            Some(index) => index.unlisted(self, query, has)?,
            None => return Ok(()),
        };
        for hour in unlisted.into_iter().take_while(|_| !ends.load(Ordering::Acquire)) {
            if let Some(index) = self.index().as_mut() {
                index.list(self, query, hour)?;
            }
        }
        Ok(())
    }

    /// Notes which queries there are, whose hours somebody else has listed, or will.
    pub(crate) fn know_queries(&self, queries: Vec<String>) {
        *self.index() = Some(Index::of(queries));
    }

    /// Whether it is not known which hours there are of a query, if there is one of this name.
    pub(crate) fn is_unknown(&self, query: &str) -> bool {
        let index = self.index();
        index.as_ref().and_then(|Index(queries)| queries.get(query)).is_some_and(Option::is_none)
    }

    /// Notes which files there are of a query, as somebody else has listed them.
    pub(crate) fn know(&self, query: &str, parts: impl Iterator<Item = Part>) {
        let mut by_hour: BTreeMap<Hour, Vec<Entry>> = BTreeMap::new();
        for Part { hour, number, columns, octets, .. } in parts {
            by_hour.entry(hour).or_default().push(Entry { number, columns, octets });
        }
        let mut hours = Hours::new();
        for (hour, mut files) in by_hour {
            files.sort_by_key(|file| (file.number, file.columns));
            hours.insert(hour, Some(files.into_boxed_slice()));
        }
        if let Some(Index(queries)) = self.index().as_mut() {
            queries.insert(query.to_owned(), Some(hours));
        }
    }

    /// Says that files of an hour come or go, until it is dropped.
    pub(crate) fn changes(&self, query: &str, hour: Hour) -> Changes<'_> {
        Changes { store: self, hour: Some((query.to_owned(), hour)) }
    }

    /// The same of the hour in which this file is.
    pub(crate) fn changes_at(&self, path: &Path) -> Changes<'_> {
        Changes { store: self, hour: HourFile::of(path).map(|file| (file.query, file.hour)) }
    }

    fn touch(&self, query: &str, hour: Hour) {
        if let Some(Index(queries)) = self.index().as_mut()
            && let Some(hours) = queries.entry(query.to_owned()).or_default()
        {
            hours.insert(hour, None);
        }
    }

    /// Lets go of what is known of a query, as when a file is not where it was: somebody else was there.
    pub(crate) fn forget_query(&self, query: &str) {
        if let Some(hours) = self.index().as_mut().and_then(|Index(queries)| queries.get_mut(query)) {
            *hours = None;
        }
    }

    /// Lets go of all that is known.
    pub(crate) fn forget_all(&self) {
        if let Some(Index(queries)) = self.index().as_mut() {
            queries.values_mut().for_each(|hours| *hours = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tapline_record::EventTime;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn hour(number: i64) -> Hour {
        Hour::of(EventTime(number * 3_600_000_000_000))
    }

    /// A store in which an hour's file lies in a bucket for each hour of so many days.
    fn of_days(days: i64) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..days * 24 {
            let tails = folder.path().join(".tails/query=a").join(hour(number).folder());
            fs::create_dir_all(&tails).unwrap();
            fs::write(tails.join("00000001-000000ab.10.tail"), "").unwrap();
        }
        let store = Store::new(folder.path());
        (folder, store)
    }

    /// How many folders are listed for this.
    fn listed(store: &Store, ask: impl FnOnce()) -> u64 {
        let before = store.listed.load(Ordering::Relaxed);
        ask();
        store.listed.load(Ordering::Relaxed) - before
    }

    #[test]
    fn how_many_folders_are_listed_does_not_depend_on_how_many_there_are() {
        for days in [1, 60] {
            let (_folder, store) = of_days(days);
            let _lock = store.lock().unwrap();
            let of_an_hour = || assert_eq!(store.known_parts("a", &|one| one == hour(5)).unwrap().len(), 1);
            // Which hours there are, here and in the bucket, and what is in this one.
            assert_eq!([listed(&store, of_an_hour), listed(&store, of_an_hour)], [4, 0], "{days}");
            store.learn("a", &|_| true, &NEVER).unwrap();
            let columns = || assert_eq!(store.newest_by_columns("a").unwrap()[0].hour, hour(days * 24 - 1));
            assert_eq!(listed(&store, columns), 0, "{days}");
            let queries = || assert_eq!(store.known_queries().unwrap(), ["a"]);
            assert_eq!(listed(&store, queries), 0, "{days}");
            let nobody = || assert!(store.known_parts("b", &|_| true).unwrap().is_empty());
            assert_eq!(listed(&store, nobody), 0, "{days}");
        }
    }

    #[test]
    fn an_hour_is_listed_again_when_files_of_it_have_come_or_gone() {
        let (_folder, store) = of_days(1);
        let _lock = store.lock().unwrap();
        let parts = || store.known_parts("a", &|_| true).unwrap();
        assert_eq!(parts().len(), 24);
        let file = HourFile { query: "a".to_owned(), hour: hour(30), name: file_name(7, 0xcd) };
        let part = store.part_of(&file, 123).unwrap();
        let put = || {
            store.put_tail(&part, b"PAR1").unwrap();
            assert_eq!(parts().last(), Some(&part));
        };
        assert_eq!(listed(&store, put), 2, "nothing but its hour");
        assert_eq!(store.newest_by_columns("a").unwrap().len(), 2);
        store.remove_tail(&part).unwrap();
        assert_eq!(parts().len(), 24);
        for part in parts() {
            store.remove_tail(&part).unwrap();
        }
        assert!(parts().is_empty() && store.known_queries().unwrap().is_empty());
        let of_another = HourFile { query: "b".to_owned(), ..file };
        store.put_tail(&store.part_of(&of_another, 9).unwrap(), b"PAR1").unwrap();
        assert_eq!(store.known_queries().unwrap(), ["b"]);
    }

    #[test]
    fn what_somebody_else_writes_is_seen_where_the_folder_is_not_ours() {
        let (_folder, store) = of_days(1);
        let other = Store::new(store.root());
        assert_eq!(other.known_parts("a", &|_| true).unwrap().len(), 24);
        let lock = store.lock().unwrap();
        let first = store.known_parts("a", &|_| true).unwrap().swap_remove(0);
        store.remove_tail(&first).unwrap();
        assert_eq!(other.known_parts("a", &|_| true).unwrap().len(), 23);
        drop(lock);
        other.put_tail(&first, b"PAR1").unwrap();
        assert_eq!(store.known_parts("a", &|_| true).unwrap().len(), 24, "it is not known any more");
    }
}
