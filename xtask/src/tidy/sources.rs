//! Rules for Rust sources.
//!
//! Takes the members' files, gives findings: headers, sizes, no words that put work off, no unsafe code where
//! none belongs, no files of other packages, no sentence that goes on in the next item's documentation.

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
    [header(file), length(file), words(file), continued(file), borrowed(file), function_lengths(file)]
        .concat()
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

/// The documentation of an item is read alone: it does not go on with that of the item above.
fn continued(file: &File) -> Vec<Finding> {
    const GOES_ON: [&str; 6] = ["And ", "But ", "Or ", "Nor ", "Likewise", "…"];
    let documentation = |line: &str| line.trim_start().starts_with("///");
    let mut was_documentation = false;
    let starts = file.text.lines().enumerate().filter(|(_, line)| {
        let is_first = documentation(line) && !was_documentation;
        was_documentation = documentation(line);
        let text = line.trim_start().trim_start_matches('/').trim_start();
        is_first && GOES_ON.iter().any(|word| text.starts_with(word))
    });
    let right = "this goes on from the item above: write a sentence of its own";
    starts.map(|(number, _)| Finding::new(&file.path, number + 1, right)).collect()
}

/// A file is compiled by its own package only: what two need is a package that both depend on.
fn borrowed(file: &File) -> Vec<Finding> {
    const BORROWS: [&str; 2] = [concat!("#[path", " = \""), concat!("include", "!(\"")];
    let lines = file.text.lines().enumerate().filter(|(_, line)| {
        let path = BORROWS.iter().find_map(|start| line.trim_start().strip_prefix(start));
        path.is_some_and(|path| path.starts_with('/') || path.contains(".."))
    });
    let right = "this file is another module's: move what both need to where both can see it";
    lines.map(|(number, _)| Finding::new(&file.path, number + 1, right)).collect()
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
    fn documentation_does_not_go_on_from_the_item_above() {
        let text = "//! A\n/// What it is.\nconst A: u8 = 1;\n/// And when\n/// it came.\nconst B: u8 = 2;\n";
        assert_eq!(lines(&continued(&file("a.rs", text))), [4]);
        assert!(continued(&file("a.rs", "/// Andorra,\n/// And so on.\nconst A: u8 = 1;\n")).is_empty());
    }

    #[test]
    fn files_of_others_are_not_compiled_in() {
        let with =
            |path: &str| borrowed(&file("a/tests/b.rs", &format!("//! A\n#[path = \"{path}\"]\nmod c;\n")));
        assert!(with("inner/c.rs").is_empty());
        assert_eq!(lines(&with("../../b/src/c.rs")), [2]);
        assert_eq!(lines(&borrowed(&file("a/b.rs", "include!(\"../c.rs\");\n"))), [1]);
        assert!(borrowed(&file("a/b.rs", "include_str!(\"../c.sql\");\n")).is_empty());
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
