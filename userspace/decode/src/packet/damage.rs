//! Why a frame's headers could not be read to the end.
//!
//! A damaged frame is a row all the same; its reason is an annotation that is counted, one a frame:
//! the first that the walk through its headers meets.

/// Declares the reasons, each with the text that a summary prints.
macro_rules! damage {
    ($($(#[$about:meta])* $reason:ident $text:literal;)+) => {
        /// What is wrong with a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Damage { $(#[doc = concat!("The ", $text, ".")] $(#[$about])* $reason),+ }

        impl Damage {
            /// Every reason, in the order in which headers follow each other.
            pub const ALL: [Self; [$(Self::$reason),+].len()] = [$(Self::$reason),+];

            /// The reason in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$reason => $text),+ }
            }
        }
    };
}

damage! {
    /// The frame itself may be sound.
    SnapLength "capture's snap length cut off headers";
    LinuxSllTruncated "Linux cooked header is cut short";
    BsdLoopbackTruncated "BSD loopback header is cut short";
    EthernetTruncated "Ethernet header is cut short";
    EthernetLengthTooLong "802.3 length is more than the frame holds";
    LlcTruncated "LLC or SNAP header is cut short";
    VlanTruncated "VLAN tag is cut short";
    MplsTruncated "MPLS label stack is cut short";
    PppoeTruncated "PPPoE header is cut short";
    PppoeLengthTooLong "PPPoE length is more than the frame holds";
    PppTruncated "PPP header is cut short";
    ArpTruncated "ARP packet is cut short";
    IpEmpty "IP packet has no octets";
    IpVersionUnknown "IP version is not the expected one";
    Ipv4HeaderTruncated "IPv4 header is cut short";
    Ipv4HeaderLengthTooShort "IPv4 header length is below 20 octets";
    Ipv4TotalLengthTooShort "IPv4 total length is below the header length";
    Ipv4TotalLengthTooLong "IPv4 total length is more than the frame holds";
    Ipv4OptionsTruncated "IPv4 options are cut short";
    Ipv6HeaderTruncated "IPv6 header is cut short";
    Ipv6PayloadLengthTooLong "IPv6 payload length is more than the frame holds";
    IpExtensionTruncated "IP extension header is cut short";
    TcpTruncated "TCP header is cut short";
    TcpDataOffsetTooShort "TCP data offset is below 20 octets";
    UdpTruncated "UDP header is cut short";
    UdpLengthTooShort "UDP length is below 8 octets";
    UdpLengthTooLong "UDP length is more than the packet holds";
    SctpTruncated "SCTP header is cut short";
    DccpTruncated "DCCP header is cut short";
    IcmpTruncated "ICMP header is cut short";
    VxlanTruncated "VXLAN header is cut short";
    GeneveTruncated "Geneve header is cut short";
    GreTruncated "GRE header is cut short";
    GtpuTruncated "GTP-U header is cut short";
}

/// How many frames were damaged, by reason. Cells of one thread; sums are merged by [`Self::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamageCounts([u64; Damage::ALL.len()]);

impl Default for DamageCounts {
    fn default() -> Self {
        Self([0; Damage::ALL.len()])
    }
}

impl DamageCounts {
    /// Counts one frame.
    pub fn count(&mut self, damage: Damage) {
        self.0[damage as usize] += 1;
    }

    /// Frames damaged in this way.
    #[must_use]
    pub fn of(&self, damage: Damage) -> u64 {
        self.0[damage as usize]
    }

    /// Damaged frames of all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Damage, u64)> + '_ {
        Damage::ALL.into_iter().zip(self.0).filter(|(_, frames)| *frames > 0)
    }

    /// Adds the counts of another thread.
    pub fn add(&mut self, other: &Self) {
        for (cell, more) in self.0.iter_mut().zip(other.0) {
            *cell += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_name_their_reasons_and_add_up() {
        let mut counts = DamageCounts::default();
        counts.count(Damage::SnapLength);
        counts.count(Damage::GtpuTruncated);
        let mut sum = counts;
        sum.add(&counts);
        let seen: Vec<_> = sum.iter().map(|(damage, frames)| (damage.text(), frames)).collect();
        assert_eq!(seen, [("capture's snap length cut off headers", 2), ("GTP-U header is cut short", 2)]);
        assert_eq!((sum.of(Damage::SnapLength), sum.of(Damage::ArpTruncated), sum.total()), (2, 0, 4));
    }
}
