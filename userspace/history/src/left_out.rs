//! Files that cannot be opened, where somebody reads a history who stores nothing there: he is answered from the others,
//! and told which ones are left out.
//!
//! A file is in an answer as a whole or not at all, however many read shares of it.

use crate::store::Part;
use datafusion::common::{DataFusionError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Why a file is not opened.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub(crate) error: DataFusionError,
    /// Whether it is the file's own fault, which says nothing of others.
    pub(crate) is_own: bool,
}

impl Unopened {
    pub(crate) const fn own(error: DataFusionError) -> Self {
        Self { error, is_own: true }
    }

    pub(crate) const fn other(error: DataFusionError) -> Self {
        Self { error, is_own: false }
    }
}

/// Those of one reader.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(Mutex<Opened>);

#[derive(Debug, Default)]
struct Opened {
    /// What is in his answers.
    opened: BTreeSet<PathBuf>,
    /// What is in none of them, and why.
    left_out: BTreeMap<PathBuf, String>,
}

impl LeftOut {
    /// What was opened of a file; nothing where it is left out.
    pub(crate) fn decide<T>(
        &self,
        part: &Part,
        opened: std::result::Result<T, Unopened>,
    ) -> Result<Option<T>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            // Another reader of it has decided.
            _ if known.left_out.contains_key(&part.path) => Ok(None),
            Ok(opened) => {
                known.opened.insert(part.path.clone());
                Ok(Some(opened))
            }
            Err(Unopened { error, is_own: true }) if !known.opened.contains(&part.path) => {
                known.left_out.insert(part.path.clone(), error.message().into_owned());
                Ok(None)
            }
            Err(Unopened { error, .. }) => Err(error),
        }
    }

    /// How many are left out, and what is wrong with the first of them.
    pub(crate) fn said(&self) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, first) = known.left_out.first_key_value()?;
        Some(format!("{} files are left out of the answer: {first}", known.left_out.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Hour;
    use tapline_record::EventTime;

    #[test]
    fn a_file_is_left_out_by_all_who_read_it_or_by_none() {
        let part = |name: &str| {
            let (path, hour) = (PathBuf::from(name), Hour::of(EventTime(0)));
            Part { path, hour, number: 1, columns: 0, octets: 4 }
        };
        let wrong = || DataFusionError::Execution("a cannot be read: it is torn".to_owned());
        let left_out = LeftOut::default();
        assert!(left_out.decide(&part("a"), Ok(())).unwrap().is_some());
        assert!(
            left_out.decide::<()>(&part("a"), Err(Unopened::own(wrong()))).is_err(),
            "some of it is read"
        );
        assert!(left_out.decide::<()>(&part("b"), Err(Unopened::other(wrong()))).is_err());
        assert!(left_out.said().is_none());
        assert!(left_out.decide::<()>(&part("b"), Err(Unopened::own(wrong()))).unwrap().is_none());
        assert!(left_out.decide(&part("b"), Ok(())).unwrap().is_none());
        let said = left_out.said().unwrap();
        assert_eq!(said, "1 files are left out of the answer: a cannot be read: it is torn");
    }
}
