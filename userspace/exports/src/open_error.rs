//! Why a file of exports cannot be opened.
//!
//! Takes what reading it as a capture said, or its first octets, gives a message with the file's name, what is wrong
//! and what would be right.

use tapline_capture::looks_like;

/// Why a file of exports cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What stands in the way of any file: it is missing, empty, not permitted, or a capture that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] tapline_capture::OpenError),
    /// The file holds neither export messages nor a capture.
    #[error(
        "{name} holds no flow exports: it looks like {looks_like}; expected NetFlow, IPFIX or sFlow messages \
         back to back, or a pcap or pcapng capture of them, plain or compressed by gzip or zstd"
    )]
    NoExports {
        /// The path as it was given.
        name: String,
        /// What its first octets say.
        looks_like: String,
    },
}

impl OpenError {
    pub(crate) fn no_exports(name: String, start: &[u8]) -> Self {
        Self::NoExports { name, looks_like: looks_like(start) }
    }
}
