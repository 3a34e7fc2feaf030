//! Numbers of sFlow version 5, by the names of its specification (sflow.org, July 2004, and the structures listed at
//! sflow.org/developers/structures.php). All formats are of enterprise 0, which is sflow.org itself.

// Samples (`sample_data`).
pub(super) const FLOW_SAMPLE: u32 = 1;
pub(super) const COUNTERS_SAMPLE: u32 = 2;
pub(super) const FLOW_SAMPLE_EXPANDED: u32 = 3;
pub(super) const COUNTERS_SAMPLE_EXPANDED: u32 = 4;
/// Of "sFlow Dropped Packet Notification Structures".
pub(super) const DISCARDED_PACKET: u32 = 5;

// Records of flow samples (`flow_data`).
pub(super) const SAMPLED_HEADER: u32 = 1;
pub(super) const SAMPLED_ETHERNET: u32 = 2;
pub(super) const SAMPLED_IPV4: u32 = 3;
pub(super) const SAMPLED_IPV6: u32 = 4;
pub(super) const EXTENDED_SWITCH: u32 = 1001;
pub(super) const EXTENDED_ROUTER: u32 = 1002;
pub(super) const EXTENDED_GATEWAY: u32 = 1003;
pub(super) const EXTENDED_MPLS: u32 = 1006;
pub(super) const EXTENDED_NAT: u32 = 1007;
/// Of "sFlow Port NAT Structures".
pub(super) const EXTENDED_NAT_PORT: u32 = 1020;

// Records of counter samples (`counter_data`).
/// Generic counters, which every interface has.
pub(super) const IF_COUNTERS: u32 = 1;

// What an address is (`address_type`).
pub(super) const ADDRESS_UNKNOWN: u32 = 0;
pub(super) const ADDRESS_IP_V4: u32 = 1;
pub(super) const ADDRESS_IP_V6: u32 = 2;

// What a sampled header begins with (`header_protocol`).
pub(super) const HEADER_ETHERNET_ISO88023: u32 = 1;
pub(super) const HEADER_ISO88025_TOKENRING: u32 = 3;
pub(super) const HEADER_FDDI: u32 = 4;
pub(super) const HEADER_FRAME_RELAY: u32 = 5;
pub(super) const HEADER_PPP: u32 = 7;
pub(super) const HEADER_AAL5: u32 = 9;
pub(super) const HEADER_AAL5_IP: u32 = 10;
pub(super) const HEADER_IPV4: u32 = 11;
pub(super) const HEADER_IPV6: u32 = 12;
pub(super) const HEADER_MPLS: u32 = 13;
pub(super) const HEADER_POS: u32 = 14;
pub(super) const HEADER_IEEE80211MAC: u32 = 15;
pub(super) const HEADER_IEEE80211_AMSDU_SUBFRAME: u32 = 17;
