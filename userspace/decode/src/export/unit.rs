//! What sequence numbers count.

use super::version::{IPFIX, NETFLOW_V9};

/// What an export protocol counts its losses in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Flow records: NetFlow v5 and v7.
    Flows,
    /// Datagrams: NetFlow v9 (RFC 3954 §5.1).
    Datagrams,
    /// Data records: IPFIX (RFC 7011 §3.1).
    Records,
    /// Samples: sFlow v5.
    Samples,
    /// Messages: IPFIX of exporters that number those instead of their records.
    Messages,
}

impl Unit {
    /// The unit's name in the plural.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Datagrams => "datagrams",
            Self::Records => "records",
            Self::Samples => "samples",
            Self::Messages => "messages",
        }
    }

    /// Whether records are not what is counted, but what each unit holds some of.
    pub(super) const fn holds_records(self) -> bool {
        matches!(self, Self::Datagrams | Self::Messages)
    }

    /// Whether an exporter of this protocol should count something else.
    #[must_use]
    pub const fn is_odd_for(self, version: u8) -> bool {
        matches!((version, self), (NETFLOW_V9, Self::Records) | (IPFIX, Self::Messages))
    }
}
