//! Flow exports as they arrive.

use crate::clock::Clock;
use std::io;
use tapline_decode::export::ExportDecoder;
use tapline_exports::{
    ExportEvent, IpfixListener, ListenError, ListenerAddress, TcpCounters, TcpOptions, UdpListener,
    UdpOptions,
};
use tapline_record::ledger::SourceLedger;

/// A bound listener.
pub enum Listener {
    /// Of NetFlow, IPFIX and sFlow in datagrams.
    Udp(UdpListener),
    /// Of IPFIX in connections.
    Tcp(IpfixListener),
}

impl Listener {
    /// Binds to an address.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    pub fn bind(address: ListenerAddress, options: &UdpOptions) -> Result<Self, ListenError> {
        match address {
            ListenerAddress::Udp(address) => UdpListener::bind(address, options).map(Self::Udp),
            ListenerAddress::Tcp(address) => {
                IpfixListener::bind(address, &TcpOptions::default()).map(Self::Tcp)
            }
        }
    }

    /// Lends what came to the decoder; gives how many messages.
    pub(crate) fn read(&mut self, clock: &dyn Clock, decoder: &mut ExportDecoder) -> io::Result<usize> {
        match self {
            Self::Udp(listener) => listener.read(|| clock.now(), &mut |datagram| decoder.push(datagram)),
            Self::Tcp(listener) => listener.read(|| clock.now(), &mut |event| take(event, decoder)),
        }
    }

    /// Messages and octets so far.
    pub(crate) const fn received(&self) -> (u64, u64) {
        match self {
            Self::Udp(listener) => (listener.counters().datagrams, listener.counters().octets),
            Self::Tcp(listener) => (listener.counters().messages, listener.counters().octets),
        }
    }

    /// Packets that the kernel dropped.
    pub(crate) fn socket_drops(&mut self) -> u64 {
        match self {
            Self::Udp(listener) => listener.drops().unwrap_or_default(),
            Self::Tcp(_) => 0,
        }
    }

    /// What it listens on.
    pub(crate) fn url(&self) -> String {
        let (scheme, address) = match self {
            Self::Udp(listener) => ("udp", listener.local_address()),
            Self::Tcp(listener) => ("tcp", listener.local_address()),
        };
        address.map_or_else(|_| scheme.to_owned(), |address| format!("{scheme}://{address}"))
    }

    /// Its account, as the source of this name, whose rows had these fates.
    pub(crate) fn report(
        &mut self,
        source: String,
        rows: SourceLedger,
        failure: Option<String>,
    ) -> ListenerReport {
        let (messages, octets) = self.received();
        ListenerReport {
            source,
            rows,
            address: self.url(),
            messages,
            octets,
            socket_drops: self.socket_drops(),
            receive_buffer_octets: match self {
                Self::Udp(listener) => Some(listener.receive_buffer_octets()),
                Self::Tcp(_) => None,
            },
            connections: match self {
                Self::Udp(_) => None,
                Self::Tcp(listener) => Some(listener.counters()),
            },
            failure,
        }
    }
}

/// Hands an event to the decoder.
pub(crate) fn take(event: &ExportEvent<'_>, decoder: &mut ExportDecoder) {
    match event {
        ExportEvent::Message(datagram) => decoder.push(datagram),
        ExportEvent::Closed(sender) => decoder.close(*sender),
    }
}

/// The account of one listener.
#[derive(Clone, Debug)]
pub struct ListenerReport {
    /// What its rows name as their source.
    pub source: String,
    /// What it listened on.
    pub address: String,
    /// Rows and their fates; dropped are those that the workers had no room for.
    pub rows: SourceLedger,
    /// Messages that were read.
    pub messages: u64,
    /// Octets of the messages that were read.
    pub octets: u64,
    /// Packets that the kernel dropped since nobody read them in time; their messages are lost, and missing in
    /// the exporters' numbers.
    pub socket_drops: u64,
    /// Octets of the kernel's queue as granted; `None` for connections, whose senders wait.
    pub receive_buffer_octets: Option<usize>,
    /// The fates of connections, where there are any.
    pub connections: Option<TcpCounters>,
    /// Why it could not be read any more.
    pub failure: Option<String>,
}
