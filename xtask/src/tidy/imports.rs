//! Finds what a Rust text imports from its own crate.
//!
//! Takes text as rustfmt leaves it, gives paths that begin at the crate's root: those that are written with `crate::`
//! or `super::`, in `use` or anywhere else. What stands in comments does not count, nor what only tests import.
//! So a line reader is enough, and no parser is compiled.

/// The names of modules, and maybe of an item, from the crate's root.
pub(super) type ModulePath = Vec<String>;

/// A path, and the name that it has where it is imported.
struct Import<'a> {
    name: &'a str,
    path: Vec<&'a str>,
}

/// The text without comments, and without the items of tests.
pub(super) fn without_tests(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines, indentation(line));
            continue;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

/// Takes the lines of one item, whose attributes and end are indented like its beginning.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indentation: &str) {
    let is_attribute = |line: &&str| line.trim_start().starts_with('#');
    let Some(first) = lines.by_ref().find(|line| !is_attribute(line)) else { return };
    if !first.ends_with(['}', ';', ',']) {
        let closing = format!("{indentation}}}");
        let _ = lines.by_ref().find(|line| line.starts_with(&closing));
    }
}

fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The modules with files of their own that only tests have.
pub(super) fn modules_of_tests(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    pairs.filter_map(|pair| pair[1].rsplit_once("mod ")?.1.strip_suffix(';')).collect()
}

/// What a module imports by `crate::` and `super::`; `text` is [without tests](without_tests).
pub(super) fn of_crate(text: &str, module: &[String]) -> Vec<ModulePath> {
    let mut found = Vec::new();
    for head in ["crate", "super"] {
        for (place, _) in text.match_indices(&format!("{head}::")) {
            let (before, rest) = (&text[..place], &text[place + head.len()..]);
            // Names that end like the head, paths that go on with it, and the module that may see something.
            let is_else = before.ends_with(is_of_name) || before.ends_with("::") || before.ends_with("(in ");
            if !is_else {
                read_tree(rest.trim_start_matches("::"), &[head], &mut found);
            }
        }
    }
    found.iter().map(|import| from_root(&import.path, module)).collect()
}

/// What a module imports from below itself, and may give its children or whoever sees it: name and path.
pub(super) fn from_below(text: &str, module: &[String]) -> Vec<(String, ModulePath)> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices("use ") {
        let before = text[..place].rsplit('\n').next().unwrap_or_default().trim_start();
        let is_use = before.is_empty() || before.starts_with("pub");
        if is_use {
            read_tree(text[place + "use ".len()..].trim_start_matches("self::"), &[], &mut found);
        }
    }
    found.retain(|import| !matches!(import.path.first(), Some(&("crate" | "super"))));
    found.iter().map(|import| (import.name.to_owned(), from_root(&import.path, module))).collect()
}

/// Reads a path, or several in braces, that go on behind `before`; gives the text behind them.
fn read_tree<'a>(text: &'a str, before: &[&'a str], found: &mut Vec<Import<'a>>) -> &'a str {
    if let Some(inner) = text.strip_prefix('{') {
        return read_braces(inner, before, found);
    }
    let (name, rest) = text.split_at(text.find(|c| !is_of_name(c)).unwrap_or(text.len()));
    let path = if name.is_empty() { before.to_vec() } else { [before, &[name]].concat() };
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => read_tree(rest, &path, found),
        _ => {
            let (name, rest) = renamed(rest).unwrap_or((name, rest));
            found.push(Import { name, path });
            rest.trim_start_matches('*')
        }
    }
}

fn read_braces<'a>(text: &'a str, before: &[&'a str], found: &mut Vec<Import<'a>>) -> &'a str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let is_path = rest.starts_with(|c| is_of_name(c) || c == '*' || c == '{');
        if !is_path {
            return rest.trim_start_matches('}');
        }
        rest = read_tree(rest, before, found);
    }
}

/// The name behind `as`, and the text behind it.
fn renamed(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix(" as ")?;
    Some(name.split_at(name.find(|c| !is_of_name(c))?))
}

const fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn from_root(path: &[&str], module: &[String]) -> ModulePath {
    let mut from_root = module.to_vec();
    for name in path {
        match *name {
            "crate" => from_root.clear(),
            "super" => drop(from_root.pop()),
            "self" => {}
            name => from_root.push(name.to_owned()),
        }
    }
    from_root
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
//! Beside [`x`](crate::comment).
pub use below::{One, Two as Other};
use crate::{
    a,
    b::{self, C},
};
pub(in crate::scope) fn f() -> super::d::E {
    $crate::g::h(other_crate::i(), super::super::j) // crate::comment
}
use super::k::*;

#[cfg(test)]
mod outside;

#[cfg(test)]
#[expect(unused)]
fn helper(
    x: crate::test::X,
) {
}

#[cfg(test)]
mod tests {
    use crate::test::Y;
}
fn last() -> crate::l {}
";

    fn module(path: &str) -> ModulePath {
        path.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let found = of_crate(&without_tests(TEXT), &module("m::n"));
        let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["a", "b", "b::C", "g::h", "l", "m::d::E", "j", "m::k"]);
    }

    #[test]
    fn what_comes_from_below_has_its_name() {
        let found = from_below(&without_tests(TEXT), &module("m"));
        let found: Vec<_> = found.iter().map(|(name, path)| (name.as_str(), path.join("::"))).collect();
        assert_eq!(found, [("One", "m::below::One".to_owned()), ("Other", "m::below::Two".to_owned())]);
    }

    #[test]
    fn modules_of_tests_are_told_from_others() {
        assert_eq!(modules_of_tests(TEXT), ["outside"]);
    }
}
