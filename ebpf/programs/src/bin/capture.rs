//! The object that `tapline` embeds: entry points only.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::bindings::xdp_action::XDP_PASS;
    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};
    use tapline_ebpf_programs::kernel::{classify, count_sent, take_wanted};

    /// Goes on with whatever else is attached, and then the packet (`TCX_NEXT`).
    const NEXT: i32 = -1;

    #[xdp(frags)]
    fn tapline_capture(context: XdpContext) -> u32 {
        classify::<true>(&context).unwrap_or(XDP_PASS)
    }

    #[xdp(frags)]
    fn tapline_unfiltered(context: XdpContext) -> u32 {
        classify::<false>(&context).unwrap_or(XDP_PASS)
    }

    #[xdp(frags)]
    fn tapline_wanted(context: XdpContext) -> u32 {
        take_wanted(&context).unwrap_or(XDP_PASS)
    }

    #[classifier]
    fn tapline_sent(context: TcContext) -> i32 {
        let _ = count_sent(&context);
        NEXT
    }

    #[xdp]
    fn tapline_contract(_context: XdpContext) -> u32 {
        tapline_ebpf_common::VERSION
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
