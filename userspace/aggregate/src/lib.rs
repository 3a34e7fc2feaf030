//! What sensors send of queries, and results of what an aggregator collects.
//!
//! ```text
//!  sensor                                   aggregator
//!  cut of a query ─► PartMaker ─► parts ═══► Merging: states of a half and pane, merged in any order
//!                   (head, payload)            │ given: a pane, when all have come to its end, and again when more comes
//!                                              ▼
//!                                            Results: panes of all halves ─► windows ─► upper half ─► results
//! ```
//! What is sent, acknowledged, waited for and given decides `tapline_delivery`, to which payloads are octets; here they
//! have a meaning. Both ends know a half by a [`fingerprint`]: states are merged with those of the same plan, columns and
//! versions only. Octets come from others: what is made of them is bounded, and none of them ends in a panic.

#![forbid(unsafe_code)]

mod coverage;
#[cfg(test)]
mod crafted;
mod finishing;
mod flaw;
mod guard;
mod halves;
mod merging;
mod pane_state;
mod part_maker;
mod payload;
mod planes;
mod results;
mod row_limit;
mod running;
mod settled;
mod shape;

pub use flaw::Flaw;
pub use halves::{check_query_id, fingerprint, half_id, half_specs};
pub use merging::Merging;
pub use pane_state::PaneState;
pub use part_maker::PartMaker;
pub use results::Results;
