//! Who numbers information elements (IANA, "Private Enterprise Numbers").

/// IANA itself, which has no enterprise number in templates.
pub(super) const IANA: u32 = 0;

/// Cisco Systems.
pub(super) const CISCO: u32 = 9;

/// The enterprise of reverse elements of biflows (RFC 5103 §6.1).
pub(super) const REVERSE: u32 = 29305;

/// Stands for the enterprise of what NetFlow v9 calls scopes, which are no information elements.
pub(super) const V9_SCOPE: u32 = u32::MAX;
