//! `cargo xtask conformance FOLDER…`: any captures and exports, beside tshark and capinfos.
//!
//! Takes folders and files, builds the product and the program of the package `tapline-tests` that compares, runs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Purpose};
use crate::{process, workspace};

const BUILD: [&str; 6] = ["build", "--quiet", "--release", "--workspace", "--bin", "tapline-compare"];

pub(super) fn run(folders: &[PathBuf]) -> Result<()> {
    setup::try_for(Purpose::Test);
    let tapline = workspace::build_whole_tapline()?;
    process::run(process::cargo().args(BUILD))?;
    let mut command = Command::new(workspace::target()?.join("release/tapline-compare"));
    process::run(command.args(folders).env("TAPLINE_BIN", tapline))
}
