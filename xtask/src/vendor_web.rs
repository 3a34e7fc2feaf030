//! `cargo xtask vendor-web`: the libraries of the page, made anew of the packages of npm that a lock file names.
//!
//! Takes `scripts/vendor-web`, gives `web/vendor`, which is committed: nobody who compiles needs npm.

use std::process::Command;

use anyhow::Result;

use crate::{process, workspace};

/// What does it, which people may run themselves.
const SCRIPT: &str = "scripts/vendor-web/build.sh";

pub(crate) fn run() -> Result<()> {
    process::run(&mut Command::new(workspace::root().join(SCRIPT)))
}
