//! What is asked for as long as its answer is read.
//!
//! Takes a query, gives its windows from the first one on; the query ends with the answer, also when whoever reads it
//! goes away.

use crate::problem::Problem;
use crate::request::Sent;
use crate::shapes::{Options, object, whole};
use crate::stream::{self, StreamFormat};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use tapline_catalog::Catalog;
use tokio::task::spawn_blocking;

/// What a preview asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewBody {
    sql: String,
    #[serde(default, deserialize_with = "object")]
    options: Options,
    #[serde(default, deserialize_with = "windows")]
    windows: Windows,
}

/// A preview ends behind so many windows that are given as a whole; nothing is never.
#[derive(Debug)]
struct Windows(Option<u64>);

impl Default for Windows {
    fn default() -> Self {
        Self(Some(3))
    }
}

fn windows<'de, D: Deserializer<'de>>(from: D) -> Result<Windows, D::Error> {
    whole(from).map(Windows)
}

/// Answers with the windows of a query that nobody else sees.
pub(crate) async fn preview(
    State(catalog): State<Arc<Catalog>>,
    headers: HeaderMap,
    Sent(body): Sent<PreviewBody>,
) -> Result<Response, Problem> {
    let PreviewBody { sql, options, windows: Windows(windows) } = body;
    if windows.is_some_and(|windows| windows > u64::from(u32::MAX)) {
        return Err(Problem::wrong(format!("windows: write a number up to {}, or null", u32::MAX)));
    }
    let options = options.read().map_err(Problem::wrong)?;
    // Whoever finds no room to watch starts nothing.
    let place = stream::place()?;
    let asked = spawn_blocking(move || catalog.ask(&sql, options)).await;
    let asked = asked.map_err(|_| Problem::fault())??;
    stream::preview(asked, StreamFormat::accepted(&headers), place, windows)
}
