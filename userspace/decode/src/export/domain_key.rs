//! Which messages belong together.

use super::datagram::Transport;
use tapline_record::address::Address;

/// Whose messages have one account. An agent of sFlow is known by what its datagrams say, whichever way they come;
/// it has no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DomainKey {
    pub(super) address: Address,
    pub(super) port: u16,
    pub(super) transport: Transport,
    pub(super) version: u8,
    pub(super) domain: u32,
}

impl DomainKey {
    /// Whether both are of one exporter.
    pub(super) fn is_of_exporter_of(&self, other: &Self) -> bool {
        *self == Self { domain: self.domain, ..*other }
    }

    /// The key of an exporter and domain whatever their port.
    pub(super) const fn without_port(self) -> Self {
        Self { port: 0, ..self }
    }
}
