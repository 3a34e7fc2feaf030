//! A sketch of how many different keys there were (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier 2007).
//!
//! 16384 registers hold the highest rank of the hashes that fell to them: a standard error of 0.81 %.
//! Few registers are kept in a table of those in use, many in an array; both say the same, so the
//! estimate follows from the set of hashes alone. Sketches merge exactly, in any order.

use crate::sketch::Sketch;
use datafusion::common::{Result, exec_datafusion_err};

const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;
const RANK_MAX: u8 = (u64::BITS - INDEX_BITS + 1) as u8;
const RANK_BITS: u32 = 6;
const TABLE_SLOTS_MIN: usize = 8;
/// Slots of the largest table: half of what the array takes.
const TABLE_SLOTS_MAX: usize = 2048;

/// The first octet of a state that lists its registers, three octets each.
const VERSION_LIST: u8 = 1;
/// The first octet of a state that holds all registers, an octet each.
const VERSION_ARRAY: u8 = 2;
const LISTED_OCTETS: usize = 3;

/// The ranks of the registers in use.
#[derive(Clone, Debug)]
pub(crate) enum HyperLogLog {
    Table(Table),
    Array(Box<[u8; REGISTERS]>),
}

impl Default for HyperLogLog {
    fn default() -> Self {
        Self::Table(Table::default())
    }
}

impl Sketch for HyperLogLog {
    #[inline]
    fn heap_octets(&self) -> usize {
        match self {
            Self::Table(table) => table.slots.len() * size_of::<Register>(),
            Self::Array(_) => REGISTERS,
        }
    }
}

impl HyperLogLog {
    /// Counts the key of a hash.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        let index = (hash as usize) % REGISTERS;
        let rank = ((hash >> INDEX_BITS) | (1 << (u64::BITS - INDEX_BITS))).trailing_zeros() + 1;
        self.raise(Register::new(index, rank as u8));
    }

    #[inline]
    fn raise(&mut self, register: Register) {
        match self {
            Self::Array(ranks) => {
                let rank = &mut ranks[register.index()];
                *rank = register.rank().max(*rank);
            }
            Self::Table(table) => {
                if !table.raise(register) {
                    self.make_room();
                    self.raise(register);
                }
            }
        }
    }

    #[cold]
    fn make_room(&mut self) {
        if let Self::Table(table) = self {
            if table.slots.len() < TABLE_SLOTS_MAX {
                table.grow();
            } else {
                *self = Self::Array(self.ranks());
            }
        }
    }

    fn ranks(&self) -> Box<[u8; REGISTERS]> {
        let mut ranks = Box::new([0; REGISTERS]);
        self.registers().for_each(|register| ranks[register.index()] = register.rank());
        ranks
    }

    /// The registers in use, in no order.
    fn registers(&self) -> impl Iterator<Item = Register> + '_ {
        let (slots, ranks) = match self {
            Self::Table(table) => (&*table.slots, [].as_slice()),
            Self::Array(ranks) => ([].as_slice(), ranks.as_slice()),
        };
        let stored = ranks.iter().enumerate().filter(|(_, rank)| **rank > 0);
        let in_use = slots.iter().copied().filter(|slot| *slot != Register::UNUSED);
        in_use.chain(stored.map(|(index, rank)| Register::new(index, *rank)))
    }

    /// How many different hashes were added, rounded (Ertl 2017, arXiv 1702.01284, algorithm 6).
    pub(crate) fn estimate(&self) -> u64 {
        let mut of_rank = [0_u32; RANK_MAX as usize + 1];
        self.registers().for_each(|register| of_rank[usize::from(register.rank())] += 1);
        let registers = REGISTERS as f64;
        let unused = registers - f64::from(of_rank.iter().sum::<u32>());
        let [_, middle @ .., high] = of_rank.map(f64::from);
        let from_high = registers * tau(1.0 - high / registers);
        let denominator = middle.iter().rev().fold(from_high, |sum, count| 0.5 * (sum + count));
        let denominator = denominator + registers * sigma(unused / registers);
        (registers * registers / (2.0 * std::f64::consts::LN_2 * denominator)).round() as u64
    }

    /// Appends the state; equal sketches write equal octets.
    pub(crate) fn write(&self, state: &mut Vec<u8>) {
        let mut registers: Vec<Register> = self.registers().collect();
        if registers.len() * LISTED_OCTETS >= REGISTERS {
            state.push(VERSION_ARRAY);
            state.extend_from_slice(&*self.ranks());
            return;
        }
        registers.sort_unstable();
        state.push(VERSION_LIST);
        registers
            .iter()
            .for_each(|register| state.extend_from_slice(&register.0.to_le_bytes()[..LISTED_OCTETS]));
    }

    /// Adds what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When `state` is not such a state; part of it may have been added.
    pub(crate) fn merge(&mut self, state: &[u8]) -> Result<()> {
        let damaged =
            || exec_datafusion_err!("approx_distinct: a partial state of {} octets is damaged", state.len());
        let merged = match state.split_first() {
            Some((&VERSION_LIST, listed)) => self.merge_list(listed),
            Some((&VERSION_ARRAY, ranks)) => ranks.try_into().ok().and_then(|ranks| self.merge_array(ranks)),
            _ => None,
        };
        merged.ok_or_else(damaged)
    }

    fn merge_list(&mut self, listed: &[u8]) -> Option<()> {
        let (listed, []) = listed.as_chunks::<LISTED_OCTETS>() else { return None };
        for [a, b, c] in listed {
            let register = Register(u32::from_le_bytes([*a, *b, *c, 0]));
            self.raise(register.checked()?);
        }
        Some(())
    }

    fn merge_array(&mut self, ranks: &[u8; REGISTERS]) -> Option<()> {
        if ranks.iter().any(|rank| *rank > RANK_MAX) {
            return None;
        }
        let mut merged = match std::mem::take(self) {
            Self::Array(ranks) => ranks,
            table @ Self::Table(_) => table.ranks(),
        };
        merged.iter_mut().zip(ranks).for_each(|(held, rank)| *held = (*held).max(*rank));
        *self = Self::Array(merged);
        Some(())
    }
}

/// A register's index and rank in one word, index first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Register(u32);

impl Register {
    /// No register: ranks begin at 1.
    const UNUSED: Self = Self(0);

    const fn new(index: usize, rank: u8) -> Self {
        Self(((index as u32) << RANK_BITS) | rank as u32)
    }

    const fn index(self) -> usize {
        (self.0 >> RANK_BITS) as usize
    }

    const fn rank(self) -> u8 {
        (self.0 & ((1 << RANK_BITS) - 1)) as u8
    }

    /// The same, if there is such a register and rank.
    fn checked(self) -> Option<Self> {
        (self.index() < REGISTERS && (1..=RANK_MAX).contains(&self.rank())).then_some(self)
    }
}

/// Registers in use, found by their index; collisions follow each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// A power of two, or none.
    slots: Box<[Register]>,
    used: u32,
}

impl Table {
    /// Whether the register was found or had room: a quarter of the slots stays unused.
    #[inline]
    fn raise(&mut self, register: Register) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = register.index() & mask;
        while let Some(slot) = self.slots.get_mut(place) {
            if *slot == Register::UNUSED {
                return self.insert(place, register);
            }
            if slot.index() == register.index() {
                *slot = register.max(*slot);
                return true;
            }
            place = (place + 1) & mask;
        }
        false
    }

    fn insert(&mut self, place: usize, register: Register) -> bool {
        let has_room = (self.used as usize) < self.slots.len() / 4 * 3;
        if has_room {
            self.slots[place] = register;
            self.used += 1;
        }
        has_room
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(TABLE_SLOTS_MIN);
        let slots = vec![Register::UNUSED; length].into_boxed_slice();
        let old = std::mem::replace(self, Self { slots, used: 0 });
        for register in old.slots.iter().filter(|slot| **slot != Register::UNUSED) {
            self.raise(*register);
        }
    }
}

/// Ertl's σ: the share of the registers that are unused.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * power;
        power += power;
        if sum == before {
            return sum;
        }
    }
}

/// Ertl's τ: the share of the registers that hold less than the highest rank.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut power, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        power *= 0.5;
        sum -= (1.0 - x).powi(2) * power;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::StableHash;
    use proptest::prelude::*;

    fn sketch(keys: impl IntoIterator<Item = u128>) -> HyperLogLog {
        let mut sketch = HyperLogLog::default();
        keys.into_iter().for_each(|key| sketch.add(key.stable_hash(0)));
        sketch
    }

    fn state(sketch: &HyperLogLog) -> Vec<u8> {
        let mut state = Vec::new();
        sketch.write(&mut state);
        state
    }

    #[test]
    fn estimates_are_within_four_standard_errors() {
        let starts = [0, 0xffff_0a00_0000, 0x2001_0db8 << 96];
        for start in starts {
            for count in [0_u64, 1, 2, 10, 100, 1_000, 3_000, 10_000, 100_000, 1_000_000] {
                let found = sketch((0..count).map(|number| start + u128::from(number))).estimate();
                let allowed = (4.0 * 0.0081 * count as f64).max(1.0);
                assert!(found.abs_diff(count) as f64 <= allowed, "{found} for {count} from {start:x}");
            }
        }
    }

    #[test]
    fn table_and_array_say_the_same() {
        let table = sketch(0..1_000);
        let array = HyperLogLog::Array(table.ranks());
        assert!(matches!(table, HyperLogLog::Table(_)));
        assert_eq!(table.estimate(), array.estimate());
        assert_eq!(state(&table), state(&array));
    }

    #[test]
    fn few_keys_take_little_room() {
        assert_eq!(sketch([]).heap_octets(), 0);
        assert_eq!(sketch(0..6).heap_octets(), 32);
        assert!(sketch(0..1_000).heap_octets() <= 8_192);
        assert_eq!(sketch(0..2_000).heap_octets(), REGISTERS);
        assert_eq!(state(&sketch(0..6)).len(), 1 + 6 * 3);
    }

    proptest! {
        #[test]
        fn merging_equals_one_pass(parts in prop::collection::vec((0..20_000_u128, prop_oneof![0..3_000_u128, 0..15_000_u128]), 0..5)) {
            let keys = |part: &(u128, u128)| part.0..part.0 + part.1;
            let whole = state(&sketch(parts.iter().flat_map(keys)));
            let states: Vec<Vec<u8>> = parts.iter().map(|part| state(&sketch(keys(part)))).collect();
            let (mut forwards, mut backwards) = (HyperLogLog::default(), HyperLogLog::default());
            states.iter().for_each(|state| forwards.merge(state).unwrap());
            states.iter().rev().for_each(|state| backwards.merge(state).unwrap());
            prop_assert_eq!(state(&forwards), whole.clone());
            prop_assert_eq!(state(&backwards), whole);
        }

        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>, count in 0..6_000_u128, place: u16, octet: u8) {
            let _ = HyperLogLog::default().merge(&octets);
            let mut damaged = state(&sketch(0..count));
            let place = usize::from(place) % damaged.len();
            damaged[place] = octet;
            let mut merged = HyperLogLog::default();
            let _ = merged.merge(&damaged);
            let _ = merged.estimate();
        }
    }

    #[test]
    fn damaged_states_are_errors() {
        let no_rank = Register::new(5, 0).0.to_le_bytes();
        let no_register = Register::new(REGISTERS, 1).0.to_le_bytes();
        let mut high_rank = vec![VERSION_ARRAY; REGISTERS + 1];
        high_rank[9] = RANK_MAX + 1;
        let listed = |register: [u8; 4]| [&[VERSION_LIST], &register[..3]].concat();
        for state in [vec![], vec![3], vec![VERSION_LIST, 1], listed(no_rank), listed(no_register), high_rank]
        {
            assert!(HyperLogLog::default().merge(&state).is_err());
        }
        assert!(HyperLogLog::default().merge(&[VERSION_ARRAY; REGISTERS]).is_err());
    }
}
