//! Which range an address lies in, in a few steps.
//!
//! The leading bits of an address choose an entry, then each octet one of a node, until few boundaries are left, which
//! are looked at one after the other. A node has an entry for each slot in which something else holds than in the one
//! before: a row, a node below it, or the first of the ranges to look at.

use crate::ranges::{Address, Ranges};

/// Entries and rows are numbers of 30 bits; above them stands what an entry is.
const TAG_SHIFT: u32 = 30;
const NUMBER: u32 = (1 << TAG_SHIFT) - 1;
const IS_ROW: u32 = 0;
const IS_NODE: u32 = 1;
const IS_BUCKET: u32 = 2;

/// The row where nothing is found.
pub(crate) const NOTHING: u32 = NUMBER;

/// Rows, and ranges, of one table.
pub(crate) const ROWS_MAX: usize = NUMBER as usize / 2;

/// Leading bits that choose the first entry, of sets that are worth a table of so many.
const ROOT_BITS: u32 = 16;
const ROOTED_RANGES_MIN: usize = 4096;

/// Boundaries that are looked at one after the other: as many where a node would part them, so many where it would not.
const BUCKET_RANGES: usize = 6;
const BUCKET_RANGES_MAX: usize = 48;

const SLOTS: usize = 256;
const SLOT_BITS: u32 = 8;

/// Ranges that are found by address.
#[derive(Clone, Debug)]
pub(crate) struct Radix<A> {
    ranges: Ranges<A>,
    root_shift: u32,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    entries: Vec<u32>,
}

/// A cache line of a node.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Node {
    /// The slots that have an entry of their own; the first one always has.
    own: [u64; 4],
    /// How many of those stand before each of the four words.
    before: [u16; 4],
    /// Where the entries of the node begin.
    base: u32,
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    /// Where in the entries a slot's stands.
    #[inline]
    fn place(&self, slot: u8) -> usize {
        let word = usize::from(slot >> 6);
        let up_to = self.own[word] & (u64::MAX >> (63 - (slot & 63)));
        self.base as usize + usize::from(self.before[word]) + up_to.count_ones() as usize - 1
    }
}

impl<A: Address> Radix<A> {
    pub(crate) fn new(ranges: Ranges<A>) -> Self {
        let root_bits = if ranges.starts.len() < ROOTED_RANGES_MIN { 0 } else { ROOT_BITS };
        let root_shift = A::BITS - root_bits;
        let mut radix = Self { ranges, root_shift, roots: vec![], nodes: vec![], entries: vec![] };
        let end = radix.ranges.starts.len();
        radix.roots = radix.slots(A::ZERO, 0..end, root_shift, 1 << root_bits);
        radix.nodes.shrink_to_fit();
        radix.entries.shrink_to_fit();
        radix
    }

    /// The row of the range around an address, or [`NOTHING`].
    #[inline]
    pub(crate) fn find(&self, address: A) -> u32 {
        let mut shift = self.root_shift;
        let mut entry = self.roots[address.above(shift)];
        while entry >> TAG_SHIFT == IS_NODE {
            shift -= SLOT_BITS;
            let node = &self.nodes[(entry & NUMBER) as usize];
            entry = self.entries[node.place(address.octet(shift))];
        }
        if entry >> TAG_SHIFT == IS_ROW { entry } else { self.scan(address, (entry & NUMBER) as usize) }
    }

    /// The row of the range around an address, which begins at `first` or a few behind.
    #[inline]
    fn scan(&self, address: A, first: usize) -> u32 {
        let behind = self.ranges.starts[first + 1..].iter().take_while(|start| **start <= address).count();
        self.ranges.rows[first + behind]
    }

    /// The entries of `count` slots of `1 << shift` addresses each, from `base` on; `ranges` are those that reach into
    /// them.
    fn slots(&mut self, base: A, ranges: std::ops::Range<usize>, shift: u32, count: usize) -> Vec<u32> {
        let mut end = ranges.start + 1;
        let mut entries = Vec::with_capacity(count);
        for slot in 0..count as u128 {
            let first = base.with(slot, shift);
            let is_last = slot + 1 == count as u128;
            // A range that begins with the slot reaches into no other before it.
            let begins_here = end < ranges.end && self.ranges.starts[end] == first;
            let start = if begins_here { end } else { end - 1 };
            end = if is_last {
                ranges.end
            } else {
                let next = base.with(slot + 1, shift);
                let rest = &self.ranges.starts[end..ranges.end];
                end + rest.iter().take_while(|start| **start < next).count()
            };
            entries.push(self.entry(first, start..end, shift));
        }
        entries
    }

    /// What holds in `1 << shift` addresses from `base` on.
    fn entry(&mut self, base: A, ranges: std::ops::Range<usize>, shift: u32) -> u32 {
        if ranges.len() == 1 {
            return self.ranges.rows[ranges.start];
        }
        if ranges.len() <= BUCKET_RANGES
            || (ranges.len() <= BUCKET_RANGES_MAX && self.stay_together(&ranges, shift))
        {
            return IS_BUCKET << TAG_SHIFT | ranges.start as u32;
        }
        let below = self.slots(base, ranges, shift - SLOT_BITS, SLOTS);
        let mut node = Node { own: [0; 4], before: [0; 4], base: self.entries.len() as u32 };
        let mut last = None;
        for (slot, entry) in below.into_iter().enumerate() {
            if slot % 64 == 0 {
                node.before[slot / 64] = (self.entries.len() - node.base as usize) as u16;
            }
            if last.replace(entry) != Some(entry) {
                node.own[slot / 64] |= 1 << (slot % 64);
                self.entries.push(entry);
            }
        }
        self.nodes.push(node);
        IS_NODE << TAG_SHIFT | (self.nodes.len() - 1) as u32
    }

    /// Whether most of the boundaries would be in one slot of a node again.
    fn stay_together(&self, ranges: &std::ops::Range<usize>, shift: u32) -> bool {
        let slot = |place: usize| self.ranges.starts[place].octet(shift - SLOT_BITS);
        let middle = slot((ranges.start + ranges.end) / 2);
        let alike = (ranges.start + 1..ranges.end).filter(|place| slot(*place) == middle).count();
        alike > ranges.len() / 2
    }
}
