//! The flows that are active, as whoever asks is told of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tapline_record::EventTime;
use tapline_record::address::Address;

/// The flows that were active at some moment, or had ended shortly before.
#[derive(Clone, Debug)]
pub struct ActiveFlows {
    /// The moment. Flows are told one after the other, those of large tables some milliseconds later.
    pub as_of: EventTime,
    /// Whether all flows that were active then are known.
    pub complete: bool,
    /// Why not, in sentences without their full stops.
    pub reasons: Vec<String>,
    /// How many are known, whatever was asked for.
    pub total: usize,
    /// Those that were asked for, in the order that was asked for.
    pub flows: Vec<SeenFlow>,
}

/// A flow, unidirectional, from its first packet on, over all its records.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenFlow {
    /// The name of the source.
    pub source: Arc<str>,
    /// 4 or 6.
    pub ip_version: Option<u8>,
    /// Source address.
    pub src_ip: Address,
    /// Destination address.
    pub dst_ip: Address,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// IP protocol.
    pub protocol: Option<u8>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// VLAN id.
    pub vlan: Option<u16>,
    /// Time of the first packet that was metered.
    pub start_time: EventTime,
    /// Time of the last packet.
    pub last_time: EventTime,
    /// Nanoseconds since the first packet, by the clock of who asks; of captures, by the time of their frames.
    pub age_ns: i64,
    /// Nanoseconds since the last packet, likewise.
    pub idle_ns: i64,
    /// Packets so far.
    pub packets: u64,
    /// Octets of the IP packets so far.
    pub octets: u64,
    /// Those of the packets that `flows` has already.
    pub packets_sent: u64,
    /// Those of the octets that `flows` has already.
    pub records_sent: u64,
    /// What came lately.
    pub rates: Rates,
    /// TCP flags so far, joined by OR.
    pub tcp_flags: Option<u16>,
    /// 0 ingress, 1 egress, as the first packet was.
    pub direction: Option<u8>,
    /// Why it ended, if it has: `idle`, `active`, `end of flow`, `forced`, `lack of resources`.
    pub end_reason: Option<&'static str>,
}

impl SeenFlow {
    /// `active`, or `ended`.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        if self.end_reason.is_some() { "ended" } else { "active" }
    }
}

/// What came of a flow in a second, over the last second and the last ten; `None` where nobody asked that long before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Octets a second.
    pub octets: [Option<f64>; 2],
    /// Packets a second.
    pub packets: [Option<f64>; 2],
}

/// Which flows are told first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowOrder {
    /// Those of most octets.
    #[default]
    Octets,
    /// Those of most packets.
    Packets,
    /// Those of most octets a second, lately.
    Rate,
    /// Those that began last.
    Newest,
    /// Those that have been silent for longest.
    Idle,
}

impl FlowOrder {
    /// All of them.
    const ALL: [Self; 5] = [Self::Octets, Self::Packets, Self::Rate, Self::Newest, Self::Idle];

    const fn name(self) -> &'static str {
        match self {
            Self::Octets => "octets",
            Self::Packets => "packets",
            Self::Rate => "rate",
            Self::Newest => "newest",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for FlowOrder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for FlowOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|order| order.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no order of flows; write one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_called_by_their_names() {
        for order in FlowOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        let wrong = "largest".parse::<FlowOrder>().unwrap_err();
        assert_eq!(wrong, "`largest` is no order of flows; write one of octets, packets, rate, newest, idle");
    }
}
