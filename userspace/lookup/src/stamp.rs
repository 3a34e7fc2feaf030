//! By what one sees that a file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// When a file was changed last, its octets, and which file it is: an editor may put another one in its place. That
/// other people may read it shows in when its inode was changed, and in nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    octets: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    inode_changed: (i64, i64),
}

impl Stamp {
    /// Of the file as it is; `None` when it is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            modified: file.modified().ok(),
            octets: file.len(),
            inode: file.ino(),
            inode_changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn other_rights_are_a_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = Stamp::of(file.path());
        assert_eq!(Stamp::of(file.path()), before);
        // The clock of a file system may stand still for some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(Stamp::of(file.path()), before);
    }
}
