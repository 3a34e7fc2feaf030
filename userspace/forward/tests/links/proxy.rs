//! Something between two ends of a link: it cuts, delays, says again what was said, and goes elsewhere.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    delay: Duration,
    open: Vec<TcpStream>,
    /// What was said on each connection towards where it goes.
    said: Vec<Arc<Mutex<Vec<u8>>>>,
}

/// A proxy on a port of its own.
#[derive(Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                accepting.carry(stream.unwrap());
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where connections go from now on; nowhere: they are closed.
    pub(crate) fn lead(&self, to: Option<SocketAddr>) {
        self.state.lock().unwrap().to = to;
        self.cut();
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().unwrap().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Says again, on a connection of its own each, what was said on all connections.
    pub(crate) fn say_again(&self) -> usize {
        let (to, said) = {
            let state = self.state.lock().unwrap();
            (state.to.unwrap(), state.said.clone())
        };
        for octets in &said {
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let _ = stream.write_all(&octets.lock().unwrap());
            let _ = stream.read_to_end(&mut vec![]);
        }
        said.len()
    }

    fn carry(&self, from: TcpStream) {
        let mut state = self.state.lock().unwrap();
        let Some(to) = state.to.and_then(|to| TcpStream::connect(to).ok()) else { return };
        let said = Arc::<Mutex<Vec<u8>>>::default();
        state.said.push(Arc::clone(&said));
        state.open.extend([from.try_clone().unwrap(), to.try_clone().unwrap()]);
        let ways = [(from.try_clone().unwrap(), to.try_clone().unwrap(), Some(said)), (to, from, None)];
        drop(state);
        for (from, to, said) in ways {
            let state = Arc::clone(&self.state);
            thread::spawn(move || copy(from, to, &state, said.as_deref()));
        }
    }
}

/// Gives on what comes, until either end has enough.
fn copy(mut from: TcpStream, mut to: TcpStream, state: &Mutex<State>, said: Option<&Mutex<Vec<u8>>>) {
    let mut octets = [0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut octets) {
        if let Some(said) = said {
            said.lock().unwrap().extend_from_slice(&octets[..read]);
        }
        let delay = state.lock().unwrap().delay;
        thread::sleep(delay);
        if to.write_all(&octets[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
