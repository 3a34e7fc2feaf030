//! How much is held, of one query and of all together, as any thread may ask.
//!
//! Whoever holds something has a [`Charge`] for it, which takes itself back when it is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One part in so many of what may be held is for panes that begin, so that they have room whatever others hold.
pub(crate) const PARTS_OF_RESERVE: usize = 8;

/// By how many octets others than these panes may grow, of so many that may be held.
pub(crate) fn room(octets_max: usize, held: &Gauge) -> usize {
    let held = usize::try_from(held.get()).unwrap_or(usize::MAX);
    (octets_max - octets_max / PARTS_OF_RESERVE).saturating_sub(held)
}

/// A sum of charges.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sums that something counts in.
pub(crate) type Gauges = Arc<Vec<Arc<Gauge>>>;

/// What somebody holds, in several sums.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    gauges: Option<Gauges>,
    amount: u64,
}

impl Charge {
    /// Nothing yet, which these will count.
    pub(crate) const fn new(gauges: Gauges) -> Self {
        Self { gauges: Some(gauges), amount: 0 }
    }

    /// Holds so much from now on.
    pub(crate) fn set(&mut self, amount: usize) {
        let amount = amount as u64;
        let before = std::mem::replace(&mut self.amount, amount);
        let gauges = self.gauges.iter().flat_map(|gauges| gauges.iter());
        for Gauge(sum) in gauges.map(AsRef::as_ref).filter(|_| amount != before) {
            // A difference below zero wraps, and so does the sum.
            sum.fetch_add(amount.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// Holds what another one held, which is in the same sums: these do not change.
    pub(crate) fn take_over(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }

    /// Leaves so much of it to another one; as far as it is not more than this one held, the sums do not change.
    pub(crate) fn split_off(&mut self, amount: usize) -> Self {
        let part = self.amount.min(amount as u64);
        self.amount -= part;
        Self { gauges: self.gauges.clone(), amount: part }.of(amount)
    }

    /// The same, holding so much.
    pub(crate) fn of(mut self, amount: usize) -> Self {
        self.set(amount);
        self
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_is_taken_back() {
        let [one, all] = [(); 2].map(|()| Arc::new(Gauge::default()));
        let charge = |own: &Arc<Gauge>| Charge::new(Arc::new(vec![Arc::clone(own), Arc::clone(&all)]));
        let mut growing = charge(&one).of(10);
        let other = charge(&Arc::default()).of(5);
        growing.set(12);
        assert_eq!((one.get(), all.get()), (12, 17));
        growing.set(3);
        drop(other);
        growing.take_over(charge(&one).of(4));
        assert_eq!((one.get(), all.get()), (7, 7));
        let part = growing.split_off(5);
        assert_eq!((one.get(), all.get()), (7, 7));
        let more = growing.split_off(3);
        assert_eq!((one.get(), all.get()), (8, 8));
        growing.set(3);
        drop((part, more));
        assert_eq!((one.get(), all.get()), (3, 3));
        drop(growing);
        assert_eq!((one.get(), all.get()), (0, 0));
    }
}
