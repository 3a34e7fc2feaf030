//! A socket of this machine, by which its users reach a node.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Its owner and the group may ask; others may not.
const MODE: u32 = 0o660;

/// A socket that listens; its file goes with it.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket, which is removed with this value.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl LocalSocket {
    /// Listens at a path. A file that a node left there, which nobody listens at any more, makes room.
    ///
    /// # Errors
    /// A sentence: something else is there, another node answers, or the folder cannot be written.
    pub(crate) fn bind(path: &Path) -> Result<Self, String> {
        let said = |what: String| format!("the API cannot listen on {}: {what}", path.display());
        let is_socket = match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => true,
            Ok(_) => return Err(said("the file is no socket; give another --socket PATH".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(said(error.to_string())),
        };
        if is_socket && UnixStream::connect(path).is_ok() {
            return Err(said("another node answers there; give another --socket PATH".to_owned()));
        }
        let listen = || -> io::Result<UnixListener> {
            if is_socket {
                fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(MODE))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = listen().map_err(|error| said(error.to_string()))?;
        Ok(Self { listener, file: SocketFile(path.to_owned()) })
    }

    /// What listens, and its file.
    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_listens_at_makes_room_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let first = LocalSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let refused = LocalSocket::bind(&path).unwrap_err();
        assert!(refused.ends_with("another node answers there; give another --socket PATH"), "{refused}");
        // As after a kill: the file is there, and nobody listens.
        drop(first);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(LocalSocket::bind(&path).unwrap());
        assert!(!path.exists(), "it goes with its node");
        fs::write(&path, "mine").unwrap();
        let refused = LocalSocket::bind(&path).unwrap_err();
        assert!(refused.contains("the file is no socket"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let nowhere = LocalSocket::bind(&folder.path().join("no/api.sock")).unwrap_err();
        assert!(nowhere.contains("No such file"), "{nowhere}");
    }
}
