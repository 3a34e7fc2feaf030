//! By what one sees that a file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// When a file was changed last, its octets, and which file it is: an editor may put another one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    octets: u64,
    inode: u64,
}

impl Stamp {
    /// Of the file as it is; `None` when it is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { modified: file.modified().ok(), octets: file.len(), inode: file.ino() })
    }
}
