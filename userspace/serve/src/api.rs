//! The requests that a node answers.

use crate::alerts;
use crate::diagram::PictureShape;
use crate::door::Door;
use crate::edit::{EditBody, EditedShape};
use crate::flows::{FlowsShape, Wanted};
use crate::metrics::{self, Format};
use crate::openapi::DOCUMENT;
use crate::page;
use crate::preview::preview;
use crate::problem::Problem;
use crate::request::{BODY_OCTETS_MAX, Name, Sent, Which};
use crate::results;
use crate::schema;
use crate::sensors;
use crate::shapes::{
    Added, ExplainedShape, LookupShape, NewQuery, QueryBody, QueryShape, StatusShape, ThreadShape,
};
use crate::sql;
use crate::stream::{self, StreamFormat};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use std::sync::Arc;
use tapline_catalog::{Catalog, Definition};
use tapline_query::Change;
use tapline_tables::Database;
use tokio::task::spawn_blocking;

/// Windows that are given where nothing is said.
const WINDOWS: usize = 10;

pub(crate) type Node = State<Arc<Catalog>>;

/// What answers the requests of a path.
type Answers = fn() -> MethodRouter<Arc<Catalog>>;

/// All paths.
pub(crate) const ROUTES: &[(&str, Answers)] = &[
    ("/healthz", || get(healthz)),
    ("/readyz", || get(readyz)),
    ("/metrics", || get(expose)),
    ("/api/v1/queries", || get(queries).post(add)),
    ("/api/v1/queries/{name}", || get(query).put(replace).delete(drop_query)),
    ("/api/v1/queries/{name}/results", || get(results)),
    ("/api/v1/queries/{name}/stream", || get(watch)),
    ("/api/v1/queries/{name}/plan", || get(plan)),
    ("/api/v1/explain", || post(explain)),
    ("/api/v1/preview", || post(preview)),
    ("/api/v1/edit", || post(edit)),
    ("/api/v1/sql", || post(sql::ask)),
    ("/api/v1/schema", || get(what_there_is)),
    ("/api/v1/sources", || get(sources)),
    ("/api/v1/ledger", || get(ledger)),
    ("/api/v1/active-flows", || get(active_flows)),
    ("/api/v1/lookups", || get(lookups)),
    ("/api/v1/alerts", || get(alerts::alerts).post(alerts::add).delete(alerts::drop_alert)),
    ("/api/v1/status", || get(status)),
    ("/api/v1/reload", || post(reload)),
    ("/api/v1/openapi.json", || get(document)),
    ("/api/v1/sensors", || get(sensors::sensors).post(sensors::join)),
    ("/api/v1/sensors/rest", || post(sensors::rest)),
];

/// All requests that come through a door.
pub(crate) fn router(catalog: Arc<Catalog>, database: Arc<Database>, door: Door) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, (path, answers)| router.route(path, answers()));
    let counted = Extension(door.clone());
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(counted)
        .layer(Extension(database))
        .layer(from_fn(move |request: Request, next: Next| door.clone().admit(request, next)))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(catalog)
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether all sources that are needed are read.
async fn readyz(node: Node) -> Result<Response, Problem> {
    let snapshot = on(node, Catalog::snapshot).await?;
    let absent = snapshot.sources.iter().filter_map(|source| {
        let why = source.state.reason()?;
        Some(format!("{}: {why}", source.name))
    });
    let absent: Vec<String> = absent.collect();
    if absent.is_empty() {
        return Ok("ready\n".into_response());
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, absent.join("; ")))
}

/// How the node stands, for Prometheus.
async fn expose(
    node: Node,
    Extension(door): Extension<Door>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let refused = door.refused();
    let text =
        on(node, move |catalog| metrics::expose(&catalog.snapshot(), &catalog.alerts(), refused, format));
    let text = text.await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

async fn queries(node: Node) -> Result<Response, Problem> {
    let status = StatusShape::from(on(node, Catalog::snapshot).await?);
    Ok(Json(json!({ "queries": status.queries, "forwarded": status.forwarded })).into_response())
}

async fn add(node: Node, Sent(query): Sent<NewQuery>) -> Result<Response, Problem> {
    let NewQuery { name, sql, options } = query;
    let definition = definition(&name, &sql, options.read())?;
    let explained = on(node, move |catalog| catalog.add(definition)).await??;
    let location = [(header::LOCATION, format!("/api/v1/queries/{name}"))];
    let added = Added { name, explained: explained.into() };
    Ok((StatusCode::CREATED, location, Json(added)).into_response())
}

async fn query(node: Node, Name(name): Name) -> Result<Json<QueryShape>, Problem> {
    Ok(Json(on(node, move |catalog| catalog.query(&name)).await??.into()))
}

async fn replace(node: Node, Name(name): Name, Sent(query): Sent<QueryBody>) -> Result<Json<Added>, Problem> {
    let QueryBody { sql, options } = query;
    let definition = definition(&name, &sql, options.read())?;
    let explained = on(node, move |catalog| catalog.replace(definition)).await??;
    Ok(Json(Added { name, explained: explained.into() }))
}

async fn drop_query(node: Node, Name(name): Name) -> Result<StatusCode, Problem> {
    on(node, move |catalog| catalog.drop_query(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

async fn explain(node: Node, Sent(query): Sent<QueryBody>) -> Result<Json<ExplainedShape>, Problem> {
    let QueryBody { sql, options } = query;
    let definition = definition("explained", &sql, options.read())?;
    Ok(Json(on(node, move |catalog| catalog.explain(&definition)).await??.into()))
}

async fn edit(node: Node, Sent(body): Sent<EditBody>) -> Result<Json<EditedShape>, Problem> {
    let EditBody { sql, change, outermost } = body;
    let change = change.map(Change::try_from).transpose().map_err(Problem::wrong)?;
    let edited = on(node, move |catalog| catalog.edit(&sql, change.as_ref(), outermost)).await??;
    Ok(Json(edited.into()))
}

async fn plan(node: Node, Name(name): Name) -> Result<Json<PictureShape>, Problem> {
    Ok(Json(on(node, move |catalog| catalog.picture(&name)).await??.into()))
}

/// What queries may name.
async fn what_there_is(node: Node) -> Result<Response, Problem> {
    let text = on(node, |_| schema::text()).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

async fn results(node: Node, Name(name): Name, which: Which) -> Result<Response, Problem> {
    let windows = which.windows.map_or(WINDOWS, |windows| usize::try_from(windows).unwrap_or(usize::MAX));
    // Others are answered while many rows are written.
    let text = on(node, move |catalog| results::text(catalog, &name, windows)).await??;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

async fn watch(node: Node, Name(name): Name, which: Which, headers: HeaderMap) -> Result<Response, Problem> {
    let results = on(node, move |catalog| catalog.results(&name)).await??;
    let kept = which.kept.map_or(1, |kept| usize::try_from(kept).unwrap_or(usize::MAX));
    stream::answer(&results, StreamFormat::accepted(&headers), kept, which.windows.map(u64::from))
}

async fn sources(node: Node) -> Result<Response, Problem> {
    let status = StatusShape::from(on(node, Catalog::snapshot).await?);
    Ok(Json(json!({ "sources": status.sources })).into_response())
}

async fn ledger(node: Node) -> Result<Response, Problem> {
    let status = StatusShape::from(on(node, Catalog::snapshot).await?);
    Ok(Json(json!({ "sources": status.sources, "queries": status.queries })).into_response())
}

async fn active_flows(node: Node, Wanted { limit, order }: Wanted) -> Result<Json<FlowsShape>, Problem> {
    let shaped = move |catalog: &Catalog| catalog.active_flows(limit, order).map(FlowsShape::from);
    Ok(Json(on(node, shaped).await??))
}

async fn lookups(node: Node) -> Result<Response, Problem> {
    let lookups = on(node, Catalog::lookups).await?;
    let lookups: Vec<LookupShape> = lookups.into_iter().map(LookupShape::from).collect();
    Ok(Json(json!({ "lookups": lookups })).into_response())
}

async fn status(node: Node, Extension(door): Extension<Door>) -> Result<Json<StatusShape>, Problem> {
    let (snapshot, threads) = on(node, |catalog| (catalog.snapshot(), metrics::threads())).await?;
    let mut status = StatusShape::from(snapshot);
    status.threads = threads.into_iter().map(ThreadShape::from).collect();
    status.tokens_refused = door.refused();
    Ok(Json(status))
}

async fn reload(node: Node) -> Result<Response, Problem> {
    let reloaded = on(node, Catalog::reload).await??;
    let answer = json!({
        "sources_added": reloaded.sources_added,
        "sources_removed": reloaded.sources_removed,
        "filters": reloaded.filters,
        "lookups": reloaded.lookups,
        "access": reloaded.access,
        "later": reloaded.later,
        "added": reloaded.added,
        "replaced": reloaded.replaced,
        "dropped": reloaded.dropped,
        "refused": reloaded.refused,
    });
    Ok(Json(answer).into_response())
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

/// A file of the page, or nothing.
async fn unknown(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let nothing = "there is nothing at this path; /api/v1/status says how the node stands";
    page::answer(&method, uri.path(), &headers).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, nothing))
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not answer requests of this kind")
}

/// Does something that may take its time.
pub(crate) async fn on<T: Send + 'static>(
    State(catalog): Node,
    what: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Result<T, Problem> {
    spawn_blocking(move || what(&catalog)).await.map_err(|_| Problem::fault())
}

fn definition(
    name: &str,
    sql: &str,
    options: Result<tapline_catalog::QueryOptions, String>,
) -> Result<Definition, Problem> {
    Ok(Definition::new(name, sql, options.map_err(Problem::wrong)?)?)
}
