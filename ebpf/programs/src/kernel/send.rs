//! Synthetic frames: a template whose source address is the number of a flow.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use aya_ebpf::programs::XdpContext;

use super::maps;

/// Where the source address stands in Ethernet and IPv4.
const SRC_IP: usize = 26;
const SRC_IP_END: usize = SRC_IP + 4;

/// Writes the next flow's source address into the frame; the header's checksum is not mended.
#[inline(always)]
pub fn number(context: &XdpContext) -> Option<()> {
    // SAFETY: the helper takes nothing.
    let sender = maps::sender(unsafe { bpf_get_smp_processor_id() })?;
    let address = sender.src_ip + sender.flow(sender.frames);
    sender.frames += 1;
    let first = context.data();
    if first + SRC_IP_END > context.data_end() {
        return None;
    }
    // SAFETY: the kernel lends the octets of the frame to the program; the verifier checks it.
    unsafe { ((first + SRC_IP) as *mut u32).write_unaligned(address.to_be()) };
    Some(())
}
