//! What the card knows of a frame: asked for by instructions that say no until a loader writes calls over them.
//!
//! Of each answer there are all bits where it is an error, which is below zero, and none where it is not: the compiler does
//! not know that, and makes no branch of it, which the verifier would follow through all that comes after.

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::{Tag, ask};

use crate::parse::NO_VLAN;

/// When the card received the frame, by its own clock, ns; zero if nobody says.
#[inline(always)]
pub(super) fn time_ns(context: &XdpContext) -> u64 {
    let mut time_ns = 0_u64;
    let none: u64;
    // SAFETY: as a call of a function that writes a time, or nothing.
    unsafe {
        asm!(
            "r0 = {no}",
            "r0 <<= 32",
            "r0 s>>= 63",
            no = const ask::TIME,
            lateout("r0") none,
            inlateout("r1") context.as_ptr() => _,
            inlateout("r2") &raw mut time_ns => _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    time_ns & !none
}

/// A tag that was taken out of the frame, and stands beside it, or none; in numbers that need no look at whether there is one.
pub(super) struct Beside {
    pub(super) tag: Tag,
    /// The id of its VLAN, or [`NO_VLAN`].
    pub(super) vlan: u16,
    /// Octets that the frame lacks.
    pub(super) missing_octets: u32,
}

/// The tag beside the frame.
#[inline(always)]
pub(super) fn beside(context: &XdpContext) -> Beside {
    let (mut kind, mut control) = (0_u16, 0_u16);
    let none: u64;
    // SAFETY: as a call of a function that writes two octets to each of both places, or nothing.
    unsafe {
        asm!(
            "r0 = {no}",
            "r0 <<= 32",
            "r0 s>>= 63",
            no = const ask::TAG,
            lateout("r0") none,
            inlateout("r1") context.as_ptr() => _,
            inlateout("r2") &raw mut kind => _,
            inlateout("r3") &raw mut control => _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    let none = none as u32;
    let octets = u32::from(u16::from_be(kind)) << 16 | u32::from(control);
    Beside {
        tag: Tag::of_octets((octets & !none).to_be_bytes()),
        vlan: control & 0xfff | none as u16 & NO_VLAN,
        missing_octets: Tag::OCTETS & !none,
    }
}
