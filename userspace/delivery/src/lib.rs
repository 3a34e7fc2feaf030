//! What sensors and aggregators decide, so that each partial aggregate counts exactly once in effect.
//!
//! Greetings, records, moments, and what became safe on a disk come in; verdicts, acknowledgements, records to be sent,
//! checkpoints and results go out. Here is no I/O, no thread and no clock, and payloads are octets that only whoever
//! implements [`Merge`] understands: sockets, files and Arrow are for those who call.
//!
//! ```text
//!  sensor: Outgoing + its spool          aggregator: Aggregator + its store         the next one, or whoever takes results
//!  ───────────────────────────           ────────────────────────────────           ────────────────────────────────────
//!  cut ─ number ─ write ─ sync
//!     │ hello: lineage, life, gaps ─────► hello: listened to, or fenced
//!     │ ◄───────────────── covered: by the last checkpoint that was written
//!     │ record I/7 ─────────────────────► receive: taken · seen · refused · later
//!     │ record I/8 ─────────────────────►
//!     │                                   checkpoint: gives panes that are due,
//!     │                                      all that is known: a manifest, a bundle of new blobs
//!     │                                   (put the bundle, sync; the manifest beside, sync, compare and swap, sync)
//!     │                                   written ──┬─► results ──────────────────► by half, pane and revision, once
//!     │ ◄───────────────── covered: up to I/8      └─► outgoing: as a sensor ─────► hello, records …
//!  forget I/7, I/8
//! ```
//!
//! # Promises, and who keeps them
//!
//! 1. A record never changes once it has its number, and what an earlier life numbered is not numbered again
//!    ([`Outgoing::cut`], [`Incarnation::after`]).
//! 2. A record is sent only when all of its cut is safe, so that no crash of the sender takes back what somebody has seen;
//!    what is on the disk of a cut that is not whole counts as never received ([`Outgoing::safe`], [`Outgoing::resume`]).
//! 3. A record is kept until a checkpoint has it ([`Outgoing::covered`]). What comes again is known: by a mark up to which
//!    all came, and those above it ([`Aggregator::receive`]).
//! 4. Nothing goes out of an aggregator that no checkpoint has: neither an acknowledgement, nor a result, nor a record for
//!    the next one ([`Aggregator::written`], [`Aggregator::results`], [`Aggregator::covered`]).
//! 5. Of several processes of one aggregator only the latest writes checkpoints ([`Manifest::follows`]): it begins by
//!    writing what it found, if that is there still, under an epoch of its own ([`Manifest::claimed`]). By 4, the others
//!    can do no harm.
//! 6. Where there is no room the oldest records go, and what is missing with them is told by a record of its own. Whoever
//!    receives it knows which of them he has all the same, and counts the others: what was sent = what is in the result +
//!    what is told to be missing. Where that cannot be known, it is said to be at most so much, or to be in doubt
//!    ([`Outgoing::cut`], [`Told`]).
//! 7. A watermark holds when all before it has come. A pane is given when all who take part have come to its end, are
//!    idle, or were waited for long enough; it says whose share may not be whole, and whoever is not named there is
//!    whole, or says how much is missing. What comes later gives it again, with the next revision, until it is closed for
//!    good ([`Aggregator::checkpoint`], [`Given::absent`]).
//! 8. An aggregator that forwards is a sensor to the next one: its epoch is its life, its numbers and its records are part
//!    of its checkpoints, so that after a crash the same numbers mean the same records. What it gave on is gone: what
//!    comes later is another part ([`Role::Forward`], [`Aggregator::outgoing`]).
//! 9. Of several lives of a sensor the latest is listened to; one that has lost its numbers begins another memory of
//!    them, and what may be missing by that is in doubt ([`Aggregator::hello`], [`Lineage`]).
//! 10. Whatever somebody sends, it is refused or held within limits, counted by name, and changes nothing of what others
//!     sent ([`Verdict`], [`Refusal`], [`AggregatorLimits`], [`Aggregator::counts`]).
//! 11. Of what is long a checkpoint writes only what is new ([`Bundle`]). A manifest takes its place when all that it names
//!     is safe, and nothing is deleted that the manifest names which is in place after any crash ([`Checkpoint::leaves`]).
//!
//! # What callers promise
//!
//! What is given to [`Outgoing::resume`] was synced first. A sensor gives a part of every pane of every half, also of one
//! without groups, no later than in the cut whose watermark passes its end; of the parts of one half in a cut only the
//! last one has that watermark, the others `i64::MIN`. A store compares and replaces in one step, and does what belongs to a
//! checkpoint in the order above; a manifest that was found is claimed before the bundles are read that it names. A half's id
//! is never used again. A merge takes a payload as a whole or not at all, and gives the same in any order; what it gives apart is together
//! what it gives as one. Whoever takes results keeps, of each half and pane, the one with the greatest revision.

#![forbid(unsafe_code)]

mod aggregator;
mod blobs;
mod checkpoint;
mod codec;
mod half;
mod limits;
mod link;
mod message;
mod mutation;
mod names;
mod outgoing;
mod record;
mod seen;
#[cfg(test)]
mod simulation;

pub use aggregator::{
    Aggregator, AggregatorOptions, Given, Held, KeptHalf, Merge, Origin, RestoreError, Role,
};
pub use blobs::Bundle;
pub use checkpoint::{Checkpoint, Manifest, Stamp};
pub use codec::Garbage;
pub use half::HalfSpec;
pub use limits::{AggregatorLimits, Patience};
pub use message::{Covered, Hello, Refusal, Verdict};
pub use names::{Fingerprint, HalfId, Incarnation, Lineage, Moment, Position, SensorName, Span};
pub use outgoing::{Fenced, NewPart, Outgoing, OutgoingLimits};
pub use record::{Gap, Head, Kind, Loss, PartHead, Told};
