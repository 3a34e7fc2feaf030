//! The description of a fault.

use crate::input::Input;
use std::path::Path;
use toml_edit::{Document, Item, Table};

/// A kind of input that once went wrong.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) kind: String,
    pub(crate) cases: Vec<Case>,
}

/// A question and what must come of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) input: Input,
    /// One or several queries.
    pub(crate) sql: Vec<String>,
    /// Further arguments; `--format csv` where there are none.
    pub(crate) arguments: Vec<String>,
    /// Standard output, lines behind the first in any order; `None` when it is not looked at.
    pub(crate) answer: Option<String>,
    /// Parts of standard error, and what must be in no part of it.
    pub(crate) told: Vec<String>,
    pub(crate) untold: Vec<String>,
    pub(crate) code: i32,
}

impl Fault {
    /// Reads the file.
    ///
    /// # Panics
    /// When it is not as it should be.
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let document: Document<String> = text.parse().map_err(|error| format!("{name}: {error}")).unwrap();
        for (key, _) in document.iter() {
            let is_known = ["kind", "seen", "case"].contains(&key) || Input::KEYS.contains(&key);
            assert!(is_known, "{name}: unknown key {key}");
        }
        assert!(!texts(document.get("seen")).is_empty(), "{name}: where it was seen");
        let cases = document["case"].as_array_of_tables().expect("a fault has [[case]]s");
        Self {
            kind: document["kind"].as_str().unwrap().to_owned(),
            cases: cases.iter().map(|case| Case::of(&name, case, document.as_table())).collect(),
            name,
        }
    }
}

impl Case {
    /// Reads a case; one that says nothing of its input has that of the file.
    fn of(name: &str, case: &Table, file: &Table) -> Self {
        const KEYS: [&str; 6] = ["sql", "arguments", "answer", "told", "untold", "code"];
        for (key, _) in case {
            assert!(KEYS.contains(&key) || Input::KEYS.contains(&key), "{name}: unknown key {key}");
        }
        let has_input = Input::KEYS.iter().any(|key| case.contains_key(key));
        let read = Self {
            input: Input::of(name, if has_input { case } else { file }),
            sql: texts(case.get("sql")),
            arguments: case
                .get("arguments")
                .map_or(vec!["--format".into(), "csv".into()], |list| texts(Some(list))),
            answer: case.get("answer").and_then(Item::as_str).map(str::to_owned),
            told: texts(case.get("told")),
            untold: texts(case.get("untold")),
            code: case.get("code").map_or(0, |code| code.as_integer().unwrap() as i32),
        };
        let is_checked = read.answer.is_some() || !read.told.is_empty() || !read.untold.is_empty();
        assert!(is_checked && !read.sql.is_empty(), "{name}: a case asks something and checks the answer");
        read
    }
}

/// A text, or several; none when there is no such key.
pub(crate) fn texts(item: Option<&Item>) -> Vec<String> {
    let Some(item) = item else { return vec![] };
    let list =
        item.as_array().map(|list| list.iter().map(|text| text.as_str().unwrap().to_owned()).collect());
    list.unwrap_or_else(|| vec![item.as_str().unwrap().to_owned()])
}
