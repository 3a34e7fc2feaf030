//! Where to listen for exports, as people write it.

use crate::template_file::TemplateFile;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerAddress {
    /// For NetFlow, IPFIX and sFlow in datagrams.
    Udp(SocketAddr),
    /// For IPFIX in connections.
    Tcp(SocketAddr),
}

impl ListenerAddress {
    const fn port(self) -> u16 {
        match self {
            Self::Udp(address) | Self::Tcp(address) => address.port(),
        }
    }
}

/// `udp://HOST:PORT` or `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerUrl {
    /// As it was given.
    pub url: String,
    /// What it means.
    pub address: ListenerAddress,
}

impl ListenerUrl {
    /// The URL as it was given; `None` where that leaves the port to the kernel.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        (self.address.port() > 0).then(|| self.url.clone())
    }

    /// The file of its templates in a folder; those of connections end with them.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn templates(&self, folder: &Path) -> Result<Option<TemplateFile>, String> {
        let ListenerAddress::Udp(address) = self.address else { return Ok(None) };
        let name = format!("templates-udp-{}", address.port());
        TemplateFile::in_folder(folder, &name).map(Some).map_err(|error| error.to_string())
    }
}

impl FromStr for ListenerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example =
            "write udp://HOST:PORT or tcp://HOST:PORT, such as udp://0.0.0.0:2055 or udp://[::]:4739";
        let (kind, address): (fn(SocketAddr) -> ListenerAddress, &str) = match text.split_once("://") {
            Some(("udp", address)) => (ListenerAddress::Udp, address),
            Some(("tcp", address)) => (ListenerAddress::Tcp, address),
            _ => return Err(example.to_owned()),
        };
        let mut addresses = address.to_socket_addrs().map_err(|error| format!("{error}; {example}"))?;
        let address = addresses.next().map(kind).ok_or_else(|| format!("{address} has no address"))?;
        Ok(Self { url: text.to_owned(), address })
    }
}
