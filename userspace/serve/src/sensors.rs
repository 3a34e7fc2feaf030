//! The sensors of an aggregator, and whom a sensor forwards to.

use crate::api::{Node, on};
use crate::problem::Problem;
use crate::request::Sent;
use crate::sensor_shapes::SensorShape;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use tapline_catalog::{Catalog, Joined};

/// A sensor that is spoken of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorBody {
    name: String,
}

/// All sensors.
pub(crate) async fn sensors(node: Node) -> Result<Response, Problem> {
    let sensors = on(node, Catalog::sensors).await?;
    let sensors: Vec<SensorShape> = sensors.into_iter().map(SensorShape::from).collect();
    Ok(Json(json!({ "sensors": sensors })).into_response())
}

/// Lets a sensor join: gives the token that it brings.
pub(crate) async fn join(node: Node, Sent(body): Sent<SensorBody>) -> Result<Response, Problem> {
    let SensorBody { name } = body;
    let asked = name.clone();
    let joined = on(node, move |catalog| catalog.join_sensor(&asked)).await?;
    let Joined { to, token, file, line } = joined?;
    let answer = json!({ "name": name, "to": to, "token": token, "file": file, "line": line });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Lets nobody wait for a sensor, nor miss it, until it comes back.
pub(crate) async fn rest(node: Node, Sent(body): Sent<SensorBody>) -> Result<StatusCode, Problem> {
    on(node, move |catalog| catalog.rest_sensor(&body.name)).await??;
    Ok(StatusCode::NO_CONTENT)
}
