//! A sensor: a source that numbers its records, open panes in memory, a spool on a disk that crashes.

use super::ids::{Id, Ids, id};
use super::random::Random;
use super::truth::{Truth, WIDTH, pane_of};
use crate::names::{Fingerprint, HalfId, Incarnation, Lineage, Position, SensorName};
use crate::outgoing::{NewPart, Outgoing, OutgoingLimits};
use crate::record::{Head, PartHead, Told};
use std::collections::{BTreeMap, VecDeque};

/// Records lie at most so far behind the latest one.
pub(super) const DISORDER: i64 = 3;

/// Until when a sensor gives up records though there is room.
const GIVES_UP_UNTIL: i64 = 100;

/// How far a sensor had come with its source at a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    next: usize,
    watermark: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) head: Head,
    pub(super) payload: Vec<u8>,
    resume: Resume,
    ids: Vec<Id>,
}

/// A spool: what was written, of which a power cut leaves what was made safe, and of the rest a part.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    written: Vec<Written>,
    safe: usize,
    /// Removed, though a power cut may bring it back.
    removed: Vec<Written>,
    /// In memory, since the disk is full.
    waiting: VecDeque<Written>,
    pub(super) is_full: bool,
}

impl Disk {
    fn write(&mut self, random: &mut Random) {
        while let Some(record) = self.waiting.pop_front() {
            // A disk that is full may take some still.
            if self.is_full && random.permille(700) {
                self.waiting.push_front(record);
                return;
            }
            self.written.push(record);
        }
    }

    pub(super) fn find(&self, position: Position) -> Option<&Written> {
        let found = self.written.binary_search_by_key(&position, |written| written.head.position);
        let waiting = || self.waiting.iter().find(|written| written.head.position == position);
        found.ok().and_then(|place| self.written.get(place)).or_else(waiting)
    }

    fn remove_before(&mut self, position: Position) {
        let count =
            self.written[..self.safe].iter().take_while(|written| written.head.position < position).count();
        self.removed.extend(self.written.drain(..count));
        self.safe -= count;
    }

    fn crash(&mut self, is_power_cut: bool, random: &mut Random) {
        self.waiting.clear();
        if is_power_cut {
            let left = random.within(self.safe as i64, self.written.len() as i64) as usize;
            self.written.truncate(left);
            if random.permille(500) {
                let from = random.below(self.removed.len() + 1);
                let back = self.removed.split_off(from);
                self.written.splice(0..0, back);
            }
        }
        self.removed.clear();
        // Whoever opens it makes safe what is there.
        self.safe = self.written.len();
    }
}

/// A sensor.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) number: usize,
    pub(super) name: SensorName,
    pub(super) is_up: bool,
    pub(super) outgoing: Outgoing,
    pub(super) disk: Disk,
    limits: OutgoingLimits,
    /// The halves that it was told of, with the first record that counts for each, and what it takes them for.
    pub(super) halves: BTreeMap<HalfId, usize>,
    pub(super) fingerprint: Fingerprint,
    open: BTreeMap<(HalfId, i64), Ids>,
    /// The next record that it expects; `None` when it has forgotten all.
    next: Option<usize>,
    watermark: i64,
    /// Up to which time it has closed panes.
    closed: i64,
    /// How much its clock is off.
    clock: i64,
    pub(super) was_wiped: bool,
}

impl Leaf {
    pub(super) fn new(number: usize, limits: OutgoingLimits, random: &mut Random) -> Self {
        let clock = random.within(-900, 900);
        let lineage = Lineage(random.bits());
        Self {
            number,
            name: SensorName::new(&format!("leaf-{number}")),
            is_up: true,
            outgoing: Outgoing::new(
                lineage,
                Incarnation::after(Incarnation(0), (1000 + clock) as u64),
                limits,
            ),
            disk: Disk::default(),
            limits,
            halves: BTreeMap::new(),
            fingerprint: Fingerprint(1),
            open: BTreeMap::new(),
            next: Some(0),
            watermark: 0,
            closed: 0,
            clock,
            was_wiped: false,
        }
    }

    /// Takes a record of the source, and notes what is missing before it.
    pub(super) fn take(&mut self, sequence: usize, now: i64, truth: &Truth) {
        let next = self.next.unwrap_or(sequence);
        for number in next..=sequence {
            let time = truth.time(self.number, number);
            let halves = self.halves.iter().filter(|(_, first)| **first <= number);
            for half in halves.map(|(half, _)| *half).collect::<Vec<_>>() {
                let ids = self.open.entry((half, pane_of(time).start)).or_default();
                let into = if number == sequence { &mut ids.present } else { &mut ids.missing };
                into.push(id(self.number, number));
            }
        }
        (self.next, self.watermark) = (Some(sequence + 1), self.watermark.max(now - DISORDER - 1));
    }

    /// Gives what is open as parts, and closes panes.
    pub(super) fn cut(&mut self, random: &mut Random) {
        let octets: usize = self.open.values().map(|ids| 140 + 4 * ids.len()).sum();
        let Some(next) = self.next.filter(|_| self.outgoing.has_room(octets as u64 + 400)) else { return };
        for start in (pane_of(self.closed).start..).step_by(WIDTH as usize) {
            let end = start + WIDTH;
            if end > self.watermark {
                break;
            }
            if end > self.closed {
                for half in self.halves.keys() {
                    self.open.entry((*half, start)).or_default();
                }
            }
        }
        self.closed = self.watermark;
        if self.outgoing.has_given_up() {
            // What said how far it has come may be among it: as panes to come do, the last one says that again.
            let last = pane_of(self.watermark.saturating_sub(WIDTH)).start;
            for half in self.halves.keys() {
                self.open.entry((*half, last)).or_default();
            }
        }
        let gives_up = self.gives_some_up(random);
        let (mut parts, mut contents) = (vec![], vec![]);
        for ((half, start), ids) in std::mem::take(&mut self.open) {
            let part = self.part(half, start, &ids);
            parts.push(NewPart { part, octets: 4 + 4 * ids.len() as u64 });
            contents.push(ids);
        }
        say_watermarks(&mut parts, self.watermark);
        if parts.is_empty() && !gives_up {
            return;
        }
        let heads = self.outgoing.cut(parts);
        let resume = Resume { next, watermark: self.watermark };
        let first = heads.len() - contents.len();
        for (place, head) in heads.into_iter().enumerate() {
            let ids =
                place.checked_sub(first).and_then(|place| contents.get(place)).cloned().unwrap_or_default();
            self.disk.waiting.push_back(Written { head, payload: ids.encode(), resume, ids: ids.present });
        }
        self.disk.write(random);
    }

    /// Some are too old, or one cannot be read any more.
    fn gives_some_up(&mut self, random: &mut Random) -> bool {
        let kept: Vec<_> = self.outgoing.heads().map(|head| head.position).collect();
        let drawn = kept.get(random.below(kept.len() * 20)).copied();
        // While there are panes to come, whose parts say how far it has come.
        let drawn = drawn.filter(|_| self.watermark < GIVES_UP_UNTIL);
        let Some(position) = drawn.filter(|_| self.limits.octets_max < OutgoingLimits::default().octets_max)
        else {
            return false;
        };
        if random.permille(500) {
            self.outgoing.give_up(..=position);
        } else {
            self.outgoing.give_up(position..=position);
        }
        true
    }

    fn part(&self, half: HalfId, start: i64, ids: &Ids) -> PartHead {
        PartHead {
            half,
            fingerprint: self.fingerprint,
            pane: pane_of(start),
            watermark: i64::MIN,
            records: ids.len() as u64,
            told: Told::default(),
            behind: vec![],
        }
    }

    /// Makes safe what was written, and removes what need not be kept; notes what can be lost no more.
    pub(super) fn sync(&mut self, truth: &mut Truth, random: &mut Random) {
        self.disk.write(random);
        self.disk.safe = self.disk.written.len();
        if let Some(last) = self.disk.written.last() {
            self.outgoing.safe(last.head.position);
        }
        self.note_safe(truth);
        if random.permille(400) {
            self.disk.remove_before(self.outgoing.removable_before());
        }
        if random.permille(300) {
            self.disk.removed.clear();
        }
    }

    pub(super) fn crash(&mut self, is_power_cut: bool, random: &mut Random) {
        self.is_up = false;
        self.disk.crash(is_power_cut, random);
        self.open.clear();
    }

    pub(super) fn wipe(&mut self) {
        self.disk = Disk::default();
        self.was_wiped = true;
    }

    /// Starts again with what is on the disk.
    pub(super) fn start(&mut self, now: i64, truth: &mut Truth, random: &mut Random) {
        self.is_up = true;
        let drawn = (1000 + now + self.clock) as u64;
        let latest = self.disk.written.last().map(|written| written.head.position.incarnation);
        let is_new = latest.is_none() && self.was_wiped;
        // A lineage is kept with the spool; a spool that is empty since nothing was ever written has none either.
        let lineage = if is_new { Lineage(random.bits()) } else { self.outgoing.lineage() };
        let previous = if is_new { Incarnation(0) } else { latest.unwrap_or(self.outgoing.incarnation()) };
        let incarnation = Incarnation::after(previous, drawn);
        let written =
            self.disk.written.iter().map(|written| (written.head.clone(), written.payload.len() as u64));
        self.outgoing = Outgoing::resume(lineage, incarnation, self.limits, written);
        let whole = self.outgoing.safe_cut();
        let resume = self.disk.find(whole).map(|written| written.resume);
        match resume {
            Some(Resume { next, watermark }) => {
                (self.next, self.watermark, self.closed) = (Some(next), watermark, watermark);
            }
            None if self.was_wiped => (self.next, self.watermark, self.closed) = (None, now, now),
            None => (self.next, self.watermark, self.closed) = (Some(0), 0, 0),
        }
        self.note_safe(truth);
        // What is told of gaps in the spool has to be written, too.
        let resume = Resume { next: self.next.unwrap_or_default(), watermark: self.watermark };
        for head in self.outgoing.unsafe_heads() {
            let payload = Ids::default().encode();
            self.disk.waiting.push_back(Written { head: head.clone(), payload, resume, ids: vec![] });
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.open.is_empty() && self.disk.waiting.is_empty() && self.disk.safe == self.disk.written.len()
    }

    /// No record of a cut that is safe may be missing any more.
    fn note_safe(&self, truth: &mut Truth) {
        let whole = self.outgoing.safe_cut();
        let safe = self.disk.written.iter().rev().skip_while(|written| written.head.position > whole);
        let safe = safe.filter(|written| self.outgoing.keeps(written.head.position));
        safe.for_each(|written| truth.note_safe(&written.ids));
    }
}

/// The last part of each half says how far the sensor has come.
fn say_watermarks(parts: &mut [NewPart], watermark: i64) {
    let mut said = vec![];
    for NewPart { part, .. } in parts.iter_mut().rev() {
        if !said.contains(&part.half) {
            said.push(part.half);
            part.watermark = watermark;
        }
    }
}
