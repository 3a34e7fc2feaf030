//! Where things are.
//!
//! Takes nothing, gives the folders that the commands work in, and the program that they work with.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tapline_programs::folders;
pub(crate) use tapline_programs::folders::{scratch, target};

use crate::process;

/// What cargo is asked to build the product. Tests name the whole workspace too, so that both
/// choose the same features of dependencies and nothing is compiled twice.
const BUILD_TAPLINE: [&str; 5] = ["build", "--release", "--workspace", "--bin", "tapline"];

/// What switches on what takes more than Rust to build: tests and packages have it, the demonstration does without.
pub(crate) const WITH_KAFKA: [&str; 2] = ["--features", "tapline/kafka"];

/// The same for all that is built of the whole workspace.
pub(crate) const ALL_WITH_KAFKA: [&str; 2] = ["--features", "tapline/kafka,tapline-benches/kafka"];

/// What cargo is asked to build the program that sends frames, with the whole workspace for the same reason.
const BUILD_LOAD: [&str; 6] = ["build", "--quiet", "--release", "--workspace", "--bin", "tapline-load"];

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_path_buf).expect("invariant: this package is in a folder of the workspace")
}

/// Builds the program `tapline`; cargo shows its own progress.
pub(crate) fn build_tapline() -> Result<PathBuf> {
    process::run(process::cargo().args(BUILD_TAPLINE))?;
    folders::built("tapline")
}

/// Builds it with all that it can do.
pub(crate) fn build_whole_tapline() -> Result<PathBuf> {
    process::run(process::cargo().args(BUILD_TAPLINE).args(WITH_KAFKA))?;
    folders::built("tapline")
}

/// Builds the program that sends frames and exports.
pub(crate) fn build_load() -> Result<PathBuf> {
    process::run(process::cargo().args(BUILD_LOAD))?;
    folders::built("tapline-load")
}

/// The real captures: the environment's `TAPLINE_CAPTURES`, or the folder next to the checkout.
pub(crate) fn captures() -> PathBuf {
    env::var_os("TAPLINE_CAPTURES").map_or_else(|| root().join("../shared/captures"), PathBuf::from)
}

/// Whether this is a machine that builds, and nobody is there to look: the environment says `CI`.
pub(crate) fn is_in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
