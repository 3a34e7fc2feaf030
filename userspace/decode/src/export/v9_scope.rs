//! What an options record of NetFlow v9 is about (RFC 3954 §6.1, "Scope Field Type").

pub(super) const SYSTEM: u16 = 1;
pub(super) const INTERFACE: u16 = 2;
pub(super) const LINE_CARD: u16 = 3;
pub(super) const CACHE: u16 = 4;
pub(super) const TEMPLATE: u16 = 5;
