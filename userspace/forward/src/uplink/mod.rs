//! A link to an aggregator: how it is made, what is said on it, and what that means for records.
//!
//! ```text
//! whoever has the records (a thread)                       link task                           the other end
//! ──────────────────────────────────                       ─────────                           ─────────────
//! Outgoing ── Driver ──► orders: hello, records ──► write ──► hello, records, reports, asks ──►
//!                   ◄── events: wants, covered, refused ◄── read ◄── welcome, verdicts, covered, answers, assignments ──
//! ```
//!
//! The task asks for records when it has room for some, so that no more are under way than the other end takes.

mod connect;
mod driver;
mod task;

#[cfg(test)]
pub(crate) use connect::Connection;
pub(crate) use connect::Target;
pub use connect::Upstream;
pub(crate) use driver::{Driver, Ended};
pub(crate) use task::{FromLink, LinkPlan, LinkState, ToLink, run};
