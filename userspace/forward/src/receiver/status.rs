//! How an aggregator and its sensors are, as others see it.

use crate::clock::ClockOffset;
use crate::counted::Octets;
use crate::uplink::{LinkPlan, LinkState};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tapline_delivery::Held;

/// How a sensor is, as its aggregator knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorStatus {
    /// What it is called.
    pub name: String,
    /// Where it connected from last.
    pub address: Option<SocketAddr>,
    /// Since when it is connected, in nanoseconds since the epoch; `None` when it is not.
    pub connected_since_ns: Option<i64>,
    /// Its program's version.
    pub version: String,
    /// Which versions its states have.
    pub states: String,
    /// How far its clock is off, as it says.
    pub clock: Option<ClockOffset>,
    /// How far behind our clock it has come with the half that is farthest behind, in nanoseconds.
    pub lag_ns: Option<i64>,
    /// Records that were taken since we started.
    pub taken: u64,
    /// Records that came again.
    pub seen: u64,
    /// Records that it says to be gone.
    pub lost: u64,
    /// Octets of payloads that were taken.
    pub payload_octets: u64,
    /// How often something of it was refused or held, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// Octets on the wire, over all its links.
    pub octets_received: u64,
    /// The other way.
    pub octets_sent: u64,
    /// What it says of itself.
    pub report: Vec<u8>,
}

/// How the link upwards of an aggregator that forwards is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UplinkStatus {
    /// To whom it forwards.
    pub to: String,
    /// Since when it is connected, in nanoseconds since the epoch; `None` when it is not.
    pub connected_since_ns: Option<i64>,
    /// The version of the program there.
    pub version: Option<String>,
    /// How far our clock is off.
    pub clock: Option<ClockOffset>,
    /// Records that were sent, those that were sent again included.
    pub sent: u64,
    /// Octets of records that no checkpoint there has.
    pub waiting_octets: u64,
    /// Records of sources that went with what there was no room for, since this process began.
    pub lost: u64,
    /// Octets on the wire.
    pub octets_sent: u64,
    /// The other way.
    pub octets_received: u64,
    /// What is wrong with it, as a sentence.
    pub trouble: Option<String>,
}

/// How an aggregator is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Which process of it this is: each has a greater one than those before.
    pub epoch: u64,
    /// Links that are listened to.
    pub links: usize,
    /// What it holds.
    pub held: Held,
    /// When the last checkpoint was written, in nanoseconds since the epoch.
    pub checkpoint_at_ns: Option<i64>,
    /// How many octets were written for it: what it has besides is where it was before.
    pub checkpoint_octets: u64,
    /// How long it took to write it, in nanoseconds.
    pub checkpoint_took_ns: u64,
    /// Why none can be written, as a sentence.
    pub store_trouble: Option<String>,
    /// How often somebody was not listened to who is no sensor that is known, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// The link to whom it forwards.
    pub uplink: Option<UplinkStatus>,
    /// Why it ended, where it did.
    pub ended: Option<String>,
}

/// What the threads of a receiver tell of it.
#[derive(Debug)]
pub(crate) struct Shared {
    told: Mutex<(ReceiverStatus, Vec<SensorStatus>)>,
    uplink: OnceLock<Uplink>,
}

#[derive(Debug)]
struct Uplink {
    to: String,
    state: Arc<Mutex<LinkState>>,
    octets: Arc<Octets>,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr, epoch: u64) -> Self {
        let status = ReceiverStatus { address: Some(address), epoch, ..ReceiverStatus::default() };
        Self { told: Mutex::new((status, vec![])), uplink: OnceLock::new() }
    }

    /// There is a link upwards.
    pub(crate) fn forwards(&self, plan: &LinkPlan) {
        let to = plan.target.url().to_owned();
        let uplink = Uplink { to, state: Arc::clone(&plan.state), octets: Arc::clone(&plan.octets) };
        // It is told once.
        let _ = self.uplink.set(uplink);
    }

    fn told(&self) -> MutexGuard<'_, (ReceiverStatus, Vec<SensorStatus>)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is told of the receiver.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ReceiverStatus)) {
        change(&mut self.told().0);
    }

    /// Tells of sensors.
    pub(crate) fn publish(&self, sensors: Vec<SensorStatus>) {
        self.told().1 = sensors;
    }

    pub(crate) fn sensors(&self) -> Vec<SensorStatus> {
        self.told().1.clone()
    }

    pub(crate) fn status(&self) -> ReceiverStatus {
        let mut status = self.told().0.clone();
        if let Some(uplink) = self.uplink.get() {
            let state = uplink.state.lock().unwrap_or_else(PoisonError::into_inner);
            let told = status.uplink.take().unwrap_or_default();
            status.uplink = Some(UplinkStatus {
                to: uplink.to.clone(),
                connected_since_ns: state.connected_since_ns,
                version: state.version.clone(),
                clock: state.exchanges.best(),
                octets_sent: uplink.octets.sent(),
                octets_received: uplink.octets.received(),
                trouble: state.trouble.clone(),
                ..told
            });
        }
        status
    }
}
