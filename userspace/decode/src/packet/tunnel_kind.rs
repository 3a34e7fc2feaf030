//! The kinds of tunnels, and how a row names the one that it went through.

use super::columns::present;
use super::walk::Walk;
use tapline_record::PacketColumn::{TunnelId, TunnelKind};
use tapline_record::column::Symbol;

/// What kind of tunnel; a row names it by [`Kind::symbol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Vxlan,
    Geneve,
    Gre,
    IpInIp,
    Gtpu,
}

impl Kind {
    /// Texts of the symbols, which a batch must intern first and in this order.
    pub(super) const TEXTS: [&'static str; 5] = ["vxlan", "geneve", "gre", "ipip", "gtpu"];

    const fn symbol(self) -> Symbol {
        Symbol(self as u32)
    }
}

/// Notes the tunnel in the row.
pub(super) fn note(kind: Kind, id: Option<u32>, walk: &mut Walk<'_, '_>) {
    walk.row.tunnel_kind = kind.symbol();
    walk.row.present |= present([TunnelKind]);
    if let Some(id) = id {
        walk.row.tunnel_id = id;
        walk.row.present |= present([TunnelId]);
    }
}
