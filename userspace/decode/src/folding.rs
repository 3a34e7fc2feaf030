//! Hashing of keys by folded products. Seeds are random, so that nobody can craft packets whose keys collide.

use std::hash::{BuildHasher as _, RandomState};

/// Words that nobody outside can know.
pub(crate) fn seed<const WORDS: usize>() -> [u64; WORDS] {
    let random = RandomState::new();
    std::array::from_fn(|part| random.hash_one(part))
}

/// The product of two words, its halves laid over each other.
#[inline]
pub(crate) fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}
