//! A frame as a driver hands it over.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;

use crate::parse::{Octets, Position, go_behind_extensions, go_behind_extensions_v4, go_behind_link};

/// No header begins further in; the verifier wants to know.
const OFFSET_MAX: usize = 0x3fff;

/// The first part of a frame; jumbo frames may have more parts, with no headers in them.
pub struct LinearFrame {
    context: *mut xdp_md,
    start: usize,
    end: usize,
}

impl LinearFrame {
    /// The frame of a context.
    #[inline(always)]
    pub fn new(context: &XdpContext) -> Self {
        Self { context: context.ctx, start: context.data(), end: context.data_end() }
    }
}

impl Octets for LinearFrame {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if at > OFFSET_MAX {
            return None;
        }
        let first = self.start + at;
        if plus::<N>(first) > self.end {
            return None;
        }
        // SAFETY: the kernel lends the octets from `start` to `end` to the program; the verifier checks it.
        Some(unsafe { (first as *const [u8; N]).read_unaligned() })
    }

    #[inline(always)]
    fn go_behind_link(&self, position: &mut Position) -> bool {
        tapline_link(self.context, position) != 0
    }

    #[inline(always)]
    fn go_behind_extensions(&self, position: &mut Position) -> bool {
        tapline_extensions(self.context, position) != 0
    }

    #[inline(always)]
    fn go_behind_extensions_v4(&self, position: &mut Position) -> bool {
        tapline_extensions_v4(self.context, position) != 0
    }
}

/// A sum that the compiler may not reason about: the verifier only believes a check that is written this way, and
/// the compiler knows shorter ones.
#[inline(always)]
fn plus<const N: usize>(mut number: usize) -> usize {
    // SAFETY: an addition.
    unsafe { core::arch::asm!("{0} += {1}", inout(reg) number, const N, options(pure, nomem, nostack)) };
    number
}

/// Octets of the whole frame, in all of its parts.
#[inline(always)]
pub(super) fn octets(context: &XdpContext) -> u32 {
    // SAFETY: the context is the one that the kernel gave.
    unsafe { bpf_xdp_get_buff_len(context.as_ptr().cast()) as u32 }
}

/// Octets of a frame that is in one part.
#[inline(always)]
pub(super) fn octets_of_one_part(context: &XdpContext) -> Option<u32> {
    let octets = octets(context);
    (octets as usize == context.data_end() - context.data()).then_some(octets)
}

/// Cuts so many octets off the end of a frame; gives how many are gone.
///
/// The frame's octets must be looked for anew after this.
#[inline(always)]
pub(super) fn cut(context: &XdpContext, octets: u32) -> u32 {
    if octets == 0 {
        return 0;
    }
    // SAFETY: the context is the one that the kernel gave.
    let outcome = unsafe { bpf_xdp_adjust_tail(context.as_ptr().cast(), -(octets as i32)) };
    if outcome == 0 { octets } else { 0 }
}

/// Declares a part of the walk as a function of the object: the verifier checks it once, for any position,
/// instead of once for every way that leads to it.
macro_rules! functions {
    ($($name:ident = $part:ident;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name(context: *mut xdp_md, position: *mut Position) -> u32 {
                // SAFETY: null, or a position on the stack of the caller.
                let Some(position) = (unsafe { position.as_mut() }) else { return 0 };
                u32::from($part(&LinearFrame::new(&XdpContext::new(context)), position))
            }
        )+
    };
}

functions! {
    tapline_link = go_behind_link;
    tapline_extensions = go_behind_extensions;
    tapline_extensions_v4 = go_behind_extensions_v4;
}
