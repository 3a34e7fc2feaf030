//! Sources of flow exports: NetFlow, IPFIX and sFlow messages, as they come.
//!
//! Takes addresses to listen on, or files, gives messages with their senders, lent for one call. A source knows
//! as much of the protocols as it needs to tell where a message ends. What was lost before it could be
//! read is counted; what was read is lent or counted, never passed over.

#![forbid(unsafe_code)]

mod event;
mod file;
mod ipfix_stream;
mod listen_error;
mod open_error;
mod protocol;
mod tcp;
mod template_file;
mod udp;
mod url;
mod whole_file;

pub use event::ExportEvent;
pub use file::{ExportCounters, ExportSet};
pub use listen_error::ListenError;
pub use open_error::OpenError;
pub use tcp::{IpfixListener, TcpCounters, TcpOptions};
pub use template_file::{Restored, TemplateFile};
pub use udp::{UdpCounters, UdpListener, UdpOptions};
pub use url::{ListenerAddress, ListenerUrl};
pub use whole_file::{keep_names, put_whole};

/// Longest wait of one read of a listener: so long an order waits that comes meanwhile, such as a query that is new.
const WAIT_MS: u16 = 10;
