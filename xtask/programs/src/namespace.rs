//! Network namespaces: how programs run in them, how ip(8) makes and takes away what is there, and what that needs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process;

/// What keeps this process from making some, as the end of a sentence; `None` where nothing does.
pub fn missing() -> Option<&'static str> {
    // Who runs a process owns its folder, by proc(5).
    let is_root = fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0);
    if !is_root {
        return Some("network namespaces need root");
    }
    process::find("ip").is_none().then_some("network namespaces need ip(8) (Debian package iproute2)")
}

pub(crate) fn inside(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    process::run(Command::new("ip").args(arguments))
}

/// Takes something away that may be gone already. Ctrl-C, pressed again, does not come to it.
pub(crate) fn take_away(arguments: &[&str]) {
    let mut command = Command::new("ip");
    let _ = command.args(arguments).process_group(0).stderr(Stdio::null()).status();
}
