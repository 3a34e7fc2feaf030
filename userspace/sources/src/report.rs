//! The account that a source gives of itself.

use std::sync::{Arc, Mutex, PoisonError};

/// The account of a source, held by the source and by whoever asks for it; the source brings it up to date.
#[derive(Debug)]
pub struct Reported<T>(Arc<Mutex<Option<T>>>);

impl<T> Reported<T> {
    /// What was told last; `None` before the first time.
    #[must_use]
    pub fn last(&self) -> Option<T>
    where
        T: Clone,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells how it stands.
    pub(crate) fn tell(&self, report: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }
}

impl<T> Default for Reported<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Reported<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
