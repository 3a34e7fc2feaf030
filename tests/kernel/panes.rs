//! Panes: no entry spans two, and what has come out is all that there was until then.

use std::time::Duration;

use tapline_interface::kernel::{Clock, KernelFlow, KernelOptions, PaneGrid, monotonic_ns};

use crate::account::template;
use crate::rights::load;

const PANE_NS: u64 = 2_000_000;
/// Each of them a call of the kernel, which takes some µs.
const FRAMES_A_ROUND: u64 = 2000;

#[test]
fn no_entry_spans_two_panes_and_none_comes_late() {
    let now = monotonic_ns();
    let clock = Clock::measure();
    let options = KernelOptions { panes: clock.grid(PANE_NS, now), ..KernelOptions::default() };
    let Some(mut kernel) = load(&options) else { return };
    let frame = template();
    let (mut until_ns, mut packets, mut panes) = (now, 0, std::collections::BTreeSet::new());
    for round in 0..20 {
        for _ in 0..FRAMES_A_ROUND {
            kernel.test(&frame, 1).unwrap();
        }
        let grid = clock.grid(PANE_NS, monotonic_ns());
        let mut latest_ns = 0;
        let check = |flow: &KernelFlow| {
            assert!(flow.pane_start_ns <= flow.first_ns && flow.first_ns <= flow.last_ns, "{flow:?}");
            assert!(flow.last_ns < flow.pane_start_ns + PANE_NS, "{flow:?}");
            assert_eq!(clock.utc_ns(flow.pane_start_ns) % PANE_NS, 0);
            assert!(flow.last_ns + 1000 > until_ns, "round {round}: {flow:?} is before {until_ns}");
            panes.insert(flow.pane_start_ns);
            packets += flow.packets;
            latest_ns = latest_ns.max(flow.last_ns);
        };
        let drained = kernel.table().drain(grid, check).unwrap();
        assert!(latest_ns <= drained.latest_ns, "round {round}: {latest_ns} is behind {drained:?}");
        until_ns = drained.until_ns;
    }
    assert_eq!(packets, 20 * FRAMES_A_ROUND);
    assert!(panes.len() > 10, "{}", panes.len());
    let counted = kernel.counters();
    assert!(counted.restarted_entries > 0 && counted.lost_packets == 0, "{counted:?}");
}

/// As those of an hour have that hold the boot.
#[test]
fn frames_have_their_times_in_panes_that_are_counted_from_before_the_boot() {
    const HOUR: u64 = PaneGrid::LENGTH_NS_MAX;
    let now = monotonic_ns();
    let grid = Clock::measure().grid(HOUR, now);
    let panes = PaneGrid { anchor_ns: grid.anchor_ns.wrapping_sub((now / HOUR + 2) * HOUR), ..grid };
    let Some(mut kernel) = load(&KernelOptions { panes, ..KernelOptions::default() }) else { return };
    kernel.test(&template(), 10).unwrap();
    let mut flows = vec![];
    kernel.table().drain(grid, |flow| flows.push((flow.packets, flow.first_ns, flow.last_ns))).unwrap();
    let [(10, first_ns, last_ns)] = flows[..] else { panic!("{flows:?}") };
    assert!(now <= first_ns + 1000 && first_ns <= last_ns && last_ns <= monotonic_ns(), "{now}: {flows:?}");
}

#[test]
fn panes_may_change_their_length_at_any_time() {
    let clock = Clock::measure();
    let mut grid = clock.grid(PANE_NS, monotonic_ns());
    let Some(mut kernel) = load(&KernelOptions { panes: grid, ..KernelOptions::default() }) else { return };
    let mut packets = 0;
    for length_ns in [5_000_000, 1_000_000, 3_600_000_000_000, 7_000_000] {
        kernel.test(&template(), 1000).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        kernel.test(&template(), 1000).unwrap();
        let next = clock.grid(length_ns, monotonic_ns());
        let check = |flow: &KernelFlow| {
            assert_eq!(clock.utc_ns(flow.pane_start_ns) % grid.length_ns, 0, "{flow:?} in {grid:?}");
            // It may have begun before the boot.
            assert!(flow.last_ns.wrapping_sub(flow.pane_start_ns) < grid.length_ns);
            packets += flow.packets;
        };
        kernel.table().drain(next, check).unwrap();
        grid = next;
    }
    assert_eq!(packets, 8000);
}
