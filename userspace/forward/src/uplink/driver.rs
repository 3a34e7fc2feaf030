//! What is said on a link, as whoever has the records takes it.

use super::task::{FromLink, ToLink};
use crate::random;
use crate::wire::{FRAME_OCTETS_MAX, Judged, Refused};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tapline_delivery::{Fenced, Head, Hello, Incarnation, Outgoing, Position, SensorName};
use tokio::sync::mpsc;

/// Records, and octets of their payloads, that are given to a link at once.
const RECORDS_AT_ONCE: usize = 256;
const OCTETS_AT_ONCE: usize = 1 << 20;
/// How long nothing is sent when there was no room for something, unless a checkpoint makes some.
const HELD_FOR: Duration = Duration::from_secs(1);

/// Another process took our place: nothing of ours is listened to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended(pub(crate) String);

/// Stands between a link and records.
#[derive(Debug)]
pub(crate) struct Driver {
    name: SensorName,
    orders: mpsc::Sender<ToLink>,
    /// The link has room for records.
    wants: bool,
    is_greeted: bool,
    held_until: Option<Instant>,
    sent: u64,
    refused: BTreeMap<String, u64>,
}

impl Driver {
    /// One for whoever is called so.
    pub(crate) const fn new(name: SensorName, orders: mpsc::Sender<ToLink>) -> Self {
        Self {
            name,
            orders,
            wants: false,
            is_greeted: false,
            held_until: None,
            sent: 0,
            refused: BTreeMap::new(),
        }
    }

    /// Records that were sent, again or not.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Records that were refused, by the reason's name.
    pub(crate) const fn refused(&self) -> &BTreeMap<String, u64> {
        &self.refused
    }

    /// Takes what a link says.
    ///
    /// # Errors
    /// When another process took our place.
    pub(crate) fn take(&mut self, event: FromLink, outgoing: &mut Outgoing) -> Result<(), Ended> {
        match event {
            FromLink::WantsHello => {
                (self.wants, self.is_greeted, self.held_until) = (false, false, None);
                let hello = short(outgoing.hello(self.name.clone()));
                // The link waits for it, and has room.
                let _ = self.orders.try_send(ToLink::Hello(hello));
            }
            FromLink::Welcomed(covered) => {
                self.is_greeted = true;
                outgoing.welcomed(&covered);
            }
            FromLink::WantsRecords => self.wants = true,
            FromLink::Covered(covered) => {
                outgoing.covered(&covered);
                if self.held_until.take().is_some() {
                    outgoing.send_again();
                }
            }
            FromLink::Judged(Judged::Later) => self.held_until = Some(Instant::now() + HELD_FOR),
            FromLink::Judged(Judged::Refused { name, .. }) => *self.refused.entry(name).or_default() += 1,
            FromLink::Refused(refused) => {
                self.is_greeted = false;
                return judge(refused, outgoing);
            }
            FromLink::Assigned(_) => {}
        }
        Ok(())
    }

    /// When something is to be done though nothing is said.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.held_until
    }

    /// Whether the link takes records now.
    pub(crate) fn takes(&mut self, outgoing: &mut Outgoing) -> bool {
        if self.held_until.is_some_and(|until| until <= Instant::now()) {
            self.held_until = None;
            outgoing.send_again();
        }
        self.wants && self.is_greeted && self.held_until.is_none()
    }

    /// Gives records to the link that takes some.
    pub(crate) fn give(&mut self, next: impl FnMut() -> Option<(Head, Bytes)>) {
        let (mut records, mut octets) = (vec![], 0);
        for (head, payload) in std::iter::from_fn(next) {
            octets += payload.len();
            records.push((head, payload));
            if records.len() >= RECORDS_AT_ONCE || octets >= OCTETS_AT_ONCE {
                break;
            }
        }
        if records.is_empty() {
            return;
        }
        self.sent += records.len() as u64;
        self.wants = false;
        // Where the link is gone, they are sent again on the next one.
        let _ = self.orders.try_send(ToLink::Records(records));
    }
}

/// Whoever is not the latest life goes on as a later one, if nobody has heard of it yet.
fn judge(refused: Refused, outgoing: &mut Outgoing) -> Result<(), Ended> {
    let Some(newest) = refused.newest else { return Ok(()) };
    match outgoing.fenced() {
        Fenced::MayRenew => {
            outgoing.renew(Incarnation(newest.0), random::life());
            Ok(())
        }
        Fenced::IsReplaced => Err(Ended(refused.why)),
    }
}

/// A greeting that fits into a frame. What is gone is said by records, too, and these go first; without it nothing may
/// be said of what is kept no more.
fn short(mut hello: Hello) -> Hello {
    if hello.encode().len() > FRAME_OCTETS_MAX / 2 {
        (hello.gaps, hello.kept_after) = (vec![], Position::START);
    }
    hello
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_delivery::{Gap, Lineage, OutgoingLimits};

    fn driver() -> (Driver, mpsc::Receiver<ToLink>) {
        let (orders, ordered) = mpsc::channel(4);
        (Driver::new(SensorName::new("pop-1"), orders), ordered)
    }

    #[test]
    fn nothing_is_given_before_a_welcome_nor_while_there_is_no_room() {
        let (mut driver, mut ordered) = driver();
        let mut outgoing = Outgoing::new(Lineage(1), Incarnation(2), OutgoingLimits::default());
        driver.take(FromLink::WantsRecords, &mut outgoing).unwrap();
        assert!(!driver.takes(&mut outgoing));
        driver.take(FromLink::WantsHello, &mut outgoing).unwrap();
        assert!(matches!(ordered.try_recv(), Ok(ToLink::Hello(_))));
        driver.take(FromLink::Welcomed(Default::default()), &mut outgoing).unwrap();
        driver.take(FromLink::WantsRecords, &mut outgoing).unwrap();
        assert!(driver.takes(&mut outgoing));
        driver.take(FromLink::Judged(Judged::Later), &mut outgoing).unwrap();
        assert!(!driver.takes(&mut outgoing) && driver.due().is_some());
        driver.take(FromLink::Covered(Default::default()), &mut outgoing).unwrap();
        assert!(driver.takes(&mut outgoing) && driver.due().is_none());
    }

    #[test]
    fn a_life_that_nobody_has_heard_of_is_renewed_and_another_one_ends() {
        let (mut driver, _ordered) = driver();
        let mut outgoing = Outgoing::new(Lineage(1), Incarnation(2), OutgoingLimits::default());
        let fenced =
            || Refused { newest: Some(Incarnation(u64::MAX - 1)), ..Refused::new("fenced", &"ended") };
        assert_eq!(driver.take(FromLink::Refused(fenced()), &mut outgoing), Ok(()));
        assert_eq!(outgoing.incarnation(), Incarnation(u64::MAX));
        driver.take(FromLink::Welcomed(Default::default()), &mut outgoing).unwrap();
        let ended = Err(Ended("ended".to_owned()));
        assert_eq!(driver.take(FromLink::Refused(fenced()), &mut outgoing), ended);
        let other = FromLink::Refused(Refused::new("too_many_sensors", &""));
        assert_eq!(driver.take(other, &mut outgoing), Ok(()));
    }

    #[test]
    fn a_greeting_that_does_not_fit_says_nothing_of_what_is_gone() {
        let position = |number| Position { incarnation: Incarnation(1), number };
        let gap =
            |number| Gap { after: position(number), last: position(number + 1), records: 1, losses: vec![] };
        let hello = |gaps| Hello {
            name: SensorName::new("pop-1"),
            lineage: Lineage(1),
            incarnation: Incarnation(1),
            kept_after: position(9),
            gaps: (1..=gaps).map(gap).collect(),
            leaves: None,
        };
        assert_eq!(short(hello(3)), hello(3));
        let cut = short(hello(100_000));
        assert_eq!((cut.gaps.len(), cut.kept_after), (0, Position::START));
    }
}
