//! Which files of a crate import which.
//!
//! Takes the files of the workspace, gives crates, each with a graph of its files. A name that a module has from below
//! itself leads to where it comes from; files that only tests have are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::files::File;
use super::imports::{self, ModulePath};

/// The paths of files, each with those of the files that it imports.
pub(super) type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What each module has from below itself: names and paths.
type Below<'a> = BTreeMap<&'a [String], Vec<(String, ModulePath)>>;

/// The files of one crate.
#[derive(Debug)]
pub(super) struct Crate<'a> {
    /// The folder of its root.
    pub(super) folder: &'a str,
    /// Each by the path of its module; that of the root is empty.
    files: BTreeMap<ModulePath, &'a File>,
}

/// The crates whose roots, `lib.rs` or `main.rs`, are among the files.
pub(super) fn crates(files: &[File]) -> Vec<Crate<'_>> {
    let folders = files.iter().filter_map(|file| match file.path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs")) => Some(folder),
        _ => None,
    });
    let folders: BTreeSet<&str> = folders.collect();
    let crates = folders.iter().map(|&folder| {
        let own = files.iter().filter(|file| folder_of(&file.path, &folders) == Some(folder));
        Crate::new(folder, own)
    });
    crates.collect()
}

/// The nearest of the folders in which a file is.
fn folder_of<'a>(path: &str, folders: &BTreeSet<&'a str>) -> Option<&'a str> {
    let is_in = |folder: &&str| path.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
    folders.iter().copied().filter(is_in).max_by_key(|folder| folder.len())
}

impl<'a> Crate<'a> {
    fn new(folder: &'a str, own: impl Iterator<Item = &'a File>) -> Self {
        let mut files = BTreeMap::new();
        for file in own {
            // Beside a library, a program is a crate of its own.
            files.entry(module_of(&file.path[folder.len() + 1..])).or_insert(file);
        }
        let tests: Vec<ModulePath> =
            files.iter().flat_map(|(module, file)| modules_of_tests(module, file)).collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { folder, files }
    }

    /// Which of its files import which.
    pub(super) fn graph(&self) -> Graph<'a> {
        let texts: Vec<String> = self.files.values().map(|file| imports::without_tests(&file.text)).collect();
        let modules = || self.files.keys().zip(&texts);
        let below =
            modules().map(|(module, text)| (&module[..], imports::from_below(text, module))).collect();
        let graph = modules().zip(self.files.values()).map(|((module, text), file)| {
            let paths = imports::of_crate(text, module);
            let imported = paths.iter().filter_map(|path| self.file_of(path, &below));
            (file.path.as_str(), imported.filter(|path| *path != file.path).collect())
        });
        graph.collect()
    }

    /// The file in which that stands to which a path leads.
    fn file_of(&self, path: &[String], below: &Below) -> Option<&'a str> {
        let mut ends = (0..=path.len()).rev();
        let (module, file) = ends.find_map(|end| self.files.get_key_value(&path[..end]))?;
        let name = path.get(module.len());
        let source = below[&module[..]].iter().find(|(known, _)| Some(known) == name);
        // Only a child's path leads on; any other is one of another crate.
        let child = source.filter(|(_, path)| {
            path.get(..=module.len()).is_some_and(|child| self.files.contains_key(child))
        });
        child.map_or(Some(&file.path), |(_, path)| self.file_of(path, below))
    }
}

/// The module that a file holds, by its path in the folder of the crate.
fn module_of(path: &str) -> ModulePath {
    let mut module: ModulePath = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    module.pop_if(|last| matches!(last.as_str(), "lib" | "main" | "mod"));
    module
}

fn modules_of_tests(module: &[String], file: &File) -> Vec<ModulePath> {
    let names = imports::modules_of_tests(&file.text).into_iter();
    names.map(|name| [module, &[name.to_owned()]].concat()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Files by their paths and texts.
    pub(crate) fn files(texts: &[(&str, &str)]) -> Vec<File> {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        texts.iter().map(file).collect()
    }

    fn imported(texts: &[(&str, &str)], path: &str) -> Vec<String> {
        let files = files(texts);
        let crates = crates(&files);
        let graphs: Vec<_> = crates.iter().map(Crate::graph).collect();
        let imported = graphs.iter().find_map(|graph| graph.get(path)).expect("the file is in a crate");
        imported.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_leads_to_where_it_comes_from() {
        let texts = [
            ("a/lib.rs", "mod b;\nmod c;\npub use b::inner::{One as Other};\nuse std::fmt;\n"),
            ("a/b/mod.rs", "mod inner;\n"),
            ("a/b/inner.rs", "fn f() { super::super::c::g() }\n"),
            ("a/c.rs", "use crate::{Other, fmt};\nuse crate::b;\n"),
        ];
        assert_eq!(imported(&texts, "a/c.rs"), ["a/b/inner.rs", "a/b/mod.rs", "a/lib.rs"]);
        assert_eq!(imported(&texts, "a/b/inner.rs"), ["a/c.rs"]);
        assert!(imported(&texts, "a/lib.rs").is_empty());
    }

    #[test]
    fn a_file_belongs_to_the_nearest_root() {
        let texts = [
            ("a/main.rs", ""),
            ("a/b.rs", "use crate::c;\n"),
            ("a/c.rs", "#[cfg(test)]\nmod d;\n"),
            ("a/c/d.rs", "use crate::b;\n"),
            ("a/inner/lib.rs", ""),
            ("a/inner/b.rs", "use crate::c;\n"),
            ("outside.rs", ""),
        ];
        let files = files(&texts);
        let sizes: Vec<_> = crates(&files).iter().map(|one| (one.folder, one.files.len())).collect();
        assert_eq!(sizes, [("a", 3), ("a/inner", 2)]);
        assert_eq!(imported(&texts, "a/b.rs"), ["a/c.rs"]);
        assert_eq!(imported(&texts, "a/inner/b.rs"), ["a/inner/lib.rs"]);
    }
}
