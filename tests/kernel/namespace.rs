//! A network namespace of a thread, with a pair of interfaces that are each other's other end.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tapline_interface::link::{self, Link};

/// The end that frames are sent out of.
pub(crate) const NEAR: &str = "near";
/// The end that they come in on.
pub(crate) const FAR: &str = "far";

/// Gives this thread, and those that it starts, a network of their own with a pair of interfaces; the kernel takes
/// it away with the last of them, however they end. `false`, and a line that says why, where that is not allowed.
pub(crate) fn enter() -> bool {
    enter_with("2")
}

/// As [`enter`]; so many queues send and receive at either end.
pub(crate) fn enter_with(queues: &str) -> bool {
    if !unshare() {
        return false;
    }
    let is_there = add_pair([NEAR, FAR], queues);
    if !is_there {
        println!("skipped: no veth interfaces: ip(8) or the kernel lacks them");
    }
    is_there
}

/// Adds a pair of interfaces with so many queues to the network of this thread; says whether it could be.
pub(crate) fn add_pair(ends: [&str; 2], queues: &str) -> bool {
    let (queues, [near, far]) = (["numtxqueues", queues, "numrxqueues", queues], ends);
    let pair =
        [&["link", "add", near][..], &queues, &["type", "veth", "peer", "name", far], &queues].concat();
    if !ip(&pair) {
        return false;
    }
    for end in ends {
        // Nobody speaks unasked: no addresses, no neighbours.
        assert!(ip(&["link", "set", end, "addrgenmode", "none"]) && ip(&["link", "set", end, "up"]), "{end}");
    }
    wait_for_carrier_of(ends);
    true
}

/// Whether a program is attached to the far end.
pub(crate) fn is_attached() -> bool {
    has_program(FAR)
}

/// Whether a program is attached to an interface.
pub(crate) fn has_program(interface: &str) -> bool {
    let output = Command::new("ip").args(["-j", "link", "show", interface]).output().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    !links[0]["xdp"].is_null()
}

/// What the kernel is asked by `BPF_PROG_QUERY`, as far as it answers.
#[repr(C)]
#[derive(Default)]
struct Question {
    interface_index: u32,
    attached_as: u32,
    flags: [u32; 2],
    programs: u64,
    count: u32,
    reserved: u32,
    more: [u64; 4],
}

/// Whether a program of tcx is attached to what an interface sends.
pub(crate) fn counts_sent(interface: &str) -> bool {
    const PROGRAM_QUERY: libc::c_int = 16;
    const TCX_EGRESS: u32 = 47;
    let interface_index = link::find(interface).unwrap().unwrap().index;
    let mut question = Question { interface_index, attached_as: TCX_EGRESS, ..Question::default() };
    // SAFETY: the question is that of the command, of the size that is said, and alive during the call.
    let outcome =
        unsafe { libc::syscall(libc::SYS_bpf, PROGRAM_QUERY, &raw mut question, size_of::<Question>()) };
    outcome == 0 && question.count > 0
}

/// Frames that were sent out of the near end and found its peer's queue full: the receiving CPU was not there.
pub(crate) fn dropped() -> u64 {
    let output = Command::new("ip").args(["-s", "-j", "link", "show", NEAR]).output().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["stats64"]["tx"]["dropped"].as_u64().unwrap()
}

/// Waits until frames that are sent at one end come out of the other: the kernel finds out a little later that
/// both are switched on.
pub(crate) fn wait_for_carrier() {
    wait_for_carrier_of([NEAR, FAR]);
}

/// The same, of one end, whose other one is in another network.
pub(crate) fn wait_for_carrier_at(end: &str) {
    wait_for_carrier_of([end]);
}

fn wait_for_carrier_of<const ENDS: usize>(ends: [&str; ENDS]) {
    let is_running = |end| link::find(end).unwrap().unwrap().flags & libc::IFF_RUNNING as u32 != 0;
    let start = Instant::now();
    while !ends.into_iter().all(is_running) {
        assert!(start.elapsed() < Duration::from_secs(20), "no carrier");
        thread::sleep(Duration::from_millis(1));
    }
    // What it does about it follows.
    thread::sleep(Duration::from_millis(20));
}

/// Waits until the far end is as it should be. A program or a socket goes with its last descriptor, and processes
/// that other tests start have copies of all of them for a moment.
pub(crate) fn wait_for(is_so: impl Fn(&Link) -> bool) {
    let start = Instant::now();
    while !is_so(&link::find(FAR).unwrap().unwrap()) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", link::find(FAR));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Gives this thread, and those that it starts, an empty network of their own; `false`, and a line that says why,
/// where that is not allowed.
pub(crate) fn unshare() -> bool {
    // SAFETY: changes what this thread sees of networks, and no memory.
    let is_done = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    if !is_done {
        println!("skipped: needs CAP_SYS_ADMIN for a network namespace");
    }
    is_done
}

/// Whether ip(8), in the namespace of this thread, did it.
pub(crate) fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).status().is_ok_and(|status| status.success())
}
