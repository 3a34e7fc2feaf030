//! Parts of what the capture program does, for benchmarks.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::programs::XdpContext;
use tapline_ebpf_common::flags;

use super::frame::LinearFrame;
use super::maps;
use crate::parse::parse;

/// Parses the frame and keeps what it is.
#[inline(always)]
pub fn parse_only(context: &XdpContext) -> Option<()> {
    let octets = (context.data_end() - context.data()) as u32;
    let parsed = parse(&LinearFrame::new(context), octets, flags::TCP_FLAGS);
    let [a, b, c, d, e] = *parsed.key.words();
    note([a, b, c, d, e, parsed.octets.into()])
}

/// Reads the clock and keeps the time.
#[inline(always)]
pub fn clock_only() -> Option<()> {
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: likewise.
    let sender = maps::sender(unsafe { bpf_get_smp_processor_id() })?;
    sender.found[5] = now_ns;
    Some(())
}

#[inline(always)]
fn note(found: [u64; 6]) -> Option<()> {
    // SAFETY: the helper takes nothing.
    maps::sender(unsafe { bpf_get_smp_processor_id() })?.found = found;
    Some(())
}
