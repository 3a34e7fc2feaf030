//! How much is held, of one query and of all together, as any thread may ask.
//!
//! Whoever holds something has a [`Charge`] for it, which takes itself back when it is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A sum of charges.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What somebody holds, in several sums.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    gauges: Vec<Arc<Gauge>>,
    amount: u64,
}

impl Charge {
    /// Nothing yet, which these will count.
    pub(crate) const fn new(gauges: Vec<Arc<Gauge>>) -> Self {
        Self { gauges, amount: 0 }
    }

    /// Holds so much from now on.
    pub(crate) fn set(&mut self, amount: usize) {
        let amount = amount as u64;
        let before = std::mem::replace(&mut self.amount, amount);
        for Gauge(sum) in self.gauges.iter().map(AsRef::as_ref).filter(|_| amount != before) {
            // A difference below zero wraps, and so does the sum.
            sum.fetch_add(amount.wrapping_sub(before), Ordering::Relaxed);
        }
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
        let charge = |own: &Arc<Gauge>| Charge::new(vec![Arc::clone(own), Arc::clone(&all)]);
        let mut growing = charge(&one).of(10);
        let other = charge(&Arc::default()).of(5);
        growing.set(12);
        assert_eq!((one.get(), all.get()), (12, 17));
        growing.set(3);
        drop(other);
        assert_eq!((one.get(), all.get()), (3, 3));
        drop(growing);
        assert_eq!((one.get(), all.get()), (0, 0));
    }
}
