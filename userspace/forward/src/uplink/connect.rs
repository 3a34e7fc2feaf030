//! To whom a link goes, and how it is made.

use crate::counted::{Counted, Octets};
use crate::wire::{DO_EXCHANGE, FRAME_OCTETS_MAX, FlightCodec, FlightData};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::http::uri::PathAndQuery;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tapline_tls::{TlsFiles, connector};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Request, Status, Streaming};
use tower::Service;

/// What is spoken over TLS.
const PROTOCOL: &str = "h2";
/// How long connecting, agreeing on keys, and the first answer may take each.
const MADE_WITHIN: Duration = Duration::from_secs(10);
/// How often the other end is asked whether it is there, and how long its answer may take.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_WITHIN: Duration = Duration::from_secs(10);
/// Octets that may be on their way to us.
const WINDOW_OCTETS: u32 = 1 << 20;

/// The aggregator that a sensor, or another aggregator, sends to. Files are read whenever a link is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `https://HOST:PORT`, or `http://HOST:PORT` on this machine.
    pub url: String,
    /// Certificates (PEM) of whoever signed its own; in place of those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// The certificate by which we prove who we are, and its key.
    pub own: Option<TlsFiles>,
    /// A file whose only line is the token by which we do.
    pub token_file: Option<PathBuf>,
}

/// An upstream whose address was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    upstream: Upstream,
    host: String,
    port: u16,
    is_tls: bool,
}

/// A link.
pub(crate) struct Connection {
    /// What is said to us.
    pub(crate) incoming: Streaming<FlightData>,
    _driven: Driven,
}

/// The task that reads and writes the connection; it ends with the link.
struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Target {
    /// Looks at the address of an upstream.
    ///
    /// # Errors
    /// A sentence, when it is none, or what goes there could be read on its way.
    pub(crate) fn of(upstream: Upstream) -> Result<Self, String> {
        let url = &upstream.url;
        let wrong = || {
            format!("{url} is no address of an aggregator; give https://HOST:PORT, such as https://hub:8793")
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let (host, port) = uri.host().zip(uri.port_u16()).ok_or_else(wrong)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !is_tls && !is_loopback(&host) {
            return Err(format!(
                "what goes to {url} could be read and changed on its way; give https://{host}:{port}"
            ));
        }
        if !is_tls && upstream.own.is_some() {
            return Err(format!("{url} asks for no certificate; give https://{host}:{port}, or none"));
        }
        Ok(Self { upstream, host, port, is_tls })
    }

    /// As somebody gave it.
    pub(crate) fn url(&self) -> &str {
        &self.upstream.url
    }

    fn token(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.upstream.token_file else { return Ok(None) };
        let shown = file.display();
        let text =
            fs::read_to_string(file).map_err(|error| format!("the token {shown} cannot be read: {error}"))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(format!("{shown} holds no token, which is one line without spaces"));
        }
        Ok(Some(format!("Bearer {token}")))
    }

    /// Makes a link on which what comes out of `outgoing` is said.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) async fn connect(
        &self,
        outgoing: mpsc::Receiver<FlightData>,
        octets: Arc<Octets>,
    ) -> Result<Connection, String> {
        let url = self.url();
        let mut request = Request::new(ReceiverStream::new(outgoing));
        if let Some(token) = self.token()? {
            let token = token.parse().map_err(|_| "the token cannot be sent".to_owned())?;
            request.metadata_mut().insert("authorization", token);
        }
        let late = |_| format!("{url} did not answer within {} s", MADE_WITHIN.as_secs());
        let stream = timeout(MADE_WITHIN, self.stream(octets)).await.map_err(late)??;
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(ALIVE_EVERY).keep_alive_timeout(ALIVE_WITHIN);
        builder.keep_alive_while_idle(true).initial_stream_window_size(WINDOW_OCTETS);
        builder.initial_connection_window_size(WINDOW_OCTETS);
        let made = timeout(MADE_WITHIN, builder.handshake(TokioIo::new(stream))).await.map_err(late)?;
        let (sender, connection) = made.map_err(|error| format!("{url} speaks no HTTP/2: {error}"))?;
        let driven = Driven(tokio::spawn(async move {
            // How it ends is told by what is read from it.
            let _ = connection.await;
        }));
        let origin: Uri = url.parse().map_err(|_| format!("{url} is no address"))?;
        let mut grpc = Grpc::with_origin(Channel(sender), origin)
            .max_decoding_message_size(FRAME_OCTETS_MAX)
            .max_encoding_message_size(FRAME_OCTETS_MAX);
        let call = grpc.streaming(request, PathAndQuery::from_static(DO_EXCHANGE), FlightCodec);
        let answer = timeout(MADE_WITHIN, call).await.map_err(late)?;
        let incoming = answer.map_err(|status| said(url, &status))?.into_inner();
        Ok(Connection { incoming, _driven: driven })
    }

    async fn stream(&self, octets: Arc<Octets>) -> Result<Box<dyn Stream>, String> {
        let url = self.url();
        let away = |error: std::io::Error| format!("{url} cannot be reached: {error}");
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(away)?;
        // What is written is whole; where that cannot be said, it is only slower.
        let _ = stream.set_nodelay(true);
        let stream = Counted::new(stream, octets);
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        let Upstream { ca, own, .. } = &self.upstream;
        let connector = connector(ca.as_deref(), own.as_ref(), PROTOCOL)?;
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| format!("{} is no name that a certificate could have", self.host))?;
        let stream = connector.connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| format!("{url} and we cannot agree on keys: {error}"))?))
    }
}

/// What a call came to nothing by, as a sentence.
pub(crate) fn said(url: &str, status: &Status) -> String {
    match status.message() {
        "" => format!("{url} ended the link: {:?}", status.code()),
        message => format!("{url}: {message}"),
    }
}

/// Octets that go both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection of HTTP/2 as a client of gRPC takes it.
struct Channel(SendRequest<Body>);

impl Service<hyper::Request<Body>> for Channel {
    type Response = hyper::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

fn is_loopback(host: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_looked_at_before_anything_goes_there() {
        let of = |url: &str| {
            let upstream = Upstream { url: url.to_owned(), ca: None, own: None, token_file: None };
            Target::of(upstream).map(|target| (target.host, target.port, target.is_tls))
        };
        assert_eq!(of("https://hub:8793"), Ok(("hub".to_owned(), 8793, true)));
        assert_eq!(of("http://[::1]:1/"), Ok(("::1".to_owned(), 1, false)));
        for wrong in ["", "hub:8793", "https://hub", "ftp://hub:1", "https://"] {
            assert!(of(wrong).unwrap_err().contains("is no address of an aggregator"), "{wrong}");
        }
        let open = of("http://192.0.2.1:8793").unwrap_err();
        assert!(open.contains("could be read") && open.ends_with("give https://192.0.2.1:8793"), "{open}");
    }
}
