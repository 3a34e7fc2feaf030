//! A sensor: how it is started, and whether it listens.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::api::Api;
use crate::link::Link;
use crate::process::Process;

/// A sensor of a fleet; its state stays when it ends.
pub struct Sensor {
    pub(crate) name: String,
    pub(crate) process: Option<Process>,
    /// Where exports are sent.
    pub(crate) listens: SocketAddr,
    /// To whom it forwards, and by what it knows that one.
    pub(crate) to: String,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) state: PathBuf,
    pub(crate) token: PathBuf,
    pub(crate) api: Api,
    /// Between it and the aggregator, where that was asked for.
    pub(crate) link: Option<Link>,
    /// What else it is started with.
    pub(crate) arguments: Vec<String>,
}

impl Sensor {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where exports are sent.
    pub const fn listens(&self) -> SocketAddr {
        self.listens
    }

    /// Its API.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Its process.
    ///
    /// # Errors
    /// When it is not there.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    /// The link between it and the aggregator.
    ///
    /// # Errors
    /// When there is none that can be cut.
    pub fn link(&self) -> Result<&Link> {
        self.link.as_ref().with_context(|| format!("the link of {} is nobody's to cut", self.name))
    }

    /// Completes the command that starts it.
    pub(crate) fn command<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.args([
            "run",
            "--bare",
            "--listen",
            &format!("udp://{}", self.listens),
            "--api",
            "127.0.0.1:0",
        ]);
        command.args(["--forward", &self.to, "--forward-name", &self.name]);
        command.arg("--forward-token-file").arg(&self.token).arg("--state").arg(&self.state);
        command.arg("--socket").arg(self.api.socket());
        if let Some(ca) = &self.ca {
            command.arg("--forward-ca").arg(ca);
        }
        command.args(&self.arguments)
    }

    /// Whether it receives exports; an error when it has ended.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let running = self.process()?.running();
        ensure!(!running.has_ended(), "{} has ended", self.name);
        listens(running.id(), Transport::Udp, self.listens)
    }

    /// Kills it, as a power cut does.
    ///
    /// # Errors
    /// When it is not there.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.end("KILL").map(drop),
            None => bail!("{} does not run", self.name),
        }
    }
}

/// What is listened to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    /// A socket that is bound.
    Udp,
    /// One that takes connections.
    Tcp,
}

/// Whether somebody listens there in the network of this process, by proc(5).
pub(crate) fn listens(process: u32, transport: Transport, address: SocketAddr) -> Result<bool> {
    let IpAddr::V4(ip) = address.ip() else { bail!("{address} is no address of IPv4") };
    let (table, state) = match transport {
        Transport::Udp => ("udp", ""),
        Transport::Tcp => ("tcp", "00000000:0000 0A "),
    };
    // The kernel shows its own order of octets.
    let line = format!("{:08X}:{:04X} {state}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = Path::new("/proc").join(process.to_string()).join("net").join(table);
    Ok(fs::read_to_string(table).unwrap_or_default().contains(&line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn whoever_listens_is_seen() {
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let [udp_at, tcp_at] = [udp.local_addr().unwrap(), tcp.local_addr().unwrap()];
        let sees = |transport, address| listens(std::process::id(), transport, address).unwrap();
        assert!(sees(Transport::Udp, udp_at) && sees(Transport::Tcp, tcp_at));
        drop((udp, tcp));
        assert!(!sees(Transport::Udp, udp_at) && !sees(Transport::Tcp, tcp_at));
    }
}
