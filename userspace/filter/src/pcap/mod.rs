//! Filters as tcpdump and other programs know them (pcap-filter(7)).
//!
//! A filter is read into a condition over columns, and never looks at a frame by itself; so it sees what queries see, and
//! means what tcpdump means but for this:
//!
//! - VLAN tags, MPLS labels, PPPoE and the like are looked through: `port 80` finds tagged frames, too. `vlan` asks for a
//!   tag, `vlan 5 and vlan 6` for one tag within another, and `vlan 5 or vlan 6` for either.
//! - IPv6 extension headers are looked through, and so are the fragment headers of first fragments.
//! - `ether` looks at the innermost Ethernet header where frames hold others, as in `FabricPath`.
//! - `host` and `net` look at IP only: no column holds the addresses in ARP packets.
//! - `tcp[…]`, `udp[…]` and `sctp[…]` look at headers over IPv6, too.
//! - A frame that is too short for a comparison is not refused as a whole: the comparison is false, and its opposite true.
//! - `src 10.0.0.0/8` is a network, and `10.0.0.1` a host.
//! - Names of hosts are not looked up. Those of ports are a table.

mod cursor;
mod error;
mod identified;
mod lexer;
mod names;
mod parser;
mod primitive;
mod qualifiers;
mod relation;

pub use error::FilterError;

use crate::condition::Condition;

/// The condition that a filter in pcap syntax says; nothing of it is NULL.
///
/// # Errors
/// What is wrong with it, where, and what would be right.
pub fn parse(text: &str) -> Result<Condition, FilterError> {
    cursor::Parser::new(text)?.whole()
}
