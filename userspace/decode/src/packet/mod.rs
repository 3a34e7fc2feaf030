//! Packet headers, one protocol a file: frames in, rows of the stream `packets` out.
//!
//! Any octets are legal input. A frame that is cut short, that lies or that is not IP gives a row
//! with fewer columns, and at most one [`Damage`]. The main columns are those of the outermost IP
//! header behind VLAN tags, MPLS labels, PPPoE, backbone and fabric headers and service chains, `inner_*` those of the
//! first tunnelled packet. What stands there instead and is not read, is named by [`Unread`].
//!
//! tshark 4.0 says the same of sound frames and of most damaged ones. Where it does not:
//! - an IPv6 extension header that is not whole leaves no protocol, since what is behind is not known;
//! - an IP version that is neither 4 nor 6 is no version;
//! - mobility and HIP headers are looked through as RFC 7045 says, options are not checked;
//! - an IPv6 payload length of zero is no empty packet unless nothing follows: it is what the jumbo option says, or one of
//!   unknown length;
//! - UDP tunnels are known by the destination port, VXLAN by its flag too;
//! - a pseudowire has a control word unless an EtherType stands where it would be without one.

mod arp;
mod batcher;
mod bsd_loopback;
mod columns;
mod damage;
mod dccp;
mod decode;
mod depth;
mod ethernet;
pub(crate) mod ethertype;
mod fabric_path;
mod fields;
mod find_ip;
mod geneve;
mod gre;
mod gtpu;
mod icmp;
mod ip;
mod ip_extension;
mod ip_in_ip;
mod ipv4;
mod ipv6;
mod jumbo;
mod layers;
mod linux_sll;
mod llc;
mod mpls;
mod nflog;
mod nsh;
mod pbb;
mod ports;
mod ppp;
pub(crate) mod ppp_protocol;
mod pppoe;
pub(crate) mod protocol;
mod sctp;
mod tcp;
mod transport;
mod tunnel;
mod tunnel_kind;
mod udp;
mod unread;
mod vlan;
mod vxlan;
mod walk;

pub use batcher::{PacketBatcher, Seen};
pub use damage::{Damage, DamageCounts};
pub use decode::{Decoded, decode};
pub use depth::Depth;
pub use unread::{Unread, UnreadCounts};
