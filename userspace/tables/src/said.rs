//! Why a statement is not answered.

use crate::context::MEMORY_OCTETS_MAX;
use datafusion::common::DataFusionError;
use tapline_query::{SqlError, without_internals};

/// Why a statement is not answered.
#[derive(Debug)]
pub enum AskError {
    /// It is wrong.
    Wrong(SqlError),
    /// It reads this stream, which has no rows to read.
    Stream(&'static str),
    /// It cannot be answered; why.
    Failed(String),
}

impl AskError {
    /// The statement is wrong as a whole.
    pub(crate) fn wrong(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Wrong(SqlError { message: message.into(), help: Some(help.into()), place: None })
    }

    pub(crate) fn failed(error: &DataFusionError) -> Self {
        Self::Failed(sentence(error))
    }
}

/// What is told when there is no room for what statements hold.
#[must_use]
pub fn no_room() -> String {
    let megabytes = MEMORY_OCTETS_MAX >> 20;
    format!(
        "the statements that run now need more than the {megabytes} MiB that a node gives them; ask for fewer rows, columns or groups"
    )
}

/// What is wrong, without what only DataFusion's authors want to know.
fn sentence(error: &DataFusionError) -> String {
    let root = error.find_root();
    if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        return no_room();
    }
    let text = root.strip_backtrace();
    let text = text.split_once(": ").map_or(text.as_str(), |(kind, rest)| {
        if kind.ends_with("error") || kind.ends_with("planning") { rest } else { text.as_str() }
    });
    without_internals(text)
}

/// Whether the statement is wrong, and not what it came upon.
pub(crate) fn is_of_statement(error: &DataFusionError) -> bool {
    matches!(
        error.find_root(),
        DataFusionError::SQL(..)
            | DataFusionError::SchemaError(..)
            | DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_)
    )
}
