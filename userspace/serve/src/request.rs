//! What requests bring: a name, numbers behind a question mark, a body.
//!
//! Takes the parts of a request, gives what a handler works with, or the sentence that says what is wrong.

use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout;

/// Octets of a request's body.
pub(crate) const BODY_OCTETS_MAX: usize = 2 << 20;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The name of a query, in the path.
pub(crate) struct Name(pub(crate) String);

/// Which results are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    pub(crate) windows: Option<u32>,
    pub(crate) kept: Option<u32>,
}

/// The object that a body holds as JSON.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        let nobodys = |_| Problem::new(StatusCode::NOT_FOUND, "there is no query whose name is no text");
        name.map(|Path(name)| Self(name)).map_err(nobodys)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Which {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let which = Query::<Self>::from_request_parts(parts, state).await;
        which.map(|Query(which)| which).map_err(|wrong: QueryRejection| Problem::wrong(wrong.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body of the request does not come");
        let refused = |wrong: BytesRejection| Problem::new(wrong.status(), wrong.body_text());
        let body = timeout(BODY_WITHIN, Bytes::from_request(request, state)).await.map_err(late)?;
        let body = body.map_err(refused)?;
        object(&body).map(Self)
    }
}

/// Reads an object; a list of what its fields hold is none.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let wrong = |why: String| Problem::wrong(format!("the body is no such JSON object: {why}"));
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("it begins with something else than {".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))
}
