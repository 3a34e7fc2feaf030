//! Why a catalog does not do what it was asked for.

use tapline_query::{Place, SqlError};

/// Octets of what may be a mistyped name.
const COMPARED_OCTETS_MAX: usize = 256;

/// Why a catalog does not do what it was asked for; nothing changes then.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The query, or what was said of it, is wrong.
    #[error("{message}")]
    Wrong {
        /// What is wrong, where, and what would be right.
        message: String,
        /// Where in the text.
        place: Option<Place>,
    },
    /// There is no query of this name.
    #[error("there is no query `{name}`{}", nearest_text(.nearest.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// The most similar one that there is.
        nearest: Option<String>,
    },
    /// The query has no such alert.
    #[error("`{query}` has no alert on `{condition}`; `tapline alerts list` says which there are")]
    NoAlert {
        /// The query.
        query: String,
        /// The condition.
        condition: String,
    },
    /// There is a query of this name.
    #[error("there is a query `{0}` already; replace it, drop it, or take another name")]
    Exists(String),
    /// There are as many queries as may be.
    #[error("{0} queries are running, and no more may; drop one, or start the node with --queries-max")]
    Full(usize),
    /// As many previews run as may.
    #[error("{0} previews are running, and no more may; end one, or add by a name what is to stay")]
    FullOfPreviews(usize),
    /// There is nothing that could be read anew.
    #[error("this node keeps no queries, so that there is nothing to read anew; start it with --state DIR")]
    KeepsNothing,
    /// The catalog cannot be written, or the system gives nothing more.
    #[error("{0}")]
    Failed(String),
}

impl CatalogError {
    /// Something that is wrong in no place of a text.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong { message: message.into(), place: None }
    }
}

impl From<SqlError> for CatalogError {
    fn from(error: SqlError) -> Self {
        Self::Wrong { message: error.to_string(), place: error.place }
    }
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// The most similar of some names, where one is similar.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    // What is longer is no name with a slip in it, and takes long to compare.
    if name.len() > COMPARED_OCTETS_MAX {
        return None;
    }
    let distances = names.map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = distances.min()?;
    (distance <= name.len().max(3) / 3).then(|| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_said() {
        let names = || ["top_talkers", "protocols"].into_iter();
        let unknown =
            |name: &str| CatalogError::Unknown { name: name.to_owned(), nearest: nearest(name, names()) };
        assert_eq!(
            unknown("protocol").to_string(),
            "there is no query `protocol`; did you mean `protocols`?"
        );
        assert_eq!(unknown("dns").to_string(), "there is no query `dns`");
        assert_eq!(nearest(&"p".repeat(60_000), std::iter::once("protocols")), None);
    }
}
