//! Hashes of keys: folded multiplications, 16 octets at a time.
//!
//! A hash depends on the key and a seed alone, so with one seed it is the same on every machine.

/// Odd numbers with half of their bits set: the fraction of π in base 16, made odd.
const CONSTANTS: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// A key that can be hashed.
pub(crate) trait StableHash {
    /// Its hash; all 64 bits are usable.
    fn stable_hash(&self, seed: u64) -> u64;
}

impl StableHash for u128 {
    #[inline]
    fn stable_hash(&self, seed: u64) -> u64 {
        let low = *self as u64 ^ CONSTANTS[0] ^ seed;
        let high = (*self >> 64) as u64 ^ CONSTANTS[1];
        folded(folded(low, high) ^ CONSTANTS[2], seed ^ CONSTANTS[3])
    }
}

impl StableHash for [u8] {
    fn stable_hash(&self, seed: u64) -> u64 {
        let (chunks, rest) = self.as_chunks::<16>();
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let with_length = seed.wrapping_add(self.len() as u64);
        let chunks = chunks.iter().chain(std::iter::once(&last));
        chunks.fold(with_length, |hash, chunk| u128::from_le_bytes(*chunk).stable_hash(hash))
    }
}

/// Both halves of the product.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes of one kind of keys that occur in traffic.
    fn hashes(key: fn(u32) -> u128) -> Vec<u64> {
        (0..100_000).map(|number| key(number).stable_hash(0)).collect()
    }

    #[test]
    fn regular_keys_spread_over_every_bit() {
        let kinds: [fn(u32) -> u128; 4] = [
            u128::from,
            |number| 0xffff << 32 | u128::from(0x0a00_0000 | number),
            |number| 0x2001_0db8 << 96 | u128::from(number) << 64 | 1,
            |number| u128::from(number) << 100,
        ];
        for hashes in kinds.map(hashes) {
            for bit in 0..64 {
                let ones = hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count();
                assert!(ones.abs_diff(50_000) < 800, "bit {bit}: {ones} of 100000");
            }
            let mut low: Vec<u32> = hashes.iter().map(|hash| *hash as u32).collect();
            low.sort_unstable();
            low.dedup();
            assert!(low.len() > 99_990, "{} distinct", low.len());
        }
    }

    #[test]
    fn lengths_and_seeds_tell_keys_apart() {
        let keys: [&[u8]; 5] = [b"", b"\0", b"\0\0", &[0; 16], &[0; 17]];
        let mut hashes: Vec<u64> =
            keys.iter().flat_map(|key| [key.stable_hash(0), key.stable_hash(1 << 40)]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 10);
    }

    #[test]
    fn hashes_are_the_same_everywhere() {
        assert_eq!(1_u128.stable_hash(0), 0xbb64_5e4c_4d84_0e27);
        assert_eq!(b"tapline".stable_hash(0), 0xf216_7b49_6b23_308b);
    }
}
