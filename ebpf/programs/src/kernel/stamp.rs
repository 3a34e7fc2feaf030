//! The program's clock, and a tag that stands beside it, in front of a frame that leaves for `AF_XDP`.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_xdp_adjust_meta;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{FrameStamp, Tag};

/// Writes the time, by the program's clock and the card's, and the tag in front of the frame, where the driver leaves room for it.
///
/// The frame's octets must be looked for anew after this.
#[inline(always)]
pub(super) fn write(context: &XdpContext, ts_ns: u64, (tag, card_ns): (Tag, u64)) -> Option<()> {
    // SAFETY: the context is the one that the kernel gave.
    let outcome = unsafe { bpf_xdp_adjust_meta(context.as_ptr().cast(), -(size_of::<FrameStamp>() as i32)) };
    let first = context.metadata();
    if outcome != 0 || first + size_of::<FrameStamp>() > context.metadata_end() {
        return None;
    }
    let stamp = FrameStamp { magic: FrameStamp::MAGIC, ts_ns, card_ns, tag, reserved: 0 };
    // SAFETY: the kernel has just made room there; the verifier checks it.
    unsafe { (first as *mut FrameStamp).write(stamp) };
    Some(())
}
