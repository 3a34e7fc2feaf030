//! What the program takes from the card of its interface: where, and when not.

use std::thread;
use std::time::Duration;

use tapline_interface::kernel::{AttachMode, CardUse, Clock, KernelOptions, PaneGrid, monotonic_ns};
use tapline_interface::link;
use tapline_interface::live::PacketSender;

use crate::account::template;
use crate::namespace::{self, FAR, NEAR};
use crate::rights::load;

#[test]
fn a_driver_is_asked_where_it_runs_the_program_itself() {
    let Some(mut kernel) = load(&KernelOptions::default()).filter(|_| namespace::enter()) else { return };
    assert_eq!(kernel.card(), &CardUse::default());
    kernel.attach(FAR, AttachMode::Native).unwrap();
    let is_told = link::tells_tags(&link::find(FAR).unwrap().unwrap());
    assert_eq!((kernel.card().tags, kernel.card().drawback.as_deref()), (is_told, None));
    kernel.detach().unwrap();
    assert!(!namespace::is_attached());
    kernel.attach(FAR, AttachMode::Generic).unwrap();
    assert_eq!(kernel.card(), &CardUse::default());
}

#[test]
fn a_card_without_a_clock_leaves_frames_the_time_of_ours() {
    let panes = Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns());
    let options = KernelOptions { panes, ..KernelOptions::default() };
    let Some(mut kernel) = load(&options).filter(|_| namespace::enter()) else { return };
    kernel.attach(FAR, AttachMode::Native).unwrap();
    let sender = PacketSender::open(NEAR, false).unwrap();
    let sent_ns = monotonic_ns();
    (0..5).for_each(|_| sender.send(&template()).unwrap());
    thread::sleep(Duration::from_millis(50));
    let mut flows = Vec::new();
    kernel.table().drain(panes, |flow| flows.push((flow.packets, flow.first_ns))).unwrap();
    assert!(
        flows.iter().all(|(packets, first_ns)| *packets == 5 && *first_ns + 1000 > sent_ns),
        "{flows:?} {sent_ns}"
    );
    assert_eq!((flows.len(), kernel.counters().stamped_packets), (1, 0));
}
