//! The connections of a server.
//!
//! Takes a listener, answers the requests of whoever connects, over TLS where that is asked for. So many connections
//! are served at once; one over which no request comes for long, that agrees on no keys, or that takes nothing of its
//! answer, is closed. A stream that is being read is none of these.

use crate::door::Visitor;
use crate::entrance::Entrance;
use crate::patient::Patient;
use axum::Router;
use axum::http::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

/// Connections at once; others wait for one of them to end. A page has one or two, five hundred pages fit.
const CONNECTIONS_MAX: usize = 2048;
/// Octets of a connection that wait to be written; whoever reads slowly has no more of them, and one part of an answer.
const WAITING_OCTETS: usize = 64 << 10;
/// How long the head of a request may take, from the answer before it on.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long both sides may take to agree on keys.
const KEYS_WITHIN: Duration = Duration::from_secs(10);
/// How long whoever reads an answer may take nothing of it.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// What is answered to whoever does not speak TLS where it is spoken.
const SPEAK_TLS: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n",
    r#"{"type":"about:blank","title":"Bad Request","status":400,"#,
    r#""detail":"this node speaks TLS; ask it by https:// in place of http://"}"#
);

/// Where a connection is from.
pub(crate) trait Peer {
    /// Its address, of the network.
    fn ip(&self) -> Option<IpAddr>;
}

impl Peer for SocketAddr {
    fn ip(&self) -> Option<IpAddr> {
        Some(Self::ip(self))
    }
}

impl Peer for unix::SocketAddr {
    fn ip(&self) -> Option<IpAddr> {
        None
    }
}

/// Answers requests for ever.
pub(crate) async fn serve<L>(listener: L, router: Router, entrance: Option<Arc<Entrance>>)
where
    L: Listener,
    L::Addr: Peer,
{
    serve_so_many(listener, router, entrance, CONNECTIONS_MAX).await;
}

/// The same, so many connections at once.
async fn serve_so_many<L>(
    mut listener: L,
    router: Router,
    entrance: Option<Arc<Entrance>>,
    connections_max: usize,
) where
    L: Listener,
    L::Addr: Peer,
{
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    // Without a timer, no time is taken.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(WAITING_OCTETS);
    let room = Arc::new(Semaphore::new(connections_max));
    // Nobody closes it.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let (stream, address) = listener.accept().await;
        let stream = Patient::new(stream, TAKEN_WITHIN);
        let acceptor = entrance.as_ref().and_then(|entrance| entrance.acceptor());
        let visitor = Visitor { address: address.ip(), is_encrypted: acceptor.is_some() };
        let (builder, router) = (builder.clone(), router.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(&builder, stream, router, visitor).await,
                Some(acceptor) => answer_over_tls(&acceptor, &builder, stream, router, visitor).await,
            }
            drop(place);
        });
    }
}

/// Answers the requests of one connection, once both sides have agreed on keys.
async fn answer_over_tls<S>(
    acceptor: &TlsAcceptor,
    builder: &Builder<TokioExecutor>,
    stream: Patient<S>,
    router: Router,
    visitor: Visitor,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Fails where the other side went away, or wants no keys of ours.
    if let Ok(Ok(Some(stream))) = timeout(KEYS_WITHIN, secured(acceptor, stream)).await {
        answer(builder, stream, router, visitor).await;
    }
}

/// Answers the requests of one connection.
async fn answer<S>(builder: &Builder<TokioExecutor>, stream: S, router: Router, visitor: Visitor)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(visitor);
        router.clone().oneshot(request)
    });
    // Fails where the other side went away, said nothing, or took nothing.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// The same connection, which nobody reads along; none where the other side begins in the clear, which it is told.
async fn secured<S>(
    acceptor: &TlsAcceptor,
    mut stream: Patient<S>,
) -> io::Result<Option<TlsStream<Patient<S>>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Methods of HTTP begin with capitals, and TLS with 22.
    if stream.first().await?.is_some_and(|octet| octet.is_ascii_uppercase()) {
        stream.say_last(SPEAK_TLS.as_bytes()).await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use tokio::net::TcpListener;

    const AT_ONCE: usize = 64;

    /// Where a server listens that ends with the tests.
    fn started() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                serve_so_many(listener, Router::new(), None, AT_ONCE).await;
            });
        });
        address
    }

    /// The first line of an answer.
    fn ask(mut stream: &TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn whoever_comes_last_waits_for_room() {
        let address = started();
        let connect = || TcpStream::connect(address).unwrap();
        let mut first: Vec<TcpStream> = (0..AT_ONCE).map(|_| connect()).collect();
        first.iter().for_each(|stream| assert_eq!(ask(stream), "HTTP/1.1 404"));
        let last = connect();
        last.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        (&last).write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        assert!((&last).read(&mut [0; 1]).is_err(), "nobody answers");
        first.pop();
        last.set_read_timeout(None).unwrap();
        assert_eq!((&last).read(&mut [0; 1]).unwrap(), 1);
    }
}
