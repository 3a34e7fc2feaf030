//! Joins capture and decode: each kind of input as a source of batches.
//!
//! A [`Source`] reads, on a thread that is its own, and gives batches of the streams that it carries, how far they
//! have come, and an account of its own. Whoever runs it knows nothing else of it.

#![forbid(unsafe_code)]

mod absent;
mod active;
mod captures;
mod clock;
mod demand;
mod exports;
mod frames;
mod kernel;
mod kernel_filter;
mod ledger;
mod listener;
mod metered;
mod notice;
mod options;
mod packet_report;
mod packets;
mod passing;
mod report;
mod selection;
mod source;
mod watch;

pub use absent::AbsentSource;
pub use active::{FlowsAnswer, FlowsAsk, FlowsTold, Taken, ask_flows};
pub use captures::{CaptureFolder, FolderMemory, SharedMemory, is_continued};
pub use clock::{Clock, SystemClock};
pub use demand::{Demand, PaneWidths};
pub use exports::{ExportReport, ExportSource, TemplateReport, disorder_ns};
pub use kernel::{KernelInput, KernelReport, KernelSource, flow_table_of};
pub use listener::{Listener, ListenerReport};
pub use notice::Notice;
pub use options::SourceOptions;
pub use packet_report::{InterfaceReport, PacketReport};
pub use packets::PacketSource;
pub use passing::PassedCounters;
pub use report::Reported;
pub use selection::Selection;
pub use source::{AtEnd, Missed, Progress, Source, Step};
