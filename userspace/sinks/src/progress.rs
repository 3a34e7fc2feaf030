//! How far a result is that is given again, since not all of its rows could be sent.

use std::sync::Arc;
use tapline_operators::WindowResult;

/// Rows of the result at the front that were sent.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    result: Option<Arc<WindowResult>>,
    rows: usize,
}

impl Progress {
    /// How many rows of this result were sent before.
    pub(crate) fn of(&mut self, result: &Arc<WindowResult>) -> usize {
        if self.result.as_ref().is_none_or(|known| !Arc::ptr_eq(known, result)) {
            *self = Self { result: Some(Arc::clone(result)), rows: 0 };
        }
        self.rows
    }

    /// Notes that so many of its rows were sent.
    pub(crate) const fn note(&mut self, rows: usize) {
        self.rows = rows;
    }

    /// Notes that all of them were.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results;
    use tapline_operators::Status;

    #[test]
    fn a_result_that_comes_again_goes_on_and_another_begins() {
        let [first, second] = [0, 1].map(|second| test_results::result(second, Status::Final));
        let mut progress = Progress::default();
        assert_eq!(progress.of(&first), 0);
        progress.note(7);
        assert_eq!((progress.of(&first), progress.of(&second)), (7, 0));
        progress.note(1);
        progress.end();
        assert_eq!(progress.of(&second), 0);
    }
}
