//! What is public is named by somebody else.
//!
//! Takes the workspace's Rust files, gives findings: functions, constants and statics of a library of `userspace` that
//! nothing outside of it names, neither another package nor a test, a benchmark, an example or a fuzz target; and types
//! that the library does not name either. A name is enough, whatever it means there: so nothing is found in vain where
//! two items share a name, and some dead ones are missed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::files::{self, File};
use super::manifests::Member;
use super::{Finding, imports};

/// The folder of the packages whose libraries are looked at.
const LIBRARIES: &str = "userspace/";

/// Rust files that are in no member.
const FUZZ_TARGETS: &str = "fuzz";

/// An item that is declared public.
#[derive(Debug)]
struct Item<'a> {
    name: &'a str,
    is_type: bool,
    line: usize,
}

pub(super) fn check(root: &Path, members: &[Member]) -> Result<Vec<Finding>> {
    let mut files = BTreeMap::new();
    for folder in members.iter().map(|member| member.folder.as_str()).chain([FUZZ_TARGETS]) {
        // A package may stand in the folder of another one.
        files.extend(files::below(root, folder, "rs")?.into_iter().map(|file| (file.path.clone(), file)));
    }
    let files: Vec<File> = files.into_values().collect();
    Ok(check_files(&files, members.iter().map(|member| member.folder.as_str())))
}

fn check_files<'a>(files: &[File], folders: impl Iterator<Item = &'a str>) -> Vec<Finding> {
    folders
        .filter(|folder| folder.starts_with(LIBRARIES))
        .flat_map(|folder| unnamed_of(&format!("{folder}/src/"), files))
        .map(|(file, item)| finding(file, &item))
        .collect()
}

fn finding(file: &File, item: &Item) -> Finding {
    let Item { name, line, .. } = item;
    let right = format!("nothing outside of this library names {name}: write `pub(crate)`, or take it out");
    Finding::new(&file.path, *line, right)
}

/// The public items of the library in this folder that nothing outside of it names.
fn unnamed_of<'a>(src: &str, files: &'a [File]) -> Vec<(&'a File, Item<'a>)> {
    // Beside a library, a program is a crate of its own.
    let is_own = |file: &&File| file.path.starts_with(src) && !file.path.ends_with("/src/main.rs");
    let outside: BTreeSet<&str> =
        files.iter().filter(|file| !is_own(file)).flat_map(|file| words(&file.text)).collect();
    let own = || files.iter().filter(is_own);
    let named_inside: BTreeSet<String> = own().flat_map(|file| named_by_others(&file.text)).collect();
    let is_dead =
        |item: &Item| !(outside.contains(item.name) || item.is_type && named_inside.contains(item.name));
    own().flat_map(|file| items(&file.text).filter(is_dead).map(move |item| (file, item))).collect()
}

/// The public items that a text declares.
fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let (name, is_type) = declared(line)?;
        Some(Item { name, is_type, line: at + 1 })
    })
}

/// The name of the public item that a line declares, and whether it is a type.
fn declared(line: &str) -> Option<(&str, bool)> {
    let mut words = words_of(line.trim_start().strip_prefix("pub ")?).peekable();
    while words.next_if(|word| matches!(*word, "async" | "unsafe" | "extern" | "C")).is_some() {}
    let mut kind = words.next()?;
    if kind == "const" && words.next_if_eq(&"fn").is_some() {
        kind = "fn";
    }
    let is_type = match kind {
        "fn" | "const" | "static" => false,
        "struct" | "enum" | "union" | "trait" | "type" => true,
        _ => return None,
    };
    words.next().map(|name| (name, is_type))
}

/// The words of a text on lines that neither declare them, nor import or implement something.
fn named_by_others(text: &str) -> Vec<String> {
    let text = imports::without_tests(text);
    let lines = text.lines().filter(|line| {
        let line = line.trim_start();
        !["use ", "pub use ", "impl ", "impl<"].iter().any(|start| line.starts_with(start))
    });
    let words = lines.flat_map(|line| {
        let own = declared(line).map(|(name, _)| name);
        words_of(line).filter(move |word| Some(*word) != own)
    });
    words.map(str::to_owned).collect()
}

/// The words of a text, but for those on lines that are comments.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(words_of)
}

fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::files;
    use super::*;

    const LIBRARY: &str = "\
//! Shapes.

/// Named by a test.
pub const fn area(shape: &Shape) -> u64 {
    SIDES_MAX * twice(shape.width)
}

/// Named inside only.
pub const SIDES_MAX: u64 = 4;

/// Named inside only, as what a function takes.
pub struct Shape {
    pub width: u64,
}

/// Named by nobody.
pub struct Dead;

impl Dead {
    pub(crate) fn new() -> Self {
        Self
    }
}
";

    fn messages(texts: &[(&str, &str)]) -> Vec<String> {
        let found = check_files(&files(texts), ["userspace/x", "tests"].into_iter());
        found.iter().map(ToString::to_string).collect()
    }

    const TEXTS: [(&str, &str); 2] = [
        ("userspace/x/src/lib.rs", LIBRARY),
        ("userspace/x/tests/area.rs", "//! Not SIDES_MAX.\n\nuse x::area;\n"),
    ];

    #[test]
    fn what_only_its_own_library_names_is_found() {
        let found = messages(&TEXTS);
        assert_eq!(found.len(), 2, "{found:?}");
        let start = "userspace/x/src/lib.rs:9: nothing outside of this library names SIDES_MAX: ";
        assert!(found[0].starts_with(start), "{found:?}");
        assert!(found[1].starts_with("userspace/x/src/lib.rs:17: "), "{found:?}");
    }

    #[test]
    fn a_program_beside_its_library_is_outside() {
        let main = ("userspace/x/src/main.rs", "use x::{Dead, SIDES_MAX};\n");
        assert_eq!(messages(&[TEXTS[0], TEXTS[1], main]), [""; 0]);
    }

    #[test]
    fn a_declaration_is_read_with_its_qualifiers() {
        let lines =
            ["pub unsafe fn a() {", "    pub async fn b<T>()", "pub trait C: D {", "pub const E: u8 = 1;"];
        let found = lines.map(declared);
        assert_eq!(found, [Some(("a", false)), Some(("b", false)), Some(("C", true)), Some(("E", false))]);
        let others = ["pub(crate) fn a() {", "pub mod b;", "pub use c::d;", "    pub width: u64,"];
        assert_eq!(others.map(declared), [None; 4]);
    }
}
