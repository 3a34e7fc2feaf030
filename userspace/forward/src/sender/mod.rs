//! A sensor: cuts come in, go to the disk, and from there to an aggregator, until a checkpoint has them.
//!
//! ```text
//! Sender::cut ──queue──► thread "forward": Outgoing + Spool ◄──orders, events──► thread "forward-link": the link
//!                              │ write, sync                                          (uplink)
//!                              └──► thread "forward-told": SenderEvents
//! ```

mod ahead;
mod keeper;
mod options;
mod spooled;
mod start;
mod status;
mod told;

pub use options::{SenderOptions, SpoolPlan};
pub use status::SenderStatus;
pub use told::SenderEvents;

use crate::counted::Octets;
use crate::thread::{Running, runtime};
use crate::uplink::{LinkPlan, LinkState, Target, run};
use crate::wire::PAYLOAD_OCTETS_MAX;
use bytes::Bytes;
use keeper::{Handed, Keeper};
use start::Started;
use status::Shared;
use std::sync::{Arc, Mutex};
use tapline_delivery::PartHead;
use tokio::sync::{mpsc, watch};

/// Cuts that wait for the thread that writes them.
const CUTS_MAX: usize = 64;
/// What a link and the thread say to each other.
const EVENTS_MAX: usize = 256;
const ORDERS_MAX: usize = 4;

/// Octets of positions.
const POSITIONS_OCTETS_MAX: usize = 4 << 20;

/// A part, and its payload.
pub type Part = (PartHead, Vec<u8>);

/// A cut that is not kept: it is what it was, and may come again, with more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotKept {
    /// Its parts.
    pub parts: Vec<Part>,
    /// Its positions.
    pub positions: Vec<u8>,
    /// Why, as a sentence.
    pub why: String,
}

/// Keeps what a sensor has cut, and sends it.
#[derive(Debug)]
pub struct Sender {
    cuts: Option<mpsc::Sender<Handed>>,
    report: watch::Sender<Bytes>,
    shared: Arc<Shared>,
    /// Ends behind the others, in this order.
    _threads: Vec<Running>,
}

impl Sender {
    /// Opens the spool and begins to send what is in it; gives the positions of the last cut that is safe, behind which
    /// sources go on.
    ///
    /// # Errors
    /// A sentence: the address is none, or the spool cannot be used.
    pub fn start(
        options: SenderOptions,
        events: Box<dyn SenderEvents>,
    ) -> Result<(Self, Option<Vec<u8>>), String> {
        let target = Target::of(options.to.clone())?;
        let Started { spool, outgoing, slots, positions, place, said } = start::start(&options)?;
        let (state, octets) = (Arc::<Mutex<LinkState>>::default(), Arc::<Octets>::default());
        let shared = Arc::new(Shared::new(&options, Arc::clone(&state), Arc::clone(&octets)));
        let (told, of_told) = told::start(events)?;
        said.iter().for_each(|sentence| told.say(sentence));
        let (cuts, handed) = mpsc::channel(CUTS_MAX);
        let (event, events) = mpsc::channel(EVENTS_MAX);
        let (order, orders) = mpsc::channel(ORDERS_MAX);
        let (report, reports) = watch::channel(Bytes::new());
        let plan = LinkPlan {
            target,
            version: options.version,
            states: options.states,
            report: reports,
            state,
            octets,
            events: event,
            orders,
        };
        let keeper = Keeper::new(
            (options.name, order),
            (spool, outgoing),
            (slots, place),
            (Arc::clone(&shared), told),
        );
        let threads = vec![
            Running::start("forward", runtime()?, keeper.run(handed, events))?,
            Running::start("forward-link", runtime()?, run(plan))?,
            of_told,
        ];
        Ok((Self { cuts: Some(cuts), report, shared, _threads: threads }, positions))
    }

    /// Hands over a cut, to be kept until a checkpoint has it, with how far sources had come; waits for nothing.
    ///
    /// # Errors
    /// All of it comes back where there is no room for it now, or never is.
    pub fn cut(&self, parts: Vec<Part>, positions: Vec<u8>) -> Result<(), NotKept> {
        let longest = parts.iter().map(|(_, payload)| payload.len()).max().unwrap_or_default();
        if longest > PAYLOAD_OCTETS_MAX {
            let why = format!(
                "a part of {longest} octets is more than the {PAYLOAD_OCTETS_MAX} of a message; split it"
            );
            return Err(NotKept { parts, positions, why });
        }
        if positions.len() > POSITIONS_OCTETS_MAX {
            let octets = positions.len();
            let why = format!(
                "positions of {octets} octets are more than the {POSITIONS_OCTETS_MAX} of a spool's record"
            );
            return Err(NotKept { parts, positions, why });
        }
        let octets = Handed::octets_of(&parts, &positions);
        if let Err(why) = self.shared.reserve(octets) {
            return Err(NotKept { parts, positions, why });
        }
        let handed = Handed { parts, positions, octets };
        let refused = match &self.cuts {
            Some(cuts) => match cuts.try_send(handed) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(handed) | mpsc::error::TrySendError::Closed(handed)) => {
                    handed
                }
            },
            None => handed,
        };
        self.shared.release(octets);
        let Handed { parts, positions, .. } = refused;
        let why =
            self.shared.ended().unwrap_or_else(|| "cuts come faster than the disk takes them".to_owned());
        Err(NotKept { parts, positions, why })
    }

    /// What the sensor says of itself from now on, in place of what it said before; 512 KiB at most.
    ///
    /// # Errors
    /// A sentence, when it is longer.
    pub fn report(&self, octets: Vec<u8>) -> Result<(), String> {
        if octets.len() > PAYLOAD_OCTETS_MAX {
            return Err(format!(
                "a report of {} octets is more than the {PAYLOAD_OCTETS_MAX} of a message; say less",
                octets.len()
            ));
        }
        self.report.send_replace(octets.into());
        Ok(())
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> SenderStatus {
        self.shared.status()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // What was handed over is written still; the threads end when nobody hands over any more.
        self.cuts.take();
    }
}
