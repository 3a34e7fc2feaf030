//! The server of a node, on a thread of its own.

use crate::api::router;
use crate::connections;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tapline_catalog::Catalog;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

/// Threads for what may take its time; what waits for one of them waits in line.
const THREADS_MAX: usize = 16;
/// How long requests that are being answered may take when the server ends.
const END_WITHIN: Duration = Duration::from_millis(500);

/// Answers requests until it is ended.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on an address. Whoever can reach it may change what runs.
    ///
    /// # Errors
    /// A sentence: the address is taken, or not ours.
    pub fn start(address: SocketAddr, catalog: Arc<Catalog>) -> Result<Self, String> {
        let said = |error: io::Error| {
            format!("the API cannot listen on {address}: {error}; give another --api ADDR")
        };
        let listener = TcpListener::bind(address).map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let bound = listener.local_addr().map_err(said)?;
        let runtime = runtime().map_err(said)?;
        let (end, ended) = oneshot::channel();
        let serve = async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            tokio::select! {
                () = connections::serve(listener, router(catalog, bound.ip().is_loopback())) => {}
                _ = ended => tokio::time::sleep(END_WITHIN).await,
            }
        };
        let spawned = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(serve);
            runtime.shutdown_timeout(END_WITHIN);
        });
        Ok(Self { address: bound, end: Some(end), thread: Some(spawned.map_err(said)?) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
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
