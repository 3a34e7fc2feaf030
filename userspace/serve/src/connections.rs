//! The connections of a server.
//!
//! Takes a listener, answers the requests of whoever connects. So many connections are served at once, and one over
//! which no request comes for long is closed; a stream that is being read is none of these.

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Connections at once; others wait for one of them to end.
const CONNECTIONS_MAX: usize = 256;
/// How long the head of a request may take, from the answer before it on.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Answers requests for ever.
pub(crate) async fn serve(mut listener: impl Listener, router: Router) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    // Without a timer, no time is taken.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Nobody closes it.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let (stream, _) = listener.accept().await;
        let (builder, service) = (builder.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // Fails where the other side went away, or said nothing.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use tokio::net::TcpListener;

    /// Where a server listens that ends with the tests.
    fn started() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap(), Router::new()).await });
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
        let mut first: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
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
