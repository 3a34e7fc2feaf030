//! The server of a node, on a thread of its own.

use crate::api::router;
use crate::connections;
use crate::door::Door;
use crate::entrance::Entrance;
use crate::local::{LocalSocket, SocketFile};
use axum::serve::ListenerExt as _;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tapline_catalog::Catalog;
use tapline_tables::Database;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

/// Threads for what may take its time; what waits for one of them waits in line.
const THREADS_MAX: usize = 16;
/// Octets that the system keeps of a connection besides those that are on their way: whoever reads slowly is not shown
/// what was new long ago.
const UNSENT_OCTETS: u32 = 64 << 10;
/// How long requests that are being answered may take when the server ends.
const END_WITHIN: Duration = Duration::from_millis(500);

/// Answers requests until it is ended.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_encrypted: bool,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Of the socket of this machine, where there is one.
    _file: Option<SocketFile>,
}

impl Server {
    /// Listens on the address of the entrance, and at a path of this machine, which is open to whom its file is.
    ///
    /// # Errors
    /// A sentence: the address or the path is taken, or not ours.
    pub fn start(
        entrance: &Arc<Entrance>,
        socket: Option<&Path>,
        catalog: Arc<Catalog>,
        database: Arc<Database>,
    ) -> Result<Self, String> {
        let address = entrance.address();
        let said = |error: io::Error| {
            format!("the API cannot listen on {address}: {error}; give another --api ADDR")
        };
        let listener = TcpListener::bind(address).map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let bound = listener.local_addr().map_err(said)?;
        let (local, file) = socket.map(LocalSocket::bind).transpose()?.map(LocalSocket::into_parts).unzip();
        let runtime = runtime().map_err(said)?;
        let is_encrypted = entrance.acceptor().is_some();
        let entrance = Arc::clone(entrance);
        let is_on_loopback = bound.ip().to_canonical().is_loopback();
        let door = Door { is_on_loopback, is_open: false, entrance: Arc::clone(&entrance) };
        let own = Door { is_on_loopback: true, is_open: true, entrance: Arc::clone(&entrance) };
        let outside = router(Arc::clone(&catalog), Arc::clone(&database), door);
        let inside = router(catalog, database, own);
        let (end, ended) = oneshot::channel();
        let serve = async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let listener = listener.tap_io(|stream| prepare(stream));
            let by_path = async {
                match local.map(tokio::net::UnixListener::from_std) {
                    Some(Ok(local)) => connections::serve(local, inside, None).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = connections::serve(listener, outside, Some(entrance)) => {}
                () = by_path => {}
                _ = ended => tokio::time::sleep(END_WITHIN).await,
            }
        };
        let spawned = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(serve);
            runtime.shutdown_timeout(END_WITHIN);
        });
        let thread = Some(spawned.map_err(said)?);
        Ok(Self { address: bound, is_encrypted, end: Some(end), thread, _file: file })
    }

    /// Where it listens, as commands name it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http{}://{}", if self.is_encrypted { "s" } else { "" }, self.address)
    }
}

/// Says how a connection is written to; where that cannot be said, it is only slower.
fn prepare(stream: &TcpStream) {
    // What is written is whole.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_OCTETS);
}

/// A thread for connections, and some for what may take its time, all of one name.
fn runtime() -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(THREADS_MAX).thread_name("api").build()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.take().map(|end| end.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}
