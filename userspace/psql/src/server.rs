//! The server, on threads of its own.

use crate::access::{Access, Terms};
use crate::node::Node;
use crate::said::{Ended, Said};
use crate::session::Session;
use crate::startup::{Begun, begin, begins_to_cancel, welcome};
use crate::wire::Wire;
use socket2::{SockRef, TcpKeepalive};
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
/// Threads for connections, and for statements over tables; beside them, threads for what may wait.
const THREADS: usize = 2;
const WORKERS: usize = 4;
const WAITING_MAX: usize = 8;
/// Octets of a thread's stack: what a plan walks is as deep as its statement is long.
const STACK_OCTETS: usize = 16 << 20;
/// How long statements that are worked on may take when the server ends.
const END_WITHIN: Duration = Duration::from_millis(500);
/// How long nothing comes until the other side is asked whether it is there, how often, and how many times.
const ALIVE_AFTER: Duration = Duration::from_secs(60);
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_RETRIES: u32 = 3;
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
    /// Listens on the address of `access`; tables are those of `database`, streams are asked of `catalog`.
    ///
    /// # Errors
    /// A sentence: the address is taken or not ours.
    pub fn start(
        access: &Arc<Access>,
        catalog: Arc<Catalog>,
        database: Arc<Database>,
    ) -> Result<Self, String> {
        let address = access.address();
        let said =
            |error: io::Error| format!("psql cannot listen on {address}: {error}; give another --psql ADDR");
        let listener = TcpListener::bind(address).map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let bound = listener.local_addr().map_err(said)?;
        let connections = runtime("psql", THREADS).map_err(said)?;
        let workers = runtime("psql-work", WORKERS).map_err(said)?;
        let node = Node::new(catalog, database, workers.handle().clone());
        let node = node.map_err(|error| format!("psql cannot start: {error}"))?;
        let (end, ended) = oneshot::channel();
        let access = Arc::clone(access);
        let spawned = thread::Builder::new().name("psql".to_owned()).spawn(move || {
            connections.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::new(node), access) => {}
                    _ = ended => {}
                }
            });
            connections.shutdown_timeout(END_WITHIN);
            workers.shutdown_timeout(END_WITHIN);
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

fn runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.enable_all().worker_threads(threads).max_blocking_threads(WAITING_MAX);
    builder.thread_stack_size(STACK_OCTETS).thread_name(name).build()
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
        // Whoever vanished without a word has no query that runs for ever.
        let _ = SockRef::from(&stream).set_tcp_keepalive(&alive());
        if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
            let (node, terms) = (Arc::clone(&node), access.terms());
            tokio::spawn(async move {
                connection(stream, &node, &terms).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&told).try_acquire_owned() {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                refuse(stream, &node).await;
                drop(place);
            });
        }
    }
}

/// When it is asked whether the other side is there still.
fn alive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_EVERY).with_retries(ALIVE_RETRIES)
}

/// Tells that there is no room; whoever ends what another connection waits for needs none.
async fn refuse(stream: TcpStream, node: &Node) {
    let mut wire = Wire::new(stream);
    if let Ok(Ok(Some((number, key)))) = timeout(BEGINS_WITHIN, begins_to_cancel(&mut wire)).await {
        node.cancels.cancel(number, key);
        return;
    }
    let sentence = format!("there are {CONNECTIONS_MAX} connections to this node; end one of them");
    // Where nobody reads it, nobody is told.
    let _ = timeout(BEGINS_WITHIN, wire.end(Said::last("53300", sentence).into())).await;
}

/// Answers one connection to its end.
async fn connection(stream: TcpStream, node: &Arc<Node>, terms: &Terms) {
    let mut wire = Wire::new(stream);
    if let Err(why) = answer(&mut wire, node, terms).await {
        wire.end(why).await;
    }
}

async fn answer(wire: &mut Wire, node: &Arc<Node>, terms: &Terms) -> Result<(), Ended> {
    let begun = timeout(BEGINS_WITHIN, begin(wire, terms)).await;
    match begun.map_err(|_| Said::last("08006", "the client took too long to say who it is"))?? {
        Begun::Cancel { number, key } => {
            node.cancels.cancel(number, key);
            Ok(())
        }
        Begun::Session(settings) => {
            let ticket = node.cancels.ticket().ok_or(Ended::Gone)?;
            welcome(wire, &ticket).await?;
            Session::new(wire, Arc::clone(node), Arc::clone(&ticket.cancelled), settings).run().await
        }
    }
}
