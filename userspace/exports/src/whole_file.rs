//! Files that are there as a whole or not at all.
//!
//! Takes a path and what writes its octets; they are written beside it and on the disk before they take its place. After
//! a loss of power either the old file is there or the new one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Puts what `fill` writes into a file, in the place of what was there. The file beside it has the extension `new`.
///
/// # Errors
/// What the operating system or `fill` says; then what was there is there still.
pub fn put_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&beside)?);
    fill(&mut file)?;
    file.into_inner()?.sync_all()?;
    fs::rename(&beside, path)?;
    keep_names(path)
}

/// Keeps what was put beside this file, or taken away there, over a loss of power.
///
/// # Errors
/// What the operating system says.
pub fn keep_names(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_until_all_of_the_new_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        put_whole(&path, |file| file.write_all(b"old")).unwrap();
        let wrong = put_whole(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(wrong.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        put_whole(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
