//! Flow exports of routers and switches: NetFlow v5, v7 and v9, IPFIX, sFlow v5.
//!
//! Takes an [`ExportPlan`] and the time, gives UDP payloads of any number of exporters, and the truth about
//! what was put on the wire. Everything follows from the seed and the times that the caller names.
//! The records of a plan are drawn and encoded once, as a block of datagrams; to emit one of
//! them is to copy it and to fill in sequence numbers and times, so that a sender is as fast as its sockets.

mod block;
mod capture;
mod channel;
mod claim;
mod dialect;
mod exporter;
mod fleet;
mod flow;
mod ipfix;
mod layout;
mod netflow_v5;
mod netflow_v7;
mod netflow_v9;
mod octets;
mod outbox;
mod plan;
mod protocols;
mod sflow;
mod truth;

pub use capture::ExportCapture;
pub use fleet::Fleet;
pub use outbox::{Outbox, Run};
pub use plan::{ExportPlan, Faults, Protocol};
pub use truth::{Amount, Control, PairAmount, Truth};
