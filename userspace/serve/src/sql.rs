//! Statements over the node's tables: results of queries, stored ones too, and how everything stands.
//!
//! Takes SQL, gives rows as JSON. A statement works on a thread that may take its time, some at once, and ends with
//! whoever asked.

use crate::problem::Problem;
use crate::request::Sent;
use crate::shapes::{fields, whole};
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tapline_sinks::{rows, with_own_names};
use tapline_tables::{AskError, Database, Rows, RowsLimits};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Rows where nothing is said, and at most.
const ROWS: u64 = 10_000;
const ROWS_MAX: u64 = 100_000;
/// Octets of these rows.
const OCTETS_MAX: usize = 64 << 20;
/// How long a statement may work, and how long of it rows are counted that are not given.
const WITHIN: Duration = Duration::from_secs(30);
const COUNTS_FOR: Duration = Duration::from_secs(1);
/// How much longer one may take that does not look at the clock.
const GRACE: Duration = Duration::from_secs(2);
/// Statements that work at once: fewer than there are threads, so that others are answered.
const STATEMENTS_MAX: usize = 4;
static STATEMENTS: Semaphore = Semaphore::const_new(STATEMENTS_MAX);

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    sql: String,
    #[serde(default, deserialize_with = "whole")]
    rows_max: Option<u64>,
}

/// Answers with the rows of a statement.
pub(crate) async fn ask(
    Extension(database): Extension<Arc<Database>>,
    Sent(body): Sent<SqlBody>,
) -> Result<Response, Problem> {
    let limits = limits(body.rows_max)?;
    let place = STATEMENTS.try_acquire().map_err(|_| full())?;
    let asks = Arc::new(());
    let waits = Arc::downgrade(&asks);
    let answer = spawn_blocking(move || {
        // A statement takes its place for as long as it works, also when nobody waits for it any more.
        let _place = place;
        let rows = database.rows(&body.sql, &limits, &|| waits.strong_count() > 0)?;
        text(&rows)
    });
    let answer = timeout(WITHIN + GRACE, answer).await.map_err(|_| too_long())?;
    drop(asks);
    let text = answer.map_err(|_| Problem::fault())??;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn limits(rows_max: Option<u64>) -> Result<RowsLimits, Problem> {
    match rows_max.unwrap_or(ROWS) {
        rows @ 1..=ROWS_MAX => Ok(RowsLimits {
            rows_max: usize::try_from(rows).unwrap_or(usize::MAX),
            octets_max: OCTETS_MAX,
            within: WITHIN,
            counts_for: COUNTS_FOR,
        }),
        _ => Err(Problem::wrong(format!("rows_max: write a number from 1 to {ROWS_MAX}"))),
    }
}

/// The columns, the rows, and how many were left out, where some were.
fn text(answer: &Rows) -> Result<String, Problem> {
    let wrong = |error: ArrowError| unwritable(&error);
    // As they are called in the rows.
    let named = with_own_names(&RecordBatch::new_empty(Arc::clone(&answer.schema))).map_err(wrong)?;
    let head = json!({ "schema": fields(&named.schema()) }).to_string();
    let mut text = head.trim_end_matches('}').to_owned();
    // Only what is behind the last bracket of the schema was cut off.
    text.push_str(",\"rows\":");
    text.push_str(&rows(&answer.batches).map_err(wrong)?);
    if answer.left_out > 0 {
        let _ = write!(text, ",\"left_out\":{}", answer.left_out);
    }
    text.push('}');
    Ok(text)
}

/// Values that JSON cannot have, such as times in a zone that there is not.
fn unwritable(error: &ArrowError) -> Problem {
    let detail = format!("the rows cannot be written as JSON: {error}; cast such columns to text");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Wrong(error) => Self::wrong(error.to_string()).at(error.place),
            AskError::Stream(stream) => Self::wrong(format!(
                "{stream} is a stream, which has no rows to read; POST /api/v1/preview gives its windows as they close"
            )),
            AskError::Failed(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why),
        }
    }
}

fn full() -> Problem {
    let message = format!("{STATEMENTS_MAX} statements work already, and no more may; ask again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

fn too_long() -> Problem {
    let message = format!("the statement worked for more than {} s; ask for less", WITHIN.as_secs());
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}
