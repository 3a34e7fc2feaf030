//! Opening a capture file, and what to say when it cannot be opened.
//!
//! Takes a path, gives octets to read from. An error names the file, what is wrong and what would
//! be right.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::looks_like::looks_like;
use super::mapped::Mapped;
use super::octets::Octets;
use super::pipe::Pipe;

/// Why a capture file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No file has this name.
    #[error("{name}: there is no such file")]
    Missing {
        /// The path as it was given.
        name: String,
    },
    /// The path names a directory.
    #[error("{name} is a directory; name the capture files in it")]
    Directory {
        /// The path as it was given.
        name: String,
    },
    /// The file exists, but this user may not read it.
    #[error("{name}: reading it is not permitted to this user; change its mode or run as its owner")]
    NotPermitted {
        /// The path as it was given.
        name: String,
    },
    /// The file has no octets.
    #[error("{name} is empty; a capture without packets has a header at least")]
    Empty {
        /// The path as it was given.
        name: String,
    },
    /// The file is something else.
    #[error(
        "{name} is not a capture file: it looks like {looks_like}; expected pcap or pcapng, plain or \
         compressed by gzip or zstd"
    )]
    Foreign {
        /// The path as it was given.
        name: String,
        /// What its first octets say.
        looks_like: String,
    },
    /// A capture file of a version that is not known.
    #[error("{name} cannot be read: {what}")]
    Unsupported {
        /// The path as it was given.
        name: String,
        /// What was found, and what is expected.
        what: String,
    },
    /// Standard input is named twice.
    #[error("standard input (-) is named twice; its frames can be read once only")]
    StandardInputTwice,
    /// The operating system or the decompression failed.
    #[error("{name} cannot be read: {error}")]
    Unreadable {
        /// The path as it was given.
        name: String,
        /// What failed.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn unreadable(name: &str, error: io::Error) -> Self {
        let name = name.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing { name },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { name },
            io::ErrorKind::IsADirectory => Self::Directory { name },
            _ => Self::Unreadable { name, error },
        }
    }

    pub(super) fn foreign(name: &str, start: &[u8]) -> Self {
        Self::Foreign { name: name.to_owned(), looks_like: looks_like(start) }
    }
}

/// The name for messages, and the octets.
pub(super) fn open(path: &Path) -> Result<(String, Octets), OpenError> {
    if is_standard_input(path) {
        let name = "standard input".to_owned();
        let source = standard_input().map_err(|error| OpenError::unreadable(&name, error))?;
        return Ok((name, source));
    }
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| OpenError::unreadable(&name, error))?;
    if metadata.is_dir() {
        return Err(OpenError::Directory { name });
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(OpenError::Empty { name });
    }
    let source = source(file, &metadata).map_err(|error| OpenError::unreadable(&name, error))?;
    Ok((name, source))
}

/// Refuses standard input given twice: its octets can be read once only.
///
/// # Errors
/// [`OpenError::StandardInputTwice`].
pub fn check_standard_input<P: AsRef<Path>>(paths: &[P]) -> Result<(), OpenError> {
    match paths.iter().filter(|path| is_standard_input(path.as_ref())).count() {
        0 | 1 => Ok(()),
        _ => Err(OpenError::StandardInputTwice),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn standard_input() -> io::Result<Octets> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    Octets::piped(Pipe::new(File::from(input)))
}

fn source(file: File, metadata: &Metadata) -> io::Result<Octets> {
    if metadata.is_file() { Octets::mapped(Mapped::new(&file)?) } else { Octets::piped(Pipe::new(file)) }
}
