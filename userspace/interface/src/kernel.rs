//! The kernel programs, from user space.
//!
//! Loads the programs that are compiled in, asks them for their version, attaches them to an interface, by XDP for what it
//! receives and by tcx for what it sends, and empties their flow table. Frames are counted in the kernel; what comes out
//! are entries: one flow in one pane.
//! Every frame that a program saw is filtered, unwanted, lost or in an entry that comes out exactly once.

mod bound;
mod bpf;
mod card;
mod clock;
mod error;
mod filter;
mod flow;
mod lists;
mod log;
mod mapped;
mod object;
mod prefilter;
mod programs;
mod quiesce;
mod sender;
mod sent;
mod signals;
mod stamp;
mod table;
mod trial;

pub use card::CardUse;
pub(crate) use card::ToldCalendar;
pub use clock::{Clock, monotonic_ns};
pub use error::KernelError;
pub use filter::{FilterStanding, FilterState, FrameReader, KernelFilter, SharedFilter};
pub use flow::KernelFlow;
pub use log::{LogLevel, log_at};
pub(crate) use object::is_built_in;
pub use prefilter::{PreFilter, Rule, RuleError};
pub use programs::{AttachMode, KernelCapture, KernelOptions, SharedPreFilter, Tally, TestedFrame};
pub use sender::{Sender, flow_of};
pub use stamp::arrival_ns;
pub(crate) use stamp::stamp;
pub use table::{Drained, FlowTable};
pub use tapline_ebpf_common::{CARD_AWAY_NS_MAX, Counters, FlowKey, PaneGrid, Shape, Verdict};
pub use trial::{Part, Trial};
