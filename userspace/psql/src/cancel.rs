//! Requests to end what another connection waits for.
//!
//! A client connects anew to say so, and knows a number and a key that only it was told.

use crate::scram::random;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All connections that may be asked to end something.
#[derive(Default)]
pub(crate) struct Cancels(Mutex<HashMap<(i32, i32), Arc<Notify>>>);

/// A connection's own; it is forgotten with it.
pub(crate) struct Ticket {
    all: Arc<Cancels>,
    pub(crate) number: i32,
    pub(crate) key: i32,
    /// Is told when its statement is to end.
    pub(crate) cancelled: Arc<Notify>,
}

impl Cancels {
    /// A ticket for a connection; `None` where the machine gives no random octets.
    pub(crate) fn ticket(self: &Arc<Self>) -> Option<Ticket> {
        let octets = random::<8>().ok()?;
        let (number, key) = octets.split_at(4);
        let number = i32::from_be_bytes(number.try_into().ok()?).saturating_abs();
        let key = i32::from_be_bytes(key.try_into().ok()?);
        let cancelled = Arc::new(Notify::new());
        self.all().insert((number, key), Arc::clone(&cancelled));
        Some(Ticket { all: Arc::clone(self), number, key, cancelled })
    }

    /// Ends what a connection waits for, if it waits.
    pub(crate) fn cancel(&self, number: i32, key: i32) {
        if let Some(cancelled) = self.all().get(&(number, key)) {
            cancelled.notify_one();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(i32, i32), Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.all.all().remove(&(self.number, self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn only_who_knows_the_key_ends_something() {
        let cancels = Arc::new(Cancels::default());
        let ticket = cancels.ticket().unwrap();
        cancels.cancel(ticket.number, ticket.key.wrapping_add(1));
        assert!(ticket.cancelled.notified().now_or_never().is_none());
        cancels.cancel(ticket.number, ticket.key);
        assert!(ticket.cancelled.notified().now_or_never().is_some());
        drop(ticket);
        assert!(cancels.all().is_empty());
    }
}
