//! What the card knows of a frame: asked for by instructions that say no until a loader writes calls over them.

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{Tag, ask};

/// When the card received the frame, by its own clock, ns; zero if nobody says.
#[inline(always)]
pub(super) fn time_ns(context: &XdpContext) -> u64 {
    let mut time_ns = 0_u64;
    let answer: u64;
    // SAFETY: as a call of a function that writes a time, or nothing.
    unsafe {
        asm!(
            "r0 = {no}",
            no = const ask::TIME,
            lateout("r0") answer,
            inlateout("r1") context.as_ptr() => _,
            inlateout("r2") &raw mut time_ns => _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    if answer as i32 != 0 { 0 } else { time_ns }
}

/// The tag that was taken out of the frame, and stands beside it.
#[inline(always)]
pub(super) fn tag(context: &XdpContext) -> Tag {
    let (mut kind, mut control) = ([0_u8; 2], 0_u16);
    let answer: u64;
    // SAFETY: as a call of a function that writes two octets to each of both places, or nothing.
    unsafe {
        asm!(
            "r0 = {no}",
            no = const ask::TAG,
            lateout("r0") answer,
            inlateout("r1") context.as_ptr() => _,
            inlateout("r2") &raw mut kind => _,
            inlateout("r3") &raw mut control => _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    if answer as i32 != 0 {
        return Tag::default();
    }
    let [first, second] = control.to_be_bytes();
    Tag::of_octets([kind[0], kind[1], first, second])
}
