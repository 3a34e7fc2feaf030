//! Room that all exporters share.
//!
//! An exporter is an address here, whatever its ports and domains. Beyond what each may have in any case it may only
//! have a part of what is still free, so that who takes much, by mistake or on purpose, leaves room for others.

use std::collections::HashMap;
use tapline_record::address::Address;

/// How much there is of something, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// How much all exporters together may have.
    pub(super) all: usize,
    /// What any exporter may have as long as there is room.
    pub(super) each: usize,
    /// Beyond `each`, an exporter may have one part in so many of what is free: alone it comes to one part more, and
    /// the n-th of those that take what they get finds as much of what the others left.
    pub(super) parts: usize,
}

/// What is taken, and by whom.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: usize,
    by_exporter: HashMap<Address, usize>,
}

impl Room {
    /// Takes so much for an exporter; says whether there was room for it.
    pub(super) fn take(&mut self, exporter: Address, amount: usize, limit: Limit) -> bool {
        let free = limit.all.saturating_sub(self.taken);
        let own = self.by_exporter.get(&exporter).map_or(amount, |own| own + amount);
        if amount > free || own > limit.each.max(free / limit.parts) {
            return false;
        }
        self.taken += amount;
        self.by_exporter.insert(exporter, own);
        true
    }

    /// Gives back what an exporter had.
    pub(super) fn give_back(&mut self, exporter: Address, amount: usize) {
        self.taken = self.taken.saturating_sub(amount);
        if let Some(own) = self.by_exporter.get_mut(&exporter) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                self.by_exporter.remove(&exporter);
            }
        }
    }

    /// How much is taken.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { all: 9000, each: 100, parts: 8 };

    /// Takes in tens as much as it gets; says how much.
    fn fill(room: &mut Room, exporter: u8) -> usize {
        let before = room.taken();
        while room.take([exporter; 16], 10, LIMIT) {}
        room.taken() - before
    }

    #[test]
    fn whoever_takes_much_leaves_room() {
        let mut room = Room::default();
        let taken: Vec<_> = (0..10).map(|exporter| fill(&mut room, exporter)).collect();
        assert_eq!(taken[0], 1000);
        assert!(taken.is_sorted_by(|one, next| one >= next) && taken[9] > 250, "{taken:?}");
        (10..200).for_each(|exporter| assert!(fill(&mut room, exporter) <= taken[9]));
        assert_eq!(room.taken(), 9000, "what each may have is all there is in the end");
        room.give_back([0; 16], 1000);
        assert_eq!(fill(&mut room, 250), 110);
    }

    #[test]
    fn what_is_given_back_is_free() {
        let mut room = Room::default();
        assert!(!room.take([1; 16], 1200, LIMIT) && room.take([1; 16], 900, LIMIT));
        room.give_back([1; 16], 900);
        assert_eq!((room.taken(), room.by_exporter.len()), (0, 0));
        assert!(room.take([1; 16], 1000, LIMIT));
    }
}
