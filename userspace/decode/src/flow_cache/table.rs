//! The flows of one family that are being counted, by key.
//!
//! Takes bursts of packets, gives flows in the order of their first packets. Linear probing over small slots: the
//! entries stand in a vector of their own.

use super::key::{KeyLayout, WORDS_MAX};
use crate::folding::{folded, seed};
use std::hint::black_box;
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::{PacketColumn, PacketFlowColumn, PacketFlowRow, PacketRow};

/// A slot is the number of an entry, from 1 on, below the first bits of its hash.
const NUMBER_BITS: u32 = 20;
const NUMBERS: u32 = (1 << NUMBER_BITS) - 1;
const SLOTS_MIN: usize = 1024;

/// Flows that one table may have: more than that are looked up in memory that no cache holds.
pub(super) const FLOWS_MAX: usize = 1 << 18;
const _: () = assert!(FLOWS_MAX <= NUMBERS as usize, "each of them has a number");

/// A table whose keys have some number of words.
pub(super) trait Table: std::fmt::Debug + Send {
    /// Counts packets of a burst; there must be room for as many flows.
    fn count(&mut self, packets: &[&PacketRow], source: Symbol);

    /// How many flows there are.
    fn len(&self) -> usize;

    /// Gives all flows, some at a time, and forgets them.
    fn drain(&mut self, give: &mut dyn FnMut(&[PacketFlowRow]));
}

/// An empty table for these keys.
pub(super) fn of_layout(layout: KeyLayout) -> Box<dyn Table> {
    match layout.words() {
        0 | 1 => Box::new(WordTable::<1>::new(layout)),
        2 => Box::new(WordTable::<2>::new(layout)),
        3 => Box::new(WordTable::<3>::new(layout)),
        4 => Box::new(WordTable::<4>::new(layout)),
        5 | 6 => Box::new(WordTable::<6>::new(layout)),
        _ => Box::new(WordTable::<WORDS_MAX>::new(layout)),
    }
}

#[derive(Debug)]
struct WordTable<const WORDS: usize> {
    layout: KeyLayout,
    entries: Vec<Entry<WORDS>>,
    /// A power of two of them, at most half taken.
    slots: Vec<u32>,
    seed: [u64; 3],
}

/// The packets of one key so far: one cache line, or two of long keys.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Entry<const WORDS: usize> {
    key: [u64; WORDS],
    first: i64,
    last: i64,
    packets: u64,
    octets: u64,
    frame_octets: u64,
}

impl<const WORDS: usize> Entry<WORDS> {
    const fn new(key: [u64; WORDS]) -> Self {
        Self { key, first: i64::MAX, last: i64::MIN, packets: 0, octets: 0, frame_octets: 0 }
    }

    #[inline]
    fn add(&mut self, packet: &PacketRow) {
        self.first = self.first.min(packet.ts);
        self.last = self.last.max(packet.ts);
        self.packets += 1;
        self.octets += if packet.has(PacketColumn::Octets) { packet.octets } else { 0 };
        self.frame_octets += packet.frame_octets;
    }

    /// All but the key.
    fn row(&self) -> PacketFlowRow {
        const OWN: u64 = PacketFlowColumn::Ts.bit()
            | PacketFlowColumn::FrameOctets.bit()
            | PacketFlowColumn::LastTs.bit()
            | PacketFlowColumn::Packets.bit();
        PacketFlowRow {
            present: OWN,
            ts: self.first,
            octets: self.octets,
            frame_octets: self.frame_octets,
            last_ts: self.last,
            packets: self.packets,
            ..PacketFlowRow::default()
        }
    }
}

impl<const WORDS: usize> WordTable<WORDS> {
    fn new(layout: KeyLayout) -> Self {
        Self { layout, entries: vec![], slots: vec![0; SLOTS_MIN], seed: seed() }
    }

    #[inline]
    fn hash(&self, key: &[u64; WORDS]) -> u64 {
        let [first, second, last] = self.seed;
        let mix = |hash: u64, pair: &[u64]| {
            let other = pair.get(1).copied().unwrap_or_default();
            folded(hash ^ pair[0], second ^ other)
        };
        folded(key.chunks(2).fold(first, mix), last)
    }

    /// Finds the entries that these hashes probably stand for, and brings them into the processor's cache: two rounds
    /// of loads that do not wait for each other. The sum keeps them from being left out.
    #[inline]
    fn find(&self, hashes: &[u64]) -> [u32; BURST_ROWS] {
        let mask = self.slots.len() - 1;
        let mut numbers = [0; BURST_ROWS];
        for (number, &hash) in numbers.iter_mut().zip(hashes) {
            let tag = tag_of(hash);
            let mut position = hash as usize & mask;
            while self.slots[position] != 0 && self.slots[position] & !NUMBERS != tag {
                position = (position + 1) & mask;
            }
            *number = self.slots[position] & NUMBERS;
        }
        let found = numbers.iter().filter_map(|&number| self.entries.get(number.wrapping_sub(1) as usize));
        black_box(found.fold(0, |sum, entry| sum ^ entry.key[0] ^ entry.frame_octets));
        numbers
    }

    /// The entry of a key, which probably has this number; it is added if it is new.
    #[inline]
    fn entry(&mut self, number: u32, hash: u64, key: &[u64; WORDS]) -> &mut Entry<WORDS> {
        let number = number.wrapping_sub(1) as usize;
        if self.entries.get(number).is_some_and(|entry| entry.key == *key) {
            return &mut self.entries[number];
        }
        self.find_or_add(hash, key)
    }

    fn find_or_add(&mut self, hash: u64, key: &[u64; WORDS]) -> &mut Entry<WORDS> {
        let mask = self.slots.len() - 1;
        let tag = tag_of(hash);
        let mut position = hash as usize & mask;
        loop {
            let slot = self.slots[position];
            if slot == 0 {
                break;
            }
            let number = (slot & NUMBERS) as usize - 1;
            if slot & !NUMBERS == tag && self.entries[number].key == *key {
                return &mut self.entries[number];
            }
            position = (position + 1) & mask;
        }
        self.add(tag, position, *key)
    }

    /// Adds an entry at this free slot.
    fn add(&mut self, tag: u32, position: usize, key: [u64; WORDS]) -> &mut Entry<WORDS> {
        let number = self.entries.len();
        self.entries.push(Entry::new(key));
        self.slots[position] = tag | (number as u32 + 1);
        if 2 * self.entries.len() > self.slots.len() {
            self.grow();
        }
        &mut self.entries[number]
    }

    fn grow(&mut self) {
        let slots = 2 * self.slots.len();
        self.slots.clear();
        self.slots.resize(slots, 0);
        for number in 0..self.entries.len() {
            let hash = self.hash(&self.entries[number].key);
            let mut position = hash as usize & (slots - 1);
            while self.slots[position] != 0 {
                position = (position + 1) & (slots - 1);
            }
            self.slots[position] = tag_of(hash) | (number as u32 + 1);
        }
    }

    /// Forgets all entries; as many slots stay as that many entries need again.
    fn clear(&mut self) {
        let slots = (4 * self.entries.len()).next_power_of_two().clamp(SLOTS_MIN, self.slots.len());
        self.entries.clear();
        self.slots.clear();
        self.slots.resize(slots, 0);
    }
}

/// The part of a hash that stands in its slot.
#[inline]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 & !NUMBERS
}

impl<const WORDS: usize> Table for WordTable<WORDS> {
    fn count(&mut self, packets: &[&PacketRow], source: Symbol) {
        for packets in packets.chunks(BURST_ROWS) {
            let mut keys = [[0; WORDS]; BURST_ROWS];
            let mut hashes = [0; BURST_ROWS];
            let keys = &mut keys[..packets.len()];
            self.layout.fill(packets, source, keys);
            for (hash, key) in hashes.iter_mut().zip(&*keys) {
                *hash = self.hash(key);
            }
            let numbers = self.find(&hashes[..packets.len()]);
            for (((packet, key), hash), number) in packets.iter().zip(&*keys).zip(hashes).zip(numbers) {
                self.entry(number, hash, key).add(packet);
            }
        }
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn drain(&mut self, give: &mut dyn FnMut(&[PacketFlowRow])) {
        for entries in self.entries.chunks(BURST_ROWS) {
            let mut rows = [PacketFlowRow::default(); BURST_ROWS];
            let mut keys = [[0; WORDS]; BURST_ROWS];
            for ((row, key), entry) in rows.iter_mut().zip(&mut keys).zip(entries) {
                (*row, *key) = (entry.row(), entry.key);
            }
            let rows = &mut rows[..entries.len()];
            self.layout.read(&keys[..entries.len()], rows);
            give(rows);
        }
        self.clear();
    }
}
