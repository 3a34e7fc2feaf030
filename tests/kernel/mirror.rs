//! What becomes of a frame when it has been counted.

use tapline_interface::kernel::{KernelCapture, KernelOptions, PaneGrid};

use crate::account::template;
use crate::rights::load;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

fn action(kernel: &mut KernelCapture) -> u32 {
    kernel.test(&template(), 1).unwrap().action
}

#[test]
fn nothing_is_taken_from_a_host_that_is_no_mirror() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    assert_eq!(action(&mut kernel), XDP_PASS);
    kernel.set_packets_wanted(true);
    assert_eq!(action(&mut kernel), XDP_PASS);
    assert_eq!(kernel.counters().unredirected_packets, 0);
}

#[test]
fn a_mirror_drops_what_nobody_wants() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    kernel.set_mirror(true);
    assert_eq!(action(&mut kernel), XDP_DROP);
    assert_eq!(kernel.counters().unredirected_packets, 0);
    kernel.set_packets_wanted(true);
    assert_eq!(action(&mut kernel), XDP_DROP, "no socket takes it");
    assert_eq!(kernel.counters().unredirected_packets, 1);
    kernel.set_mirror(false);
    assert_eq!(action(&mut kernel), XDP_PASS);
}

#[test]
fn a_redirected_frame_has_the_time_that_the_table_has() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    kernel.set_mirror(true);
    kernel.set_packets_wanted(true);
    for _ in 0..20 {
        let arrival_ns = kernel.test(&template(), 1).unwrap().arrival_ns;
        let mut times = Vec::new();
        let take = |flow: &tapline_interface::kernel::KernelFlow| times.push((flow.first_ns, flow.last_ns));
        kernel.table().drain(PaneGrid::default(), take).unwrap();
        assert_eq!(times, [arrival_ns.map(|ns| (ns, ns)).unwrap()]);
    }
}
