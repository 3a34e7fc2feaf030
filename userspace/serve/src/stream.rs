//! The results of a query as they come: Server-Sent Events, rows as lines of JSON, or Arrow's stream.
//!
//! Takes whoever watches, gives octets, which all who read the same format share. Who reads slowly holds one window, what
//! a connection has room for, and no more: of the events that came meanwhile he gets the newest ones, and how many he
//! has missed.

pub(crate) use crate::forms::StreamFormat;

use crate::forms::{arrow_frame, form};
use crate::problem::Problem;
use crate::shapes::columns;
use arrow_schema::ArrowError;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use std::io;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::{Asked, Came, Pace, Results, Watcher};
use tapline_engine::{ResultColumns, Status, WindowResult};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// After so long without a result, whoever waits hears that the node is still there, where there is a way to say it.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

impl StreamFormat {
    /// The one that a request accepts.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let accepts = |kind: &Self| accept.contains(kind.content_type());
        [Self::Lines, Self::Arrow].into_iter().find(accepts).unwrap_or(Self::Events)
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// What whoever reads it wants: events show how things stand, rows are to be all there.
    const fn pace(self) -> Pace {
        match self {
            Self::Events => Pace::Newest,
            Self::Lines | Self::Arrow => Pace::Each,
        }
    }
}

/// The newest so many windows of a query, and those that come; it ends behind so many that are given as a whole.
pub(crate) fn answer(
    results: &Arc<Results>,
    format: StreamFormat,
    kept: usize,
    windows: Option<u64>,
) -> Result<Response, Problem> {
    let place = place()?;
    let feed = Feed::new((format, place), results, kept, windows);
    Ok(respond(format, feed.map_err(|error| Problem::internal(&error))?))
}

/// The same of what is asked for as long as it is read, from its first window on: its columns come first, and why it
/// failed comes last.
pub(crate) fn preview(
    asked: Asked,
    format: StreamFormat,
    place: SemaphorePermit<'static>,
    windows: Option<u64>,
) -> Result<Response, Problem> {
    let feed = Feed::new((format, place), asked.results(), usize::MAX, windows);
    let mut feed = feed.map_err(|error| Problem::internal(&error))?;
    feed.tell("schema", &json!(columns(asked.results().columns())));
    feed.asked = Some(asked);
    Ok(respond(format, feed))
}

/// Room for one who watches.
pub(crate) fn place() -> Result<SemaphorePermit<'static>, Problem> {
    WATCHERS.try_acquire().map_err(|_| {
        let message = format!("{WATCHERS_MAX} watch already, and no more may; ask for results instead");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })
}

fn respond(format: StreamFormat, feed: Feed) -> Response {
    let chunks = stream::unfold(feed, |mut feed| async move {
        let chunk = feed.next().await?;
        Some((chunk, feed))
    });
    let kind = [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store")];
    (kind, Body::from_stream(chunks)).into_response()
}

/// Who may watch at once: fewer than there are connections, so that others are answered.
const WATCHERS_MAX: usize = 768;
static WATCHERS: Semaphore = Semaphore::const_new(WATCHERS_MAX);

/// Results on their way to one reader.
struct Feed {
    format: StreamFormat,
    columns: ResultColumns,
    watcher: Watcher,
    /// What is said before anything else comes.
    said: Vec<u8>,
    /// What ends it where nothing fails.
    last: Bytes,
    /// Windows that are still to be given as a whole, where that is limited.
    left: Option<u64>,
    is_over: bool,
    /// What runs for this reader alone.
    asked: Option<Asked>,
    /// Why it failed, where that can only be told by breaking off.
    broken: Option<String>,
    _place: SemaphorePermit<'static>,
}

impl Feed {
    fn new(
        (format, place): (StreamFormat, SemaphorePermit<'static>),
        results: &Arc<Results>,
        kept: usize,
        windows: Option<u64>,
    ) -> Result<Self, ArrowError> {
        let columns = results.columns().clone();
        let [said, last] = match format {
            StreamFormat::Events => [Bytes::from_static(b": results\n\n"), Bytes::new()],
            StreamFormat::Lines => [Bytes::new(), Bytes::new()],
            StreamFormat::Arrow => arrow_frame(&columns)?,
        };
        let mut feed = Self {
            format,
            columns,
            watcher: results.watch(kept, format.pace()),
            said: said.to_vec(),
            last,
            left: windows,
            is_over: false,
            asked: None,
            broken: None,
            _place: place,
        };
        if windows == Some(0) {
            feed.end();
        }
        Ok(feed)
    }

    /// The next octets; none when it is over, an error where it breaks off.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if !self.said.is_empty() {
                return Some(Ok(take(&mut self.said).into()));
            }
            if self.is_over {
                return self.broken.take().map(|why| Err(io::Error::other(why)));
            }
            if let Some(octets) = self.hear().await {
                return Some(Ok(octets));
            }
        }
    }

    /// Waits for what comes; gives it where it is a result.
    async fn hear(&mut self) -> Option<Bytes> {
        match timeout(ALIVE_EVERY, self.watcher.next()).await {
            Ok(Came::Result(result)) => return self.write(&result).await,
            Ok(Came::Lost(results)) => self.lose(results),
            Ok(Came::Over) => self.close(),
            Err(_) => self.stay(),
        }
        None
    }

    async fn write(&mut self, result: &Arc<WindowResult>) -> Option<Bytes> {
        let Some(octets) = form(result, self.format, &self.columns).await else {
            self.fail("a result cannot be written in this format".to_owned());
            return None;
        };
        let is_whole = matches!(result.status, Status::Final | Status::Partial);
        if let Some(left) = self.left.as_mut().filter(|_| is_whole) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.end();
            }
        }
        // An answer has no empty part.
        Some(octets).filter(|octets| !octets.is_empty())
    }

    /// Nothing more comes.
    fn close(&mut self) {
        let failure = self.asked.as_ref().and_then(|asked| asked.results().failure());
        match failure.map(str::to_owned) {
            Some(why) => self.fail(why),
            None => self.end(),
        }
    }

    /// Nothing more can be given.
    fn fail(&mut self, why: String) {
        self.is_over = true;
        if !self.tell("failed", &json!({ "detail": why })) {
            // Who reads rows must not take them for all that there are.
            self.broken = Some(why);
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.said.extend(take(&mut self.last));
    }

    /// Says that so many results were lost to this reader, where there is a way to say it.
    fn lose(&mut self, results: u64) {
        self.tell("lost", &json!({ "results": results }));
    }

    /// Tells something besides results; says whether there is a way to say it.
    fn tell(&mut self, event: &str, data: &Value) -> bool {
        let is_told = self.format == StreamFormat::Events;
        if is_told {
            self.said.extend_from_slice(format!("event: {event}\ndata: {data}\n\n").as_bytes());
        }
        is_told
    }

    /// Says that there is nothing now.
    fn stay(&mut self) {
        if self.format == StreamFormat::Events {
            self.said.extend_from_slice(b": alive\n\n");
        }
    }
}
