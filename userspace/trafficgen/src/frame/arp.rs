//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! Takes the two parties, writes 28 octets.

use std::net::Ipv4Addr;

use super::ethernet::Mac;

pub(super) const OCTETS: usize = 28;

/// Whether an ARP message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target's IP address?
    Request,
    /// The sender has it.
    Reply,
}

/// One ARP message.
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    /// Whether it asks or answers.
    pub operation: ArpOperation,
    /// The sender's hardware address.
    pub sender_mac: Mac,
    /// The sender's IP address.
    pub sender_ip: Ipv4Addr,
    /// The target's hardware address; zeros in a request.
    pub target_mac: Mac,
    /// The target's IP address.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let operation = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        out.extend_from_slice(&[0, 1, 0x08, 0x00, 6, 4, 0, operation]);
        out.extend_from_slice(&self.sender_mac.0);
        out.extend_from_slice(&self.sender_ip.octets());
        out.extend_from_slice(&self.target_mac.0);
        out.extend_from_slice(&self.target_ip.octets());
    }
}
