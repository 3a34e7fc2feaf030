//! The folder that cargo builds into, and what stands in it.
//!
//! Takes names, gives paths: of folders for what a command makes, and of programs that were built beside this one.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

/// The folder that cargo builds into, of which this program's own folder is a part: whatever sets it, the
/// environment or a configuration.
pub fn target() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of this program is not known")?;
    let target = program.parent().and_then(Path::parent).map(Path::to_path_buf);
    target.with_context(|| format!("{} is not in a target folder; use `cargo xtask`", program.display()))
}

/// A folder in the target folder for what a command makes; created when it is not there.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let folder = target()?.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    Ok(folder)
}

/// Makes the folder empty.
pub fn clear(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)
        .and_then(|()| fs::create_dir_all(folder))
        .with_context(|| format!("{} cannot be emptied", folder.display()))
}

/// The program of this name that is built in the product's profile, if it is.
pub fn built(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("release").join(name))
}
