//! What the tables of queries are called.

/// What stands for the name of a query, and is the name of its table where nothing is said.
const QUERY: &str = "{query}";

/// The names of tables: the text that somebody gave, with the name of a query in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableNames(String);

impl TableNames {
    /// Those that a text stands for.
    pub(crate) fn of(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or(QUERY);
        if text.contains(QUERY) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("table: each query has a table of its own; write `{QUERY}` where its name goes"))
    }

    /// The table of a query.
    pub(crate) fn of_query(&self, query: &str) -> String {
        self.0.replace(QUERY, query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_has_a_table_of_its_own() {
        let name = |text| TableNames::of(text).map(|names| names.of_query("a"));
        assert_eq!([name(None), name(Some("t_{query}"))], [Ok("a".to_owned()), Ok("t_a".to_owned())]);
        assert!(name(Some("t")).unwrap_err().contains("write `{query}` where its name goes"));
    }
}
