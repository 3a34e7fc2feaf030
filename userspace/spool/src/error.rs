//! Why a spool does not do what it is asked.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a folder, or with what was to go into it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk, or who runs it, does not let us: it may do so later.
    #[error("the spool {} cannot {what}: {error}", .folder.display())]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
    /// There is no room for a cut until something is forgotten.
    #[error(
        "the spool {} has no room for {octets} octets more: {held} of {most} are taken; forget the oldest records",
        .folder.display()
    )]
    Full {
        /// Which folder.
        folder: PathBuf,
        /// Octets that it would take.
        octets: u64,
        /// Octets that are taken.
        held: u64,
        /// Octets that may be.
        most: u64,
    },
    /// A cut or a record never has room.
    #[error("{what} of {octets} octets is more than the {most} that a spool takes; raise {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Octets that it has.
        octets: u64,
        /// Octets that it may have.
        most: u64,
        /// Which limit says so.
        limit: &'static str,
    },
    /// The folder is not ours, or not to be read by this version; it is left as it is.
    #[error("{} cannot be a spool here: {why}", .folder.display())]
    Refused {
        /// Which folder.
        folder: PathBuf,
        /// Why, and what would be right.
        why: String,
    },
}

impl SpoolError {
    pub(crate) fn io(folder: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let folder = folder.to_owned();
        move |error| Self::Io { folder, what, error }
    }

    pub(crate) fn refused(folder: &Path, why: impl Into<String>) -> Self {
        Self::Refused { folder: folder.to_owned(), why: why.into() }
    }
}
