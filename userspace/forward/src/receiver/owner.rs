//! The thread that has the aggregator: it takes what links say, writes checkpoints by others, and says what is safe.
//!
//! While a checkpoint is written, what comes is taken on; what is said to be covered, and what is given, is what the
//! last one has that was written.

use super::books::{Book, Books};
use super::orders::{Order, Written};
use super::status::{Shared, UplinkStatus};
use super::up::Up;
use super::workers::{Checkpoints, Results};
use crate::clock::{ClockOffset, wall_ns};
use crate::counted::Octets;
use crate::store::StoreError;
use crate::uplink::{Ended, FromLink};
use crate::wire::{Answer, Greeting, Judged, Message, Refused, Welcome};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_delivery::{
    Aggregator, Bundle, Covered, Given, HalfId, Head, Incarnation, Manifest, Merge, Moment, SensorName,
    Stamp, Verdict,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::sleep;

/// How often a checkpoint is begun when something changed, and when time alone may have made panes due.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where it takes long to put one together, it is begun so much less often that this takes one part of so many.
const CHECKPOINT_PARTS: u32 = 5;
/// How often it is told how sensors are.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// What links say that is taken at once.
const TAKEN_AT_ONCE: usize = 256;
/// Results that are given at once.
const GIVEN_AT_ONCE: usize = 256;

/// What a link says.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) link: u64,
    pub(crate) what: Incoming,
    /// The room that it takes, where it takes some.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// What is said on a link.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Who it is; the first.
    Greeted(Box<Greeted>),
    /// A record, its payload, and its place among those of the link that are under way.
    Record(Box<Head>, Bytes, OwnedSemaphorePermit),
    /// It is there; how far its clock is off, as it says.
    Alive(Option<ClockOffset>),
    /// What it says of itself.
    Report(Bytes),
    /// It is gone; after it said what no sensor says, what that was.
    Gone(Option<&'static str>),
}

/// Who is on a link, and how he is spoken to.
#[derive(Debug)]
pub(crate) struct Greeted {
    /// Whom the transport vouches for.
    pub(crate) sensor: SensorName,
    pub(crate) greeting: Greeting,
    pub(crate) address: SocketAddr,
    pub(crate) octets: Arc<Octets>,
    pub(crate) received_ns: i64,
    pub(crate) said: mpsc::Sender<Said>,
    pub(crate) covered: watch::Sender<Option<Covered>>,
}

/// Something that is said to a sensor.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) message: Message,
    /// Of the record that it is about: there is room for another one when it was said.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// A link that is listened to.
#[derive(Debug)]
struct Served {
    sensor: SensorName,
    life: Incarnation,
    said: mpsc::Sender<Said>,
    covered: watch::Sender<Option<Covered>>,
}

/// Has the aggregator.
pub(crate) struct Owner<M: Merge> {
    aggregator: Aggregator<M>,
    checkpoints: Checkpoints,
    results: Results,
    up: Option<Up>,
    shared: Arc<Shared>,
    version: String,
    started: Instant,
    links: BTreeMap<u64, Served>,
    of_sensors: BTreeMap<SensorName, u64>,
    books: Books,
    halves: BTreeSet<HalfId>,
    /// Something came since the last checkpoint was begun.
    is_changed: bool,
    begun_at: Instant,
    /// How long it took to put the last one together.
    took: Duration,
    /// The checkpoint that is being written, since when, and octets that are written for it.
    writing: Option<(Stamp, Instant, u64)>,
    /// A hash of what was written when nothing had changed.
    idle: Option<u64>,
    is_giving: bool,
    /// Results that were taken, and are not said to be safe.
    handed: usize,
    /// Whether it ends behind the next checkpoint that is begun; and behind which one, once it was.
    is_finishing: bool,
    last: Option<Stamp>,
    is_in_trouble: bool,
    /// Whether it was told that something is not deleted.
    is_untidy: bool,
    published_at: Instant,
}

impl<M: Merge> Owner<M> {
    pub(crate) fn new(
        (aggregator, halves): (Aggregator<M>, BTreeSet<HalfId>),
        (checkpoints, results): (Checkpoints, Results),
        up: Option<Up>,
        shared: Arc<Shared>,
        version: String,
    ) -> Self {
        let now = Instant::now();
        // Of those that an earlier process knew, too, it is to be seen that they are away.
        let books = aggregator.sensors().map(|name| (name.clone(), Book::default())).collect();
        Self {
            aggregator,
            checkpoints,
            results,
            up,
            shared,
            version,
            started: now,
            links: BTreeMap::new(),
            of_sensors: BTreeMap::new(),
            books,
            halves,
            is_changed: true,
            begun_at: now,
            took: Duration::ZERO,
            writing: None,
            idle: None,
            is_giving: false,
            handed: 0,
            is_finishing: false,
            last: None,
            is_in_trouble: false,
            is_untidy: false,
            published_at: now,
        }
    }

    /// Takes what others say until it is to end.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut events: mpsc::Receiver<Event>,
    ) {
        loop {
            self.turn();
            let wait = self.wait();
            let done = tokio::select! {
                biased;
                order = orders.recv() => self.obey(order.unwrap_or(Order::End)),
                event = Up::next(self.up.as_mut()) => match event {
                    Some(event) => self.hear_from_above(event),
                    None => Err(Ended("the link upwards ended".to_owned())),
                },
                event = events.recv() => match event {
                    Some(event) => {
                        self.hear(event);
                        let others = std::iter::from_fn(|| events.try_recv().ok()).take(TAKEN_AT_ONCE);
                        others.into_iter().for_each(|event| self.hear(event));
                        Ok(())
                    }
                    None => return,
                },
                () = sleep(wait) => Ok(()),
            };
            match done {
                Ok(()) => {}
                Err(Ended(why)) if why.is_empty() => return,
                Err(Ended(why)) => {
                    self.shared.change(|status| status.ended = Some(why.clone()));
                    self.results.end(why);
                    return;
                }
            }
        }
    }

    fn now(&self) -> Moment {
        let steady_ns = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Moment { steady_ns, wall_ns: wall_ns() }
    }

    /// Does what is due.
    fn turn(&mut self) {
        self.checkpoint();
        self.give();
        if let Some(up) = &mut self.up {
            up.give(&mut self.aggregator, &self.results);
        }
        if self.published_at.elapsed() >= PUBLISH_EVERY {
            self.publish();
        }
    }

    /// Until when nothing is due.
    fn wait(&self) -> Duration {
        let checkpoint = self.writing.is_none().then(|| self.begun_at + self.every());
        let due = self.up.as_ref().and_then(Up::due);
        let next = [checkpoint, due, Some(self.published_at + PUBLISH_EVERY)].into_iter().flatten().min();
        next.map_or(PUBLISH_EVERY, |next| next.saturating_duration_since(Instant::now()))
    }

    /// Does what others ask; an end without a reason is one that was asked for.
    fn obey(&mut self, order: Order) -> Result<(), Ended> {
        match order {
            Order::AddHalf(half, spec) => {
                self.halves.insert(half);
                self.aggregator.add_half(half, spec);
            }
            Order::DropHalf(half) => {
                self.halves.remove(&half);
                self.books.values_mut().for_each(|book| book.forget(half));
                self.aggregator.drop_half(half);
            }
            Order::Rest(sensor) => self.aggregator.rest(&sensor),
            Order::Written(written) => return self.settle(written),
            Order::NotDeleted(why) => {
                if !std::mem::replace(&mut self.is_untidy, true) {
                    self.results.tell(why);
                }
                return Ok(());
            }
            Order::Taken(results) => {
                self.aggregator.taken(results);
                self.is_giving = false;
            }
            Order::Handed(results) => {
                self.handed += results;
                self.is_giving = false;
                return Ok(());
            }
            Order::Safe(half, results) => {
                self.aggregator.taken_of(half, results);
                self.handed = self.handed.saturating_sub(results);
            }
            Order::Finish => {
                self.results.settle();
                return Ok(());
            }
            Order::Settled => self.is_finishing = true,
            Order::End => return Err(Ended(String::new())),
        }
        self.is_changed = true;
        Ok(())
    }

    fn hear_from_above(&mut self, event: FromLink) -> Result<(), Ended> {
        let Some(up) = &mut self.up else { return Ok(()) };
        // What is covered there need not be in the next checkpoint.
        self.is_changed |= matches!(event, FromLink::Covered(_) | FromLink::Welcomed(_));
        up.hear(event, &mut self.aggregator, &self.results)
    }

    fn hear(&mut self, Event { link, what, room }: Event) {
        match what {
            Incoming::Greeted(greeted) => self.greet(link, *greeted),
            Incoming::Record(head, payload, place) => self.receive(link, &head, &payload, place),
            Incoming::Alive(clock) => {
                let now = self.now();
                let Some(served) = self.links.get(&link) else { return };
                self.aggregator.alive(&served.sensor, served.life, now);
                self.books.entry(served.sensor.clone()).or_default().clock(clock);
            }
            Incoming::Report(octets) => {
                let Some(served) = self.links.get(&link) else { return };
                self.books.entry(served.sensor.clone()).or_default().report(&octets);
            }
            Incoming::Gone(garbage) => self.let_go(link, garbage),
        }
        drop(room);
    }

    fn greet(&mut self, link: u64, greeted: Greeted) {
        let Greeted { sensor, greeting, address, octets, received_ns, said, covered } = greeted;
        let now = self.now();
        let message = match self.aggregator.hello(&sensor, &greeting.hello, now) {
            Ok(covered) => {
                let sent_ns = greeting.sent_ns;
                let answer = Answer { sent_ns, received_ns, answered_ns: wall_ns() };
                Message::Welcome(Welcome { covered, version: self.version.clone(), answer })
            }
            Err(refusal) => {
                // It is the last that is said, since nobody else keeps what it is said by.
                let _ = said.try_send(Said { message: Message::Refused((&refusal).into()), place: None });
                return;
            }
        };
        // There is room for the first that is said.
        let _ = said.try_send(Said { message, place: None });
        // Its link before is a connection that nobody has closed yet.
        if let Some(before) = self.of_sensors.insert(sensor.clone(), link) {
            self.links.remove(&before);
        }
        let life = greeting.hello.incarnation;
        self.books.entry(sensor.clone()).or_default().greet(greeting, address, octets);
        self.links.insert(link, Served { sensor, life, said, covered });
        self.is_changed = true;
    }

    fn receive(&mut self, link: u64, head: &Head, payload: &[u8], place: OwnedSemaphorePermit) {
        let now = self.now();
        let Some(served) = self.links.get(&link) else { return };
        let verdict = self.aggregator.receive(&served.sensor, served.life, (head, payload), now);
        let book = self.books.entry(served.sensor.clone()).or_default();
        let judged = match verdict {
            Verdict::Taken => {
                book.take(head, payload.len());
                self.is_changed = true;
                return;
            }
            Verdict::Seen => return book.see(),
            Verdict::Refused(refusal) => {
                self.is_changed = true;
                Judged::Refused { name: refusal.name().to_owned(), why: refusal.to_string() }
            }
            Verdict::Later => {
                // Something of it may have been taken.
                self.is_changed = true;
                Judged::Later
            }
            Verdict::Closed(refusal) => {
                let message = Message::Refused(Refused::from(&refusal));
                // Whoever does not listen need not hear it.
                let _ = served.said.try_send(Said { message, place: Some(place) });
                return self.let_go(link, None);
            }
        };
        let said = Said { message: Message::Verdict(head.position, judged), place: Some(place) };
        if served.said.try_send(said).is_err() {
            self.let_go(link, Some("does_not_listen"));
        }
    }

    /// A link ends when nobody says anything on it any more.
    fn let_go(&mut self, link: u64, garbage: Option<&'static str>) {
        let Some(served) = self.links.remove(&link) else { return };
        self.books.entry(served.sensor.clone()).or_default().leave(garbage);
        if self.of_sensors.get(&served.sensor) == Some(&link) {
            self.of_sensors.remove(&served.sensor);
        }
    }

    /// How long after the last one a checkpoint is due.
    fn every(&self) -> Duration {
        if self.is_finishing {
            return Duration::ZERO;
        }
        let every = if self.is_changed { CHECKPOINT_EVERY } else { LOOK_EVERY };
        every.max(self.took * CHECKPOINT_PARTS)
    }

    /// Begins a checkpoint where one is due.
    fn checkpoint(&mut self) {
        if self.writing.is_some() || self.begun_at.elapsed() < self.every() {
            return;
        }
        let now = self.now();
        self.begun_at = Instant::now();
        let checkpoint = self.aggregator.checkpoint(now);
        self.took = self.begun_at.elapsed();
        // Time alone changes little: what is as it was is not written again.
        if self.is_changed {
            self.idle = None;
        } else {
            let content = unstamped(&checkpoint.manifest);
            if content.is_some() && content == self.idle {
                return;
            }
            self.idle = content;
        }
        self.is_changed = false;
        let (stamp, of_bundle) = (checkpoint.manifest.stamp, checkpoint.bundle.as_ref());
        let octets = checkpoint.manifest.octets.len() as u64 + of_bundle.map_or(0, Bundle::octets);
        self.writing = Some((stamp, self.begun_at, octets));
        if self.is_finishing {
            self.last = Some(stamp);
        }
        self.checkpoints.write(checkpoint);
    }

    /// A checkpoint was written, or not.
    fn settle(&mut self, Written { stamp, result }: Written) -> Result<(), Ended> {
        let Some((_, since, octets)) = self.writing.take_if(|(writing, ..)| *writing == stamp) else {
            return Ok(());
        };
        match result {
            Ok(()) => {
                self.aggregator.written(stamp);
                self.is_in_trouble = false;
                let took_ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.shared.change(|status| {
                    (status.checkpoint_at_ns, status.checkpoint_octets) = (Some(wall_ns()), octets);
                    (status.checkpoint_took_ns, status.store_trouble) = (took_ns, None);
                });
                self.say_what_is_covered();
                if self.last == Some(stamp) { Err(Ended(String::new())) } else { Ok(()) }
            }
            Err(StoreError::TakenOver(why)) => Err(Ended(why)),
            Err(StoreError::Failed(why)) => {
                if !std::mem::replace(&mut self.is_in_trouble, true) {
                    self.results.tell(format!(
                        "{why}; until then nothing is acknowledged, and sensors keep what they have"
                    ));
                }
                self.shared.change(|status| status.store_trouble = Some(why));
                self.is_changed = true;
                // Whoever ends it does not wait for a disk.
                if self.last == Some(stamp) { Err(Ended(String::new())) } else { Ok(()) }
            }
        }
    }

    fn say_what_is_covered(&self) {
        for served in self.links.values() {
            let covered = self.aggregator.covered(&served.sensor);
            served.covered.send_if_modified(|said| {
                let is_other = *said != covered;
                if is_other {
                    said.clone_from(&covered);
                }
                is_other
            });
        }
    }

    /// Gives results that a checkpoint has to whoever takes them, when he has taken those before.
    fn give(&mut self) {
        if self.is_giving {
            return;
        }
        let given = self.aggregator.results().skip(self.handed).take(GIVEN_AT_ONCE);
        let given: Vec<Given> = given.cloned().collect();
        if !given.is_empty() {
            self.is_giving = true;
            self.results.give(given);
        }
    }

    fn publish(&mut self) {
        self.published_at = Instant::now();
        let status = |(name, book): (&SensorName, &Book)| {
            book.status(name, &self.halves, &self.aggregator.counts(name))
        };
        self.shared.publish(self.books.iter().map(status).collect());
        let strangers = self.aggregator.strangers().iter().map(|(name, count)| ((*name).to_owned(), *count));
        let refused = strangers.collect();
        let (held, links) = (self.aggregator.held(), self.links.len());
        let uplink = self.up.as_ref().map(Up::sent).map(|sent| {
            let outgoing = self.aggregator.outgoing();
            let (waiting_octets, lost) =
                outgoing.map_or((0, 0), |outgoing| (outgoing.octets(), outgoing.lost()));
            UplinkStatus { sent, waiting_octets, lost, ..UplinkStatus::default() }
        });
        self.shared.change(|status| {
            (status.held, status.links, status.refused, status.uplink) = (held, links, refused, uplink);
        });
    }
}

/// A hash of what a checkpoint has, but for which one it is.
fn unstamped(manifest: &Manifest) -> Option<u64> {
    let content = Manifest::claimed(&manifest.octets, Stamp::default()).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content.octets);
    Some(hasher.finish())
}
