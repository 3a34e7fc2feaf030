//! The thread that has the records: it numbers cuts, writes and syncs them, gives them to the link, and forgets them.
//!
//! A cut waits in memory until it is safe. Where the disk takes nothing, it is tried again each second, and when that
//! goes on, the oldest file gives way: what was in it is told to be gone as soon as something can be written.

use super::spooled::Spooled;
use super::start::Slot;
use super::status::{SenderStatus, Shared};
use super::told::Told;
use super::{Part, ahead::ReadAhead};
use crate::clock::wall_ns;
use crate::uplink::{Driver, Ended, FromLink, ToLink};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_delivery::{Head, Kind, NewPart, Outgoing, Position, SensorName};
use tapline_spool::{Spool, SpoolError};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How long it takes until the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a disk takes nothing until the oldest file gives way.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(5);
/// How long a disk may take nothing, at the end, until what waits for it is lost; and how often it is tried, at most.
const WRITES_WITHIN: Duration = Duration::from_secs(5);
const TRIES_EVERY: Duration = Duration::from_millis(20);
/// How often it is looked whether something is too old.
const AGED_EVERY: Duration = Duration::from_secs(10);
/// What a link says that is heard at once.
const HEARD_AT_ONCE: usize = 64;

/// A cut that was handed over.
pub(crate) struct Handed {
    pub(crate) parts: Vec<Part>,
    pub(crate) positions: Vec<u8>,
    /// Octets that it takes, about.
    pub(crate) octets: u64,
}

impl Handed {
    /// Octets that a cut takes, about.
    pub(crate) fn octets_of(parts: &[Part], positions: &[u8]) -> u64 {
        let of_names =
            |part: &Part| part.0.behind.iter().map(|(name, _)| 32 + name.as_str().len()).sum::<usize>();
        let of_parts = parts.iter().map(|part| 192 + part.1.len() + of_names(part)).sum::<usize>();
        (64 + of_parts + positions.len()) as u64
    }
}

/// A cut that has its numbers, and is not safe.
struct Waiting {
    /// As it is written.
    written: Vec<Vec<u8>>,
    /// Where its records stand, and what they account for; what is written besides is behind them.
    records: Vec<(Position, Slot)>,
    /// Where it was appended, since when no error took it.
    appended: Option<Range<u64>>,
    /// Octets that it was let in with.
    octets: u64,
}

/// Has the records.
pub(crate) struct Keeper {
    spool: Spool,
    outgoing: Outgoing,
    driver: Driver,
    waiting: VecDeque<Waiting>,
    slots: BTreeMap<Position, Slot>,
    /// Where in the spool it stands how far sources had come.
    place: u64,
    /// What is before it was forgotten.
    floor: u64,
    ahead: ReadAhead,
    /// When cuts were made, by their last records.
    made: VecDeque<(Position, i64)>,
    /// Since when the disk takes nothing, and when it is tried again.
    trouble: Option<(Instant, Instant)>,
    aged_at: Instant,
    status: SenderStatus,
    shared: Arc<Shared>,
    told: Told,
}

impl Keeper {
    pub(crate) fn new(
        (name, orders): (SensorName, mpsc::Sender<ToLink>),
        (spool, outgoing): (Spool, Outgoing),
        (slots, place): (BTreeMap<Position, Slot>, u64),
        (shared, told): (Arc<Shared>, Told),
    ) -> Self {
        let oldest = spool.oldest().filter(|_| !outgoing.is_empty());
        let made = oldest.map(|oldest| (outgoing.safe_cut(), oldest.written_ns)).into_iter().collect();
        let mut keeper = Self {
            spool,
            outgoing,
            driver: Driver::new(name, orders),
            waiting: VecDeque::new(),
            slots,
            place,
            floor: 0,
            ahead: ReadAhead::default(),
            made,
            trouble: None,
            aged_at: Instant::now(),
            status: SenderStatus::default(),
            shared,
            told,
        };
        // What a start found to be missing is told by records that are to be written, too, each a cut.
        let heads: Vec<Head> = keeper.outgoing.unsafe_heads().cloned().collect();
        heads.chunks(1).for_each(|head| keeper.put(head, &[], None, 0));
        keeper
    }

    /// Takes cuts and what the link says until nobody cuts any more, or another process took its place.
    pub(crate) async fn run(
        mut self,
        mut cuts: mpsc::Receiver<Handed>,
        mut events: mpsc::Receiver<FromLink>,
    ) {
        loop {
            self.turn();
            let heard = tokio::select! {
                biased;
                cut = cuts.recv() => {
                    let Some(cut) = cut else { break };
                    self.number(cut);
                    while let Ok(cut) = cuts.try_recv() {
                        self.number(cut);
                    }
                    Ok(())
                }
                event = events.recv() => {
                    let Some(event) = event else { break };
                    self.hear_some(event, &mut events)
                }
                () = sleep(self.wait()) => Ok(()),
            };
            if let Err(Ended(why)) = heard {
                self.end(why);
                return;
            }
        }
        self.write_all().await;
    }

    /// Writes what waits, though the disk may take some tries; what it does not take is lost, and that is told.
    async fn write_all(&mut self) {
        let begun = Instant::now();
        loop {
            self.turn();
            let retry = self.trouble.map_or_else(Instant::now, |(_, retry)| retry);
            if self.waiting.is_empty() || retry.saturating_duration_since(begun) > WRITES_WITHIN {
                break;
            }
            sleep(retry.saturating_duration_since(Instant::now()).max(TRIES_EVERY)).await;
        }
        if !self.waiting.is_empty() {
            let (cuts, why) = (self.waiting.len(), self.status.disk_trouble.as_deref().unwrap_or_default());
            self.told.say(&format!("the last {cuts} cuts are lost, since the disk takes nothing: {why}"));
        }
    }

    fn hear_some(&mut self, first: FromLink, events: &mut mpsc::Receiver<FromLink>) -> Result<(), Ended> {
        self.hear(first)?;
        let others = std::iter::from_fn(|| events.try_recv().ok()).take(HEARD_AT_ONCE);
        others.into_iter().try_for_each(|event| self.hear(event))
    }

    fn end(&mut self, why: String) {
        self.told.end(&why);
        self.status.ended = Some(why);
        self.publish();
    }

    /// Does what is due.
    fn turn(&mut self) {
        self.write();
        self.let_go_of_old();
        self.forget();
        self.give();
        self.publish();
    }

    /// Until when nothing is due.
    fn wait(&self) -> Duration {
        let retry = self.trouble.filter(|_| !self.waiting.is_empty()).map(|(_, retry)| retry);
        let due = [self.driver.due(), retry, Some(self.aged_at + AGED_EVERY)];
        let next = due.into_iter().flatten().min().unwrap_or_else(Instant::now);
        next.saturating_duration_since(Instant::now())
    }

    fn hear(&mut self, event: FromLink) -> Result<(), Ended> {
        let covered = match &event {
            FromLink::Assigned(octets) => {
                self.told.assign(octets.clone());
                return Ok(());
            }
            FromLink::Covered(covered) | FromLink::Welcomed(covered) => Some(covered.clone()),
            _ => None,
        };
        self.driver.take(event, &mut self.outgoing)?;
        if let Some(covered) = covered {
            let highest = covered.above.last().map_or(covered.mark, |(_, last)| covered.mark.max(*last));
            let slots = self.slots.range_mut(..=highest).filter(|(_, slot)| !slot.is_counted);
            for (_, slot) in slots.filter(|(position, _)| !self.outgoing.keeps(**position)) {
                slot.is_counted = true;
                self.status.acknowledged += 1;
            }
        }
        Ok(())
    }

    /// Gives a cut its numbers.
    fn number(&mut self, Handed { parts, positions, octets }: Handed) {
        let parts = parts.into_iter().map(|(part, payload)| {
            let octets = payload.len() as u64;
            (NewPart { part, octets }, payload)
        });
        let (parts, payloads): (Vec<_>, Vec<_>) = parts.unzip();
        let heads = self.outgoing.cut(parts);
        self.put(&heads, &payloads, Some(&positions), octets);
    }

    /// Says what is gone, without waiting for the next cut.
    fn say_what_is_gone(&mut self) {
        while self.outgoing.has_given_up() {
            let heads = self.outgoing.cut(vec![]);
            self.put(&heads, &[], None, 0);
        }
    }

    /// Lets a cut wait for the disk.
    fn put(&mut self, heads: &[Head], payloads: &[Vec<u8>], positions: Option<&[u8]>, octets: u64) {
        // Records that say what is gone come first, and have no payload.
        let none = std::iter::repeat_n(&[][..], heads.len() - payloads.len());
        let payloads = none.chain(payloads.iter().map(Vec::as_slice));
        let written = heads.iter().zip(payloads).map(|(head, payload)| Spooled::record(head, payload));
        let mut written: Vec<_> = written.collect();
        written.extend(positions.map(|positions| Spooled::place(self.outgoing.last(), positions)));
        heads.iter().for_each(|head| self.count_gone(head));
        if !written.is_empty() {
            let records = heads.iter().map(|head| (head.position, Slot::of(head, 0))).collect();
            self.waiting.push_back(Waiting { written, records, appended: None, octets });
        }
    }

    /// Counts what a record says to be gone, once.
    fn count_gone(&mut self, head: &Head) {
        let Kind::Gone(gaps) = &head.kind else { return };
        for gap in gaps {
            let gone = (Bound::Excluded(gap.after), Bound::Included(gap.last));
            for (_, slot) in self.slots.range_mut(gone).filter(|(_, slot)| !slot.is_counted) {
                slot.is_counted = true;
                self.status.lost += 1;
                self.status.lost_source_records += slot.records;
            }
        }
    }

    /// Writes what waits, and makes it safe.
    fn write(&mut self) {
        let is_early = self.trouble.is_some_and(|(_, retry)| retry > Instant::now());
        if self.waiting.is_empty() || is_early {
            return;
        }
        let appended = self.append();
        let synced = self.spool.sync();
        // What an error took is appended again.
        let last = self.spool.last();
        let is_there = |appended: &Range<u64>| appended.end <= last + 1;
        self.waiting.iter_mut().for_each(|cut| cut.appended = cut.appended.take().filter(is_there));
        self.settle();
        // Where all before is safe, what never has room is the first that waits.
        match synced.map(drop).and(appended) {
            Ok(()) => (self.trouble, self.status.disk_trouble) = (None, None),
            Err(error) => self.note(&error),
        }
    }

    fn append(&mut self) -> Result<(), SpoolError> {
        let now = wall_ns();
        for cut in self.waiting.iter_mut().filter(|cut| cut.appended.is_none()) {
            cut.appended = Some(self.spool.append(&cut.written, now)?);
        }
        Ok(())
    }

    /// Takes cuts that are safe off those that wait.
    fn settle(&mut self) {
        let safe = self.spool.safe();
        let is_safe =
            |cut: &mut Waiting| cut.appended.as_ref().is_some_and(|appended| appended.end <= safe + 1);
        while let Some(cut) = self.waiting.pop_front_if(is_safe) {
            let numbers = cut.appended.unwrap_or_default();
            for (number, (position, slot)) in numbers.clone().zip(&cut.records) {
                self.slots.insert(*position, Slot { number, ..*slot });
            }
            if cut.written.len() > cut.records.len() {
                self.place = numbers.end.saturating_sub(1);
            }
            if let Some((last, _)) = cut.records.last() {
                self.outgoing.safe(*last);
                self.made.push_back((*last, wall_ns()));
            }
            self.shared.release(cut.octets);
        }
    }

    /// Says once what is wrong with the disk, and makes way where it goes on.
    fn note(&mut self, error: &SpoolError) {
        if matches!(error, SpoolError::TooLong { .. }) {
            self.told.say(&format!("{error}; what was cut is lost, and told to be gone"));
            return self.lose_first();
        }
        let now = Instant::now();
        let since = self.trouble.map_or(now, |(since, _)| since);
        if self.trouble.is_none() {
            self.told.say(&format!(
                "{error}; what is cut waits in memory, and the oldest records go where that goes on"
            ));
        }
        self.trouble = Some((since, now + RETRY_AFTER));
        self.status.disk_trouble = Some(error.to_string());
        let is_full = matches!(error, SpoolError::Full { .. });
        if is_full || now.saturating_duration_since(since) >= GIVES_WAY_AFTER {
            self.make_way();
        }
        if is_full {
            // There is room at once.
            self.trouble = Some((since, now));
        }
    }

    /// The first cut that waits is gone: whatever else goes, it never has room.
    fn lose_first(&mut self) {
        let Some(Waiting { records, octets, .. }) = self.waiting.pop_front_if(|cut| cut.appended.is_none())
        else {
            return;
        };
        if let (Some((first, _)), Some((last, _))) = (records.first(), records.last()) {
            self.outgoing.safe(*last);
            self.outgoing.give_up(*first..=*last);
        }
        for (_, slot) in records.iter().filter(|(_, slot)| !slot.is_counted) {
            self.status.lost += 1;
            self.status.lost_source_records += slot.records;
        }
        self.shared.release(octets);
        self.say_what_is_gone();
    }

    /// The records of the oldest file go.
    fn make_way(&mut self) {
        let Some(oldest) = self.spool.oldest() else { return };
        self.give_up_before(oldest.numbers.end.min(self.place));
        self.floor = self.floor.max(oldest.numbers.end.min(self.place));
        // What cannot be removed now is another time.
        let _ = self.spool.forget_before(self.floor);
    }

    fn let_go_of_old(&mut self) {
        if self.aged_at.elapsed() >= AGED_EVERY {
            self.aged_at = Instant::now();
            self.give_up_before(self.spool.aged_before(wall_ns()));
        }
    }

    /// What is in the spool before a number is told to be gone.
    fn give_up_before(&mut self, number: u64) {
        let before = self.slots.iter().take_while(|(_, slot)| slot.number < number);
        let Some(last) = before.last().map(|(position, _)| *position) else { return };
        self.outgoing.give_up(..=last);
        self.say_what_is_gone();
    }

    /// Forgets what need not be kept.
    fn forget(&mut self) {
        let first = self.outgoing.removable_before();
        while self.slots.first_key_value().is_some_and(|(position, _)| *position < first) {
            self.slots.pop_first();
        }
        while self.made.pop_front_if(|(last, _)| *last < first || self.outgoing.is_empty()).is_some() {}
        let floor = self.slots.first_key_value().map_or(u64::MAX, |(_, slot)| slot.number).min(self.place);
        if floor > self.floor && floor < u64::MAX {
            self.floor = floor;
            if let Err(error) = self.spool.forget_before(floor) {
                self.status.disk_trouble = Some(error.to_string());
            }
        }
    }

    /// Gives records to the link, where it takes some.
    fn give(&mut self) {
        if !self.driver.takes(&mut self.outgoing) {
            return;
        }
        let Self { driver, outgoing, spool, slots, ahead, .. } = self;
        let mut unread = vec![];
        driver.give(|| {
            loop {
                let head = outgoing.next_record()?;
                if matches!(head.kind, Kind::Gone(_)) {
                    return Some((head, Bytes::new()));
                }
                let number = slots.get(&head.position).map(|slot| slot.number);
                match number.and_then(|number| ahead.payload(spool, number)) {
                    Some(payload) => return Some((head, payload)),
                    None => unread.push(head.position),
                }
            }
        });
        if unread.is_empty() {
            return;
        }
        let count = unread.len();
        self.told
            .say(&format!("{count} records of the spool cannot be read any more, and are told to be gone"));
        unread.into_iter().for_each(|position| self.outgoing.give_up(position..=position));
        self.say_what_is_gone();
    }

    fn publish(&mut self) {
        self.status.spool_octets = self.spool.octets();
        self.status.sent = self.driver.sent();
        if self.status.refused != *self.driver.refused() {
            self.status.refused.clone_from(self.driver.refused());
        }
        let oldest = self.made.front().map(|(_, made)| *made);
        self.shared.publish(self.status.clone(), oldest);
    }
}
