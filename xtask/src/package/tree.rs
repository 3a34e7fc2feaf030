//! The files of a package, as they are to be installed.
//!
//! Takes files and texts, puts them below one folder; files that all may read, in folders that all may enter.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What dpkg reads, and does not install.
const CONTROL: &str = "DEBIAN";

/// The folder that stands for `/`.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self(root)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    /// A folder, which is made where it is not there.
    pub(super) fn folder(&self, path: &str) -> Result<PathBuf> {
        let mut folder = self.0.clone();
        for part in Path::new(path) {
            folder.push(part);
            if !folder.is_dir() {
                fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            }
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        }
        Ok(folder)
    }

    /// Puts a file there.
    pub(super) fn copy(&self, from: &Path, path: &str) -> Result<PathBuf> {
        let to = self.place(path)?;
        fs::copy(from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
        fs::set_permissions(&to, Permissions::from_mode(0o644))?;
        Ok(to)
    }

    /// Writes a file there.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<PathBuf> {
        let to = self.place(path)?;
        fs::write(&to, text).with_context(|| format!("{} cannot be written", to.display()))?;
        fs::set_permissions(&to, Permissions::from_mode(0o644))?;
        Ok(to)
    }

    /// What is to be installed, relative to the root.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let (mut files, mut folders) = (vec![], vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let relative = path.strip_prefix(&self.0)?.to_path_buf();
                if !path.is_dir() {
                    files.push(relative);
                } else if relative != Path::new(CONTROL) {
                    folders.push(path);
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Octets of all that is to be installed.
    pub(super) fn octets(&self) -> Result<u64> {
        let octets = |file: &PathBuf| -> Result<u64> { Ok(fs::metadata(self.0.join(file))?.len()) };
        self.files()?.iter().map(octets).sum()
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.folder(folder)?.join(name))
    }
}
