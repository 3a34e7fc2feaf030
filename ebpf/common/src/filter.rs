//! The pre-filter's rules, as they stand in maps.
//!
//! Of each kind (prefixes, ports, protocols, VLANs) a frame is refused when a rule denies it, or when there are
//! rules that allow and none of them names it. Of prefixes the longest counts; a frame is named by either of its
//! addresses or ports.

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Frames of this kind are kept, and others only if a rule names them, too.
    Allow = 1,
    /// Frames of this kind are not kept.
    Deny = 2,
}

/// Places in the map of rules; a place holds a [`Verdict`], or zero.
pub mod rule {
    const PROTOCOLS: u32 = 1 << 16;
    const VLANS: u32 = PROTOCOLS + 256;

    /// The place of a port.
    #[must_use]
    #[inline]
    pub const fn port(port: u16) -> u32 {
        port as u32
    }

    /// The place of an IP protocol.
    #[must_use]
    #[inline]
    pub const fn protocol(protocol: u8) -> u32 {
        PROTOCOLS + protocol as u32
    }

    /// The place of a VLAN id, or of frames without one.
    #[must_use]
    #[inline]
    pub const fn vlan(vlan: Option<u16>) -> u32 {
        match vlan {
            Some(vlan) => VLANS + (vlan & 0xfff) as u32,
            None => VLANS + 4096,
        }
    }
}

/// Places in the map of rules.
pub const RULES: u32 = rule::vlan(None) + 1;
