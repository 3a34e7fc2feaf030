//! Where in the table a flow stands.

use tapline_ebpf_common::FlowKey;

/// Odd numbers with bits everywhere, from the digits of the square roots of 2, 3, 5, 7 and 11.
const FACTORS: [u64; 5] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

/// The set of a flow, of `2^set_bits`; keys that differ in few bits, as those of a scan do, are spread as evenly
/// as others.
#[inline(always)]
#[must_use]
pub const fn set(key: &FlowKey, set_bits: u32) -> u32 {
    // A difference anywhere reaches the highest bits of a product.
    (hash(key) >> 1 >> (63 - (set_bits & 31))) as u32
}

#[inline(always)]
const fn hash(key: &FlowKey) -> u64 {
    let words = key.words();
    let mut hash = words[0].wrapping_mul(FACTORS[0]);
    hash = (hash ^ hash >> 32 ^ words[1]).wrapping_mul(FACTORS[1]);
    hash = (hash ^ hash >> 32 ^ words[2]).wrapping_mul(FACTORS[2]);
    hash = (hash ^ hash >> 32 ^ words[3]).wrapping_mul(FACTORS[3]);
    (hash ^ hash >> 32 ^ words[4]).wrapping_mul(FACTORS[4])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fullest of 4096 sets after 16384 keys; even spreading puts 4 into each, chance about 15 into one.
    fn fullest(key: impl Fn(u64) -> [u64; 5]) -> u32 {
        let mut sets = vec![0; 4096];
        for number in 0..16_384 {
            sets[set(&FlowKey::of_words(key(number)), 12) as usize] += 1;
        }
        sets.into_iter().max().unwrap()
    }

    #[test]
    fn keys_that_differ_in_few_bits_are_spread() {
        for shift in [0, 8, 16, 24, 32, 40, 48] {
            for word in 0..5 {
                let key =
                    |number: u64| std::array::from_fn(|at| if at == word { number << shift } else { 7 });
                let fullest = fullest(key);
                assert!(fullest < 22, "word {word} shift {shift}: {fullest}");
            }
        }
        let both_ends = |number: u64| [0, (number & 127) << 56, 0, (number >> 7) << 56, 0];
        assert!(fullest(both_ends) < 22);
        assert_eq!(set(&FlowKey::of_words([u64::MAX; 5]), 0), 0);
    }
}
