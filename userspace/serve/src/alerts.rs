//! Alerts: what makes rows of queries alarms, and what fires by it.

use crate::alert_shapes::{AlarmShape, AlertBody, NewAlert, RuleShape};
use crate::api::{Node, on};
use crate::problem::Problem;
use crate::request::Sent;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use tapline_catalog::{AlertCondition, AlertStatus};
use tapline_sinks::Firing;

/// Alarms that are told in one answer; the table `alerts` has all of them.
const ALARMS_MAX: usize = 1000;

/// Which alert is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichAlert {
    query: String,
    condition: String,
}

impl<S: Send + Sync> FromRequestParts<S> for WhichAlert {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let which = Query::<Self>::from_request_parts(parts, state).await;
        which.map(|Query(which)| which).map_err(|wrong: QueryRejection| Problem::wrong(wrong.body_text()))
    }
}

/// What fires or did, so many at the most.
fn alarms(standing: &[AlertStatus], is_wanted: impl Fn(&Firing) -> bool) -> Result<Vec<AlarmShape>, Problem> {
    let all = standing
        .iter()
        .flat_map(|status| status.alarms.iter().map(move |alarm| (alarm, &status.alert.sinks)));
    let wanted = all.filter(|(alarm, _)| is_wanted(alarm)).take(ALARMS_MAX);
    let shapes = wanted.map(|(alarm, sinks)| AlarmShape::of(alarm, sinks)).collect::<Result<Vec<_>, _>>();
    shapes.map_err(|error| Problem::internal(&error))
}

/// What fires, what did lately, by which alerts, and who may tell of it.
pub(crate) async fn alerts(node: Node) -> Result<Response, Problem> {
    let (standing, tellers) = on(node, |catalog| (catalog.alerts(), catalog.tellers())).await?;
    let sinks = tellers.into_iter().map(|(name, kind)| json!({ "name": name, "kind": kind }));
    let rules: Vec<RuleShape> = standing.iter().map(RuleShape::from).collect();
    let answer = json!({
        "alerts": alarms(&standing, |alarm| alarm.ended.is_none())?,
        "resolved": alarms(&standing, |alarm| alarm.ended.is_some())?,
        "rules": rules,
        "sinks": sinks.collect::<Vec<_>>(),
    });
    Ok(Json(answer).into_response())
}

/// Adds an alert to a query, or puts it in the place of the one with the same condition.
pub(crate) async fn add(node: Node, Sent(body): Sent<NewAlert>) -> Result<Response, Problem> {
    let (query, alert) = body.read().map_err(Problem::wrong)?;
    let added = AlertBody::of(&alert);
    on(node, move |catalog| catalog.add_alert(&query, alert)).await??;
    Ok((StatusCode::CREATED, Json(added)).into_response())
}

/// Drops an alert of a query, which runs on.
pub(crate) async fn drop_alert(node: Node, which: WhichAlert) -> Result<StatusCode, Problem> {
    let WhichAlert { query, condition } = which;
    let condition = AlertCondition::parse(&condition).map_err(Problem::wrong)?;
    on(node, move |catalog| catalog.drop_alert(&query, &condition)).await??;
    Ok(StatusCode::NO_CONTENT)
}
