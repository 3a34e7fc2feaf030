//! A process that is killed leaves the interface as it was, and another one goes on.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tapline_interface::kernel::{AttachMode, KernelError, KernelOptions, PaneGrid, Sender};

use crate::account::{SRC_IP, template};
use crate::namespace::{self, FAR, NEAR};
use crate::rights::{load, or_skipped};

/// Set in the process that will be killed.
const VICTIM: &str = "TAPLINE_TEST_VICTIM";

/// The process that will be killed: this very test, in the namespace of the one that started it.
fn be_killed() {
    let mut kernel = load(&KernelOptions::default()).unwrap();
    kernel.attach(FAR, AttachMode::Native).unwrap();
    sleep(Duration::from_secs(60));
}

/// Waits until a program is attached, or none is.
fn wait_for_attached(is_attached: bool) {
    let start = Instant::now();
    while namespace::is_attached() != is_attached {
        assert!(start.elapsed() < Duration::from_secs(20), "attached: {}", !is_attached);
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_process_leaves_the_interface_as_it_was() {
    if std::env::var_os(VICTIM).is_some() {
        return be_killed();
    }
    if !namespace::enter() {
        return;
    }
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let Some(mut sender) = or_skipped(Sender::load(1, SRC_IP)) else { return };
    sender.open(NEAR).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_killed_process_leaves_the_interface_as_it_was"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_attached(true);
    let refused = kernel.attach(FAR, AttachMode::Native);
    assert!(matches!(refused, Err(KernelError::Occupied(_))), "{refused:?}");
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_for_attached(false);
    kernel.attach(FAR, AttachMode::Native).unwrap();
    sender.send(NEAR, &template(), 1000).unwrap();
    let mut packets = 0;
    kernel.table().drain(PaneGrid::default(), |flow| packets += flow.packets).unwrap();
    assert_eq!(packets + namespace::dropped(), 1000);
    drop(kernel);
    wait_for_attached(false);
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let refused = kernel.attach("no-such-link", AttachMode::Native);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "there is no interface `no-such-link`; `ip link` lists those that there are"
    );
}
