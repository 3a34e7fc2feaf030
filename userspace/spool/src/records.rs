//! Records as they are read: several at once, in one piece of memory.

use std::ops::Range;

/// Records of one file, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub(crate) octets: Vec<u8>,
    pub(crate) places: Vec<(u64, Range<usize>)>,
    pub(crate) damaged: Vec<u64>,
    pub(crate) next: u64,
}

impl Records {
    /// Each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.places.iter().filter_map(|(number, place)| Some((*number, self.octets.get(place.clone())?)))
    }

    /// Numbers of records that are not as they were written, and are left out here.
    #[must_use]
    pub fn damaged(&self) -> &[u64] {
        &self.damaged
    }

    /// The number from which to read on; behind the last one that is safe when these are all.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }
}
