//! Extension headers between the IP header and what it carries.

use tapline_ebpf_common::Network;

use super::Octets;
use super::walk::{Walk, be16};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// Headers that are looked through: RFC 8200 §4.1 names seven in a row.
const HEADERS_MAX: u32 = 8;

/// Whether a next header is no extension header.
#[inline(always)]
pub(super) const fn is_last(next_header: u8) -> bool {
    !is_authentication_or_common(next_header) && next_header != FRAGMENT
}

/// Goes behind the extension headers of IPv6; `None` in fragments but the first, and where one is not whole.
#[inline(always)]
pub(super) fn skip<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    if is_last(walk.position.next_header) || walk.go_on(F::go_behind_extensions) {
        return Some(());
    }
    if walk.position.is_later_fragment != 0 {
        walk.protocol = walk.position.next_header;
        walk.network = Network::V6;
    }
    None
}

/// Goes behind the extension headers in IPv4, which has its own fragments.
#[inline(always)]
pub(super) fn skip_v4<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let is_there =
        !is_authentication_or_common(walk.position.next_header) || walk.go_on(F::go_behind_extensions_v4);
    is_there.then_some(())
}

/// Goes on as long as there are extension headers of IPv6.
#[inline(always)]
pub(super) fn look_through<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    for _ in 0..HEADERS_MAX {
        strip(walk)?;
        if is_last(walk.position.next_header) {
            return Some(());
        }
    }
    walk.position.is_too_deep = 1;
    None
}

/// Goes on as long as there are extension headers that IPv4 may have.
#[inline(always)]
pub(super) fn look_through_v4<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    for _ in 0..HEADERS_MAX {
        strip(walk)?;
        if !is_authentication_or_common(walk.position.next_header) {
            return Some(());
        }
    }
    walk.position.is_too_deep = 1;
    None
}

/// Takes one header; `None` if it is that of a fragment which is not the first, whose protocol is the last word.
#[inline(always)]
fn strip<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let header = walk.peek::<8>()?;
    let is_fragment = walk.position.next_header == FRAGMENT;
    let octets = match walk.position.next_header {
        FRAGMENT => 8,
        AUTHENTICATION => (u32::from(header[1]) + 2) * 4,
        _ => (u32::from(header[1]) + 1) * 8,
    };
    // All of it has to be there to be read, as of the headers before it.
    walk.peek_at::<1>(octets - 1)?;
    walk.skip(octets)?;
    walk.position.next_header = header[0];
    if is_fragment && be16(header[2], header[3]) & !0b111 != 0 {
        walk.position.is_later_fragment = 1;
        return None;
    }
    Some(())
}

#[inline(always)]
const fn is_authentication_or_common(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP | ROUTING | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6
    )
}
