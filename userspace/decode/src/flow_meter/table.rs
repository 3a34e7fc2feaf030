//! The flows that are being metered, by key.
//!
//! Takes keys and entries, gives node numbers that stay the same for an entry's life. Numbers are
//! given out in an order that does not depend on the hash, so nothing outside can see the seed.

use super::entry::{FlowEntry, NOWHERE};
use crate::folding::{folded, seed};
use std::hint::black_box;
use std::ops::{Index, IndexMut};
use tapline_record::FlowKey;
use tapline_record::address::Address;

/// Packets whose flows are looked up together: more than a processor has cache misses under way.
pub(super) const LOOKAHEAD_PACKETS: usize = 32;

/// Number of an entry.
pub(super) type Node = u32;

/// Linear probing over small slots; the entries stand in a vector of their own and never move.
#[derive(Debug)]
pub(super) struct FlowTable {
    entries: Vec<FlowEntry>,
    free: Vec<Node>,
    /// A power of two of them, at most half taken.
    slots: Vec<Slot>,
    seed: [u64; 4],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    node: Node,
}

const EMPTY: Slot = Slot { hash: 0, node: Node::MAX };
const SLOTS_MIN: usize = 1024;

impl FlowTable {
    /// An empty table.
    pub(super) fn new() -> Self {
        Self { entries: vec![], free: vec![], slots: vec![EMPTY; SLOTS_MIN], seed: seed() }
    }

    /// Entries in the table.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The hash that the other methods ask for.
    #[inline]
    pub(super) fn hash(&self, key: &FlowKey) -> u32 {
        let [s0, s1, s2, s3] = self.seed;
        let (src_low, src_high) = halves(key.src_ip);
        let (dst_low, dst_high) = halves(key.dst_ip);
        let ports = u64::from(key.src_port) | u64::from(key.dst_port) << 16 | u64::from(key.vlan) << 32;
        let ports = ports | u64::from(key.ip_version) << 48;
        let kind = u64::from(key.protocol) | u64::from(key.icmp_type) << 8 | u64::from(key.icmp_code) << 16;
        let kind = kind | u64::from(key.carried) << 32;
        let src = folded(src_low ^ s0, src_high ^ s1);
        let dst = folded(dst_low ^ s2, dst_high ^ s3);
        let mixed = folded(src ^ ports ^ s2, dst ^ kind ^ s0);
        (folded(mixed ^ s1, s3) >> 32) as u32
    }

    /// The entry with this key.
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &FlowKey) -> Option<Node> {
        let mask = self.slots.len() - 1;
        let mut position = hash as usize & mask;
        loop {
            let slot = self.slots[position];
            if slot.node == EMPTY.node {
                return None;
            }
            if slot.hash == hash && self[slot.node].key() == key {
                return Some(slot.node);
            }
            position = (position + 1) & mask;
        }
    }

    /// Brings the entries that these hashes probably stand for into the processor's cache.
    ///
    /// Two rounds of loads that do not wait for each other; the sum keeps them from being left out.
    #[inline]
    pub(super) fn warm(&self, hashes: &[u32]) {
        let mask = self.slots.len() - 1;
        let mut nodes = [0; LOOKAHEAD_PACKETS];
        for (node, &hash) in nodes.iter_mut().zip(hashes) {
            *node = self.slots[hash as usize & mask].node;
        }
        let touched = nodes.iter().filter_map(|&node| self.entries.get(node as usize));
        black_box(touched.fold(0, |sum, entry| sum ^ entry.touch()));
    }

    /// Adds an entry whose key the table does not have.
    pub(super) fn insert(&mut self, hash: u32, entry: FlowEntry) -> Node {
        let node = self.free.pop().unwrap_or_else(|| {
            self.entries.push(entry);
            Node::try_from(self.entries.len() - 1).expect("invariant: flows_max fits in 30 bits")
        });
        self[node] = entry;
        if 2 * self.len() > self.slots.len() {
            self.grow();
        }
        self.place(Slot { hash, node });
        node
    }

    /// Takes an entry out; its number may be given to another one.
    pub(super) fn remove(&mut self, node: Node) -> FlowEntry {
        let entry = self[node];
        let mask = self.slots.len() - 1;
        let mut hole = self.hash(entry.key()) as usize & mask;
        while self.slots[hole].node != node {
            hole = (hole + 1) & mask;
        }
        self.close_gap(hole);
        self[node].scheduled = NOWHERE;
        self.free.push(node);
        entry
    }

    /// The entries at so many places from one on, and whether there are places behind them.
    pub(super) fn part(
        &self,
        from: usize,
        places: usize,
    ) -> (impl Iterator<Item = (Node, &FlowEntry)>, bool) {
        let end = from.saturating_add(places).min(self.entries.len());
        let part = self.entries.get(from..end).unwrap_or_default();
        let numbered = (from as Node..).zip(part).filter(|(_, entry)| entry.scheduled != NOWHERE);
        (numbered, end < self.entries.len())
    }

    /// Moves later slots of a probe sequence up, so that no search ends at the hole.
    fn close_gap(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut position = (hole + 1) & mask;
        while self.slots[position].node != EMPTY.node {
            let home = self.slots[position].hash as usize;
            if position.wrapping_sub(home) & mask >= position.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[position];
                hole = position;
            }
            position = (position + 1) & mask;
        }
        self.slots[hole] = EMPTY;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut position = slot.hash as usize & mask;
        while self.slots[position].node != EMPTY.node {
            position = (position + 1) & mask;
        }
        self.slots[position] = slot;
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; 2 * self.slots.len()];
        let slots = std::mem::replace(&mut self.slots, larger);
        for slot in slots.into_iter().filter(|slot| slot.node != EMPTY.node) {
            self.place(slot);
        }
    }
}

impl Index<Node> for FlowTable {
    type Output = FlowEntry;

    #[inline]
    fn index(&self, node: Node) -> &FlowEntry {
        &self.entries[node as usize]
    }
}

impl IndexMut<Node> for FlowTable {
    #[inline]
    fn index_mut(&mut self, node: Node) -> &mut FlowEntry {
        &mut self.entries[node as usize]
    }
}

#[inline]
fn halves(address: Address) -> (u64, u64) {
    let bits = u128::from_ne_bytes(address);
    (bits as u64, (bits >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::super::entry::Timeouts;
    use super::super::update::FlowUpdate;
    use super::*;
    use std::collections::HashMap;
    use tapline_record::address::mapped_v4;

    fn entry(port: u16) -> FlowEntry {
        entry_with(FlowKey { src_port: port, ..FlowKey::default() })
    }

    fn entry_of(source: [u8; 4]) -> FlowEntry {
        entry_with(FlowKey { src_ip: mapped_v4(source), ..FlowKey::default() })
    }

    fn entry_with(key: FlowKey) -> FlowEntry {
        let timeouts = Timeouts { active: 1, inactive: 1, linger: 1, borders: 1 };
        FlowEntry::new(&FlowUpdate { key, ..FlowUpdate::default() }, &timeouts)
    }

    #[test]
    fn every_key_is_found_until_it_is_removed() {
        let mut table = FlowTable::new();
        let mut expected = HashMap::new();
        for round in 0..20_000_u32 {
            let port = (round.wrapping_mul(0x9e37_79b1) >> 19) as u16;
            let new = entry(port);
            let hash = table.hash(new.key());
            let found = table.find(hash, new.key());
            assert_eq!(found, expected.get(&port).copied(), "port {port} in round {round}");
            if let Some(node) = found {
                assert_eq!(table.remove(node).key(), new.key());
                expected.remove(&port);
            } else {
                expected.insert(port, table.insert(hash, new));
            }
            assert_eq!(table.len(), expected.len());
        }
        assert!(table.slots.len() > SLOTS_MIN, "the table grew");
    }

    /// Among so many keys some ten pairs share their hash.
    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let mut table = FlowTable::new();
        let entries: Vec<FlowEntry> =
            (0..300_000).map(|number: u32| entry_of(number.to_be_bytes())).collect();
        for entry in &entries {
            table.insert(table.hash(entry.key()), *entry);
        }
        for (node, entry) in entries.iter().enumerate() {
            let found = table.find(table.hash(entry.key()), entry.key());
            assert_eq!(found.map(|node| node as usize), Some(node));
        }
    }

    #[test]
    fn a_part_has_what_was_not_removed() {
        let mut table = FlowTable::new();
        for port in 0..5 {
            table.insert(table.hash(entry(port).key()), entry(port));
        }
        table.remove(1);
        let part = |from, places| {
            let (part, has_more) = table.part(from, places);
            (part.map(|(node, _)| node).collect::<Vec<_>>(), has_more)
        };
        assert_eq!(part(0, 3), (vec![0, 2], true));
        assert_eq!(part(3, 3), (vec![3, 4], false));
        assert_eq!(part(9, 3), (vec![], false));
    }

    #[test]
    fn numbers_are_used_again() {
        let mut table = FlowTable::new();
        for _ in 0..100 {
            let node = table.insert(table.hash(entry(7).key()), entry(7));
            assert_eq!(node, 0);
            table.remove(node);
        }
    }

    #[test]
    fn similar_keys_spread() {
        let table = FlowTable::new();
        let hashes = (0..=u16::MAX).map(|port| table.hash(entry(port).key()) >> 16);
        let distinct = hashes.collect::<std::collections::HashSet<_>>().len();
        assert!((39_000..44_000).contains(&distinct), "{distinct} of 65536 buckets, 63 % expected");
    }
}
