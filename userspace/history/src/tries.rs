//! Tells an object that a store does not take or give from a store that is away: one that does as asked of others has
//! something against this one.
//!
//! Nobody waits for each object of a store that is away: after some failures in a row it is.

use std::path::{Path, PathBuf};

/// So many failures in a row are the store's.
const IN_A_ROW_MAX: usize = 3;

/// What came of objects, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Whether the store did as asked of one.
    any_worked: bool,
    failed: Vec<Failure>,
    in_a_row: usize,
}

#[derive(Debug)]
struct Failure {
    path: PathBuf,
    why: String,
    before: Before,
}

/// What came of an object before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// It failed, and so others came first this time.
    Failed,
    /// It is to blame, while the store did as asked of others.
    Blamed,
}

impl Tries {
    /// The store did as asked.
    pub(crate) const fn worked(&mut self) {
        self.any_worked = true;
        self.in_a_row = 0;
    }

    /// It did not, of this object; why.
    pub(crate) fn failed(&mut self, path: &Path, why: String, before: Before) {
        self.failed.push(Failure { path: path.to_owned(), why, before });
        self.in_a_row += 1;
    }

    /// Whether the store is away, as it seems.
    pub(crate) const fn are_over(&self) -> bool {
        self.in_a_row >= IN_A_ROW_MAX
    }

    /// Those objects that are to blame, and why the store is, where it is: where it did nothing, or ceased to do as asked of
    /// objects that did not fail before.
    pub(crate) fn blamed(self) -> (Vec<(PathBuf, String)>, Option<String>) {
        let last_in_a_row = if self.are_over() { self.failed.len() - self.in_a_row } else { usize::MAX };
        let (mut of_objects, mut of_store) = (vec![], None);
        for (place, Failure { path, why, before }) in self.failed.into_iter().enumerate() {
            let is_of_store = match before {
                Before::Nothing => !self.any_worked || place >= last_in_a_row,
                Before::Failed => !self.any_worked,
                Before::Blamed => false,
            };
            if is_of_store {
                of_store.get_or_insert(why);
            } else {
                of_objects.push((path, why));
            }
        }
        (of_objects, of_store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these are to blame, and which one the store is blamed by: capital letters work, others fail; from `u` on they
    /// failed before, and from `x` on they are to blame.
    fn blamed(names: &str) -> (String, Option<String>) {
        let mut tries = Tries::default();
        for name in names.chars() {
            assert!(!tries.are_over(), "{names}");
            if name.is_lowercase() {
                let before = match name {
                    'x'..='z' => Before::Blamed,
                    'u'..='w' => Before::Failed,
                    _ => Before::Nothing,
                };
                tries.failed(Path::new(&name.to_string()), name.to_string(), before);
            } else {
                tries.worked();
            }
        }
        let (of_objects, of_store) = tries.blamed();
        (of_objects.into_iter().map(|(_, why)| why).collect(), of_store)
    }

    #[test]
    fn a_store_that_does_as_asked_of_others_is_not_away() {
        let of = |objects: &str, store: Option<&str>| (objects.to_owned(), store.map(str::to_owned));
        assert_eq!(blamed(""), of("", None));
        assert_eq!(blamed("ABC"), of("", None));
        assert_eq!(blamed("aBc"), of("ac", None));
        assert_eq!(blamed("abCde"), of("abde", None));
        assert_eq!(blamed("Auvw"), of("uvw", None), "others came first, and worked");
        assert_eq!(blamed("abc"), of("", Some("a")));
        assert_eq!(blamed("uvw"), of("", Some("u")));
        assert_eq!(blamed("xyz"), of("xyz", None), "that is known");
        assert_eq!(blamed("axy"), of("xy", Some("a")));
        assert_eq!(blamed("ab"), of("", Some("a")), "nobody knows yet");
        assert_eq!(blamed("aBcde"), of("a", Some("c")));
    }
}
