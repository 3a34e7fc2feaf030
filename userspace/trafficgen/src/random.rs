//! Random numbers with a fixed algorithm.
//!
//! Takes a seed and the name of whoever draws, gives xoshiro256++ numbers and what is derived from them.
//! No floating point, so that a seed means the same bytes on every platform and in every release.

use std::ops::Range;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The numbers of one drawer: two names draw independently, so that a change in one part of a scenario
    /// leaves the others as they are.
    #[must_use]
    pub fn new(seed: u64, drawer: &str) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed ^ fnv1a(drawer.as_bytes())))
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, uniform; 0 for the bound 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A number of the range, uniform; the start for an empty range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// True in `percent` of a hundred draws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A size with a heavy tail: `smallest` or more, above twice as much in half of the draws, above four
    /// times as much in a quarter, and so on, up to `doublings` times doubled.
    pub(crate) fn heavy_tail(&mut self, smallest: u64, doublings: u32) -> u64 {
        let scale = smallest << self.bits().trailing_zeros().min(doublings);
        scale + self.below(scale)
    }

    /// An element of the slice, uniform.
    ///
    /// # Panics
    /// When the slice is empty.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Brings the slice into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

/// Ranks by Zipf's law with exponent 1: rank `k` (from 0) is drawn `k + 1` times more rarely than rank 0.
#[derive(Clone, Debug)]
pub struct Zipf {
    cumulative: Vec<u64>,
}

impl Zipf {
    /// A law over `ranks` ranks; one rank at least.
    #[must_use]
    pub fn new(ranks: u32) -> Self {
        let cumulative = (1..=u64::from(ranks.max(1)))
            .scan(0, |total, rank| {
                *total += (1 << 40) / rank;
                Some(*total)
            })
            .collect();
        Self { cumulative }
    }

    /// A rank, 0 being the most frequent.
    pub fn draw(&self, random: &mut Random) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1);
        let point = random.below(total);
        self.cumulative.partition_point(|&upper| upper <= point)
    }
}

/// The 64-bit FNV-1a hash (RFC 9923).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_never_changes() {
        let mut random = Random::new(0, "");
        assert_eq!([random.bits(), random.bits()], [14_396_179_586_316_300_983, 2_000_862_814_777_268_914]);
    }

    #[test]
    fn drawers_are_independent() {
        assert_ne!(Random::new(1, "web").bits(), Random::new(1, "dns").bits());
    }

    #[test]
    fn a_range_is_kept_and_filled() {
        let mut random = Random::new(3, "range");
        let mut seen = [false; 8];
        for _ in 0..1000 {
            seen[random.within(10..18) as usize - 10] = true;
        }
        assert_eq!(seen, [true; 8]);
    }

    #[test]
    fn zipf_halves_the_second_rank() {
        let (zipf, mut random) = (Zipf::new(100), Random::new(5, "zipf"));
        let mut counts = [0_i64; 100];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut random)] += 1;
        }
        assert!((counts[0] - 2 * counts[1]).abs() < counts[0] / 10, "{:?}", &counts[..3]);
        assert!(counts[99] > 0);
    }

    #[test]
    fn shuffling_keeps_every_element() {
        let mut items: Vec<u32> = (0..50).collect();
        Random::new(8, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
