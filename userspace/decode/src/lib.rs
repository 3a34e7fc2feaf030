//! Turns frames into rows.

#![forbid(unsafe_code)]

pub mod export;
mod flow_cache;
pub mod flow_meter;
mod folding;
mod frame;
pub mod packet;
mod reasons;

pub use export::{Datagram, ExportDecoder, ExportOptions, Sender, Transport};
pub use flow_cache::FlowCache;
pub use flow_meter::{FlowBatcher, FlowMeter, FlowMeterLimits};
pub use frame::{Direction, Frame, LinkType};
pub use packet::{Damage, DamageCounts, Decoded, Depth, PacketBatcher, Seen, Unread, UnreadCounts, decode};
