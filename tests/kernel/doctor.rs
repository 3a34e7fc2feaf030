//! What is found of an interface, as it is and after it has changed.

use tapline_interface::doctor;
use tapline_interface::kernel::{AttachMode, KernelOptions};

use crate::namespace::{self, FAR, ip, wait_for};
use crate::rights::load;

/// Texts of all findings, or of the problems and what mends them.
fn found(is_problem: bool) -> String {
    let findings = doctor::interface(FAR).unwrap().into_iter();
    let lines = findings.filter(|found| !is_problem || found.is_problem).map(|found| found.to_string());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_interface_is_looked_at_as_it_is() {
    if !namespace::enter() {
        return;
    }
    let all = found(false);
    for part in [
        "driver `veth`",
        "its driver runs XDP programs",
        "AF_XDP with copying",
        "MTU 1500",
        "2 receive queues",
        "XDP sees what the interface receives, and nothing that this host sends: with --direction both the kernel counts that by tcx",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!found(true).contains("XDP program"), "{}", found(true));
    assert!(ip(&["link", "set", FAR, "mtu", "9000"]) && ip(&["link", "set", FAR, "down"]));
    for part in ["ip link set dev far up", "ip link set dev far mtu 1500"] {
        assert!(found(true).contains(part), "{part} in {}", found(true));
    }
}

#[test]
fn a_program_that_is_there_is_found() {
    if !namespace::enter() {
        return;
    }
    let Some(mut program) = load(&KernelOptions::default()) else { return };
    program.attach(FAR, AttachMode::Native).unwrap();
    assert!(found(true).contains("has an XDP program already, number "), "{}", found(true));
    drop(program);
    wait_for(|link| link.xdp.is_none());
    assert!(!found(true).contains("XDP program"), "{}", found(true));
}
