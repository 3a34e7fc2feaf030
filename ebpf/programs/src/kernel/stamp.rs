//! The program's clock, and what else the octets of a frame do not tell, in front of one that leaves for `AF_XDP`.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_xdp_adjust_meta;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{FrameStamp, Tag};

/// What a frame does not tell.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// The tag that stands beside it.
    pub(super) tag: Tag,
    /// When the card received it; zero if it does not say.
    pub(super) card_ns: u64,
    /// Octets that were cut off its end.
    pub(super) cut_octets: u32,
}

/// Writes the time and what else there is to tell in front of the frame, where the driver leaves room for it.
///
/// The frame's octets must be looked for anew after this.
#[inline(always)]
pub(super) fn write(context: &XdpContext, ts_ns: u64, told: Told) -> Option<()> {
    // SAFETY: the context is the one that the kernel gave.
    let outcome = unsafe { bpf_xdp_adjust_meta(context.as_ptr().cast(), -(size_of::<FrameStamp>() as i32)) };
    let first = context.metadata();
    if outcome != 0 || first + size_of::<FrameStamp>() > context.metadata_end() {
        return None;
    }
    let Told { tag, card_ns, cut_octets } = told;
    let stamp = FrameStamp { magic: FrameStamp::MAGIC, ts_ns, card_ns, tag, cut_octets };
    // SAFETY: the kernel has just made room there; the verifier checks it.
    unsafe { (first as *mut FrameStamp).write(stamp) };
    Some(())
}
