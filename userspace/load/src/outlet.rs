//! Where frames leave: an interface that is there, or one end of a pair that is made for them.
//!
//! A pair is for whoever has no mirrored port at hand: frames that leave at its first end come in at the other one.
//! Sending begins when somebody watches there, and the pair goes when sending ends, also by Ctrl-C.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use tapline_interface::link;

/// The ends of a pair.
const NEAR: &str = "tapline0";
const FAR: &str = "tapline1";
/// Between two looks whether somebody watches; from then on until all is set up, and at the end until all is read.
const LOOK: Duration = Duration::from_millis(100);
const SETTLED: Duration = Duration::from_millis(500);

/// Where frames are to leave.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// The interface that frames are sent out of
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Make a pair of interfaces, tapline0 and tapline1, and send when somebody watches tapline1
    #[arg(long)]
    veth: bool,
}

/// An interface that frames leave by.
pub(crate) struct Outlet {
    pub(crate) interface: String,
    /// Whether frames that the kernel makes come in at the other end, as far as that is known.
    pub(crate) takes_live_frames: bool,
    /// Set by Ctrl-C; the second one ends the program at once.
    is_over: Arc<AtomicBool>,
    _pair: Option<Pair>,
}

impl Target {
    /// Makes a pair where one is wanted, and waits until somebody watches it.
    pub(crate) fn open(&self) -> Result<Outlet> {
        let is_over = interrupts()?;
        if let Some(interface) = &self.interface {
            return Ok(Outlet {
                interface: interface.clone(),
                takes_live_frames: true,
                is_over,
                _pair: None,
            });
        }
        let pair = Pair::lay()?;
        let takes_live_frames = wait_for_watcher(&is_over)?;
        Ok(Outlet { interface: NEAR.to_owned(), takes_live_frames, is_over, _pair: Some(pair) })
    }
}

impl Outlet {
    /// Whether sending is to end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A flag that the first Ctrl-C, or SIGTERM, sets.
fn interrupts() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Waits until somebody watches the far end; says whether by an XDP program.
fn wait_for_watcher(is_over: &AtomicBool) -> Result<bool> {
    eprintln!(
        "waiting for somebody to watch {FAR}, such as: tapline query --interface {FAR} --mirror \
         \"SELECT src_ip, count(*), sum(frame_octets) FROM packets GROUP BY src_ip, tumble('1 second')\""
    );
    while !is_over.load(Ordering::Relaxed) {
        let far = link::find(FAR)?.with_context(|| format!("{FAR} is gone"))?;
        let has_program = far.xdp.is_some();
        if has_program || has_packet_socket(far.index) {
            thread::sleep(SETTLED);
            return Ok(has_program);
        }
        thread::sleep(LOOK);
    }
    bail!("nobody watched {FAR}")
}

/// Whether a socket reads the packets of an interface.
fn has_packet_socket(index: u32) -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap_or_default();
    let reads = |socket: &str| {
        let fields: Vec<_> = socket.split_whitespace().collect();
        matches!(fields[..], [_, _, _, "0003", of, "1", ..] if of.parse() == Ok(index))
    };
    sockets.lines().any(reads)
}

/// Two interfaces that are each other's other end; they go with this value.
struct Pair;

impl Pair {
    fn lay() -> Result<Self> {
        if link::find(NEAR)?.is_some() {
            bail!("{NEAR} is there already; if nobody uses it: ip link delete {NEAR}");
        }
        ip(&["link", "add", NEAR, "type", "veth", "peer", "name", FAR])?;
        let pair = Self;
        for end in [NEAR, FAR] {
            // Nobody speaks unasked.
            ip(&["link", "set", end, "addrgenmode", "none", "up"])?;
        }
        Ok(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // What came in last is read meanwhile.
        thread::sleep(SETTLED);
        // It may be gone already.
        let _ = Command::new("ip").args(["link", "delete", NEAR]).output();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip(8), of iproute2, does not start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
