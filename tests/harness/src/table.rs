//! Counts by key, as they come out of `GROUP BY`.

use crate::csv::Csv;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Differences that a report lists, at most.
const LISTED_MAX: usize = 10;

/// For each key, one text a grouping column, the sums; NULL is empty in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    groups: BTreeMap<Vec<String>, Vec<String>>,
}

impl Table {
    /// The groups of a result whose first `keys` columns are the key.
    ///
    /// # Panics
    /// When a key comes twice.
    #[must_use]
    pub fn from_csv(csv: &Csv, keys: usize) -> Self {
        let mut table = Self::default();
        for row in &csv.rows {
            let (key, sums) = row.split_at(keys);
            let before = table.groups.insert(key.to_vec(), sums.to_vec());
            assert!(before.is_none(), "the group {key:?} comes twice");
        }
        table
    }

    /// Adds a group.
    pub fn insert(&mut self, key: Vec<String>, sums: Vec<String>) {
        self.groups.insert(key, sums);
    }

    /// The table without the sum at this position.
    #[must_use]
    pub fn without_sum(mut self, position: usize) -> Self {
        for sums in self.groups.values_mut() {
            sums.remove(position);
        }
        self
    }

    /// What differs from `actual`, key by key; `None` when they are equal.
    #[must_use]
    pub fn difference(&self, actual: &Self) -> Option<String> {
        let keys: BTreeSet<_> = self.groups.keys().chain(actual.groups.keys()).collect();
        let differs = |key: &&&Vec<String>| self.groups.get(**key) != actual.groups.get(**key);
        let differing: Vec<_> = keys.iter().filter(differs).collect();
        let mut report = String::new();
        for &&key in differing.iter().take(LISTED_MAX) {
            let [expected, actual] = [self, actual].map(|table| table.text_of(key));
            let _ = writeln!(report, "    {}: expected {expected}, got {actual}", key.join(" "));
        }
        if differing.len() > LISTED_MAX {
            let _ = writeln!(report, "    and {} more groups", differing.len() - LISTED_MAX);
        }
        (!differing.is_empty()).then_some(report)
    }

    fn text_of(&self, key: &[String]) -> String {
        self.groups.get(key).map_or_else(|| "nothing".to_owned(), |sums| format!("({})", sums.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::read_csv;

    #[test]
    fn a_difference_names_the_group() {
        let table = |text| Table::from_csv(&read_csv(text), 1);
        let expected = table("k,n\na,1\nb,2\n");
        assert_eq!(expected.difference(&table("k,n\nb,2\na,1\n")), None, "order does not matter");
        let report = expected.difference(&table("k,n\na,1\nb,3\nc,\n")).unwrap();
        assert_eq!(report, "    b: expected (2), got (3)\n    c: expected nothing, got ()\n");
    }
}
