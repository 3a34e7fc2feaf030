//! Numbers of the sets that hold no data records (RFC 3954 §5.2 and §6.1; IANA, "IPFIX Set IDs", RFC 7011 §3.3.2).

pub(super) const V9_TEMPLATE: u16 = 0;
pub(super) const V9_OPTIONS_TEMPLATE: u16 = 1;
pub(super) const IPFIX_TEMPLATE: u16 = 2;
pub(super) const IPFIX_OPTIONS_TEMPLATE: u16 = 3;
