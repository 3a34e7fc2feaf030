//! A sketch of the distribution of numbers (DDSketch: Masson, Rim, Lee, VLDB 2019).
//!
//! Every power of two is cut into 128 buckets of equal width, which the leading bits of a float name
//! without arithmetic. A quantile is the lower edge of its bucket: at most 0.78 % nearer to zero than
//! the true value, and exact for integers up to 256. Below 2⁻¹⁰²² a number counts as zero; numbers
//! that are 63 powers of two smaller than the largest of their sign may count as larger than they are.
//! What is not finite is ignored. Sketches merge exactly, in any order.

use crate::buckets::{Buckets, COUNT_MAX};
use crate::sketch::Sketch;
use crate::varint;
use datafusion::common::{Result, exec_datafusion_err};

/// Leading bits of the fraction that name a bucket within its octave.
const FRACTION_BITS: u32 = 7;
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - FRACTION_BITS;
/// The buckets of normal numbers.
const BUCKETS: std::ops::Range<u32> = bucket_of(f64::MIN_POSITIVE)..bucket_of(f64::INFINITY);
/// The first octet of a state.
const VERSION: u8 = 1;

/// How often which numbers occurred.
#[derive(Clone, Debug, Default)]
pub(crate) struct DdSketch {
    negative: Buckets,
    zeros: u64,
    positive: Buckets,
}

impl Sketch for DdSketch {
    #[inline]
    fn heap_octets(&self) -> usize {
        self.negative.heap_octets() + self.positive.heap_octets()
    }
}

impl DdSketch {
    /// Counts a number that occurred `count` times.
    #[inline]
    pub(crate) fn add(&mut self, number: f64, count: u64) {
        match bucket_of(number.abs()) {
            bucket if bucket < BUCKETS.start => self.add_zeros(count),
            bucket if bucket >= BUCKETS.end => {}
            bucket if number > 0.0 => self.positive.add(bucket, count),
            bucket => self.negative.add(bucket, count),
        }
    }

    fn add_zeros(&mut self, count: u64) {
        self.zeros = self.zeros.saturating_add(count).min(COUNT_MAX);
    }

    /// The number at rank `⌊q · (n − 1)⌋` of the n numbers in ascending order; `None` without numbers.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.ascending().map(|(_, count)| count).sum();
        let last = total.checked_sub(1)?;
        let rank = ((q * last as f64) as u64).min(last);
        let mut passed = 0;
        let mut at_or_above = self.ascending().skip_while(|(_, count)| {
            passed += count;
            passed <= rank
        });
        at_or_above.next().map(|(number, _)| number)
    }

    /// The numbers in ascending order with their counts.
    fn ascending(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let negative = self.negative.iter().rev().map(|(bucket, count)| (-lower_edge(bucket), count));
        let zero = (self.zeros > 0).then_some((0.0, self.zeros));
        let positive = self.positive.iter().map(|(bucket, count)| (lower_edge(bucket), count));
        negative.chain(zero).chain(positive)
    }

    /// Appends the state: version, zeros, then for each sign the number of buckets and for each bucket
    /// its distance from the one before and its count. Equal sketches write equal octets.
    pub(crate) fn write(&self, state: &mut Vec<u8>) {
        state.push(VERSION);
        varint::write(self.zeros, state);
        for buckets in [&self.negative, &self.positive] {
            varint::write(buckets.iter().count() as u64, state);
            let mut previous = 0;
            for (bucket, count) in buckets.iter() {
                varint::write(u64::from(bucket - previous), state);
                varint::write(count, state);
                previous = bucket;
            }
        }
    }

    /// Adds what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When `state` is not such a state; part of it may have been added.
    pub(crate) fn merge(&mut self, state: &[u8]) -> Result<()> {
        let malformed =
            || exec_datafusion_err!("quantile: a partial state of {} octets is damaged", state.len());
        let Some((&VERSION, mut rest)) = state.split_first() else {
            return Err(malformed());
        };
        self.read(&mut rest).filter(|()| rest.is_empty()).ok_or_else(malformed)
    }

    fn read(&mut self, rest: &mut &[u8]) -> Option<()> {
        self.add_zeros(varint::read(rest)?);
        for buckets in [&mut self.negative, &mut self.positive] {
            let mut previous = 0_u32;
            for _ in 0..varint::read(rest)? {
                let distance = u32::try_from(varint::read(rest)?).ok()?;
                previous = previous.checked_add(distance).filter(|bucket| BUCKETS.contains(bucket))?;
                buckets.add(previous, varint::read(rest).filter(|count| *count > 0)?);
            }
        }
        Some(())
    }
}

/// The bucket of a positive normal number.
const fn bucket_of(number: f64) -> u32 {
    (number.to_bits() >> SHIFT) as u32
}

const fn lower_edge(bucket: u32) -> f64 {
    f64::from_bits((bucket as u64) << SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(numbers: &[f64]) -> DdSketch {
        let mut sketch = DdSketch::default();
        numbers.iter().for_each(|number| sketch.add(*number, 1));
        sketch
    }

    fn state(sketch: &DdSketch) -> Vec<u8> {
        let mut state = Vec::new();
        sketch.write(&mut state);
        state
    }

    /// Whether `found` is what the header promises for `truth`.
    fn is_near(found: f64, truth: f64) -> bool {
        found.abs() <= truth.abs() && (found - truth).abs() <= 0.0078 * truth.abs()
    }

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let number = prop_oneof![
            -1e6..1e6_f64,
            (0..2_000_u32).prop_map(f64::from),
            (-20..40_i32).prop_map(|exponent| 1.7_f64.powi(exponent)),
            Just(0.0),
            Just(-0.0),
        ];
        prop::collection::vec(number, 1..400)
    }

    proptest! {
        #[test]
        fn quantiles_are_near(numbers in numbers(), q in 0.0..=1.0_f64) {
            let mut sorted = numbers.clone();
            sorted.sort_by(f64::total_cmp);
            for q in [0.0, 0.5, 1.0, q] {
                let truth = sorted[(q * (sorted.len() - 1) as f64) as usize];
                let found = sketch(&numbers).quantile(q).unwrap();
                prop_assert!(is_near(found, truth), "{} for {} at {}", found, truth, q);
            }
        }

        #[test]
        fn merging_equals_one_pass(parts in prop::collection::vec(any::<Vec<f64>>(), 0..6)) {
            let whole = state(&sketch(&parts.concat()));
            let states: Vec<Vec<u8>> = parts.iter().map(|part| state(&sketch(part))).collect();
            let (mut forwards, mut backwards) = (DdSketch::default(), DdSketch::default());
            states.iter().for_each(|state| forwards.merge(state).unwrap());
            states.iter().rev().for_each(|state| backwards.merge(state).unwrap());
            prop_assert_eq!(state(&forwards), whole.clone());
            prop_assert_eq!(state(&backwards), whole);
        }

        #[test]
        fn no_octets_make_it_panic(octets in any::<Vec<u8>>(), numbers in numbers(), place: u16, octet: u8) {
            let _ = DdSketch::default().merge(&octets);
            let mut damaged = state(&sketch(&numbers));
            let place = usize::from(place) % damaged.len();
            damaged[place] = octet;
            let mut merged = DdSketch::default();
            let _ = merged.merge(&damaged);
            let _ = merged.quantile(0.5);
            prop_assert!(DdSketch::default().merge(&damaged[..place]).is_err());
        }
    }

    #[test]
    fn small_integers_are_exact() {
        for number in 0..=256_u32 {
            let number = f64::from(number);
            assert_eq!(sketch(&[number]).quantile(0.5), Some(number));
            assert_eq!(sketch(&[-number]).quantile(0.5), Some(-number));
        }
    }

    #[test]
    fn what_is_not_finite_is_ignored() {
        assert_eq!(sketch(&[]).quantile(0.5), None);
        assert_eq!(sketch(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).quantile(0.5), None);
        assert_eq!(sketch(&[f64::NAN, 3.0, f64::INFINITY]).quantile(1.0), Some(3.0));
    }

    #[test]
    fn every_integer_of_64_bits_keeps_its_rank() {
        let powers: Vec<f64> = (0..64).map(|power| 2_f64.powi(power)).collect();
        let sketch = sketch(&powers);
        for (power, number) in powers.iter().enumerate() {
            assert_eq!(sketch.quantile(power as f64 / 63.0), Some(*number));
        }
    }

    #[test]
    fn damaged_states_are_errors() {
        let good = state(&sketch(&[1.0, 2.0]));
        let mut longer = good.clone();
        longer.push(0);
        let newer = [&[VERSION + 1], &good[1..]].concat();
        for state in
            [&longer[..], &newer, &[], &[VERSION], &[VERSION, 0, 1, 0, 1, 0], &[VERSION, 0, 0, 1, 0x80, 1, 0]]
        {
            assert!(DdSketch::default().merge(state).is_err(), "{state:?}");
        }
    }
}
