//! What tapline says of a run by `--summary json`.
//!
//! Takes its standard error, gives numbers of the account, and a text of it for a person.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// What a run of tapline is asked for, so that [`Summary::of`] can read it.
pub const ARGUMENTS: [&str; 2] = ["--summary", "json"];

/// The account of a run.
#[derive(Debug)]
pub struct Summary(Value);

impl Summary {
    /// The account, which is the last line.
    pub fn of(said: &str) -> Result<Self> {
        let line = said.trim_end().lines().last().unwrap_or_default();
        let account =
            serde_json::from_str(line).with_context(|| format!("there is no account in: {said}"))?;
        Ok(Self(account))
    }

    /// A fate of a query's rows.
    pub fn of_query(&self, name: &str, fate: &str) -> Result<u64> {
        let queries = self.0["queries"].as_array().map_or(&[][..], Vec::as_slice);
        let query = queries.iter().find(|query| query["query"] == name);
        let number = query.and_then(|query| query[fate].as_u64());
        number.with_context(|| format!("the account does not say `{fate}` of {name}: {}", self.0))
    }

    /// Sources, exporters and queries, one a line; warnings.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for list in ["sources", "exporters", "queries"] {
            for entry in self.0[list].as_array().into_iter().flatten() {
                let _ = writeln!(text, "{}: {entry}", list.trim_end_matches('s').replace("querie", "query"));
            }
        }
        for warning in self.0["warnings"].as_array().into_iter().flatten() {
            let _ = writeln!(text, "warning: {}", warning.as_str().unwrap_or_default());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_account() {
        let said =
            "warning: a line before\n{\"queries\":[{\"query\":\"a\",\"late\":7}],\"warnings\":[\"w\"]}\n";
        let summary = Summary::of(said).expect("it is one");
        assert_eq!(summary.of_query("a", "late").expect("it is there"), 7);
        assert_eq!(summary.text(), "query: {\"late\":7,\"query\":\"a\"}\nwarning: w\n");
        assert!(summary.of_query("b", "late").unwrap_err().to_string().contains("`late` of b"));
        assert!(Summary::of("no account\n").is_err());
    }
}
