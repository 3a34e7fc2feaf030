//! What is wrong, as `application/problem+json`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tapline_catalog::CatalogError;
use tapline_query::Place;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    place: Option<Place>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), place: None }
    }

    /// The request is wrong.
    pub(crate) fn wrong(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The same, at a place of a text.
    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// Whoever worked on a request ended with a panic, of which the log says more.
    pub(crate) fn fault() -> Self {
        let detail = "the request could not be worked on, which is a fault of tapline; please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Something that is not to happen has.
    pub(crate) fn internal(detail: &impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail.to_string())
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        let status = match &error {
            CatalogError::Wrong { .. } => StatusCode::BAD_REQUEST,
            CatalogError::Unknown { .. } | CatalogError::NoAlert { .. } => StatusCode::NOT_FOUND,
            CatalogError::Exists(_) | CatalogError::KeepsNothing => StatusCode::CONFLICT,
            CatalogError::Full(_) | CatalogError::FullOfPreviews(_) => StatusCode::TOO_MANY_REQUESTS,
            CatalogError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let detail = error.to_string();
        let place = if let CatalogError::Wrong { place, .. } = error { place } else { None };
        Self { status, detail, place }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, place } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        if let Some(place) = place {
            body["place"] = json!({ "line": place.line, "column": place.column });
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, body.to_string()).into_response()
    }
}
