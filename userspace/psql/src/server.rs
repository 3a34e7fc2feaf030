//! The server, on threads of its own.

use crate::access::{Access, AccessOptions};
use crate::node::Node;
use crate::said::{Ended, Said};
use crate::session::Session;
use crate::startup::{Begun, begin, welcome};
use crate::wire::Wire;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tapline_catalog::Catalog;
use tapline_tables::Database;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

/// Connections at once; more are told so.
const CONNECTIONS_MAX: usize = 64;
/// Connections that are told so at once; more are closed.
const TOLD_MAX: usize = 64;
/// How long a client may take until it has shown who it is.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// Threads for connections, and for what takes its time.
const THREADS: usize = 2;
const WORKERS_MAX: usize = 8;
/// Octets of a thread's stack: what a plan walks is as deep as its statement is long.
const STACK_OCTETS: usize = 16 << 20;
/// How long statements that are worked on may take when the server ends.
const END_WITHIN: Duration = Duration::from_millis(500);
/// How long nobody is let in after that failed, as when there are no more descriptors.
const REST: Duration = Duration::from_millis(100);

/// Answers statements until it is ended.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on an address; tables are those of `database`, streams are asked of `catalog`.
    ///
    /// # Errors
    /// A sentence: the address is taken or not ours, a file cannot be read, or an address that others reach lacks a
    /// password or TLS.
    pub fn start(
        address: SocketAddr,
        access: &AccessOptions,
        catalog: Arc<Catalog>,
        database: Arc<Database>,
    ) -> Result<Self, String> {
        let said =
            |error: io::Error| format!("psql cannot listen on {address}: {error}; give another --psql ADDR");
        let access = Arc::new(Access::resolve(access, address)?);
        let node = Node::new(catalog, database).map_err(|error| format!("psql cannot start: {error}"))?;
        let listener = TcpListener::bind(address).map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let bound = listener.local_addr().map_err(said)?;
        let runtime = runtime().map_err(said)?;
        let (end, ended) = oneshot::channel();
        let spawned = thread::Builder::new().name("psql".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::new(node), access) => {}
                    _ = ended => {}
                }
            });
            runtime.shutdown_timeout(END_WITHIN);
        });
        let thread = Some(spawned.map_err(said)?);
        Ok(Self { address: bound, end: Some(end), thread })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.take().map(|end| end.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

fn runtime() -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.enable_all().worker_threads(THREADS).max_blocking_threads(WORKERS_MAX);
    builder.thread_stack_size(STACK_OCTETS).thread_name("psql").build()
}

/// Answers connections for ever.
async fn serve(listener: TcpListener, node: Arc<Node>, access: Arc<Access>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let (room, told) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(TOLD_MAX)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        // What is written is whole; where that cannot be said, it is only slower.
        let _ = stream.set_nodelay(true);
        if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
            let (node, access) = (Arc::clone(&node), Arc::clone(&access));
            tokio::spawn(async move {
                connection(stream, &node, &access).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&told).try_acquire_owned() {
            tokio::spawn(async move {
                refuse(stream).await;
                drop(place);
            });
        }
    }
}

/// Tells that there is no room.
async fn refuse(stream: TcpStream) {
    let sentence = format!("there are {CONNECTIONS_MAX} connections to this node; end one of them");
    let told = Wire::new(stream).end(Said::last("53300", sentence).into());
    // Where nobody reads it, nobody is told.
    let _ = timeout(BEGINS_WITHIN, told).await;
}

/// Answers one connection to its end.
async fn connection(stream: TcpStream, node: &Arc<Node>, access: &Access) {
    let mut wire = Wire::new(stream);
    if let Err(why) = answer(&mut wire, node, access).await {
        wire.end(why).await;
    }
}

async fn answer(wire: &mut Wire, node: &Arc<Node>, access: &Access) -> Result<(), Ended> {
    let begun = timeout(BEGINS_WITHIN, begin(wire, access)).await;
    match begun.map_err(|_| Said::last("08006", "the client took too long to say who it is"))?? {
        Begun::Cancel { number, key } => {
            node.cancels.cancel(number, key);
            Ok(())
        }
        Begun::Session => {
            let ticket = node.cancels.ticket().ok_or(Ended::Gone)?;
            welcome(wire, &ticket).await?;
            Session::new(wire, Arc::clone(node), Arc::clone(&ticket.cancelled)).run().await
        }
    }
}
