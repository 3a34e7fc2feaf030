//! What goes wrong in a world, and what changes.

use super::{END, Peer, SenderId, World, tell};
use crate::message::Hello;
use crate::names::{Fingerprint, HalfId, Incarnation, Lineage, Position, SensorName, Span};
use crate::record::{Head, Kind, PartHead, Told};
use crate::simulation::truth::{WIDTH, name};

impl World {
    /// A query comes, comes to a sensor, or goes.
    pub(super) fn change_queries(&mut self) {
        match self.random.below(4) {
            // One that comes back is another one.
            0 if self.halves.len() < 3 => self.add_half(HalfId(self.now as u64)),
            1 if self.halves.len() > 1 => {
                let half = self.halves.remove(1);
                tell!(self, "drop {half:?}");
                for node in &mut self.nodes {
                    node.halves.remove(&half);
                    node.dropped.push(half);
                    node.processes.values_mut().for_each(|process| process.aggregator.drop_half(half));
                }
            }
            _ => {
                let (leaf, half) =
                    (self.random.below(self.leaves.len()), self.random.below(self.halves.len()));
                let half = self.halves[half];
                if self.leaves[leaf].is_up && !self.leaves[leaf].halves.contains_key(&half) {
                    self.tell_leaf(leaf, half);
                }
            }
        }
    }

    /// Somebody sends whatever comes to his mind, under a name of his own, or tries to under another one.
    pub(super) fn harass(&mut self) {
        let random = &mut self.random;
        let node = random.below(self.nodes.len());
        let now = self.now;
        let Some(process) = self.nodes[node].processes.values_mut().next() else { return };
        let moment = process.moment(now);
        let (own, other) = (SensorName::new("hostile"), name(0));
        let hello = |name: &SensorName, incarnation| Hello {
            name: name.clone(),
            lineage: Lineage(5),
            incarnation,
            kept_after: Position::START,
            gaps: vec![],
            leaves: None,
        };
        let position = Position {
            incarnation: Incarnation(random.below(3) as u64),
            number: random.bits() >> random.below(64),
        };
        assert!(process.aggregator.hello(&own, &hello(&other, Incarnation(u64::MAX)), moment).is_err());
        let _ = process.aggregator.hello(&own, &hello(&own, position.incarnation), moment);
        let start = random.within(-2, END / WIDTH + 100) * WIDTH + i64::from(random.permille(100));
        let part = PartHead {
            half: HalfId(random.below(4) as u64),
            fingerprint: Fingerprint(random.below(3) as u64),
            pane: Span { start, end: start + WIDTH },
            watermark: random.bits() as i64,
            records: random.bits() >> random.below(64),
            told: Told::default(),
            behind: vec![],
        };
        let after =
            Position { number: position.number.saturating_sub(1 + random.below(3) as u64), ..position };
        let head = Head { position, after, ends_cut: true, kind: Kind::Part(part) };
        let _ = process.aggregator.receive(&own, position.incarnation, (&head, b"noise"), moment);
        // Under another one's name nothing is taken without the life that was greeted.
        let _ = process.aggregator.receive(&other, Incarnation(u64::MAX), (&head, b"noise"), moment);
    }

    pub(super) fn go_wrong(&mut self) {
        for leaf in 0..self.leaves.len() {
            let is_up = self.leaves[leaf].is_up;
            if is_up && self.random.permille(self.plan.leaf_crashes) {
                self.crash_leaf(leaf);
            }
            let is_full = self.leaves[leaf].disk.is_full;
            if self.random.permille(if is_full { 100 } else { self.plan.full_disks }) {
                self.leaves[leaf].disk.is_full = !is_full;
            }
        }
        for node in 0..self.nodes.len() {
            if self.random.permille(self.plan.node_crashes) {
                self.crash_node(node);
            }
            let is_full = self.nodes[node].store.is_full;
            if self.random.permille(if is_full { 100 } else { self.plan.full_disks }) {
                self.nodes[node].store.is_full = !is_full;
            }
            // Where one hangs, somebody starts another one.
            let often = if self.nodes[node].hangs(self.now) { 8 } else { 1 };
            let takes_over = self.random.permille(self.plan.takeovers * often);
            if takes_over && self.nodes[node].processes.len() == 1 {
                self.start_process(node);
            }
        }
        let senders: Vec<_> = self.peers.keys().copied().collect();
        for sender in senders {
            if self.random.permille(self.plan.cuts) {
                let until = self.now + self.random.within(5, 60);
                tell!(self, "{sender:?} is cut off until {until}");
                self.peers.entry(sender).or_default().cut_until = until;
            }
        }
    }

    fn crash_leaf(&mut self, number: usize) {
        let is_power_cut = self.random.permille(self.plan.power_cuts);
        let leaf = &mut self.leaves[number];
        leaf.crash(is_power_cut, &mut self.random);
        tell!(self, "leaf {number} crashes, power cut: {is_power_cut}");
        if self.random.permille(self.plan.wipes) {
            tell!(self, "and loses its disk");
            leaf.wipe();
            self.truth.wipe(number);
        }
        let peer = self.peers.entry(SenderId::Leaf(number)).or_default();
        *peer = Peer { life: peer.life + 1, cut_until: peer.cut_until, ..Peer::default() };
    }

    fn crash_node(&mut self, node: usize) {
        let is_power_cut = self.random.permille(self.plan.power_cuts);
        tell!(self, "node {node} crashes, power cut: {is_power_cut}");
        if is_power_cut {
            return self.nodes[node].power_cut(&mut self.random);
        }
        self.nodes[node].kill_one(&mut self.random);
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        tell!(self, "all is well from here on");
        self.leaves.iter_mut().for_each(|leaf| leaf.disk.is_full = false);
        self.leaves.iter_mut().for_each(|leaf| leaf.fingerprint = Fingerprint(1));
        self.nodes.iter_mut().for_each(|node| node.store.is_full = false);
        self.peers.values_mut().for_each(|peer| peer.cut_until = 0);
        for leaf in 0..self.leaves.len() {
            for half in self.halves.clone() {
                if !self.leaves[leaf].halves.contains_key(&half) {
                    self.tell_leaf(leaf, half);
                }
            }
        }
    }

    /// One process of each aggregator is left.
    pub(super) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            while self.now == END + 20 && self.nodes[node].processes.len() > 1 {
                self.nodes[node].processes.pop_first();
            }
            if !self.nodes[node].is_alive() {
                self.start_process(node);
            }
        }
    }
}
