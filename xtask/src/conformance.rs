//! `cargo xtask conformance`: tapline against independent readers, over real captures.
//!
//! Takes the folder of captures, runs the test target `conformance` of the package `tapline-tests`. Where the
//! folder or the package is not there, it says so and succeeds: nothing was claimed, nothing was tested.

use anyhow::Result;

use crate::setup::{self, Purpose};
use crate::{test, workspace};

pub(crate) fn run() -> Result<()> {
    let captures = workspace::captures();
    if !captures.is_dir() {
        println!("skipped: captures not found at {} (TAPLINE_CAPTURES sets the folder)", captures.display());
        return Ok(());
    }
    if !workspace::root().join("tests/Cargo.toml").is_file() {
        println!("skipped: the package tapline-tests is not there");
        return Ok(());
    }
    setup::try_for(Purpose::Test);
    let mut command = test::cargo_test()?;
    command.args(["--workspace", "--test", "conformance"]);
    test::run_and_report(&mut command, test::skips_fail(false))
}
