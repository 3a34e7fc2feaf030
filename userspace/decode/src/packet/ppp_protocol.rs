//! What PPP carries (IANA, "PPP DLL Protocol Numbers"), as far as the decoder knows it.

pub(crate) const IPV4: u16 = 0x0021;
pub(crate) const IPV6: u16 = 0x0057;
pub(crate) const MPLS: u16 = 0x0281;
pub(crate) const MPLS_MULTICAST: u16 = 0x0283;
