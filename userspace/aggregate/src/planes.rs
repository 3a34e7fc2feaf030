//! Octets by their places in words: those of a column of numbers are alike in one place and not in another.
//!
//! A compressor finds the high octets of small numbers in one piece, where they take next to nothing and next to no time.
//! Columns begin at multiples of a word, and numbers divide it, so that nobody needs to know where columns are.

/// Octets of a word: the longest number, an address.
const WORD: usize = 16;

/// The first octets of all words, behind them the second ones, and so on; what is no whole word stays at the end.
pub(crate) fn apart(octets: &[u8]) -> Vec<u8> {
    let (words, rest) = octets.as_chunks::<WORD>();
    let mut planes = Vec::with_capacity(octets.len());
    for place in 0..WORD {
        planes.extend(words.iter().map(|word| word[place]));
    }
    planes.extend_from_slice(rest);
    planes
}

/// Octets that were taken apart, as they were.
pub(crate) fn together(planes: &[u8]) -> Vec<u8> {
    let mut octets = planes.to_vec();
    let (words, _) = octets.as_chunks_mut::<WORD>();
    // Of no word there is no plane.
    for (place, plane) in planes.chunks_exact(words.len().max(1)).take(WORD).enumerate() {
        words.iter_mut().zip(plane).for_each(|(word, octet)| word[place] = *octet);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_every_length_come_back_as_they_were() {
        for length in 0..=100_u8 {
            let octets: Vec<u8> = (0..length).map(|octet| octet.wrapping_mul(37)).collect();
            assert_eq!(together(&apart(&octets)), octets);
        }
    }

    #[test]
    fn small_numbers_are_mostly_zeros_in_a_row() {
        let numbers: Vec<u8> = (0..32_u64).flat_map(u64::to_le_bytes).collect();
        let planes = apart(&numbers);
        let low = [(0..32).step_by(2), (1..32).step_by(2)].map(Iterator::collect::<Vec<u8>>);
        let zeros = [0; 7 * 16];
        assert_eq!(planes, [&low[0][..], &zeros, &low[1], &zeros].concat());
    }
}
