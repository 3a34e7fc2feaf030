//! Sources, sensors, links, aggregators, and what goes wrong with them, tick by tick.

mod faults;

use super::ids::Ids;
use super::leaf::{DISORDER, Leaf};
use super::node::Node;
use super::plan::{Plan, node_name};
use super::random::Random;
use super::truth::{Truth, WIDTH, pane_of};
use crate::half::HalfSpec;
use crate::message::{Covered, Hello, Refusal, Verdict};
use crate::names::{Fingerprint, HalfId, Incarnation, Position, SensorName};
use crate::outgoing::{Fenced, Outgoing};
use crate::record::{Head, Kind, PartHead};
use std::collections::BTreeMap;

/// Until when sources send, and things go wrong.
const END: i64 = 160;
/// When each source sends a last record.
const LAST: i64 = END + 3 * WIDTH;
/// When all must have come to rest.
const REST: i64 = 4000;
/// Steps of writing a checkpoint that a process does in a tick, at most.
const WRITE_STEPS_MAX: usize = 2;

/// A leaf by its place, or a process of an aggregator by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SenderId {
    Leaf(usize),
    Process(u64),
}

#[derive(Clone, Debug)]
enum Message {
    Hello(Hello),
    Alive(Incarnation),
    Record(Incarnation, Head, Vec<u8>),
    Covered(Covered, bool),
    Refused(Refusal),
}

/// A message on its way, up to a process, or down to a life of a sender.
#[derive(Clone, Debug)]
struct Letter {
    sender: SenderId,
    life: u64,
    process: u64,
    is_up: bool,
    message: Message,
}

/// What a sender knows of its link.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    life: u64,
    process: Option<u64>,
    is_greeted: bool,
    tried: i64,
    progress: i64,
    /// Nothing passes before then.
    cut_until: i64,
}

pub(super) struct World {
    pub(super) random: Random,
    plan: Plan,
    now: i64,
    pub(super) truth: Truth,
    leaves: Vec<Leaf>,
    nodes: Vec<Node>,
    /// To which aggregator each leaf belongs.
    homes: Vec<usize>,
    peers: BTreeMap<SenderId, Peer>,
    letters: BTreeMap<(i64, u64), Letter>,
    numbered: u64,
    halves: Vec<HalfId>,
    /// What happened, where somebody wants to know.
    pub(super) trace: Option<Vec<String>>,
}

macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            trace.push(format!("{:4} {}", $world.now, format!($($what)*)));
        }
    };
}

use tell;

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = Random(seed);
        let plan = Plan::new(&mut random);
        let leaves =
            (0..plan.leaves).map(|number| Leaf::new(number, plan.leaf_limits, &mut random)).collect();
        let node = |(number, parent): (usize, &Option<usize>)| {
            let options = plan.options(number, &mut random);
            Node::new(node_name(number), *parent, options)
        };
        let nodes: Vec<_> = plan.parents.iter().enumerate().map(node).collect();
        let homes = (0..plan.leaves).map(|_| random.below(nodes.len())).collect();
        let mut world = Self {
            truth: Truth::new(plan.leaves),
            random,
            now: 0,
            leaves,
            nodes,
            homes,
            peers: BTreeMap::new(),
            letters: BTreeMap::new(),
            numbered: 0,
            halves: vec![],
            trace: is_traced.then(Vec::new),
            plan,
        };
        tell!(world, "{:?} homes {:?}", world.plan, world.homes);
        for (leaf, home) in world.homes.iter().enumerate() {
            let path = std::iter::successors(Some(*home), |node| world.nodes[*node].parent);
            world.truth.between[leaf] = path.map(node_name).collect();
        }
        world.add_half(HalfId(0));
        (0..world.leaves.len()).for_each(|leaf| world.tell_leaf(leaf, HalfId(0)));
        if world.plan.has_mixed_versions {
            world.leaves[0].fingerprint = Fingerprint(2);
        }
        world
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        while self.now < REST {
            self.now += 1;
            if self.now == END {
                self.heal();
            }
            self.send();
            self.step_leaves()?;
            self.step_nodes()?;
            self.deliver()?;
            self.pump();
            if self.now < END {
                self.go_wrong();
            } else {
                self.start_all();
            }
            self.check_bounds()?;
            if self.now > LAST + 5 && self.is_at_rest() {
                return self.check_end();
            }
        }
        Err(format!("it does not come to rest: {}", self.why_not()))
    }

    /// Sources send; who is not there misses it.
    fn send(&mut self) {
        for leaf in 0..self.leaves.len() {
            let is_last = self.now == LAST;
            if !is_last && (self.now >= END || !self.random.permille(400)) {
                continue;
            }
            let time = if is_last { self.now } else { (self.now - self.random.within(0, DISORDER)).max(0) };
            let sequence = self.truth.send(leaf, time);
            if self.leaves[leaf].is_up {
                self.leaves[leaf].take(sequence, self.now, &self.truth);
            }
        }
        if self.plan.changes_queries && self.now < END && self.random.permille(15) {
            self.change_queries();
        }
    }

    fn add_half(&mut self, half: HalfId) {
        tell!(self, "add {half:?}");
        self.halves.push(half);
        let spec = HalfSpec { fingerprint: Fingerprint(1), width_ns: WIDTH, sensors: None };
        for node in &mut self.nodes {
            node.halves.insert(half, spec.clone());
            node.processes.values_mut().for_each(|process| process.aggregator.add_half(half, spec.clone()));
        }
    }

    fn tell_leaf(&mut self, leaf: usize, half: HalfId) {
        let first = self.truth.sent(leaf);
        tell!(self, "leaf {leaf} hears of {half:?} at {first}");
        self.leaves[leaf].halves.insert(half, first);
        self.truth.begin(half, leaf, first);
    }

    fn step_leaves(&mut self) -> Result<(), String> {
        for number in 0..self.leaves.len() {
            let leaf = &mut self.leaves[number];
            if leaf.is_up {
                if self.random.permille(200) {
                    leaf.cut(&mut self.random);
                }
                if self.random.permille(350) {
                    leaf.sync(&mut self.truth, &mut self.random);
                }
            } else if self.now >= END || self.random.permille(60) {
                leaf.start(self.now, &mut self.truth, &mut self.random);
                if leaf.outgoing.last() == Position::START && leaf.was_wiped {
                    self.truth.wipe(number);
                }
                tell!(
                    self,
                    "leaf {number} starts as {:?} behind {}",
                    leaf.outgoing.incarnation(),
                    leaf.outgoing.last()
                );
            }
            let limits = &self.plan.leaf_limits;
            // Where one record says little of what is gone, there are many, which a spool of so few octets holds besides
            // until an aggregator has them, whose disk may hang.
            let of_gone = if limits.gone_octets_max < limits.octets_max { 24_000 } else { 0 };
            if leaf.outgoing.octets() > limits.octets_max + limits.unsafe_octets_max + 12_000 + of_gone {
                return Err(format!("leaf {number} keeps {} octets", leaf.outgoing.octets()));
            }
        }
        Ok(())
    }

    fn step_nodes(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            for number in self.nodes[node].processes.keys().copied().collect::<Vec<_>>() {
                self.step_store(node, number);
            }
            for number in self.nodes[node].starting() {
                if self.random.permille(500) {
                    self.nodes[node].go_on(number, self.now, &mut self.random)?;
                }
            }
            if !self.nodes[node].is_alive() && self.random.permille(100) {
                self.start_process(node);
            }
        }
        self.consume()
    }

    /// A process goes on with what it writes.
    fn step_store(&mut self, node: usize, number: u64) {
        for _ in 0..self.random.below(WRITE_STEPS_MAX + 1) {
            if self.nodes[node].write(number, self.now, &mut self.random) {
                self.acknowledge(number, node);
            }
        }
    }

    fn start_process(&mut self, node: usize) {
        self.numbered += 1;
        tell!(self, "node {node} starts process {}", self.numbered);
        self.nodes[node].start(self.numbered);
    }

    /// Tells all senders on links to a process what is covered.
    fn acknowledge(&mut self, number: u64, node: usize) {
        if self.now < LAST {
            tell!(self, "process {number} wrote a checkpoint");
        }
        for (sender, peer) in self.peers.clone() {
            if peer.process != Some(number) || !peer.is_greeted {
                continue;
            }
            let Some(name) = self.name_of(sender) else { continue };
            let Some(process) = self.nodes[node].processes.get(&number) else { continue };
            if let Some(covered) = process.aggregator.covered(&name) {
                self.post((sender, peer.life), number, false, &Message::Covered(covered, false));
            }
        }
    }

    /// Whoever stores results takes them, some more than once.
    fn consume(&mut self) -> Result<(), String> {
        for (number, process) in &mut self.nodes[0].processes {
            if !self.random.permille(400) {
                continue;
            }
            let mut taken = 0;
            for given in process.aggregator.results() {
                if let Some(trace) = &mut self.trace {
                    let ids = Ids::decode(&given.state).map(|ids| (ids.present.len(), ids.missing.len()));
                    trace.push(format!(
                        "{:4} process {number} gives {:?} {:?} r{} {ids:?} {:?} absent {:?}",
                        self.now, given.half, given.pane, given.revision, given.told, given.absent
                    ));
                }
                self.truth.take(given)?;
                taken += 1;
            }
            if self.random.permille(700) {
                process.aggregator.taken(taken);
            }
        }
        Ok(())
    }

    fn name_of(&self, sender: SenderId) -> Option<SensorName> {
        match sender {
            SenderId::Leaf(leaf) => Some(self.leaves[leaf].name.clone()),
            SenderId::Process(number) => self.node_of(number).map(|node| self.nodes[node].name.clone()),
        }
    }

    fn node_of(&self, number: u64) -> Option<usize> {
        self.nodes.iter().position(|node| node.processes.contains_key(&number))
    }

    fn outgoing(&mut self, sender: SenderId) -> Option<&mut Outgoing> {
        match sender {
            SenderId::Leaf(leaf) => {
                Some(&mut self.leaves[leaf]).filter(|leaf| leaf.is_up).map(|leaf| &mut leaf.outgoing)
            }
            SenderId::Process(number) => {
                let node = self.node_of(number)?;
                self.nodes[node].processes.get_mut(&number)?.aggregator.outgoing()
            }
        }
    }

    fn payload(&self, sender: SenderId, position: Position) -> Vec<u8> {
        match sender {
            SenderId::Leaf(leaf) => self.leaves[leaf]
                .disk
                .find(position)
                .map(|written| written.payload.clone())
                .unwrap_or_default(),
            SenderId::Process(number) => {
                let process = self.node_of(number).and_then(|node| self.nodes[node].processes.get(&number));
                process.map(|process| process.aggregator.payload(position).to_vec()).unwrap_or_default()
            }
        }
    }

    /// All senders, and the aggregator that each belongs to.
    fn senders(&self) -> Vec<(SenderId, usize)> {
        let leaves = self.leaves.iter().filter(|leaf| leaf.is_up);
        let leaves = leaves.map(|leaf| (SenderId::Leaf(leaf.number), self.homes[leaf.number]));
        let nodes = self.nodes.iter().filter_map(|node| Some((node, node.parent?)));
        let processes = nodes.flat_map(|(node, parent)| {
            node.processes.keys().map(move |number| (SenderId::Process(*number), parent))
        });
        leaves.chain(processes).collect()
    }

    /// Senders greet, and send.
    fn pump(&mut self) {
        for (sender, home) in self.senders() {
            let mut peer = self.peers.get(&sender).copied().unwrap_or_default();
            let is_stuck = self.now - peer.progress > 60;
            if peer.is_greeted && is_stuck && self.random.permille(200) {
                (peer.is_greeted, peer.progress) = (false, self.now);
            }
            if !peer.is_greeted && self.now - peer.tried >= 6 && self.random.permille(500) {
                peer.tried = self.now;
                self.greet(sender, home, &mut peer);
            }
            self.peers.insert(sender, peer);
            if let (true, Some(process)) = (peer.is_greeted, peer.process) {
                self.send_some(sender, peer, process);
            }
        }
    }

    fn greet(&mut self, sender: SenderId, home: usize, peer: &mut Peer) {
        let processes: Vec<u64> = self.nodes[home].processes.keys().copied().collect();
        if processes.is_empty() {
            return;
        }
        let process = processes[self.random.below(processes.len())];
        peer.process = Some(process);
        let Some(name) = self.name_of(sender) else { return };
        let Some(outgoing) = self.outgoing(sender) else { return };
        let hello = outgoing.hello(name);
        self.post((sender, peer.life), process, true, &Message::Hello(hello));
    }

    fn send_some(&mut self, sender: SenderId, peer: Peer, process: u64) {
        let again = self.random.permille(60);
        let is_quiet = self.random.permille(200);
        for _ in 0..self.random.below(4) {
            let Some(outgoing) = self.outgoing(sender) else { return };
            if again {
                outgoing.send_again();
            }
            let life = outgoing.incarnation();
            let Some(head) = outgoing.next_record() else { break };
            let payload = self.payload(sender, head.position);
            self.post((sender, peer.life), process, true, &Message::Record(life, head, payload));
        }
        if let Some(life) = self.outgoing(sender).map(|outgoing| outgoing.incarnation()).filter(|_| is_quiet)
        {
            self.post((sender, peer.life), process, true, &Message::Alive(life));
        }
    }

    fn post(&mut self, (sender, life): (SenderId, u64), process: u64, is_up: bool, message: &Message) {
        let cut = self.peers.get(&sender).is_some_and(|peer| peer.cut_until > self.now);
        let copies = 1 + usize::from(self.now < END && self.random.permille(self.plan.doubles));
        for _ in 0..copies {
            if cut || self.now < END && self.random.permille(self.plan.drops) {
                continue;
            }
            let at = self.now + 1 + self.random.within(0, self.plan.delay);
            self.numbered += 1;
            let letter = Letter { sender, life, process, is_up, message: message.clone() };
            self.letters.insert((at, self.numbered), letter);
        }
    }

    fn deliver(&mut self) -> Result<(), String> {
        while let Some(entry) = self.letters.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let letter = entry.remove();
            if letter.is_up { self.deliver_up(letter) } else { self.deliver_down(letter)? }
        }
        if self.plan.is_hostile && self.now < LAST && self.random.permille(200) {
            self.harass();
        }
        Ok(())
    }

    fn deliver_up(&mut self, Letter { sender, life, process: number, message, .. }: Letter) {
        let Some(name) = self.name_of(sender) else { return };
        let Some(node) = self.node_of(number) else { return };
        let Some(process) = self.nodes[node].processes.get_mut(&number) else { return };
        let moment = process.moment(self.now);
        let aggregator = &mut process.aggregator;
        let answer = match message {
            Message::Hello(hello) => {
                let hello = Hello::decode(&hello.encode()).expect("it comes as it was sent");
                Some(match aggregator.hello(&name, &hello, moment) {
                    Ok(covered) => Message::Covered(covered, true),
                    Err(refusal) => Message::Refused(refusal),
                })
            }
            Message::Alive(incarnation) => {
                aggregator.alive(&name, incarnation, moment);
                None
            }
            Message::Record(incarnation, head, payload) => {
                let verdict = aggregator.receive(&name, incarnation, (&head, &payload), moment);
                tell!(self, "process {number} of {name} {} {:?}: {verdict:?}", head.position, said(&head));
                if let (Kind::Part(PartHead { behind, .. }), true) = (&head.kind, self.trace.is_some()) {
                    tell!(self, "behind {behind:?}");
                }
                match verdict {
                    Verdict::Closed(refusal) => Some(Message::Refused(refusal)),
                    _ if self.random.permille(50) => {
                        aggregator.covered(&name).map(|covered| Message::Covered(covered, false))
                    }
                    _ => None,
                }
            }
            Message::Covered(..) | Message::Refused(_) => None,
        };
        if let Some(answer) = answer {
            self.post((sender, life), number, false, &answer);
        }
    }

    fn deliver_down(&mut self, Letter { sender, life, process, message, .. }: Letter) -> Result<(), String> {
        let mut peer = self.peers.get(&sender).copied().unwrap_or_default();
        if peer.life != life {
            return Ok(());
        }
        let now = self.now;
        let Some(outgoing) = self.outgoing(sender) else { return Ok(()) };
        match message {
            Message::Covered(covered, is_welcome) => {
                let before = outgoing.octets();
                if is_welcome {
                    outgoing.welcomed(&covered);
                    (peer.is_greeted, peer.process) = (true, Some(process));
                } else {
                    outgoing.covered(&covered);
                }
                if is_welcome || outgoing.octets() < before || outgoing.is_empty() {
                    peer.progress = now;
                }
            }
            Message::Refused(Refusal::Fenced { newest, own }) if own == outgoing.incarnation() => {
                peer.is_greeted = false;
                match (outgoing.fenced(), sender) {
                    (Fenced::MayRenew, _) => outgoing.renew(newest, now as u64),
                    (Fenced::IsReplaced, SenderId::Process(number)) => {
                        self.nodes.iter_mut().for_each(|node| drop(node.processes.remove(&number)));
                    }
                    (Fenced::IsReplaced, SenderId::Leaf(leaf)) => {
                        return Err(format!("leaf {leaf} is fenced by nobody: {newest:?}"));
                    }
                }
            }
            Message::Refused(_) => peer.is_greeted = false,
            Message::Hello(_) | Message::Alive(_) | Message::Record(..) => {}
        }
        self.peers.insert(sender, peer);
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), String> {
        for process in self.nodes.iter().flat_map(|node| node.processes.values()) {
            let held = process.aggregator.held();
            // What records say to be gone is let in above the mark, too.
            if held.above > (2 * self.plan.above_max() + 2) * (self.leaves.len() + self.nodes.len() + 1) {
                return Err(format!("too much is held: {held:?}"));
            }
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        let leaves =
            self.leaves.iter().all(|leaf| leaf.is_up && leaf.outgoing.is_empty() && leaf.is_at_rest());
        let processes = self.nodes.iter().flat_map(|node| node.processes.values());
        let has_sent = |process: &super::node::Process| process.aggregator.is_forwarded();
        leaves
            && processes
                .clone()
                .all(|process| process.aggregator.is_at_rest(END + WIDTH) && has_sent(process))
    }

    fn why_not(&self) -> String {
        let leaves = self.leaves.iter().map(|leaf| (leaf.is_up, leaf.outgoing.octets(), leaf.is_at_rest()));
        let processes = self.nodes.iter().flat_map(|node| node.processes.values());
        let processes = processes.map(|process| {
            (
                process.aggregator.held(),
                process.aggregator.is_at_rest(END + WIDTH),
                process.aggregator.is_forwarded(),
            )
        });
        format!("{:?} {:?} {:?}", leaves.collect::<Vec<_>>(), processes.collect::<Vec<_>>(), self.peers)
    }

    fn check_end(&self) -> Result<(), String> {
        let until = pane_of(END + WIDTH).start;
        // Of an aggregator to which no sensor belongs nobody hears anything.
        let is_above = |node: usize, home: usize| {
            std::iter::successors(Some(home), |child| self.nodes[*child].parent).any(|above| above == node)
        };
        let idle = (0..self.nodes.len()).filter(|node| !self.homes.iter().any(|home| is_above(*node, *home)));
        let mut absent: Vec<_> = idle.map(node_name).collect();
        absent.extend(self.plan.is_hostile.then(|| SensorName::new("hostile")));
        for half in &self.halves {
            let checked = self.truth.check_end(*half, until, &absent, !self.plan.is_hostile);
            checked.map_err(|why| format!("{why}: {}", self.why_not()))?;
        }
        let has_room = self.plan.is_roomy && !self.plan.is_hostile && !self.plan.has_mixed_versions;
        if has_room && self.plan.wipes == 0 && self.truth.losses() > 0 {
            return Err("losses were told where there was room for all".to_owned());
        }
        Ok(())
    }
}

/// What is told of a record in a trace.
fn said(head: &Head) -> (Option<i64>, Option<i64>, usize) {
    match &head.kind {
        Kind::Part(part) => (Some(part.pane.start), Some(part.watermark), 0),
        Kind::Gone(gaps) => (None, None, gaps.len()),
    }
}
