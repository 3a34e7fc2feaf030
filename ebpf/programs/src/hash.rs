//! Where in the table a flow stands.

use tapline_ebpf_common::FlowKey;

/// Odd numbers with bits everywhere, from the digits of the square roots of 2, 3, 5, 7, 11 and 13.
const FACTORS: [u64; 6] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
];

/// Where a flow belongs: the number of its set, of `2^set_bits`, and 32 bits that say where in the set. Keys that
/// differ in few bits, as those of a scan do, are spread as evenly as others.
#[inline(always)]
#[must_use]
pub const fn place(key: &FlowKey, set_bits: u32) -> (u32, u32) {
    let hash = hash(key);
    // A difference anywhere reaches the highest bits of a product.
    ((hash >> 1 >> (63 - (set_bits & 31))) as u32, hash as u32 >> 16)
}

/// A sum of products, whose factors do not wait for each other.
#[inline(always)]
const fn hash(key: &FlowKey) -> u64 {
    let [a, b, c, d, e] = *key.words();
    let addresses = a.wrapping_mul(FACTORS[0]) ^ b.wrapping_mul(FACTORS[1]).rotate_left(32);
    let others = c.wrapping_mul(FACTORS[2]).rotate_left(16) ^ d.wrapping_mul(FACTORS[3]).rotate_left(48);
    let sum = (addresses ^ others).wrapping_add(e.wrapping_mul(FACTORS[4]));
    (sum ^ sum >> 32).wrapping_mul(FACTORS[5])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fullest of 4096 sets after 16384 keys; even spreading puts 4 into each, chance about 15 into one.
    fn fullest(key: impl Fn(u64) -> [u64; 5]) -> u32 {
        let mut sets = vec![0; 4096];
        for number in 0..16_384 {
            sets[place(&FlowKey::of_words(key(number)), 12).0 as usize] += 1;
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
        assert_eq!(place(&FlowKey::of_words([u64::MAX; 5]), 0).0, 0);
    }
}
