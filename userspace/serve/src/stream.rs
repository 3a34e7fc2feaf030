//! The results of a query as they come: Server-Sent Events, rows as lines of JSON, or Arrow's stream.

use crate::problem::Problem;
use crate::shapes::columns;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tapline_catalog::{Asked, Results};
use tapline_engine::{ResultColumns, Status, WindowResult};
use tapline_sinks::{lines, window};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// After so long without a result, whoever waits hears that the node is still there, where there is a way to say it.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFormat {
    /// Server-Sent Events: a window an event.
    Events,
    /// A row a line, as JSON.
    Lines,
    /// Arrow's stream.
    Arrow,
}

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
}

/// The newest so many windows of a query, and those that come; it ends behind so many that are given as a whole.
pub(crate) fn answer(
    results: &Results,
    format: StreamFormat,
    kept: usize,
    windows: Option<u64>,
) -> Result<Response, Problem> {
    let place = place()?;
    let encoder = Encoder::new(format, results.columns()).map_err(|error| Problem::internal(&error))?;
    Ok(respond(format, Feed::new((encoder, place), results, kept, windows)))
}

/// The same of what is asked for as long as it is read, from its first window on: its columns come first, and why it
/// failed comes last.
pub(crate) fn preview(
    asked: Asked,
    format: StreamFormat,
    place: SemaphorePermit<'static>,
    windows: Option<u64>,
) -> Result<Response, Problem> {
    let encoder = Encoder::new(format, asked.results().columns());
    let mut encoder = encoder.map_err(|error| Problem::internal(&error))?;
    encoder.tell("schema", &json!(columns(asked.results().columns())));
    let mut feed = Feed::new((encoder, place), asked.results(), usize::MAX, windows);
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
        Some((chunk.map(Bytes::from), feed))
    });
    let kind = [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store")];
    (kind, Body::from_stream(chunks)).into_response()
}

/// Who may watch at once: fewer than there are connections, so that others are answered.
const WATCHERS_MAX: usize = 192;
static WATCHERS: Semaphore = Semaphore::const_new(WATCHERS_MAX);

/// Results on their way to one reader.
struct Feed {
    encoder: Encoder,
    kept: VecDeque<Arc<WindowResult>>,
    news: Receiver<Arc<WindowResult>>,
    /// Windows that are still to be given as a whole, where that is limited.
    left: Option<u64>,
    is_over: bool,
    /// What runs for this reader alone.
    asked: Option<Asked>,
    /// Why that failed, where it can only be told by breaking off.
    broken: Option<String>,
    _place: SemaphorePermit<'static>,
}

impl Feed {
    fn new(
        (encoder, place): (Encoder, SemaphorePermit<'static>),
        results: &Results,
        kept: usize,
        windows: Option<u64>,
    ) -> Self {
        let (kept, news) = results.watch(kept);
        let (is_over, asked, broken) = (false, None, None);
        let mut feed =
            Self { encoder, kept: kept.into(), news, left: windows, is_over, asked, broken, _place: place };
        if windows == Some(0) {
            feed.end();
        }
        feed
    }

    /// The next octets; none when it is over, an error where it breaks off.
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            let octets = self.encoder.take();
            if !octets.is_empty() {
                return Some(Ok(octets));
            }
            if self.is_over {
                return self.broken.take().map(|why| Err(io::Error::other(why)));
            }
            if let Some(result) = self.kept.pop_front() {
                self.write(&result);
            } else {
                self.hear().await;
            }
        }
    }

    /// Waits for what comes.
    async fn hear(&mut self) {
        match timeout(ALIVE_EVERY, self.news.recv()).await {
            Ok(Ok(result)) => self.write(&result),
            Ok(Err(RecvError::Lagged(lost))) => self.encoder.lose(lost),
            Ok(Err(RecvError::Closed)) => self.close(),
            Err(_) => self.encoder.stay(),
        }
    }

    fn write(&mut self, result: &WindowResult) {
        // What cannot be written ends the answer.
        self.is_over |= self.encoder.write(result).is_err();
        let is_whole = matches!(result.status, Status::Final | Status::Partial);
        if let Some(left) = self.left.as_mut().filter(|_| is_whole) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.end();
            }
        }
    }

    /// Nothing more comes.
    fn close(&mut self) {
        let failure = self.asked.as_ref().and_then(|asked| asked.results().failure());
        let Some(why) = failure.map(str::to_owned) else { return self.end() };
        self.is_over = true;
        if !self.encoder.tell("failed", &json!({ "detail": why })) {
            // Who reads rows must not take them for all that there are.
            self.broken = Some(why);
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.encoder.finish();
    }
}

/// Makes octets of results.
struct Encoder {
    columns: ResultColumns,
    kind: Kind,
}

enum Kind {
    Events(Vec<u8>),
    Lines(Vec<u8>),
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    fn new(format: StreamFormat, columns: &ResultColumns) -> Result<Self, ArrowError> {
        let kind = match format {
            StreamFormat::Events => Kind::Events(b": results\n\n".to_vec()),
            StreamFormat::Lines => Kind::Lines(vec![]),
            StreamFormat::Arrow => Kind::Arrow(Box::new(StreamWriter::try_new(vec![], columns.schema())?)),
        };
        Ok(Self { columns: columns.clone(), kind })
    }

    fn write(&mut self, result: &WindowResult) -> Result<(), ArrowError> {
        match &mut self.kind {
            Kind::Events(octets) => {
                octets.extend_from_slice(b"event: window\ndata: ");
                octets.extend_from_slice(window(result)?.as_bytes());
                octets.extend_from_slice(b"\n\n");
            }
            Kind::Lines(octets) => {
                octets.extend(lines(&self.columns.batches(result)?)?);
            }
            Kind::Arrow(writer) => {
                for batch in self.columns.batches(result)? {
                    writer.write(&batch)?;
                }
                writer.flush()?;
            }
        }
        Ok(())
    }

    /// Says that so many results were lost to this reader, where there is a way to say it.
    fn lose(&mut self, results: u64) {
        self.tell("lost", &json!({ "results": results }));
    }

    /// Tells something besides results; says whether there is a way to say it.
    fn tell(&mut self, event: &str, data: &Value) -> bool {
        let Kind::Events(octets) = &mut self.kind else { return false };
        octets.extend_from_slice(format!("event: {event}\ndata: {data}\n\n").as_bytes());
        true
    }

    /// Says that there is nothing now.
    fn stay(&mut self) {
        if let Kind::Events(octets) = &mut self.kind {
            octets.extend_from_slice(b": alive\n\n");
        }
    }

    fn finish(&mut self) {
        if let Kind::Arrow(writer) = &mut self.kind {
            // Fails where it was finished before.
            let _ = writer.finish();
        }
    }

    /// What was made since.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.kind {
            Kind::Events(octets) | Kind::Lines(octets) => octets,
            Kind::Arrow(writer) => writer.get_mut(),
        })
    }
}
