//! `cargo xtask tidy`: the rules of the project that no compiler knows.
//!
//! Takes the workspace's files, gives findings: where, what is wrong, what would be right. It also runs as a
//! test, so that nobody can forget it.

mod circles;
mod documents;
mod features;
mod files;
mod functions;
mod imports;
mod layers;
mod manifests;
mod modules;
mod public;
mod sources;
mod vendored;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::{style, workspace};

/// A rule that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, relative to the workspace's root.
    file: String,
    /// The line, from 1.
    line: usize,
    /// What is wrong and what would be right.
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

pub(crate) fn run() -> Result<()> {
    let findings = findings(&workspace::root())?;
    for finding in &findings {
        eprintln!("{} {finding}", style::error("untidy:"));
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} rules are not kept"),
    }
}

/// All findings of a workspace, in the order of its files.
fn findings(root: &Path) -> Result<Vec<Finding>> {
    let members = manifests::members(root)?;
    let mut findings = manifests::check(&members);
    findings.extend(layers::check(&members));
    findings.extend(sources::check(root, &members)?);
    findings.extend(circles::check(root, &members)?);
    findings.extend(public::check(root, &members)?);
    findings.extend(documents::check(root)?);
    findings.extend(vendored::check(root)?);
    findings.extend(features::check()?);
    findings.sort();
    // A package may stand in the folder of another one.
    findings.dedup();
    Ok(findings)
}

/// The line of an octet of a text, from 1.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

#[test]
fn the_workspace_is_tidy() {
    let findings = findings(&workspace::root()).expect("the workspace can be read");
    let list: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}
