//! What sensors and aggregators say to each other, and the threads, sockets and files around what decides about it.
//!
//! Cuts of a sensor come in, results of an aggregator go out, each once in effect, whatever becomes of links, processes
//! and disks between. What is acknowledged, sent again, fenced and given is decided by `tapline-delivery`; payloads,
//! assignments and reports are octets here.
//!
//! ```text
//!  Sender                                        a link: Flight's DoExchange                                   Receiver
//!  ──────                                        ───────────────────────────                                   ────────
//!  cut ─► number, write, sync                    hello: name, life, gaps, versions, report ─►        who is it? by token,
//!            │                                   ◄─ welcome: covered, version             certificate, or on this machine
//!            └─► record, record … ─►             record: head, payload ─►                       merge ─► checkpoint, 500 ms
//!                                                ◄─ verdict: refused, or to come again                      │ written
//!  forget ◄──────────────────────                ◄─ covered: by a checkpoint that was written  ◄────────────┤
//!                                                ask: what time is it ─►  ◄─ answer                         └─► Taker
//!  SenderEvents::assigned ◄──────                ◄─ assignments: newest only                   ◄──── Receiver::assign
//!  Sender::report ───────────────                report: newest only ─►                        ────► Receiver::sensors
//!                                                ◄─ refused: why, as a sentence; the last
//! ```
//!
//! # What always holds
//!
//! 1. A cut is sent when it is synced, and is in the spool, with how far sources had come, until a checkpoint has it or
//!    there is no room; what had none is told, and counted ([`Sender::cut`], [`SenderStatus::lost`]).
//! 2. Nothing is acknowledged or given before the [`Store`] has the checkpoint; a process whose place was taken ends with
//!    a sentence, and does no harm until then ([`StoreError::TakenOver`], [`SenderEvents::ended`], [`Taker::ended`]).
//! 3. A sensor is whom the transport vouches for, never who it says it is; without TLS and proof only this machine may
//!    connect ([`Entrance`]).
//! 4. Whatever is said on a link, it is refused by a sentence and counted, or waits within limits that are the link's
//!    own: frames of 4 MiB, 256 records under way, 64 MiB of all links together, and what is newest only is kept once.
//! 5. Nothing waits for somebody else: [`Sender::cut`] gives a cut back, what whoever looks after it is told has a thread
//!    of its own, whoever does not read is let go of.
//! 6. An aggregator that forwards uses the same link; its records are in its checkpoints, and it has no spool.
//!
//! # Limits, as numbers
//!
//! | what | how much |
//! |---|---|
//! | payload of a part, report | 512 KiB ([`PAYLOAD_OCTETS_MAX`]) |
//! | frame, by which assignments, and panes of few groups that an aggregator forwards, are bounded | 4 MiB |
//! | records of a sensor that are sent and not covered | 4096 |
//! | links of an aggregator | 4096 |
//! | silence on a link, nothing taken by a sensor | 30 s |
//! | another link is tried after | 100 ms … 5 s |

#![forbid(unsafe_code)]

mod clock;
mod counted;
#[cfg(test)]
mod hostile;
mod random;
mod receiver;
mod sender;
mod store;
mod thread;
mod uplink;
mod wire;

pub use clock::ClockOffset;
pub use receiver::{Entrance, Receiver, ReceiverOptions, ReceiverStatus, SensorStatus, Taker, UplinkStatus};
pub use sender::{NotKept, Part, Sender, SenderEvents, SenderOptions, SenderStatus, SpoolPlan};
pub use store::{FolderStore, Store, StoreError};
pub use uplink::Upstream;
pub use wire::PAYLOAD_OCTETS_MAX;
