//! Versions of export protocols, as their messages and our accounts have them.

/// Cisco's NetFlow Export Datagram Format.
pub(super) const NETFLOW_V5: u8 = 5;
pub(super) const NETFLOW_V7: u8 = 7;
/// RFC 3954 §5.1.
pub(super) const NETFLOW_V9: u8 = 9;
/// RFC 7011 §3.1 (IANA, "IPFIX Version Numbers").
pub(super) const IPFIX: u8 = 10;
/// Stands for sFlow version 5 in accounts, to tell it from NetFlow v5.
pub(super) const SFLOW_V5: u8 = 105;
/// What datagrams of sFlow version 5 say, in 32 bits.
pub(super) const SFLOW_V5_DATAGRAM: u32 = 5;

/// The name of a protocol version in [`ExportAccount::version`](super::ExportAccount::version).
#[must_use]
pub const fn version_name(version: u8) -> &'static str {
    match version {
        NETFLOW_V5 => "NetFlow v5",
        NETFLOW_V7 => "NetFlow v7",
        NETFLOW_V9 => "NetFlow v9",
        IPFIX => "IPFIX",
        _ => "sFlow v5",
    }
}
