//! `cargo xtask build-ebpf`: the kernel programs, for a target of their own.
//!
//! Takes whichever toolchain is there, gives the objects in `<target>/ebpf`, where the build of `tapline-capture`
//! finds them. A build in which nothing has changed touches nothing, so that nothing else is built again.

pub(crate) mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::setup::{self, Purpose};
use crate::{process, style, workspace};
use toolchain::Toolchain;

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";
/// What `Cargo.toml` cannot say, where the library is no package.
const OPTIMISED_CORE: &str = "profile.ebpf.package.core.opt-level=3";
/// The programs of the package, and the names that their objects get.
const OBJECTS: [(&str, &str); 2] = [(CAPTURE, "tapline.bpf.o"), ("tapline-load-bpf", "tapline-load.bpf.o")];
/// The same of those that say what happens in them.
const LOGGING_OBJECTS: [(&str, &str); 1] = [(CAPTURE, "tapline-log.bpf.o")];
const CAPTURE: &str = "tapline-capture-bpf";

/// Builds the objects and says where they are.
pub(crate) fn run() -> Result<()> {
    let toolchain = Toolchain::find()?;
    eprintln!("{} kernel programs with {toolchain}", style::step("Building"));
    for object in build(&toolchain)? {
        eprintln!("{}", object.display());
    }
    Ok(())
}

/// Builds the objects where a toolchain is there or can be had; what cannot be is said, and left out.
pub(crate) fn prepare() {
    setup::try_for(Purpose::Ebpf);
    if let Err(error) = run() {
        eprintln!("skipped: kernel programs: {error:#}");
    }
}

fn build(toolchain: &Toolchain) -> Result<Vec<PathBuf>> {
    let mut objects = build_with(toolchain, &[], &OBJECTS)?;
    objects.extend(build_with(toolchain, &["--features", "log"], &LOGGING_OBJECTS)?);
    Ok(objects)
}

fn build_with(toolchain: &Toolchain, flags: &[&str], objects: &[(&str, &str)]) -> Result<Vec<PathBuf>> {
    let folder = workspace::scratch("ebpf")?;
    let target = workspace::scratch("ebpf-build")?;
    let mut command = toolchain.cargo();
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "tapline-ebpf-programs", "--profile", PROFILE])
        .args(objects.iter().flat_map(|(program, _)| ["--bin", program]))
        .args(flags)
        .args(["--config", OPTIMISED_CORE, "--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target);
    process::run(&mut command)?;
    let built = target.join(TARGET).join(PROFILE);
    let publish = |(program, object): &(&str, &str)| publish(&built.join(program), &folder.join(object));
    objects.iter().map(publish).collect()
}

/// Copies an object, unless it is the same already.
fn publish(from: &Path, to: &Path) -> Result<PathBuf> {
    let object = fs::read(from).with_context(|| format!("{} cannot be read", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&object) {
        fs::write(to, object).with_context(|| format!("{} cannot be written", to.display()))?;
    }
    Ok(to.to_path_buf())
}
