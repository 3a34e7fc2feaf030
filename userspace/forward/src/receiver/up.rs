//! The link upwards of an aggregator that forwards: its records, and their payloads, are in its checkpoints.

use super::workers::Results;
use crate::uplink::{Driver, Ended, FromLink, ToLink};
use crate::wire::BODY_OCTETS_MAX;
use bytes::Bytes;
use std::time::Instant;
use tapline_delivery::{Aggregator, Merge, SensorName};
use tokio::sync::mpsc;

/// What forwards.
#[derive(Debug)]
pub(crate) struct Up {
    driver: Driver,
    events: mpsc::Receiver<FromLink>,
}

impl Up {
    pub(crate) const fn new(
        name: SensorName,
        orders: mpsc::Sender<ToLink>,
        events: mpsc::Receiver<FromLink>,
    ) -> Self {
        Self { driver: Driver::new(name, orders), events }
    }

    /// The next that the link says; never where there is none.
    pub(crate) async fn next(up: Option<&mut Self>) -> Option<FromLink> {
        match up {
            Some(up) => up.events.recv().await,
            None => std::future::pending().await,
        }
    }

    /// When something is to be done though nothing is said.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.driver.due()
    }

    /// Records that were sent, again or not.
    pub(crate) const fn sent(&self) -> u64 {
        self.driver.sent()
    }

    /// Takes what the link says.
    ///
    /// # Errors
    /// When another process forwards in our place.
    pub(crate) fn hear<M: Merge>(
        &mut self,
        event: FromLink,
        aggregator: &mut Aggregator<M>,
        results: &Results,
    ) -> Result<(), Ended> {
        if let FromLink::Assigned(octets) = event {
            results.assign(octets);
            return Ok(());
        }
        aggregator.outgoing().map_or(Ok(()), |outgoing| self.driver.take(event, outgoing))
    }

    /// Gives records to the link, where it takes some.
    pub(crate) fn give<M: Merge>(&mut self, aggregator: &mut Aggregator<M>, results: &Results) {
        let Some(outgoing) = aggregator.outgoing() else { return };
        if !self.driver.takes(outgoing) {
            return;
        }
        let mut too_long = vec![];
        self.driver.give(|| {
            loop {
                let head = aggregator.outgoing()?.next_record()?;
                let payload = aggregator.payload(head.position);
                // Who is behind may take much of it, too.
                let octets = head.encode().len() + payload.len();
                if octets <= BODY_OCTETS_MAX {
                    return Some((head, Bytes::from_owner(payload)));
                }
                too_long.push((head.position, octets));
            }
        });
        let Some(outgoing) = aggregator.outgoing().filter(|_| !too_long.is_empty()) else { return };
        for (position, octets) in too_long {
            results.tell(format!(
                "a pane of {octets} octets is more than the {BODY_OCTETS_MAX} of a message, and is told to be gone; let \
                 its query have fewer groups"
            ));
            outgoing.give_up(position..=position);
        }
        // The next checkpoint has it; where that takes several cuts, it makes the others.
        let _ = outgoing.cut(vec![]);
    }
}
