//! Numbers that nobody guesses.

use crate::clock::wall_ns;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Of an incarnation that is drawn, so many lowest bits are random: two copies of one disk draw different ones.
const RANDOM_BITS: u32 = 16;

/// A number at random. Where the system has none, it is as good as the clock is.
pub(crate) fn bits() -> u64 {
    let mut octets = [0; 8];
    if SystemRandom::new().fill(&mut octets).is_err() {
        return wall_ns().unsigned_abs();
    }
    u64::from_le_bytes(octets)
}

/// What an incarnation is drawn as: our clock, its lowest bits at random.
pub(crate) fn life() -> u64 {
    let random = (1 << RANDOM_BITS) - 1;
    (wall_ns().unsigned_abs() & !random) | (bits() & random)
}
