//! What stands in the way of reading an interface is said in one sentence, with what would help.

use tapline_interface::kernel::{AttachMode, KernelOptions};
use tapline_interface::live::{self, LiveMode, LiveOptions};

use crate::live_source::open;
use crate::namespace::{self, FAR, NEAR, ip};
use crate::rights::load;

const IPC_LOCK: u32 = 14;
const NET_RAW: u32 = 13;
const BPF: u32 = 39;
const SYS_ADMIN: u32 = 21;

fn mirror() -> LiveOptions {
    LiveOptions { is_mirror: true, ..LiveOptions::default() }
}

/// What is said when an interface is opened.
fn message(interface: &str, options: &LiveOptions) -> String {
    live::open(interface, options).err().map(|error| error.to_string()).unwrap_or_default()
}

/// Takes capabilities away from this thread.
fn give_up(capabilities: &[u32]) {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: the header asks for this thread's two sets of three words, which is what they are.
    assert_eq!(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) }, 0);
    for capability in capabilities {
        sets[*capability as usize / 32][0] &= !(1 << (capability % 32));
    }
    // SAFETY: as above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }, 0);
}

#[test]
fn an_interface_that_is_not_there() {
    if !namespace::enter() {
        return;
    }
    let expected = "there is no interface `fra`; there are `far`, `lo`, `near`";
    assert_eq!(message("fra", &LiveOptions::default()), expected);
}

#[test]
fn an_interface_that_is_switched_off() {
    if !namespace::enter() {
        return;
    }
    assert!(ip(&["link", "set", FAR, "down"]));
    let expected = "interface `far` is switched off; `ip link set dev far up` switches it on";
    assert_eq!(message(FAR, &mirror()), expected);
}

#[test]
fn an_interface_that_has_a_program() {
    if !namespace::enter() {
        return;
    }
    let Some(mut other) = load(&KernelOptions::default()) else { return };
    other.attach(FAR, AttachMode::Native).unwrap();
    let expected = "interface `far` has an XDP program already; end what attached it, which `bpftool link` names, \
                    or take it off with `ip link set dev far xdp off`";
    assert_eq!(message(FAR, &mirror()), expected);
    // What reads copies is not in its way.
    assert!(open(FAR, &LiveOptions::default()).is_some());
}

#[test]
fn rights_that_are_missing() {
    if !namespace::enter() {
        return;
    }
    give_up(&[BPF, SYS_ADMIN]);
    assert!(
        message(FAR, &mirror()).contains("needs the capabilities CAP_BPF"),
        "{}",
        message(FAR, &mirror())
    );
    give_up(&[NET_RAW]);
    let found = message(FAR, &LiveOptions::default());
    assert!(
        found.starts_with("reading interface `far` needs the capability CAP_NET_RAW, or root"),
        "{found}"
    );
}

#[test]
fn memory_that_does_not_fit_the_limit() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    give_up(&[IPC_LOCK]);
    let found = message(NEAR, &LiveOptions { umem_frames: 1 << 20, ..mirror() });
    let expected =
        "interface `near`: its 2 queues need 4294967296 octets of locked memory, which is more than";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn an_interface_that_is_not_for_ethernet_is_read_as_copies() {
    if !namespace::enter() {
        return;
    }
    assert!(ip(&["link", "set", "lo", "up"]));
    let Some(source) = open("lo", &mirror()) else { return };
    assert_eq!(source.description().mode, LiveMode::Packet);
    assert_eq!(source.description().reasons, ["AF_XDP is for Ethernet alone"]);
}
