//! Connections of sensors: how many there may be, how they are let in, and which call is answered.

use super::identity::{Keys, Vouched};
use super::link;
use super::owner::Event;
use crate::counted::{Counted, Octets};
use crate::wire::{DO_EXCHANGE, FRAME_OCTETS_MAX, FlightCodec, FlightData};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService};
use tonic::{Request, Response, Status, Streaming};

/// Connections at once; more are closed.
const LINKS_MAX: usize = 4096;
/// Octets of payloads that wait for the thread "aggregator", in KiB.
const WAITING_KIB_MAX: usize = 64 << 10;
/// How long both sides may take to agree on keys, and then to ask.
const KEYS_WITHIN: Duration = Duration::from_secs(10);
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection stays when its link has ended, so that the last word arrives.
const STAYS_FOR: Duration = Duration::from_secs(5);
/// How long an answer to a wrong token waits.
const WRONG_WAITS: Duration = Duration::from_millis(500);
/// How long nobody is let in after that failed, as when there are no more descriptors.
const REST: Duration = Duration::from_millis(100);
/// How often the other end is asked whether it is there, and how long its answer may take.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_WITHIN: Duration = Duration::from_secs(10);
/// Octets that may be on their way to us on one connection.
const WINDOW_OCTETS: u32 = 1 << 20;
/// Octets of the names and values before a call.
const HEADERS_OCTETS_MAX: u32 = 16 << 10;
/// Frames between a link and its connection.
const FRAMES_MAX: usize = 8;

/// What all connections have in common.
pub(crate) struct Front {
    keys: RwLock<Arc<Keys>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) assignments: watch::Receiver<Option<Bytes>>,
    /// Of payloads, in KiB.
    pub(crate) room: Arc<Semaphore>,
    links: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// Who is on a connection.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) octets: Arc<Octets>,
    /// As TLS has checked it.
    certificate: Option<Arc<[u8]>>,
    /// A call came.
    asked: Arc<Notify>,
    /// It is answered, and nothing more is to be said.
    pub(crate) done: Arc<Notify>,
}

impl Front {
    pub(crate) fn new(
        keys: Keys,
        events: mpsc::Sender<Event>,
        assignments: watch::Receiver<Option<Bytes>>,
    ) -> Self {
        Self {
            keys: RwLock::new(Arc::new(keys)),
            events,
            assignments,
            room: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
            links: AtomicU64::new(0),
            refused: Mutex::default(),
        }
    }

    pub(crate) fn renew(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts somebody who is not listened to.
    pub(crate) fn refuse(&self, name: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(name).or_default() += 1;
    }

    /// How often somebody was not listened to, by the reason's name.
    pub(crate) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets sensors in until nobody takes what they say.
pub(crate) async fn serve(listener: std::net::TcpListener, front: Arc<Front>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    tokio::select! {
        () = accept(listener, &front) => {}
        () = front.events.closed() => {}
    }
}

async fn accept(listener: TcpListener, front: &Arc<Front>) {
    let room = Arc::new(Semaphore::new(LINKS_MAX));
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            front.refuse("too_many_links");
            continue;
        };
        let front = Arc::clone(front);
        tokio::spawn(async move {
            connection(stream, address, front).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, front: Arc<Front>) {
    // What is written is whole; where that cannot be said, it is only slower.
    let _ = stream.set_nodelay(true);
    let octets = Arc::<Octets>::default();
    let stream = Counted::new(stream, Arc::clone(&octets));
    let (asked, done) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let mut caller = Caller { address, octets, certificate: None, asked, done };
    let Some(acceptor) = front.keys().acceptor() else { return speak(stream, caller, front).await };
    let Ok(Ok(stream)) = timeout(KEYS_WITHIN, acceptor.accept(stream)).await else {
        return front.refuse("no_keys");
    };
    let certificates = stream.get_ref().1.peer_certificates();
    caller.certificate =
        certificates.and_then(<[_]>::first).map(|certificate| Arc::from(certificate.as_ref()));
    speak(stream, caller, front).await;
}

/// Speaks HTTP/2 until one link has ended.
async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    caller: Caller,
    front: Arc<Front>,
) {
    let (asked, done) = (Arc::clone(&caller.asked), Arc::clone(&caller.done));
    let service = service_fn(move |request| answer(request, caller.clone(), Arc::clone(&front)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(ALIVE_EVERY).keep_alive_timeout(ALIVE_WITHIN);
    builder.initial_stream_window_size(WINDOW_OCTETS).initial_connection_window_size(WINDOW_OCTETS);
    builder.max_concurrent_streams(1).max_header_list_size(HEADERS_OCTETS_MAX);
    let ends = async {
        if timeout(ASKED_WITHIN, asked.notified()).await.is_ok() {
            done.notified().await;
            sleep(STAYS_FOR).await;
        }
    };
    // How it ends is told by what is read from it.
    tokio::select! {
        _ = pin!(builder.serve_connection(TokioIo::new(stream), service)) => {}
        () = ends => {}
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    caller: Caller,
    front: Arc<Front>,
) -> Result<hyper::Response<Body>, Infallible> {
    caller.asked.notify_one();
    if request.uri().path() != DO_EXCHANGE {
        front.refuse("another_call");
        caller.done.notify_one();
        let path = request.uri().path();
        return Ok(
            Status::unimplemented(format!("{path} is not answered here, only {DO_EXCHANGE}")).into_http()
        );
    }
    let brought = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let token = brought.map(|brought| brought.strip_prefix(b"Bearer ").unwrap_or(brought));
    match front.keys().vouch(token, caller.certificate.as_deref()) {
        Ok(vouched) => {
            let mut grpc = Grpc::new(FlightCodec)
                .max_decoding_message_size(FRAME_OCTETS_MAX)
                .max_encoding_message_size(FRAME_OCTETS_MAX);
            Ok(grpc.streaming(Exchange { caller, vouched, front }, request).await)
        }
        Err(denied) => {
            front.refuse(denied.name());
            sleep(WRONG_WAITS).await;
            caller.done.notify_one();
            Ok(Status::unauthenticated(denied.to_string()).into_http())
        }
    }
}

/// Answers the call of a sensor.
struct Exchange {
    caller: Caller,
    vouched: Vouched,
    front: Arc<Front>,
}

impl StreamingService<FlightData> for Exchange {
    type Response = FlightData;
    type ResponseStream = ReceiverStream<Result<FlightData, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<FlightData>>) -> Self::Future {
        let (out, outgoing) = mpsc::channel(FRAMES_MAX);
        let number = self.front.links.fetch_add(1, Ordering::Relaxed);
        let (caller, vouched, front) = (self.caller.clone(), self.vouched.clone(), Arc::clone(&self.front));
        tokio::spawn(link::run((number, caller, vouched), front, request.into_inner(), out));
        ready(Ok(Response::new(ReceiverStream::new(outgoing))))
    }
}
