//! Ethernet, with an IEEE 802.1Q tag where the link has one.
//!
//! Takes addresses and an Ethertype, writes 14 or 18 octets.

use std::fmt;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;

/// The least that a sender puts on the wire, check sequence not counted.
pub(super) const FRAME_OCTETS_MIN: usize = 60;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everybody on the link.
    pub(crate) const BROADCAST: Self = Self([0xff; 6]);

    /// A locally administered address with the number in its last four octets.
    #[must_use]
    pub fn local(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self([0x02, 0x00, a, b, c, d])
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A crossing of one link.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Who sends the frame.
    pub src_mac: Mac,
    /// Who is to receive it.
    pub dst_mac: Mac,
    /// The VLAN of an IEEE 802.1Q tag, 1 to 4094; untagged when `None`.
    pub vlan: Option<u16>,
}

impl Link {
    /// The same link the other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { src_mac: self.dst_mac, dst_mac: self.src_mac, vlan: self.vlan }
    }

    pub(super) fn octets(self) -> usize {
        if self.vlan.is_some() { 18 } else { 14 }
    }

    pub(super) fn write(self, ethertype: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dst_mac.0);
        out.extend_from_slice(&self.src_mac.0);
        if let Some(vlan) = self.vlan {
            out.extend_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            out.extend_from_slice(&vlan.to_be_bytes());
        }
        out.extend_from_slice(&ethertype.to_be_bytes());
    }
}
