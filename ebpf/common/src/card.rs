//! What a card knows of a frame besides its octets, and how a program asks for it.
//!
//! The kernel answers by functions that only a program may call which is bound to its interface, and which a loader must
//! name by numbers of the running kernel. So the program has an instruction in their place that says no, and is right as it
//! stands; whoever loads it for a card writes the call over that.

/// Numbers that say no, and that stand in the program nowhere else: `r0 = NUMBER`, which an answer below zero is to its
/// caller. Registers 1 to 3 are the arguments of the function that is called instead.
pub mod ask {
    /// Of `bpf_xdp_metadata_rx_vlan_tag`, since Linux 6.8.
    pub const TAG: i32 = -0x7461_7001;
    /// Of `bpf_xdp_metadata_rx_timestamp`, since Linux 6.3.
    pub const TIME: i32 = -0x7461_7002;
}

/// How far the time of a card may be from that of the program for the same frame, ns. It must hold the frame's way to the
/// program as well as what is between the clocks; a card whose clock follows another one, or none, is not believed.
pub const CARD_AWAY_NS_MAX: u64 = 10_000_000;

/// A VLAN tag that stands beside its frame, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tag(u32);

impl Tag {
    /// Octets of a tag within its frame.
    pub const OCTETS: u32 = 4;

    /// A tag of these octets, as they stand within a frame: its EtherType, which is not zero, and its control information;
    /// none of zeros.
    #[must_use]
    #[inline]
    pub const fn of_octets(octets: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(octets))
    }

    /// Its octets, as they stand within a frame; `None` if there is none.
    #[must_use]
    #[inline]
    pub const fn octets(self) -> Option<[u8; 4]> {
        if self.0 == 0 { None } else { Some(self.0.to_be_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_its_octets() {
        let tag = Tag::of_octets([0x88, 0xa8, 0x61, 0x23]);
        assert_eq!(tag.octets(), Some([0x88, 0xa8, 0x61, 0x23]));
        assert_eq!([Tag::default(), Tag::of_octets([0; 4])].map(Tag::octets), [None; 2]);
    }
}
