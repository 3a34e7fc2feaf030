//! What moves through tapline: the streams and their columns, the builders that fill them,
//! event time, flow keys and the counters of the ledger.
//!
//! Every other crate depends on this one; it depends on Arrow's arrays alone, does no I/O and
//! reads no clock.

#![forbid(unsafe_code)]

pub mod address;
pub mod batch;
pub mod column;
pub mod element;
pub mod flow_key;
mod flows;
mod identity;
mod interface_counters;
mod layout;
pub mod ledger;
mod ledger_rows;
mod packet_flows;
mod packets;
pub mod stream;
mod stream_set;
mod streams;
mod table_flows;
pub mod time;
mod validity;
mod watermarks;

pub use batch::BatchBuilder;
pub use column::ColumnBuilder;
pub use element::{ElementColumn, ElementForm};
pub use flow_key::FlowKey;
pub use flows::{FLOWS, FlowColumn, FlowRow};
pub use identity::IdentityColumn;
pub use interface_counters::{INTERFACE_COUNTERS, InterfaceColumn, InterfaceRow};
pub use layout::{Epoch, Layout};
pub use ledger_rows::{LEDGER, LedgerColumn, LedgerRow};
pub use packet_flows::{PACKET_FLOWS, PacketFlowColumn, PacketFlowRow};
pub use packets::{PACKETS, PacketColumn, PacketRow};
pub use stream::{Column, ColumnType, Stream, StreamId};
pub use stream_set::StreamSet;
pub use streams::STREAMS;
pub use table_flows::TABLE_FLOWS;
pub use time::EventTime;
pub use watermarks::{Reach, Watermarks};
