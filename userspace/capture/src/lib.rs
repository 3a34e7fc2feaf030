//! Where frames and flow exports come from.
//!
//! Takes capture files, gives [`tapline_decode::Frame`]s in the order of the capture, lent for the
//! time of one call, and an account of how far each file could be read. Takes export messages from
//! the network, gives [`tapline_decode::Datagram`]s, lent in the same way, and counts what was lost.
//! Lets the kernel count the frames of an interface by flow, gives what it counted.

pub mod doctor;
pub mod export;
pub mod file;
pub mod kernel;
pub mod link;
pub mod live;
mod poll;
mod socket_option;

pub use export::{
    ExportCounters, ExportEvent, ExportSet, IpfixListener, Restored, TcpCounters, TcpOptions, TemplateFile,
    UdpCounters, UdpListener, UdpOptions,
};
pub use file::{CaptureFile, CaptureSet, Counters, Damage, End, OpenError, TimeScan};
