//! No circle of more than two files inside of a crate.
//!
//! Takes the members' files, gives findings: the files of a circle, each followed by one that it imports. A module
//! must know its children to have them, so only what is imported by `crate::` and `super::` counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::Result;

use super::Finding;
use super::files::{self, File};
use super::manifests::Member;
use super::modules::{self, Crate, Graph};

/// The folders of crates in which circles are left for now, and why.
const CIRCLES_KNOWN: [(&str, &str); 0] = [];

pub(super) fn check(root: &Path, members: &[Member]) -> Result<Vec<Finding>> {
    let mut files = BTreeMap::new();
    for member in members {
        // A package may stand in the folder of another one.
        let own = files::below(root, &member.folder, "rs")?.into_iter();
        files.extend(own.map(|file| (file.path.clone(), file)));
    }
    let files: Vec<File> = files.into_values().collect();
    Ok(modules::crates(&files).iter().flat_map(|one| check_crate(one, &CIRCLES_KNOWN)).collect())
}

/// The circles of a crate, unless they are known.
fn check_crate(one: &Crate, known: &[(&str, &str)]) -> Vec<Finding> {
    let circles = apart(circles(&one.graph()));
    let Some((folder, reason)) = known.iter().find(|(folder, _)| *folder == one.folder) else {
        return circles.iter().map(|circle| finding(circle)).collect();
    };
    if !circles.is_empty() {
        return Vec::new();
    }
    let right = format!("no circle is left here: take it out of CIRCLES_KNOWN ({reason})");
    vec![Finding::new(folder, 1, right)]
}

fn finding(circle: &[&str]) -> Finding {
    let right = format!(
        "files import one another in a circle, {} → {}: give what all of them need a file of its own; no type or \
         trait knows its users",
        circle.join(" → "),
        circle[0]
    );
    Finding::new(circle[0], 1, right)
}

/// For each import the shortest circle of more than two files in which it is; each circle once, shorter ones first.
fn circles<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let imports = graph.iter().flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)));
    let circles: BTreeSet<_> = imports.filter_map(|(from, to)| circle(graph, from, to)).collect();
    circles.into_iter().map(|(_, circle)| circle).collect()
}

/// The shortest circle that begins with this import and does not go straight back; its length, and its files from
/// the one whose path is the first in order.
fn circle<'a>(graph: &Graph<'a>, from: &'a str, to: &'a str) -> Option<(usize, Vec<&'a str>)> {
    let mut before = BTreeMap::from([(to, to)]);
    let mut queue = VecDeque::from([to]);
    while let Some(file) = queue.pop_front().filter(|file| *file != from) {
        for &next in graph.get(file).into_iter().flatten() {
            if (file, next) != (to, from) && !before.contains_key(next) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    let mut circle = vec![from];
    while circle.last() != Some(&to) {
        circle.push(before.get(circle.last()?)?);
    }
    circle.reverse();
    let first = circle.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(place, _)| place);
    circle.rotate_left(first);
    Some((circle.len(), circle))
}

/// The circles that share no file with one before them: where one is cut, others often are.
fn apart(mut circles: Vec<Vec<&str>>) -> Vec<Vec<&str>> {
    let mut told = BTreeSet::new();
    circles.retain(|circle| {
        let is_new = circle.iter().all(|file| !told.contains(file));
        if is_new {
            told.extend(circle.iter().copied());
        }
        is_new
    });
    circles
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::files;
    use super::*;

    fn messages(texts: &[(&str, &str)], known: &[(&str, &str)]) -> Vec<String> {
        let files = files(texts);
        let crates = modules::crates(&files);
        crates.iter().flat_map(|one| check_crate(one, known)).map(|finding| finding.to_string()).collect()
    }

    const CIRCLE: [(&str, &str); 5] = [
        ("x/src/lib.rs", "mod plan;\nmod split;\nmod error;\nmod user;\n"),
        ("x/src/plan.rs", "//! Plans.\n\nuse crate::split::{self, Split};\n"),
        ("x/src/split.rs", "//! Splits.\n\nfn f() -> Result<(), super::error::Error> {}\n"),
        ("x/src/error.rs", "//! Errors.\n\nuse crate::plan::Plan;\n"),
        ("x/src/user.rs", "//! Uses.\n\nuse crate::{error::Error, plan::Plan};\n"),
    ];

    #[test]
    fn a_circle_is_told_in_its_order() {
        let found = messages(&CIRCLE, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        let start = "x/src/error.rs:1: files import one another in a circle, x/src/error.rs → x/src/plan.rs → \
            x/src/split.rs → x/src/error.rs: ";
        assert!(found[0].starts_with(start), "{found:?}");
    }

    #[test]
    fn two_files_may_know_each_other() {
        let texts = [
            ("x/src/lib.rs", ""),
            ("x/src/a.rs", "use crate::b;\n"),
            ("x/src/b.rs", "use crate::{a, c};\n"),
            ("x/src/c.rs", "use crate::b;\n\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n"),
        ];
        assert_eq!(messages(&texts, &[]), [""; 0]);
    }

    #[test]
    fn of_circles_that_share_files_the_shortest_is_told() {
        let texts = [
            ("x/src/lib.rs", ""),
            ("x/src/a.rs", "use crate::b;\n"),
            ("x/src/b.rs", "use crate::{c, d};\n"),
            ("x/src/c.rs", "use crate::d;\n"),
            ("x/src/d.rs", "use crate::a;\n"),
        ];
        let found = messages(&texts, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("x/src/a.rs → x/src/b.rs → x/src/d.rs → x/src/a.rs"), "{found:?}");
    }

    #[test]
    fn a_known_circle_is_left_until_there_is_none() {
        let known = [("x/src", "it is new")];
        assert_eq!(messages(&CIRCLE, &known), [""; 0]);
        let found = messages(&CIRCLE[..3], &known);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("take it out of CIRCLES_KNOWN (it is new)"), "{found:?}");
    }
}
