//! Rules for Rust sources.
//!
//! Takes the members' files, gives findings: headers, sizes, no words that put work off, no unsafe code where
//! none belongs.

use std::path::Path;

use anyhow::Result;

use super::files::{self, File};
use super::manifests::Member;
use super::{Finding, functions};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Words that put work off; halved, so that they do not occur here.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// The folders of the only packages that may have unsafe code: the kernel's side and its contract, mapped files, system
/// calls on sockets, and memory that is shared with the kernel.
const MAY_BE_UNSAFE: &[&str] =
    &["ebpf/common", "ebpf/programs", "userspace/socket", "userspace/capture", "userspace/interface"];

const FORBID_UNSAFE: &str = "#![forbid(unsafe_code)]";

pub(super) fn check(root: &Path, members: &[Member]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for member in members {
        for file in files::below(root, &member.folder, "rs")? {
            findings.extend(check_file(&file));
            findings.extend(purity(&member.folder, &file));
        }
    }
    Ok(findings)
}

fn check_file(file: &File) -> Vec<Finding> {
    [header(file), length(file), words(file), function_lengths(file)].concat()
}

fn header(file: &File) -> Vec<Finding> {
    if file.text.starts_with("//!") {
        return Vec::new();
    }
    let right = "a file opens with `//!`: what comes in, what goes out, what always holds";
    vec![Finding::new(&file.path, 1, right)]
}

fn length(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![Finding::new(
        &file.path,
        FILE_LINES_MAX,
        format!("{lines} lines, at most {FILE_LINES_MAX}: split the file"),
    )]
}

fn words(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find(|word| LATER.contains(word)) {
            let right = format!("{word}: finish it, or write a decision record");
            findings.push(Finding::new(&file.path, number + 1, right));
        }
    }
    findings
}

fn function_lengths(file: &File) -> Vec<Finding> {
    let long = functions::find(&file.text).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| {
        let right = format!(
            "fn {} has {} lines, at most {FUNCTION_LINES_MAX}: split it",
            function.name, function.lines
        );
        Finding::new(&file.path, function.line, right)
    })
    .collect()
}

/// The roots of a package forbid unsafe code, but of those that may have some.
fn purity(package: &str, file: &File) -> Vec<Finding> {
    let is_root = ["lib.rs", "main.rs"].iter().any(|root| file.path == format!("{package}/src/{root}"));
    if !is_root || MAY_BE_UNSAFE.contains(&package) || file.text.contains(FORBID_UNSAFE) {
        return Vec::new();
    }
    vec![Finding::new(&file.path, 1, format!("this package has no unsafe code: write `{FORBID_UNSAFE}`"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_opens_with_its_header() {
        assert!(header(&file("a.rs", "//! Counts.\n\nfn a() {}\n")).is_empty());
        assert_eq!(lines(&header(&file("a.rs", "use std::fs;\n//! Counts.\n"))), [1]);
    }

    #[test]
    fn long_files_are_found() {
        assert!(length(&file("a.rs", &"\n".repeat(600))).is_empty());
        assert_eq!(lines(&length(&file("a.rs", &"\n".repeat(601)))), [600]);
    }

    #[test]
    fn words_that_put_work_off_are_found() {
        let text = format!("//! A\n// {}: later\nlet {}S = 1;\n", LATER[0], LATER[1]);
        assert_eq!(lines(&words(&file("a.rs", &text))), [2]);
    }

    #[test]
    fn long_functions_are_found() {
        let function = |lines: usize| format!("//! A\nfn a() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        assert!(function_lengths(&file("a.rs", &function(70))).is_empty());
        assert_eq!(lines(&function_lengths(&file("a.rs", &function(71)))), [2]);
    }

    #[test]
    fn all_packages_but_few_forbid_unsafe_code() {
        let found = |package: &str, file_name: &str, text: &str| {
            purity(package, &file(&format!("{package}/src/{file_name}"), text)).len()
        };
        assert_eq!(found("userspace/decode", "lib.rs", "//! A\n"), 1);
        assert_eq!(found("userspace/new", "main.rs", "//! A\n"), 1);
        assert_eq!(found("userspace/decode", "lib.rs", FORBID_UNSAFE), 0);
        assert_eq!(found("userspace/decode", "export/mod.rs", "//! A\n"), 0);
        assert_eq!(found("userspace/socket", "lib.rs", "//! A\n"), 0);
    }
}
