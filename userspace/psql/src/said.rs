//! What a client is told when something is wrong.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use tapline_catalog::CatalogError;
use tapline_query::without_internals;
use tapline_tables::no_room;

/// Octets of a sentence; libraries quote whole statements.
const SENTENCE_OCTETS_MAX: usize = 2000;

/// The kind of what is no fault.
pub(crate) const DONE: &str = "00000";

/// A sentence, and what its kind is called (<https://www.postgresql.org/docs/16/errcodes-appendix.html>).
#[derive(Debug)]
pub(crate) struct Said {
    code: &'static str,
    sentence: String,
    /// Whether the connection ends with it.
    pub(crate) is_last: bool,
}

/// Why something over a connection did not come to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The other side went away, or does not read.
    Gone,
    /// It is told why.
    Because(Said),
}

impl Said {
    /// After which the connection goes on.
    pub(crate) fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), is_last: false }
    }

    /// After which the connection ends.
    pub(crate) fn last(code: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(code, sentence).into_last()
    }

    /// The same, after which the connection ends.
    pub(crate) fn into_last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// A fault of ours.
    pub(crate) fn internal() -> Self {
        Self::new(
            "XX000",
            "the statement could not be worked on, which is a fault of tapline; please report it",
        )
    }

    pub(crate) fn message(self) -> PgWireBackendMessage {
        let severity = if self.is_last { "FATAL" } else { "ERROR" };
        PgWireBackendMessage::ErrorResponse(ErrorResponse::new(self.fields(severity)))
    }

    /// The same as something besides, behind which the answer goes on.
    pub(crate) fn notice(self) -> PgWireBackendMessage {
        let severity = if self.code == DONE { "NOTICE" } else { "WARNING" };
        PgWireBackendMessage::NoticeResponse(NoticeResponse::new(self.fields(severity)))
    }

    fn fields(&self, severity: &str) -> Vec<(u8, String)> {
        let sentence = cut(&self.sentence);
        let fields = [(b'S', severity), (b'V', severity), (b'C', self.code), (b'M', sentence)];
        fields.into_iter().map(|(field, text)| (field, text.replace('\0', "?"))).collect()
    }
}

/// As much of a text as is told.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(SENTENCE_OCTETS_MAX)).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

impl From<DataFusionError> for Said {
    fn from(error: DataFusionError) -> Self {
        let root = error.find_root();
        let code = match root {
            DataFusionError::ResourcesExhausted(_) => return Self::new("53200", no_room()),
            DataFusionError::SQL(..) => "42601",
            DataFusionError::SchemaError(..) => "42703",
            DataFusionError::Plan(said) if said.contains("not found") => "42P01",
            DataFusionError::Plan(_) => "42000",
            // Types that do not go together, more often than not.
            DataFusionError::Internal(_) => "42804",
            DataFusionError::NotImplemented(_) => "0A000",
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => "22000",
            _ => "XX000",
        };
        let said = root.message().into_owned();
        Self::new(code, without_internals(said.split("\n\nbacktrace: ").next().unwrap_or_default()))
    }
}

impl From<CatalogError> for Said {
    fn from(error: CatalogError) -> Self {
        let code = match &error {
            CatalogError::Wrong { .. } => "42000",
            CatalogError::Full(_) | CatalogError::FullOfPreviews(_) => "53000",
            _ => "58000",
        };
        Self::new(code, error.to_string())
    }
}

impl From<ArrowError> for Said {
    fn from(error: ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

impl From<PgWireError> for Said {
    fn from(error: PgWireError) -> Self {
        let ErrorInfo { message, .. } = ErrorInfo::from(error);
        Self::new("22023", message)
    }
}

impl From<Said> for Ended {
    fn from(said: Said) -> Self {
        Self::Because(said)
    }
}

impl From<DataFusionError> for Ended {
    fn from(error: DataFusionError) -> Self {
        Self::Because(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        assert_eq!(cut("é"), "é");
        let long = "é".repeat(SENTENCE_OCTETS_MAX);
        assert!(cut(&long).len() <= SENTENCE_OCTETS_MAX);
        let odd = format!("a{long}");
        assert_eq!(cut(&odd).len(), SENTENCE_OCTETS_MAX - 1);
    }
}
