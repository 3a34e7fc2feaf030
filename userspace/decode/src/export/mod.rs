//! Flow exports: NetFlow, IPFIX and sFlow messages in, rows of `flows` out.

mod datagram;

pub use datagram::{Datagram, Sender, Transport};
