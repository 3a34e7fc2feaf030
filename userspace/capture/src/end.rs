//! How a capture file ended, and what was read of it.
//!
//! Every file has exactly one end, and everything before it was delivered.

use std::ops::AddAssign;

/// How a file ended. Positions count plain octets, after decompression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After its last record.
    Complete,
    /// Within a record, as when the capturing program was killed or the disk was full.
    CutOff {
        /// Where the incomplete record begins.
        at_octet: u64,
    },
    /// At a record that cannot be trusted, so that what follows cannot be found.
    Damaged {
        /// Where that record begins.
        at_octet: u64,
        /// What is wrong with it.
        reason: Damage,
    },
}

/// Why the records after a position cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A pcap record claims more octets than the file's snapshot length and any usual frame.
    #[error("a frame claims {captured} captured octets, more than the {captured_max} possible here")]
    FrameTooLong {
        /// Octets that the record claims.
        captured: u32,
        /// Most octets that a frame of this file may have.
        captured_max: u32,
    },
    /// A pcapng block length that no block can have.
    #[error("a block claims a length of {octets} octets")]
    BlockLength {
        /// The block's total length as written.
        octets: u32,
    },
    /// The lengths at the two ends of a pcapng block differ.
    #[error("a block's length is {leading} at its beginning, but {trailing} at its end")]
    TrailingLength {
        /// Total length at the block's beginning.
        leading: u32,
        /// Total length at the block's end.
        trailing: u32,
    },
    /// A pcapng section whose byte order cannot be told.
    #[error("a section begins with the byte-order magic {magic:#010x}")]
    ByteOrderMagic {
        /// The magic as read in network byte order.
        magic: u32,
    },
    /// A pcapng section of a version that is not known.
    #[error("a section has version {major}; only version 1 is known")]
    Version {
        /// Major version.
        major: u16,
    },
    /// Where an export message should begin, none does.
    #[error("no export message begins here")]
    NoMessage,
    /// The file became shorter.
    #[error("another program shortened it while it was read; read it anew when it is whole")]
    Shortened,
    /// The operating system or the decompression failed.
    #[error("reading failed: {0}")]
    Unreadable(String),
}

/// What was read of one or several capture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames delivered.
    pub frames: u64,
    /// Octets captured of them.
    pub captured_octets: u64,
    /// Octets that they had on the wire.
    pub original_octets: u64,
    /// Frames that could not be delivered: of an interface that the capture does not describe, or
    /// in a block too short for them.
    pub undecodable: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.captured_octets += other.captured_octets;
        self.original_octets += other.original_octets;
        self.undecodable += other.undecodable;
    }
}
