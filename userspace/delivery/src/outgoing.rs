//! What a sender keeps, sends, sends again and lets go of.
//!
//! In: cuts, that is parts of all open panes at one moment; what became safe on the disk; what a checkpoint covers. Out:
//! records with numbers, to be kept; records to be sent; how much of what is kept may be removed.
//!
//! A record never changes once it has its number. It is sent only when its whole cut is safe, so that no crash of the
//! sender can take back what somebody has seen, and it is kept until a checkpoint covers it. Where there is no room, the
//! oldest ones go, and a record of its own says which, and what is missing with them; that one is sent before others.

mod gaps;

use crate::message::{Covered, Hello};
use crate::mutation::{Mutation, is_mutated};
use crate::names::{Incarnation, Lineage, Position, SensorName};
use crate::record::{Gap, Head, Kind, PartHead};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, RangeBounds};

/// Records of one cut that say what is gone, about, unless it has more octets of parts: a cut has to have room where it is
/// kept. The next ones say the rest.
const GONE_RECORDS_MAX: u64 = 4;

/// What a sender may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingLimits {
    /// Octets of all records.
    pub octets_max: u64,
    /// Octets of records that are not safe yet: a disk that is full holds up cuts, and not for ever.
    pub unsafe_octets_max: u64,
    /// Records that are under way at once.
    pub window_records: usize,
    /// Gaps that a record tells apart; beyond it adjacent ones become one.
    pub gaps_max: usize,
    /// Losses that a gap tells apart; beyond it those of one half become one.
    pub losses_max: usize,
    /// Octets of a record that says what is gone, unless a single gap takes more; beyond it there are several.
    pub gone_octets_max: u64,
}

impl Default for OutgoingLimits {
    fn default() -> Self {
        Self {
            octets_max: 1 << 30,
            unsafe_octets_max: 64 << 20,
            window_records: 256,
            gaps_max: 4096,
            losses_max: 1024,
            gone_octets_max: 1 << 20,
        }
    }
}

/// A part that waits for its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// What it is of.
    pub part: PartHead,
    /// Octets of its payload.
    pub octets: u64,
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    head: Head,
    weight: u64,
    stage: Stage,
    /// Whether somebody may have seen it.
    may_be_seen: bool,
    /// The record that says that it is gone; as soon as that is safe, it is.
    gone_by: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A crash may take it.
    Unsafe,
    Ready,
    UnderWay,
}

/// What an aggregator's refusal means for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// It was never welcomed, and may begin another incarnation behind the one that is known.
    MayRenew,
    /// Another process took its place: it has to end.
    IsReplaced,
}

/// The records of one sender, without their payloads.
#[derive(Clone, Debug)]
pub struct Outgoing {
    lineage: Lineage,
    incarnation: Incarnation,
    /// The last record.
    last: Position,
    numbered: u64,
    kept: BTreeMap<Position, Kept>,
    /// The kept ones that say what is gone.
    gone: BTreeSet<Position>,
    /// Those that the next cut says to be gone.
    given_up: BTreeSet<Position>,
    /// Those that a cut said to be gone, behind the record that says so, in its order.
    going: VecDeque<(Position, Position)>,
    /// The last cut that is safe ends here: what is behind it is not.
    safe_cut: Position,
    weight: u64,
    unsafe_weight: u64,
    limits: OutgoingLimits,
    was_welcomed: bool,
    /// Records of sources that went with what there was no room for.
    lost: u64,
    /// The sensors behind it, where it has some.
    leaves: Option<BTreeSet<SensorName>>,
}

impl Outgoing {
    /// A sender that keeps nothing.
    #[must_use]
    pub fn new(lineage: Lineage, incarnation: Incarnation, limits: OutgoingLimits) -> Self {
        Self {
            lineage,
            incarnation,
            last: Position::START,
            numbered: 0,
            kept: BTreeMap::new(),
            gone: BTreeSet::new(),
            given_up: BTreeSet::new(),
            going: VecDeque::new(),
            safe_cut: Position::START,
            weight: 0,
            unsafe_weight: 0,
            limits,
            was_welcomed: false,
            lost: 0,
            leaves: None,
        }
    }

    /// Goes on with what an earlier life kept: heads and octets of payloads, in the order in which they were written.
    ///
    /// What was written without the end of its cut is left out: nobody has seen it, and what it holds counts as never
    /// received. What is missing between others is told to be gone. `incarnation` is behind that of all of them.
    #[must_use]
    pub fn resume(
        lineage: Lineage,
        incarnation: Incarnation,
        limits: OutgoingLimits,
        written: impl IntoIterator<Item = (Head, u64)>,
    ) -> Self {
        let mut outgoing = Self::new(lineage, incarnation, limits);
        let chain = whole_cuts(written);
        let (told, gaps) = (told_gone(&chain), missing(&chain));
        for (head, octets) in chain {
            (outgoing.last, outgoing.safe_cut) = (head.position, head.position);
            outgoing.keep(head, octets, Stage::Ready);
        }
        outgoing.kept.values_mut().for_each(|kept| kept.may_be_seen = true);
        // What was said to be gone is not sent any more, though the disk may still have it.
        let is_told =
            |position: &Position| told.iter().any(|gap| gap.after < *position && *position <= gap.last);
        let gone: Vec<_> = outgoing.kept.keys().filter(|position| is_told(position)).copied().collect();
        gone.into_iter().for_each(|position| outgoing.forget(position));
        for gaps in gaps::in_records(gaps, limits.gone_octets_max) {
            outgoing.append(Kind::Gone(gaps), 0, true);
        }
        outgoing
    }

    /// Where it stands, which a store keeps when it keeps no record any more.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.last
    }

    /// The end of the last cut that is safe: behind it whoever resumes a source goes on.
    #[must_use]
    pub const fn safe_cut(&self) -> Position {
        self.safe_cut
    }

    /// Which memory its numbers are of.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Which life it is.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Goes on behind a record that is not kept any more.
    #[must_use]
    pub fn behind(mut self, last: Position) -> Self {
        (self.last, self.safe_cut) = (self.last.max(last), self.safe_cut.max(last));
        self
    }

    /// Goes on with heads that a checkpoint has, each safe with all before it.
    pub(crate) fn restore(
        lineage: Lineage,
        incarnation: Incarnation,
        limits: OutgoingLimits,
        heads: impl Iterator<Item = (Head, u64)>,
    ) -> Self {
        let mut outgoing = Self::new(lineage, incarnation, limits);
        for (head, octets) in heads {
            (outgoing.last, outgoing.safe_cut) = (head.position, head.position);
            outgoing.keep(head, octets, Stage::Ready);
        }
        outgoing.kept.values_mut().for_each(|kept| kept.may_be_seen = true);
        outgoing
    }

    /// Heads of all records that are kept and not said to be gone, oldest first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.kept.values().filter(|kept| kept.gone_by.is_none()).map(|kept| &kept.head)
    }

    /// Heads of the records that are to be made safe: after a start, or after a write that failed, from the oldest on.
    pub fn unsafe_heads(&self) -> impl Iterator<Item = &Head> {
        let kept = self.kept.values().filter(|kept| kept.stage == Stage::Unsafe);
        kept.map(|kept| &kept.head)
    }

    /// Whether another cut of so many octets may be made now; else what is open stays open, and grows. One that is longer
    /// than all may be is made when nothing else waits.
    #[must_use]
    pub fn has_room(&self, octets: u64) -> bool {
        self.unsafe_weight == 0 || self.unsafe_weight.saturating_add(octets) <= self.limits.unsafe_octets_max
    }

    /// Whether a cut says what is gone, though it has no parts.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Numbers the parts of one cut. Records that give way are named by the first ones.
    ///
    /// They are to be written in their order, made safe, and then told by [`safe`](Self::safe).
    pub fn cut(&mut self, parts: Vec<NewPart>) -> Vec<Head> {
        let octets: u64 = parts.iter().map(|part| part.octets + weight_of(&part.part)).sum();
        let dropped = self.make_room(octets);
        let gone = gaps::in_records(self.gaps_of(&dropped), self.limits.gone_octets_max);
        let count = parts.len() + gone.len();
        let mut heads = Vec::with_capacity(count);
        for gaps in gone {
            heads.push(self.append(Kind::Gone(gaps), 0, heads.len() + 1 == count));
        }
        if let Some(by) = heads.last().map(|head| head.position) {
            self.let_go(&dropped, by);
        }
        for NewPart { part, octets } in parts {
            heads.push(self.append(Kind::Part(part), octets, heads.len() + 1 == count));
        }
        heads
    }

    /// These are gone as soon as the cut is safe that has this record.
    fn let_go(&mut self, dropped: &[Position], by: Position) {
        for position in dropped {
            let Some(kept) = self.kept.get_mut(position) else { continue };
            kept.gone_by = Some(by);
            self.going.push_back((by, *position));
            if let Kind::Part(part) = &kept.head.kind {
                self.lost = self.lost.saturating_add(part.lost().records());
            }
        }
    }

    fn append(&mut self, kind: Kind, octets: u64, ends_cut: bool) -> Head {
        self.numbered += 1;
        let position = Position { incarnation: self.incarnation, number: self.numbered };
        let head = Head { position, after: self.last, ends_cut, kind };
        self.last = position;
        self.keep(head.clone(), octets, Stage::Unsafe);
        head
    }

    fn keep(&mut self, head: Head, octets: u64, stage: Stage) {
        let weight = octets + head.weight();
        self.weight += weight;
        if stage == Stage::Unsafe {
            self.unsafe_weight += weight;
        }
        if matches!(head.kind, Kind::Gone(_)) {
            self.gone.insert(head.position);
        }
        let kept = Kept { head, weight, stage, may_be_seen: false, gone_by: None };
        self.kept.insert(kept.head.position, kept);
    }

    fn forget(&mut self, position: Position) {
        if let Some(kept) = self.kept.remove(&position) {
            // What is gone was taken off when that was said.
            if kept.gone_by.is_none() {
                self.weight -= kept.weight;
            }
            if kept.stage == Stage::Unsafe {
                self.unsafe_weight -= kept.weight;
            }
            self.gone.remove(&position);
            self.given_up.remove(&position);
        }
    }

    /// The next cut says that these are gone, as if there was no room for them: they are too old, or cannot be read any
    /// more. They are not sent from now on. One without parts says it, too.
    pub fn give_up(&mut self, positions: impl RangeBounds<Position>) {
        let kept = self.kept.range(positions);
        let safe = kept.filter(|(_, kept)| kept.gone_by.is_none() && kept.stage != Stage::Unsafe);
        self.given_up.extend(safe.map(|(position, _)| *position));
    }

    /// What was given up, and the oldest safe records, that so many octets have room; no more than one cut says.
    fn make_room(&mut self, octets: u64) -> Vec<Position> {
        let mut dropped: Vec<_> = std::mem::take(&mut self.given_up).into_iter().collect();
        let given_up = dropped.iter().filter_map(|position| self.kept.get(position));
        self.weight -= given_up.map(|kept| kept.weight).sum::<u64>();
        if self.weight.saturating_add(octets) <= self.limits.octets_max {
            return self.told_at_once(dropped, octets);
        }
        // Some more than is needed, so that few records say what is gone.
        let most = self.limits.octets_max.saturating_sub(octets).saturating_sub(self.limits.octets_max / 8);
        let given_up = dropped.len();
        let may_go = |kept: &&Kept| kept.gone_by.is_none() && kept.stage != Stage::Unsafe;
        for kept in self.kept.values().filter(may_go) {
            if self.weight <= most {
                break;
            }
            if dropped
                .get(..given_up)
                .is_none_or(|given_up| given_up.binary_search(&kept.head.position).is_err())
            {
                self.weight -= kept.weight;
                dropped.push(kept.head.position);
            }
        }
        dropped.sort_unstable();
        self.told_at_once(dropped, octets)
    }

    /// As many of these as a cut says to be gone that has so many octets of parts, one at least; the others stay given up.
    fn told_at_once(&mut self, mut dropped: Vec<Position>, octets: u64) -> Vec<Position> {
        // What is said of a record is shorter than it: where as much is said as comes, no less goes.
        let most = self.limits.gone_octets_max.saturating_mul(GONE_RECORDS_MAX).max(octets);
        let (mut said, mut told) = (0_u64, 0);
        for kept in dropped.iter().map(|position| self.kept.get(position)) {
            said += kept.map_or(0, |kept| gaps::octets_of(&kept.head));
            if told > 0 && said > most {
                break;
            }
            told += 1;
        }
        let others = dropped.split_off(told);
        let kept = others.iter().filter_map(|position| self.kept.get(position));
        self.weight += kept.map(|kept| kept.weight).sum::<u64>();
        self.given_up.extend(others);
        dropped
    }

    fn gaps_of(&self, dropped: &[Position]) -> Vec<Gap> {
        let kept = dropped.iter().filter_map(|position| self.kept.get(position));
        gaps::of(
            kept.map(|kept| (&kept.head, kept.may_be_seen)),
            self.limits.gaps_max,
            self.limits.losses_max,
        )
    }

    /// All records up to this one are safe: no crash takes them any more. Those of a cut count with its last one.
    pub fn safe(&mut self, last: Position) {
        if last <= self.safe_cut {
            return;
        }
        // What is not safe is the end of all that is kept: an hour of it costs no more than a second.
        let since = (Bound::Excluded(self.safe_cut), Bound::Included(last));
        let ends = self.kept.range(since).rev().find(|(_, kept)| kept.head.ends_cut).map(|(end, _)| *end);
        let Some(last) = ends else { return };
        for (_, kept) in self.kept.range_mut((since.0, Bound::Included(last))) {
            if kept.stage == Stage::Unsafe {
                kept.stage = Stage::Ready;
                self.unsafe_weight -= kept.weight;
            }
        }
        self.safe_cut = last;
        while let Some((_, gone)) = self.going.pop_front_if(|(by, _)| *by <= last) {
            self.forget(gone);
        }
    }

    /// Another life of it has to be another process: it never renews itself.
    #[must_use]
    pub(crate) const fn for_one_life(mut self) -> Self {
        self.was_welcomed = true;
        self
    }

    /// These are behind it, as its next greeting says.
    pub(crate) fn stands_for(&mut self, leaves: BTreeSet<SensorName>) {
        self.leaves = Some(leaves);
    }

    /// Whether nothing waits to be covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Octets of what is kept.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.weight
    }

    /// Records of sources that went with what there was no room for, since it began.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a record is still kept.
    #[must_use]
    pub fn keeps(&self, position: Position) -> bool {
        self.kept.contains_key(&position)
    }

    /// Whether a record is about to be gone.
    pub(crate) fn gives_up(&self, position: Position) -> bool {
        self.kept.get(&position).is_some_and(|kept| kept.gone_by.is_some())
    }

    /// Records before this one may be removed from the disk. The last cut stays: how far it had come is known by it.
    #[must_use]
    pub fn removable_before(&self) -> Position {
        self.kept.keys().next().copied().unwrap_or(self.safe_cut).min(self.safe_cut)
    }

    /// The first that is said on a new link; what was under way is sent again.
    pub fn hello(&mut self, name: SensorName) -> Hello {
        self.send_again();
        let safe = |kept: &&Kept| kept.stage != Stage::Unsafe;
        let kept_after = self.kept.values().next().map_or(self.last, |oldest| oldest.head.after);
        let gone = self.gone.iter().filter_map(|position| self.kept.get(position)).filter(safe);
        let gaps = gone.flat_map(|kept| if let Kind::Gone(gaps) = &kept.head.kind { &gaps[..] } else { &[] });
        let gaps = gaps.cloned().collect();
        let (lineage, incarnation, leaves) = (self.lineage, self.incarnation, self.leaves.clone());
        Hello { name, lineage, incarnation, kept_after, gaps, leaves }
    }

    /// An aggregator listens, and has these.
    pub fn welcomed(&mut self, covered: &Covered) {
        self.was_welcomed = true;
        self.covered(covered);
    }

    /// A checkpoint covers these.
    pub fn covered(&mut self, covered: &Covered) {
        if covered.lineage != self.lineage {
            return;
        }
        let is_covered = |kept: &Kept| kept.stage != Stage::Unsafe && covered.contains(kept.head.position);
        // The highest position of all bounds what has to be looked at.
        let highest = covered.above.last().map_or(covered.mark, |(_, last)| covered.mark.max(*last));
        let kept = self.kept.range(..=highest).filter(|(_, kept)| is_covered(kept));
        let done: Vec<_> = kept.map(|(position, _)| *position).collect();
        done.into_iter().for_each(|position| self.forget(position));
    }

    /// What is under way may not have come.
    pub fn send_again(&mut self) {
        for kept in self.kept.values_mut().filter(|kept| kept.stage == Stage::UnderWay) {
            kept.stage = Stage::Ready;
        }
    }

    /// Whom an aggregator knows as the latest life is not this one.
    #[must_use]
    pub const fn fenced(&self) -> Fenced {
        if self.was_welcomed { Fenced::IsReplaced } else { Fenced::MayRenew }
    }

    /// Goes on as a later life than the one that is known, before anything was sent.
    pub fn renew(&mut self, newest: Incarnation, drawn: u64) {
        (self.incarnation, self.numbered) = (Incarnation::after(newest.max(self.incarnation), drawn), 0);
    }

    /// The next record to be sent, unless enough are under way; it is under way then.
    pub fn next_record(&mut self) -> Option<Head> {
        let sends = |kept: &Kept| match kept.stage {
            // What is about to be gone would be counted twice, or as lost at most.
            _ if kept.gone_by.is_some() || self.given_up.contains(&kept.head.position) => false,
            Stage::Ready => true,
            Stage::Unsafe => is_mutated(Mutation::SendUnsafe),
            Stage::UnderWay => false,
        };
        let gone = self.gone.iter().find(|position| self.kept.get(position).is_some_and(sends)).copied();
        let next = gone.or_else(|| {
            let parts = self.kept.values().filter(|kept| !self.gone.contains(&kept.head.position));
            let mut window = parts.take(self.limits.window_records);
            window.find(|kept| sends(kept)).map(|kept| kept.head.position)
        });
        let kept = self.kept.get_mut(&next?)?;
        (kept.stage, kept.may_be_seen) = (Stage::UnderWay, true);
        Some(kept.head.clone())
    }
}

fn weight_of(part: &PartHead) -> u64 {
    128 + part.behind.iter().map(|(name, _)| 24 + name.as_str().len() as u64).sum::<u64>()
}

/// The records that follow from each other, up to the last one that ends a cut.
fn whole_cuts(written: impl IntoIterator<Item = (Head, u64)>) -> Vec<(Head, u64)> {
    let mut chain: Vec<(Head, u64)> = vec![];
    for (head, octets) in written {
        if is_mutated(Mutation::HalfCuts) {
            chain.push((head, octets));
            continue;
        }
        // What a later record does not follow from was never whole, or was written twice.
        while chain.pop_if(|(last, _)| last.position > head.after).is_some() {}
        chain.push((head, octets));
    }
    while !is_mutated(Mutation::HalfCuts) && chain.pop_if(|(last, _)| !last.ends_cut).is_some() {}
    chain
}

/// What records say to be gone.
fn told_gone(chain: &[(Head, u64)]) -> Vec<Gap> {
    let gaps = |head: &Head| if let Kind::Gone(gaps) = &head.kind { gaps.clone() } else { vec![] };
    chain.iter().flat_map(|(head, _)| gaps(head)).collect()
}

/// What is missing between records, unless others say so.
fn missing(chain: &[(Head, u64)]) -> Vec<Gap> {
    let told = told_gone(chain);
    let is_told = |after, last| told.iter().any(|gap| gap.after <= after && last <= gap.last);
    let pairs = chain.windows(2).filter_map(|pair| Some((&pair.first()?.0, &pair.get(1)?.0)));
    let holes = pairs.map(|(one, other)| (one.position, other.after));
    holes
        .filter(|(after, last)| after < last && !is_told(*after, *last))
        .map(|(after, last)| Gap { after, last, records: 0, losses: vec![] })
        .collect()
}
