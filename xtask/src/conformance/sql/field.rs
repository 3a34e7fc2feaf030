//! What a query may name: columns of the streams, each with values that occur, and of what kind they are.

use super::both::Both;

/// What a value is, for those that compare answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Float,
    Text,
    /// Text here, 32 hexadecimal digits there.
    Address,
    /// Text here, nanoseconds since 1970 there.
    Time,
    Bool,
}

/// A column that is in scope.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Literals of values that occur.
    pub(super) samples: Vec<Both>,
}

impl Field {
    /// A column of a subquery: small numbers occur in all of them.
    pub(super) fn derived(name: String, kind: Kind) -> Self {
        let samples = if kind == Int { numbers(&["0", "1", "2", "10", "100"]) } else { vec![] };
        Self { name, kind, samples }
    }

    pub(super) fn sql(&self) -> Both {
        Both::same(self.name.as_str())
    }
}

/// Literals that both read alike.
pub(super) fn numbers(texts: &[&str]) -> Vec<Both> {
    texts.iter().map(|text| Both::same(*text)).collect()
}

/// A stream and its columns that are asked.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
}

use Kind::{Address, Int, Text, Time};

pub(super) const STREAMS: [Stream; 2] = [
    Stream {
        name: "packets",
        columns: &[
            ("ts", Time),
            ("src_mac", Text),
            ("ethertype", Int),
            ("ip_version", Int),
            ("src_ip", Address),
            ("dst_ip", Address),
            ("protocol", Int),
            ("ttl", Int),
            ("dscp", Int),
            ("ip_id", Int),
            ("src_port", Int),
            ("dst_port", Int),
            ("tcp_flags", Int),
            ("tcp_seq", Int),
            ("tcp_window", Int),
            ("icmp_type", Int),
            ("octets", Int),
            ("frame_octets", Int),
            ("sensor", Text),
            ("site", Text),
        ],
    },
    Stream {
        name: "flows",
        columns: &[
            ("ts", Time),
            ("start_time", Time),
            ("end_time", Time),
            ("src_ip", Address),
            ("dst_ip", Address),
            ("src_port", Int),
            ("dst_port", Int),
            ("protocol", Int),
            ("tcp_flags", Int),
            ("packets", Int),
            ("octets", Int),
            ("icmp_type", Int),
            ("flow_end_reason", Int),
            ("ip_version", Int),
            ("sensor", Text),
            ("site", Text),
        ],
    },
];
