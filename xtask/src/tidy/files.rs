//! Finds and reads the workspace's files.
//!
//! Takes a folder, gives the files in it and below, sorted, so that findings always come in the same order.
//! Hidden folders and what cargo builds are left out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A text file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// The path relative to the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
}

/// In place of an extension: all files.
pub(super) const ANY: &str = "*";

/// The files with an extension in a folder and below; none when there is no such folder.
pub(super) fn below(root: &Path, folder: &str, extension: &str) -> Result<Vec<File>> {
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths)?;
    paths.retain(|path| extension == ANY || path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths.iter().map(|path| read(root, path)).collect()
}

/// One file.
pub(super) fn read(root: &Path, path: &Path) -> Result<File> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let relative = path.strip_prefix(root).unwrap_or(path);
    Ok(File { path: relative.display().to_string(), text })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            paths.push(path);
        } else if !is_left_out(&path) {
            collect(&path, paths)?;
        }
    }
    Ok(())
}

fn is_left_out(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "target"
}
