//! Where things are.
//!
//! Takes nothing, gives the folders that the commands work in, and the program that they work with.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

use crate::process;

/// What cargo is asked to build the product. Tests name the whole workspace too, so that both
/// choose the same features of dependencies and nothing is compiled twice.
const BUILD_TAPLINE: [&str; 5] = ["build", "--release", "--workspace", "--bin", "tapline"];

/// Likewise for the program that sends frames.
const BUILD_LOAD: [&str; 6] = ["build", "--quiet", "--release", "--workspace", "--bin", "tapline-load"];

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_path_buf).expect("invariant: this package is in a folder of the workspace")
}

/// The folder that cargo builds into, of which this program's own folder is a part: whatever sets it, the
/// environment or a configuration.
pub(crate) fn target() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of this program is not known")?;
    let target = program.parent().and_then(Path::parent).map(Path::to_path_buf);
    target.with_context(|| format!("{} is not in a target folder; use `cargo xtask`", program.display()))
}

/// A folder in the target folder for what a command makes; created when it is not there.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = target()?.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    Ok(folder)
}

/// Makes the folder empty.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)
        .and_then(|()| fs::create_dir_all(folder))
        .with_context(|| format!("{} cannot be emptied", folder.display()))
}

/// Builds the program `tapline`; cargo shows its own progress.
pub(crate) fn build_tapline() -> Result<PathBuf> {
    process::run(process::cargo().args(BUILD_TAPLINE))?;
    tapline()
}

/// The program `tapline`, when it has been built.
pub(crate) fn tapline() -> Result<PathBuf> {
    Ok(target()?.join("release/tapline"))
}

/// Builds the program that sends frames.
pub(crate) fn build_load() -> Result<PathBuf> {
    process::run(process::cargo().args(BUILD_LOAD))?;
    Ok(target()?.join("release/tapline-load"))
}

/// The real captures: the environment's `TAPLINE_CAPTURES`, or the folder next to the checkout.
pub(crate) fn captures() -> PathBuf {
    env::var_os("TAPLINE_CAPTURES").map_or_else(|| root().join("../shared/captures"), PathBuf::from)
}
