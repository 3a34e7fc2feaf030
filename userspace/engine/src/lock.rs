//! Locks whose holders never leave what they hold half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock, also when a thread died that held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
