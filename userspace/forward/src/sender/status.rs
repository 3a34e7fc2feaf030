//! How a sensor's sending is, as others see it.

use super::options::SenderOptions;
use crate::clock::{ClockOffset, wall_ns};
use crate::counted::Octets;
use crate::uplink::LinkState;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a sensor's sending is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderStatus {
    /// What it is called.
    pub name: String,
    /// To whom it sends.
    pub to: String,
    /// Since when an aggregator listens, in nanoseconds since the epoch; `None` when none does.
    pub connected_since_ns: Option<i64>,
    /// The version of the aggregator's program, as it said last.
    pub version: Option<String>,
    /// How far its clock is off.
    pub clock: Option<ClockOffset>,
    /// How old the oldest part is that no checkpoint has, in nanoseconds; 0 when there is none.
    pub lag_ns: i64,
    /// Octets of its spool on the disk.
    pub spool_octets: u64,
    /// Octets that wait for the disk.
    pub unsafe_octets: u64,
    /// Records that were sent, those that were sent again included.
    pub sent: u64,
    /// Parts that a checkpoint has.
    pub acknowledged: u64,
    /// Parts that were not kept, for want of room or since they were too old.
    pub lost: u64,
    /// What these parts accounted for.
    pub lost_source_records: u64,
    /// Records that were refused, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// Octets on the wire, over all links.
    pub octets_sent: u64,
    /// The other way.
    pub octets_received: u64,
    /// What is wrong with the link, as a sentence.
    pub link_trouble: Option<String>,
    /// What is wrong with the disk, as a sentence.
    pub disk_trouble: Option<String>,
    /// Why it ended, where it did.
    pub ended: Option<String>,
}

/// What the threads of a sender tell of it.
#[derive(Debug)]
pub(crate) struct Shared {
    name: String,
    to: String,
    link: Arc<Mutex<LinkState>>,
    octets: Arc<Octets>,
    /// What the thread that keeps the records says of them, and since when the oldest waits.
    kept: Mutex<(SenderStatus, Option<i64>)>,
    unsafe_octets: AtomicU64,
    unsafe_octets_max: u64,
}

impl Shared {
    pub(crate) fn new(options: &SenderOptions, link: Arc<Mutex<LinkState>>, octets: Arc<Octets>) -> Self {
        Self {
            name: options.name.as_str().to_owned(),
            to: options.to.url.clone(),
            link,
            octets,
            kept: Mutex::default(),
            unsafe_octets: AtomicU64::new(0),
            unsafe_octets_max: options.spool.unsafe_octets(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, (SenderStatus, Option<i64>)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for octets that wait for the disk.
    pub(crate) fn reserve(&self, octets: u64) -> Result<(), String> {
        let most = self.unsafe_octets_max;
        if octets > most {
            return Err(format!(
                "a cut of {octets} octets is more than the {most} that wait at once; let the spool take more"
            ));
        }
        let waiting = self.unsafe_octets.fetch_add(octets, Ordering::AcqRel);
        if waiting + octets > most {
            self.release(octets);
            return Err(format!("{waiting} octets wait for the disk, and no more than {most} may"));
        }
        Ok(())
    }

    /// Gives room back.
    pub(crate) fn release(&self, octets: u64) {
        self.unsafe_octets.fetch_sub(octets, Ordering::AcqRel);
    }

    /// Says how what is kept is.
    pub(crate) fn publish(&self, status: SenderStatus, oldest_ns: Option<i64>) {
        *self.kept() = (status, oldest_ns);
    }

    /// Why it ended, where it did.
    pub(crate) fn ended(&self) -> Option<String> {
        self.kept().0.ended.clone()
    }

    pub(crate) fn status(&self) -> SenderStatus {
        let (kept, oldest_ns) = self.kept().clone();
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        SenderStatus {
            name: self.name.clone(),
            to: self.to.clone(),
            connected_since_ns: link.connected_since_ns,
            version: link.version.clone(),
            clock: link.exchanges.best(),
            lag_ns: oldest_ns.map_or(0, |oldest| wall_ns().saturating_sub(oldest).max(0)),
            unsafe_octets: self.unsafe_octets.load(Ordering::Acquire),
            octets_sent: self.octets.sent(),
            octets_received: self.octets.received(),
            link_trouble: link.trouble.clone(),
            ..kept
        }
    }
}
