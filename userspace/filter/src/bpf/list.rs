//! Lists that are too long for instructions: each stands in a map, which instructions look into.

use super::ENTRIES_MAX;
use crate::ranges::Ranges;

/// The largest number whose bit stands in a list.
pub(super) const NUMBER_MAX: u64 = 0xffff;

/// What stands in a map; a map has as many entries as its list, and what it gives for a key does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// The only value of an array: the bit of a number is that of its lowest three bits in the octet of the others.
    Bits(Vec<u8>),
    /// Keys of a hash map: addresses in network order.
    Addresses(Vec<[u8; 16]>),
    /// Keys of a trie (LPM): a prefix's length as 32 bits, and its first address in network order.
    Prefixes(Vec<[u8; 20]>),
}

impl List {
    /// Those of these numbers that are at most `max`, which is at most [`NUMBER_MAX`].
    pub(super) fn of_numbers(ranges: &Ranges, max: u64) -> Self {
        let mut bits = vec![0; (max >> 3) as usize + 1];
        for (first, last) in ranges.as_slice() {
            for number in *first..=(*last).min(max.into()) {
                if let Some(octet) = bits.get_mut((number >> 3) as usize) {
                    *octet |= 1 << (number & 7);
                }
            }
        }
        Self::Bits(bits)
    }

    /// These addresses, or all others, whichever are fewer entries; and whether it is the others. What is more than the
    /// kernel takes is not there.
    pub(super) fn of_addresses(ranges: &Ranges) -> (Self, bool) {
        let those: Vec<_> = ranges.prefixes().take(ENTRIES_MAX + 1).collect();
        let all_others = ranges.others(u128::MAX);
        let others: Vec<_> = all_others.prefixes().take(those.len()).collect();
        if others.len() < those.len() {
            (Self::of_prefixes(&all_others, &others), true)
        } else {
            (Self::of_prefixes(ranges, &those), false)
        }
    }

    /// A hash map is faster than a trie, and is taken where it is not much larger.
    fn of_prefixes(ranges: &Ranges, prefixes: &[(u128, u32)]) -> Self {
        if ranges.numbers() <= 2 * prefixes.len() as u128 {
            let numbers = ranges.as_slice().iter().flat_map(|(first, last)| *first..=*last);
            return Self::Addresses(numbers.map(u128::to_be_bytes).collect());
        }
        let key = |(first, bits): &(u128, u32)| {
            let mut key = [0; 20];
            let (length, address) = key.split_at_mut(4);
            length.copy_from_slice(&bits.to_ne_bytes());
            address.copy_from_slice(&first.to_be_bytes());
            key
        };
        Self::Prefixes(prefixes.iter().map(key).collect())
    }

    /// How many entries there are.
    #[must_use]
    pub const fn entries(&self) -> usize {
        match self {
            Self::Bits(_) => 1,
            Self::Addresses(keys) => keys.len(),
            Self::Prefixes(keys) => keys.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: u128 = 0xffff_0000_0000;

    #[test]
    fn numbers_are_bits() {
        let ranges: Ranges = [(1, 2), (9, 9), (15, 70_000)].into_iter().collect();
        assert_eq!(List::of_numbers(&ranges, 16), List::Bits(vec![0b110, 0b1000_0010, 1]));
        let List::Bits(bits) = List::of_numbers(&ranges, NUMBER_MAX) else { panic!("numbers are bits") };
        assert_eq!((bits.len(), bits.last()), (8192, Some(&0xff)));
    }

    #[test]
    fn single_addresses_are_hashed_and_others_are_prefixes() {
        let (list, is_others) =
            List::of_addresses(&[(V4 + 4, V4 + 5), (V4 + 9, V4 + 9)].into_iter().collect());
        let keys = [4, 5, 9].map(|host| (V4 + host).to_be_bytes());
        assert_eq!((list, is_others), (List::Addresses(keys.to_vec()), false));
        let (list, is_others) =
            List::of_addresses(&[(V4, V4 + 255), (V4 + 512, V4 + 513)].into_iter().collect());
        let List::Prefixes(keys) = &list else { panic!("{list:?}") };
        let key = |bits: u32, first: u128| [&bits.to_ne_bytes()[..], &first.to_be_bytes()].concat();
        assert_eq!((keys.concat(), is_others), ([key(120, V4), key(127, V4 + 512)].concat(), false));
        let all_but = Ranges::of([V4 + 1, V4 + 3]).others(u128::MAX);
        let (list, is_others) = List::of_addresses(&all_but);
        assert_eq!((list.entries(), is_others), (2, true));
    }

    #[test]
    fn more_than_the_kernel_takes_is_no_more_work() {
        let many = Ranges::of((0..3 * ENTRIES_MAX as u128).map(|number| 3 * number));
        assert_eq!(List::of_addresses(&many).0.entries(), ENTRIES_MAX + 1);
    }
}
