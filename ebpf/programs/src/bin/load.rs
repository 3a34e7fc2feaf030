//! The object that tests and benchmarks use: a sender, a sink, and parts of the capture program.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use tapline_ebpf_programs::kernel::{classify, clock_only, number, parse_only, take_wanted};

    #[xdp(frags)]
    fn tapline_send(context: XdpContext) -> u32 {
        number(&context).map_or(XDP_ABORTED, |()| XDP_TX)
    }

    #[xdp(frags)]
    fn tapline_sink(_context: XdpContext) -> u32 {
        XDP_DROP
    }

    #[xdp(frags)]
    fn tapline_nothing(context: XdpContext) -> u32 {
        number(&context).map_or(XDP_ABORTED, |()| XDP_DROP)
    }

    #[xdp(frags)]
    fn tapline_parse(context: XdpContext) -> u32 {
        number(&context).and_then(|()| parse_only(&context)).map_or(XDP_ABORTED, |()| XDP_DROP)
    }

    #[xdp(frags)]
    fn tapline_clock(context: XdpContext) -> u32 {
        let parsed = number(&context).and_then(|()| parse_only(&context));
        parsed.and_then(|()| clock_only()).map_or(XDP_ABORTED, |()| XDP_DROP)
    }

    #[xdp(frags)]
    fn tapline_table(context: XdpContext) -> u32 {
        number(&context).and_then(|()| classify::<true>(&context)).unwrap_or(XDP_ABORTED)
    }

    #[xdp(frags)]
    fn tapline_wanted(context: XdpContext) -> u32 {
        take_wanted(&context).unwrap_or(XDP_ABORTED)
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// What the kernel wants to know before it lends its helpers.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("These are kernel programs: `cargo xtask build-ebpf` builds them.");
}
